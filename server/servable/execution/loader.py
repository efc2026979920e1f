"""A version directory to a loaded model, the way the original loads it.

Source of the behaviour: TensorFlow, cc/saved_model/loader.cc: import the graph, restore the variables, run
the init op, with the paths of the asset files fed to both.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from servable import saved_model, signatures, wire
from servable.errors import NotFound, ServingError, of_code
from servable.execution import keras_copies
from servable.execution.graph_session import GraphSession
from servable.execution.loaded_model import LoadedModel
from servable.execution.runs import Runs, best_runs

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SavedModelLoader:
    """Loads SavedModels.

    Attributes:
        tags: The meta graph to take, by its exact set of tags.
        config: The ConfigProto of each model's session.
        runs: How graphs are run; None for the best way that this TensorFlow has.
    """

    tags: Sequence[str] = ("serve",)
    config: Any = None
    runs: Runs | None = None

    def __call__(self, directory: Path) -> LoadedModel:
        """Load the model of a version directory.

        Raises:
            ServingError: if it cannot be loaded; the text names the directory and what to do.
        """
        meta_graph = self._select_meta_graph(directory)
        prepared = {
            key: signatures.prepare(key, definition) for key, definition in saved_model.signatures(meta_graph).items()
        }
        session = self._import_graph(meta_graph, directory)
        try:
            _initialise(session, meta_graph, directory)
        except BaseException:
            session.close()
            raise
        return LoadedModel(session, prepared)

    def _select_meta_graph(self, directory: Path) -> wire.MetaGraphDef:
        stored = saved_model.read(directory, _parse_text)
        try:
            return saved_model.select_meta_graph(stored, self.tags)
        except NotFound as error:
            raise _explain(
                error, f"{directory} has the tag sets {error.hints['tag_sets']}; --saved_model_tags chooses one."
            ) from error

    def _import_graph(self, meta_graph: wire.MetaGraphDef, directory: Path) -> GraphSession:
        # TensorFlow's own message of the same bytes: our view of a graph keeps only what a look at it needs.
        full = meta_graph_pb2.MetaGraphDef.FromString(meta_graph.SerializeToString())
        if keras_copies.share(full):
            _log.info("%s was saved by Keras 3 with tf.saved_model.save; its variables are joined", directory)
        producer_ops = full.meta_info_def.stripped_op_list if full.meta_info_def.HasField("stripped_op_list") else None
        try:
            return GraphSession(full.graph_def, producer_ops, self.config, self.runs or best_runs(), _fed_tensors(full))
        except ServingError as error:
            raise _explain(
                error,
                f"The graph of {directory} does not fit TensorFlow {tf.__version__}, which this server runs on; the "
                f"model was made with {full.meta_info_def.tensorflow_version or 'an unknown version'}. "
                "`servable inspect` lists the ops that are missing.",
            ) from error


def _parse_text(text: bytes) -> wire.SavedModel:
    # TensorFlow's own message knows all fields; ours keeps as bytes what it does not know.
    return wire.SavedModel.FromString(text_format.Parse(text, saved_model_pb2.SavedModel()).SerializeToString())


def _fed_tensors(meta_graph: Any) -> dict[str, int]:
    definitions = meta_graph.signature_def.values()
    return {info.name: info.dtype for definition in definitions for info in definition.inputs.values()}


def _initialise(session: GraphSession, meta_graph: wire.MetaGraphDef, directory: Path) -> None:
    assets = saved_model.asset_feeds(meta_graph, directory)
    _restore(session, meta_graph.saver_def, directory, assets)
    init_op = saved_model.init_op_name(meta_graph)
    if init_op is not None:
        try:
            session.run_once(init_op, assets)
        except ServingError as error:
            raise _explain(error, f"The init op {init_op} of {directory} failed. Are all its assets there?") from error


def _restore(session: GraphSession, saver: wire.SaverDef, directory: Path, assets: dict[str, str]) -> None:
    prefix = directory / saved_model.VARIABLES_PREFIX
    if not prefix.with_name(prefix.name + ".index").exists():
        _log.info("%s has no variables; nothing is restored", directory)
        return
    if not saver.restore_op_name:
        return
    try:
        session.run_once(saver.restore_op_name, {**assets, saver.filename_tensor_name: str(prefix)})
    except ServingError as error:
        raise _explain(
            error,
            f"The variables of {directory} cannot be restored: a file is missing, cut or damaged. Copy it again.",
        ) from error


def _explain(error: ServingError, advice: str) -> ServingError:
    return of_code(error.code, f"{error.message}\n{advice}")
