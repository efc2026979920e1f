"""One look at a model: find it, read it, judge its signatures, collect the warnings.

The installed TensorFlow is read from its files, since importing it takes seconds. Its list of public ops is a private
file of text, one import a line, and leaves out some hundred internal ops. So an op that is not in the list, or every op
if the file cannot be read, is only suspected to be missing, and confirmed by TensorFlow itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import metadata, util
from pathlib import Path

from servable import saved_model, signatures, wire
from servable.inspection import checks, tflite
from servable.inspection.checks import SERVED_TAGS, ConfirmMissing, FindOps
from servable.inspection.graph import Graph, read_graph
from servable.inspection.report import Report, Signature, describe_tensors
from servable.inspection.verdicts import judge
from servable.model_paths import locate

_LIST_OF_OPS = Path("_api", "v2", "raw_ops", "__init__.py")
_IMPORT = re.compile(r"^from \S+ import (\w+)", re.MULTILINE)


def inspect(
    directory: str,
    confirm_missing: ConfirmMissing,
    tags: Sequence[str] = (),
    find_without_kernel: FindOps = lambda _: (),
) -> Report:
    """Find and read a SavedModel or a TensorFlow Lite model, judge its signatures and collect the warnings.

    Args:
        directory: A version directory; or a base path, which stands for its highest version; or a .tflite file.
        confirm_missing: Called only if the model uses ops that are not public.
        tags: The meta graph to look at, by all its tags; by default the one that servers take, or the first.
        find_without_kernel: Called only if the model uses ops that may have no kernel in TensorFlow.

    Raises:
        ServingError: if there is no model that can be read, or no meta graph with these tags.
    """
    tensorflow_version = installed_tensorflow_version()
    file = tflite.find_file(directory)
    if file is not None:
        return tflite.inspect_file(file, None, tensorflow_version)
    location = locate(directory)
    file = tflite.find_in(location.path)
    if file is not None:
        return tflite.inspect_file(file, location, tensorflow_version)
    stored = saved_model.read(location.path)
    tag_sets = [tuple(each.meta_info_def.tags) for each in stored.meta_graphs]
    meta_graph = saved_model.select_meta_graph(stored, tags or _usual_tags(tag_sets))
    graph = read_graph(meta_graph.graph_def)
    described = _describe_signatures(meta_graph, graph)
    assets = _list_assets(meta_graph, location.path)
    chosen = tuple(meta_graph.meta_info_def.tags)
    restore_op, init_op = meta_graph.saver_def.restore_op_name, saved_model.init_op_name(meta_graph)
    needed_ops = graph.find_needed_ops(_list_roots(meta_graph, init_op))
    return Report(
        path=str(location.path),
        version=location.version,
        versions=location.versions,
        tags=chosen,
        tag_sets=tag_sets,
        tensorflow_version=meta_graph.meta_info_def.tensorflow_version,
        installed_tensorflow_version=tensorflow_version,
        graph_bytes=_measure_graph(location.path),
        variables_bytes=_measure((location.path / saved_model.VARIABLES_PREFIX).parent.glob("*")),
        has_variables=graph.has_variables,
        assets=tuple(assets),
        init_op=init_op,
        signatures=described,
        warnings=[
            *checks.check_location(location.path, location.version),
            *checks.check_tags(chosen, tag_sets),
            *checks.check_signature_keys([signature.key for signature in described]),
            *checks.check_ops(graph, tensorflow_version, installed_public_ops(), confirm_missing),
            *checks.check_kernels(needed_ops, tensorflow_version, find_without_kernel),
            *checks.check_saver(graph, restore_op, init_op),
            *checks.check_files(location.path, graph, restore_op, assets),
            *(warning for signature in described for warning in checks.check_signature(signature)),
        ],
    )


def installed_tensorflow_version() -> str | None:
    """The version of the installed TensorFlow; None if there is none."""
    try:
        return metadata.version("tensorflow")
    except metadata.PackageNotFoundError:
        # The same package has builds under other names, such as tensorflow-cpu.
        others = metadata.packages_distributions().get("tensorflow", [])
        return metadata.version(others[0]) if others else None


@cache
def installed_public_ops() -> frozenset[str]:
    """The names of the public ops of the installed TensorFlow; none if they cannot be read."""
    spec = util.find_spec("tensorflow")
    if spec is None or spec.origin is None:
        return frozenset()
    try:
        return frozenset(_IMPORT.findall((Path(spec.origin).parent / _LIST_OF_OPS).read_text()))
    except OSError:
        return frozenset()


def _usual_tags(tag_sets: Sequence[Sequence[str]]) -> Sequence[str]:
    """The tags that a server takes by default, if the model has them, else the first."""
    return SERVED_TAGS if not tag_sets or set(SERVED_TAGS) in map(set, tag_sets) else tag_sets[0]


def _describe_signatures(meta_graph: wire.MetaGraphDef, graph: Graph) -> list[Signature]:
    stored = saved_model.signatures(meta_graph)
    # The init op in the form of a signature, which no request can call.
    stored.pop(saved_model.INIT_OP_SIGNATURE, None)
    keys = sorted(stored, key=lambda key: (key != signatures.DEFAULT_KEY, key))
    return [_describe(signatures.prepare(key, stored[key]), graph) for key in keys]


def _describe(signature: signatures.Signature, graph: Graph) -> Signature:
    return Signature(
        signature.key,
        signature.definition.method_name,
        describe_tensors(signature.definition.inputs, signature.defaults),
        describe_tensors(signature.definition.outputs),
        judge(signature, graph),
    )


def _list_roots(meta_graph: wire.MetaGraphDef, init_op: str | None) -> list[str]:
    """The tensors and nodes of which a server loads all that they need."""
    definitions = saved_model.signatures(meta_graph).values()
    tensors = [info.name for each in definitions for info in (*each.inputs.values(), *each.outputs.values())]
    return [name for name in (*tensors, meta_graph.saver_def.restore_op_name, init_op) if name]


def _list_assets(meta_graph: wire.MetaGraphDef, directory: Path) -> dict[str, str]:
    """The path of each asset, by its name below the folder of assets."""
    folder = str(directory / saved_model.ASSETS_FOLDER) + os.sep
    paths = saved_model.asset_feeds(meta_graph, directory).values()
    return {path.removeprefix(folder): path for path in sorted(paths)}


def _measure_graph(directory: Path) -> int:
    return _measure([directory / saved_model.BINARY_NAME]) or _measure([directory / saved_model.TEXT_NAME])


def _measure(paths: Iterable[Path]) -> int:
    """The bytes of those of these files that are there."""
    return sum(os.path.getsize(path) for path in paths if os.path.isfile(path))
