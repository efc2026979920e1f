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
from google.protobuf.message import DecodeError
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from servable import saved_model, signatures, wire
from servable.config.batching import BatchingConfig
from servable.errors import DataLoss, NotFound, ServingError, of_code
from servable.execution import freezing, keras_copies, missing_ops, python_ops, session_overrides, stored_model
from servable.execution.graph_import import Import, ImportWhole, best_import
from servable.execution.graph_session import GraphSession, endpoint, translate
from servable.execution.loaded_model import LoadedModel
from servable.execution.runs import Runs, best_runs
from servable.execution.stored_graph import Catalogue, StoredGraph
from servable.execution.stored_model import StoredModel
from servable.python_functions import PYTHON_OPS

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SavedModelLoader:
    """Loads SavedModels.

    Attributes:
        tags: The meta graph to take, by its exact set of tags.
        config: The ConfigProto of each model's session.
        runs: How graphs are run; None for the best way that this TensorFlow has.
        imports: How graphs are imported; None for the best way that this TensorFlow has. Runs that check shapes need
            a way of their own.
        batching: How requests are batched; None if they are not.
        freeze_up_to_bytes: How much the variables of a model may take for it to be frozen; see freezing. None: as much
            as is worth it for models that are batched, nothing for the others.
    """

    tags: Sequence[str] = ("serve",)
    config: Any = None
    runs: Runs | None = None
    imports: Import | None = None
    batching: BatchingConfig | None = None
    freeze_up_to_bytes: int | None = 0

    def __call__(self, directory: Path) -> LoadedModel:
        """Load the model of a version directory.

        Raises:
            ServingError: if it cannot be loaded; the text names the directory and what to do.
        """
        limits = None if self.batching is None else self.batching.find_limits(directory)
        stored = self._read(directory)
        meta_graph = stored.meta_graph
        prepared = {
            key: signatures.prepare(key, definition) for key, definition in saved_model.signatures(meta_graph).items()
        }
        graph = _select_graph(stored, directory)
        frozen_session = self._open_frozen(graph, stored, directory, is_batched=limits is not None)
        is_frozen = frozen_session is not None
        session = frozen_session or self._open(graph, stored, directory)
        # Restoring takes the most memory of a load: not beside the stored graph.
        del stored, graph
        try:
            if not is_frozen:
                _restore(session, meta_graph, directory)
            _run_init_op(session, meta_graph, directory)
        except BaseException:
            session.close()
            raise
        return LoadedModel(session, prepared, limits, is_frozen=is_frozen)

    def _read(self, directory: Path) -> StoredModel:
        try:
            return stored_model.read(directory, self.tags)
        except NotFound as error:
            if "tag_sets" not in error.hints:
                raise
            raise _explain(
                error, f"{directory} has the tag sets {error.hints['tag_sets']}; --saved_model_tags chooses one."
            ) from error

    def _open_frozen(
        self, graph: StoredGraph, stored: StoredModel, directory: Path, *, is_batched: bool
    ) -> GraphSession | None:
        """A session on the frozen graph; None if the model keeps its variables, and the log says why."""
        most_bytes = self.freeze_up_to_bytes
        if most_bytes is None:
            most_bytes = freezing.MOST_BYTES_OF_BATCHED if is_batched else 0
        frozen = self._freeze(graph, stored, directory, most_bytes) if most_bytes else None
        if frozen is None:
            return None
        try:
            return self._open(frozen, stored, directory)
        except ServingError as error:
            _log.warning("the model keeps its variables, since its graph without them cannot be imported: %s", error)
            return None

    def _freeze(self, graph: StoredGraph, stored: StoredModel, directory: Path, most_bytes: int) -> StoredGraph | None:
        def open_restored(restoring: StoredGraph) -> GraphSession:
            session = self._open(restoring, stored, directory)
            try:
                _restore(session, stored.meta_graph, directory)
            except BaseException:
                session.close()
                raise
            return session

        return freezing.freeze(
            graph, stored.served_operations(), stored.restored_operations(), most_bytes, open_restored
        )

    def _open(self, graph: StoredGraph, stored: StoredModel, directory: Path) -> GraphSession:
        runs = self.runs or best_runs()
        config = session_overrides.config_for(self.config, directory)
        try:
            return GraphSession(self._import_graph(graph, stored, runs), config, runs, graph.ops)
        except (tf.errors.OpError, ValueError) as error:
            raise _explain_import(translate(error), stored, directory) from error

    def _import_graph(self, graph: StoredGraph, stored: StoredModel, runs: Runs) -> Any:
        if runs.checks_shapes:
            imports: Import = ImportWhole({endpoint(name): dtype for name, dtype in stored.fed_dtypes().items()})
        else:
            imports = self.imports or best_import()
        return imports(graph, stored.named_operations(), stored.producer_ops())


def _select_graph(stored: StoredModel, directory: Path) -> StoredGraph:
    """What the model needs of its graph, mended where its writer left it in parts."""
    named = stored.named_operations()
    try:
        catalogue = Catalogue(stored.graph)
        if keras_copies.share(catalogue, stored.meta_graph.saver_def.restore_op_name):
            _log.info("%s was saved by Keras 3 with tf.saved_model.save; its variables are joined", directory)
        graph = catalogue.reach(named)
        if graph.ops & PYTHON_OPS:
            graph_def = graph_pb2.GraphDef.FromString(graph.whole())
            python_ops.bind(graph_def, directory)
            graph = Catalogue(graph_def.SerializeToString()).reach(named)
    except DecodeError as error:
        raise DataLoss(
            f"Can't parse the graph of {directory}: it is damaged. Copy the version directory again."
        ) from error
    return graph


def _explain_import(error: ServingError, stored: StoredModel, directory: Path) -> ServingError:
    made_with = stored.meta_graph.meta_info_def.tensorflow_version
    full = meta_graph_pb2.MetaGraphDef(graph_def=graph_pb2.GraphDef.FromString(stored.graph))
    full.meta_info_def.tensorflow_version = made_with
    return missing_ops.explain(error, full, directory) or _explain(
        error,
        f"The graph of {directory} does not fit TensorFlow {tf.__version__}, which this server runs on; the "
        f"model was made with {made_with or 'an unknown version'}.",
    )


def _restore(session: GraphSession, meta_graph: wire.MetaGraphDef, directory: Path) -> None:
    saver, prefix = meta_graph.saver_def, directory / saved_model.VARIABLES_PREFIX
    if not prefix.with_name(prefix.name + ".index").exists():
        _log.info("%s has no variables; nothing is restored", directory)
        return
    if not saver.restore_op_name:
        return
    assets = saved_model.asset_feeds(meta_graph, directory)
    try:
        session.run_once(saver.restore_op_name, {**assets, saver.filename_tensor_name: str(prefix)})
    except ServingError as error:
        raise _explain(
            error,
            f"The variables of {directory} cannot be restored: a file is missing, cut or damaged. Copy it again.",
        ) from error


def _run_init_op(session: GraphSession, meta_graph: wire.MetaGraphDef, directory: Path) -> None:
    init_op = saved_model.init_op_name(meta_graph)
    if init_op is None:
        return
    try:
        session.run_once(init_op, saved_model.asset_feeds(meta_graph, directory))
    except ServingError as error:
        raise _explain(error, f"The init op {init_op} of {directory} failed. Are all its assets there?") from error


def _explain(error: ServingError, advice: str) -> ServingError:
    return of_code(error.code, f"{error.message}\n{advice}")
