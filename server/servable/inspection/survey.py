"""One look at a model: find it, read it, judge its signatures, collect the warnings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from servable import saved_model, signatures, wire
from servable.inspection import graph as graphs
from servable.inspection import installed, location, model_cautions, signature_cautions, tensors, verdicts
from servable.inspection.graph import Graph
from servable.inspection.model_cautions import SERVED_TAGS, ConfirmMissing
from servable.inspection.report import Report, Signature


def inspect(directory: str, confirm_missing: ConfirmMissing, tags: Sequence[str] = ()) -> Report:
    """Say what is in a SavedModel and what it means.

    Args:
        directory: A version directory; or a base path, which stands for its highest version.
        confirm_missing: Given names of ops, those that TensorFlow lacks. It is asked only if the model uses ops
            that are not public, so it may import TensorFlow.
        tags: The meta graph to look at, by all its tags; by default the one that servers take, or the first.

    Raises:
        ServingError: if there is no model that can be read, or no meta graph with these tags.
    """
    place = location.locate(directory)
    stored = saved_model.read(place.path)
    tag_sets = [tuple(each.meta_info_def.tags) for each in stored.meta_graphs]
    meta_graph = saved_model.select_meta_graph(stored, tags or _usual_tags(tag_sets))
    graph = graphs.read(meta_graph.graph_def)
    described = _describe_signatures(meta_graph, graph)
    assets = _list_assets(meta_graph, place.path)
    chosen = tuple(meta_graph.meta_info_def.tags)
    return Report(
        path=str(place.path),
        version=place.version,
        versions=place.versions,
        tags=chosen,
        tag_sets=tag_sets,
        tensorflow_version=meta_graph.meta_info_def.tensorflow_version,
        installed_tensorflow_version=installed.find_version(),
        graph_bytes=_measure_graph(place.path),
        variables_bytes=_measure((place.path / saved_model.VARIABLES_PREFIX).parent.glob("*")),
        has_variables=graph.has_variables,
        assets=tuple(assets),
        init_op=saved_model.init_op_name(meta_graph),
        signatures=described,
        warnings=[
            *model_cautions.about_location(place),
            *model_cautions.about_tags(chosen, tag_sets),
            *model_cautions.about_signatures([signature.key for signature in described]),
            *model_cautions.about_ops(graph, confirm_missing),
            *model_cautions.about_files(place.path, graph, meta_graph.saver_def.restore_op_name, assets),
            *(caution for signature in described for caution in signature_cautions.caution(signature)),
        ],
    )


def _usual_tags(tag_sets: Sequence[Sequence[str]]) -> Sequence[str]:
    """What a server takes that is started as usual, if it is there."""
    return SERVED_TAGS if not tag_sets or set(SERVED_TAGS) in map(set, tag_sets) else tag_sets[0]


def _describe_signatures(meta_graph: wire.MetaGraphDef, graph: Graph) -> list[Signature]:
    stored = saved_model.signatures(meta_graph)
    # It is the init op in the form of a signature, and nobody can call it.
    stored.pop(saved_model.INIT_OP_SIGNATURE, None)
    keys = sorted(stored, key=lambda key: (key != signatures.DEFAULT_KEY, key))
    return [_describe(signatures.prepare(key, stored[key]), graph) for key in keys]


def _describe(signature: signatures.Signature, graph: Graph) -> Signature:
    return Signature(
        signature.key,
        signature.definition.method_name,
        tensors.describe(signature.definition.inputs, signature.defaults),
        tensors.describe(signature.definition.outputs),
        verdicts.judge(signature, graph),
    )


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
