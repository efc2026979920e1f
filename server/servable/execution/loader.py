"""A version directory to a loaded model, the way the original loads it.

Source of the behaviour: TensorFlow, cc/saved_model/loader.cc: import the graph, restore the variables, run
the init op, with the paths of the asset files fed to both.

Where the variables of a model are only read and small enough (--freeze_variables_up_to_mb), the load freezes them: one
session restores and initialises the model on its nodes as they are stored; then the variables are read, and only then
is the served part added to the session's graph, with constants in their place. `frozen_graph` says what freezing gains
and costs, and proves that nothing else changes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from servable import saved_model, signatures, wire
from servable.config.batching import BatchingConfig
from servable.errors import Code, DataLoss, NotFound, ServingError, of_code
from servable.execution import op_libraries, python_ops, run_guard, session_config, stored_model
from servable.execution.frozen_graph import FreezableGraph, NotFrozen
from servable.execution.graph_import import Import, ImportWhole, best_import
from servable.execution.graph_session import GraphSession, endpoint, translate
from servable.execution.loaded_model import LoadedModel
from servable.execution.runs import Runs, best_runs
from servable.execution.stored_graph import GraphIndex, StoredGraph, node_name, paced
from servable.execution.stored_model import StoredModel
from servable.python_functions import PYTHON_OPS

_log = logging.getLogger(__name__)

# The interpreter is held while a value is copied.
_VALUES_AT_A_TIME = 4

# TensorFlow: framework/op_kernel.cc and common_runtime/placer.cc.
_NO_KERNEL = re.compile(r"No OpKernel was registered to support Op '([^']+)'|No registered '([^']+)' OpKernel for")
_NO_DEVICE = re.compile(r"Cannot assign a device for operation|Could not satisfy (?:explicit )?device")
# What TensorFlow says of a checkpoint whose files do not hold what the graph restores: util/tensor_bundle.
_NOT_IN_VARIABLES = re.compile(r"not found in checkpoint|Unsuccessful TensorSliceReader")


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
        freeze_up_to_bytes: How much the variables of a model may take for it to be frozen; 0: it is not.
    """

    tags: Sequence[str] = ("serve",)
    config: Any = None
    runs: Runs | None = None
    imports: Import | None = None
    batching: BatchingConfig | None = None
    freeze_up_to_bytes: int = 0

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
        has_variables = _has_variables(stored)
        frozen = self._load_frozen(graph, stored, has_variables=has_variables)
        if frozen is not None:
            session, frozen_bytes = frozen
            return LoadedModel(session, prepared, limits, frozen_bytes=frozen_bytes)
        session = self._open(self._import(graph, stored), graph.ops, directory)
        session.add_string_nodes(stored.fetched_tensors())
        # Restoring takes the most memory of a load, so the stored graph is freed before it.
        del stored, graph
        _initialise(session, meta_graph, directory, has_variables=has_variables)
        return LoadedModel(session, prepared, limits)

    def _read(self, directory: Path) -> StoredModel:
        try:
            return stored_model.read(directory, self.tags)
        except NotFound as error:
            if "tag_sets" not in error.hints:
                raise
            tag_sets = error.hints["tag_sets"]
            comma = " The one without tags is --saved_model_tags=, (a comma)." if "{ }" in tag_sets else ""
            raise _explain(
                error, f"{directory} has the tag sets {tag_sets}; --saved_model_tags chooses one.{comma}"
            ) from error

    def _load_frozen(
        self, graph: StoredGraph, stored: StoredModel, *, has_variables: bool
    ) -> tuple[GraphSession, int] | None:
        """A session that serves the frozen graph, and the bytes that its variables took.

        None if the model keeps its variables; the log says why.

        The session is the one that restored and initialised the model, so it has all that a load writes. Variables are
        read last, since an init op may assign them.
        """
        directory = stored.directory
        freezable = _find_freezable(graph, stored, self.freeze_up_to_bytes) if self.freeze_up_to_bytes else None
        if freezable is None:
            return None
        imported = self._import(freezable.loading, stored, freezable.names)
        session = self._open(imported, graph.ops, directory)
        _initialise(session, stored.meta_graph, directory, has_variables=has_variables)
        try:
            self._import(_freeze(freezable, session), stored, onto=imported)
            session.add_string_nodes(stored.fetched_tensors())
            session.run_once(freezable.release, {})
        except (NotFrozen, ServingError) as error:
            _log.warning("%s keeps its variables: %s", directory, error)
            session.close()
            return None
        except BaseException:
            session.close()
            raise
        return session, freezable.size_bytes

    def _open(self, graph: Any, ops: Collection[str], directory: Path) -> GraphSession:
        return GraphSession(graph, session_config.for_version(self.config, directory), self._runs(), ops)

    def _import(self, graph: StoredGraph, stored: StoredModel, named: Collection[str] = (), onto: Any = None) -> Any:
        if self._runs().checks_shapes:
            imports: Import = ImportWhole({endpoint(name): dtype for name, dtype in stored.fed_dtypes().items()})
        else:
            imports = self.imports or best_import()
        try:
            return imports(graph, stored.named_operations().union(named), stored.producer_ops(), onto)
        except (tf.errors.OpError, ValueError) as error:
            raise _explain_import(translate(error), stored) from error

    def _runs(self) -> Runs:
        return self.runs or best_runs()


