"""Why a graph did not load: the ops that nothing here registers, all of them, and how to bring them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from servable import op_packages
from servable.errors import ServingError, of_code
from servable.execution import registered_ops

# TensorFlow tells of one op only, and puts words before it if graph and TensorFlow are far apart in age.
_TOLD = re.compile(r"Op type not registered '[^']*'.*", re.DOTALL)


def explain(error: ServingError, meta_graph: Any, directory: Path) -> ServingError | None:
    """The error of an import with all missing ops and the way to bring them; None if it is another matter.

    Args:
        error: What the import of the graph raised.
        meta_graph: A tensorflow MetaGraphDef.
        directory: The version directory.
    """
    told = _TOLD.search(error.message)
    missing = registered_ops.find_missing(sorted(set(_used_ops(meta_graph.graph_def)))) if told else ()
    if not told or not missing:
        return None
    return of_code(
        error.code,
        f"{told[0]}\n{directory} needs ops that nothing here registers: {', '.join(sorted(missing))}. "
        f"{op_packages.advise(missing)}{_tell_age(meta_graph.meta_info_def.tensorflow_version)}",
    )


def _tell_age(made_with: str) -> str:
    if not made_with or made_with == tf.__version__:
        return ""
    return f" The model was made with TensorFlow {made_with}, this server runs on {tf.__version__}."


def _used_ops(graph_def: Any) -> Iterator[str]:
    functions = graph_def.library.function
    own = {function.signature.name for function in functions}
    for nodes in (graph_def.node, *(function.node_def for function in functions)):
        yield from (node.op for node in nodes if node.op not in own)
