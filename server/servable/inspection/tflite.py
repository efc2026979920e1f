"""A report about a TensorFlow Lite model: of a .tflite file, or of a version directory with a model.tflite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from servable import saved_model, signatures, wire
from servable.inspection import checks
from servable.inspection.graph import Graph, split_tensor_name
from servable.inspection.report import ModelWarning, Report, Signature, describe_tensors
from servable.inspection.verdicts import judge
from servable.model_paths import Location
from servable.tflite_model import stored
from servable.tflite_model.signatures import Signatures, find_signatures
from servable.tflite_model.stored import TfliteModel

FORMAT: Final = "TensorFlow Lite model"
SUFFIX: Final = ".tflite"


def find_file(directory: str) -> Path | None:
    """The file, if a path names one by its suffix."""
    path = Path(directory).expanduser().absolute()
    return path if path.suffix.lower() == SUFFIX and path.is_file() else None


def find_in(directory: Path) -> Path | None:
    """The model.tflite of a version directory that has nothing else to serve."""
    names = (saved_model.BINARY_NAME, saved_model.TEXT_NAME)
    path = directory / stored.NAME
    return path if path.exists() and not any((directory / name).exists() for name in names) else None


def inspect_file(path: Path, location: Location | None, tensorflow_version: str | None) -> Report:
    """Read a model and judge its signatures.

    Args:
        path: The file.
        location: The version directory that it stands for; None if the file itself was named.
        tensorflow_version: The one that is installed; None if there is none.

    Raises:
        ServingError: as a load, if it cannot be read or served.
    """
    model = stored.parse(stored.read_file(path), path)
    offered = find_signatures(model)
    graph = _graph(offered)
    keys = sorted(offered.definitions, key=lambda key: (key != signatures.DEFAULT_KEY, key))
    described = [_describe(key, offered.definitions[key], graph) for key in keys]
    return Report(
        path=str(path if location is None else location.path),
        version=None if location is None else location.version,
        versions=() if location is None else location.versions,
        tags=(),
        tag_sets=(),
        tensorflow_version="",
        installed_tensorflow_version=tensorflow_version,
        graph_bytes=model.size_bytes,
        variables_bytes=0,
        has_variables=False,
        assets=(),
        init_op=None,
        signatures=described,
        warnings=[
            *(() if location is None else checks.check_location(location.path, location.version)),
            *_check_ops(model),
            *_check_left_out(offered),
            *(
                warning
                for signature in described
                for warning in checks.check_signature(signature)
                # Inputs are resized, and what is stored as 1 may stand for any size.
                if warning.code != "fixed_batch"
            ),
        ],
        format=FORMAT,
    )


def _graph(offered: Signatures) -> Graph:
    """The tensors that signatures name, as nodes that depend on nothing."""
    names = {split_tensor_name(name)[0] for name in (*offered.inputs, *offered.outputs)}
    return Graph({name: wire.NodeDef(name=name) for name in names}, {}, {})


def _describe(key: str, definition: wire.SignatureDef, graph: Graph) -> Signature:
    signature = signatures.prepare(key, definition)
    return Signature(
        key,
        definition.method_name,
        describe_tensors(definition.inputs),
        describe_tensors(definition.outputs),
        judge(signature, graph),
    )


def _check_ops(model: TfliteModel) -> Iterator[ModelWarning]:
    for op in (*model.flex_ops, *model.parse_ops):
        yield ModelWarning(
            "missing_op",
            f"The op {op} is in no interpreter of a Python package, so the model cannot be loaded.",
            "Serve the SavedModel that it was made of.",
        )


def _check_left_out(offered: Signatures) -> Iterator[ModelWarning]:
    for key, reason in offered.left_out.items():
        yield ModelWarning(
            "signature_left_out",
            f'The file\'s own signature "{key}" is not served: {reason}.',
            "Requests use the names that are listed here; a converter that gives the signature another name makes its "
            "own inputs and outputs usable.",
        )