def _select_graph(stored: StoredModel, directory: Path) -> StoredGraph:
    """The part of the graph that the model needs, with Keras' copies of variables joined and Python ops bound."""
    named = stored.named_operations()
    try:
        index = GraphIndex(stored.graph)
        if stored_model.join_keras_copies(index, stored.meta_graph.saver_def.restore_op_name):
            _log.info("%s was saved by Keras 3 with tf.saved_model.save; its variables are joined", directory)
        graph = index.prune_to(named)
        if graph.ops & PYTHON_OPS:
            graph_def = graph_pb2.GraphDef.FromString(graph.serialize())
            python_ops.bind(graph_def, directory)
            graph = GraphIndex(graph_def.SerializeToString()).prune_to(named)
    except DecodeError as error:
        raise DataLoss(
            f"Can't parse the graph of {directory}: it is damaged. Copy the version directory again."
        ) from error
    try:
        run_guard.check_graph(graph)
    except ServingError as error:
        raise _explain(
            error, f"{directory} is not loaded, since it would end the server and all its models."
        ) from error
    return graph


def _find_freezable(graph: StoredGraph, stored: StoredModel, most_bytes: int) -> FreezableGraph | None:
    """The graph of a model, to be frozen; None if the model keeps its variables, and the log says why.

    Args:
        graph: What the operations that the model names reach.
        stored: The model.
        most_bytes: What the values of all variables may take.
    """
    fed = map(node_name, stored.fed_dtypes())
    try:
        freezable = FreezableGraph(graph, stored.loading_operations(), stored.served_operations(), frozenset(fed))
        _check_size(freezable, most_bytes)
    except NotFrozen as reason:
        _log.debug("%s keeps its variables: %s", stored.directory, reason)
        return None
    return freezable


def _check_size(freezable: FreezableGraph, most_bytes: int) -> None:
    if not freezable.variables:
        raise NotFrozen("it has none")
    if freezable.size_bytes > most_bytes:
        raise NotFrozen(f"they take {freezable.size_bytes} bytes, more than {most_bytes}")


def _freeze(freezable: FreezableGraph, session: GraphSession) -> StoredGraph:
    """The part of a graph that is served, with the values that the variables of a session have now.

    Args:
        freezable: The graph.
        session: A session that has run what loads the model, on `freezable.loading`.

    Raises:
        NotFrozen: if a variable cannot be read.
        ServingError: if the session's graph is not that one.
    """
    read = session.prepare((), [f"{variable.read}:0" for variable in freezable.variables])
    try:
        values = list(read([]))
    except tf.errors.OpError as error:
        raise NotFrozen(f"they cannot be read: {error.message}") from error
    return freezable.freeze(_tensor_protos(freezable, values))


def _tensor_protos(freezable: FreezableGraph, values: Sequence[Any]) -> Iterator[Any]:
    for variable, value in paced(zip(freezable.variables, values, strict=True), _VALUES_AT_A_TIME):
        yield tf.make_tensor_proto(value, dtype=variable.dtype)


def _explain_import(error: ServingError, stored: StoredModel) -> ServingError:
    directory = stored.directory
    made_with = stored.meta_graph.meta_info_def.tensorflow_version
    full = meta_graph_pb2.MetaGraphDef(graph_def=graph_pb2.GraphDef.FromString(stored.graph))
    full.meta_info_def.tensorflow_version = made_with
    return op_libraries.explain_missing_ops(error, full, directory) or _explain(
        error,
        f"The graph of {directory} does not fit TensorFlow {tf.__version__}, which this server runs on; the "
        f"model was made with {made_with or 'an unknown version'}.",
    )


def _initialise(session: GraphSession, meta_graph: wire.MetaGraphDef, directory: Path, *, has_variables: bool) -> None:
    """Restore, then run the init op, as the original does; the session is closed if that fails."""
    try:
        if has_variables:
            _restore(session, meta_graph, directory)
        else:
            _log.debug("%s has no variables; nothing is restored", directory)
        _run_init_op(session, meta_graph, directory)
    except BaseException:
        session.close()
        raise


def _has_variables(stored: StoredModel) -> bool:
    """Whether a version has variables to restore; refuses one whose variables are not there yet.

    Asked once a load: a version that is taken away while it loads must fail, and not be served without its variables.

    The original serves it, and each request fails: a copy that begins with saved_model.pb would replace a good version.
    A load that fails is tried again.

    Raises:
        NotFound: if the graph restores variables and the folder `variables` has no index of them.
    """
    restore_op, index = stored.meta_graph.saver_def.restore_op_name, _variables_index(stored.directory)
    if index.exists():
        return True
    if restore_op and saved_model.restores_values(GraphIndex(stored.graph).prune_to([restore_op]).ops):
        raise NotFound(
            f"{index}; No such file\nThe graph of {stored.directory} restores variables from it. Copy the version "
            "directory again, with its folder variables; while a load is tried again, it is enough to complete it."
        )
    return False


def _variables_index(directory: Path) -> Path:
    prefix = directory / saved_model.VARIABLES_PREFIX
    return prefix.with_name(f"{prefix.name}.index")


def _restore(session: GraphSession, meta_graph: wire.MetaGraphDef, directory: Path) -> None:
    saver, prefix = meta_graph.saver_def, directory / saved_model.VARIABLES_PREFIX
    if not saver.restore_op_name:
        return
    assets = saved_model.asset_feeds(meta_graph, directory)
    try:
        session.run_once(saver.restore_op_name, {**assets, saver.filename_tensor_name: str(prefix)})
    except ServingError as error:
        raise _explain(error, _advise_placement(error) or _advise_restore(error, directory)) from error


def _run_init_op(session: GraphSession, meta_graph: wire.MetaGraphDef, directory: Path) -> None:
    init_op = saved_model.init_op_name(meta_graph)
    if init_op is None:
        return
    assets = saved_model.asset_feeds(meta_graph, directory)
    try:
        session.run_once(init_op, assets)
    except ServingError as error:
        question = " Are all its assets there?" if assets else ""
        advice = _advise_placement(error) or f"The init op {init_op} of {directory} failed.{question}"
        raise _explain(error, advice) from error


def _advise_placement(error: ServingError) -> str | None:
    """What to do if the graph's ops cannot run on the devices of this server; None if `error` has another cause.

    TensorFlow places all ops of a graph at its first run, so a restore may fail because of an op that it does not need.
    """
    no_kernel = _NO_KERNEL.search(error.message)
    if no_kernel:
        op = no_kernel[1] or no_kernel[2]
        return (
            f"TensorFlow {tf.__version__}, which this server runs on, has no kernel for the op {op} on the devices "
            f"here. --custom_op_libraries=LIBRARY.so loads one; or export the model again without {op}."
        )
    if _NO_DEVICE.search(error.message):
        return (
            "The graph names a device that this server does not have. Write the line `allow_soft_placement: true` into "
            "a file and give it as --tensorflow_session_config_file=FILE: such ops then run on the devices that are "
            "here."
        )
    return None


def _advise_restore(error: ServingError, directory: Path) -> str:
    failed = f"The variables of {directory} cannot be restored"
    pointers = saved_model.find_lfs_pointers(directory)
    if pointers:
        return f"{failed}: {saved_model.describe_lfs_pointers(pointers)} {saved_model.LFS_REMEDY}"
    prefix = str(directory / saved_model.VARIABLES_PREFIX)
    is_incomplete = error.code == Code.NOT_FOUND and (
        prefix in error.message or _NOT_IN_VARIABLES.search(error.message) is not None
    )
    if is_incomplete or error.code in {Code.OUT_OF_RANGE, Code.DATA_LOSS}:
        return f"{failed}: a file is missing, cut or damaged. Copy it again."
    return f"{failed}."


def _explain(error: ServingError, advice: str) -> ServingError:
    return of_code(error.code, f"{error.message}\n{advice}")
