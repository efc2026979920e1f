"""One graph in one TensorFlow session: initialise it, prepare runs of it, close it, translate its errors.

Strings are fetched as their values in one row and their shape beside them. Where a result has more than 32 dimensions
TensorFlow 2.21 copies numbers, but dies at strings: it iterates over the array with PyArray_IterNew, which NumPy 2
refuses, and uses the iterator unchecked. How many dimensions a result has may depend on what is fed. So no strings are
fetched in any other way.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import tensorflow as tf

from servable.errors import Cancelled, InvalidArgument, ServingError, of_code
from servable.execution import graph_import, python_ops, run_guard
from servable.execution.runs import LONGEST_TIMEOUT_S, Arrays, Run, Runs, TimedRun

_Run = TypeVar("_Run", Run, TimedRun)
_Args = ParamSpec("_Args")
_ENDPOINT = re.compile(r"(.*):0*([0-9]+)")
_STRINGS_FOLDER = "servable_strings"
# Parts of the names of operations that loop, or wait for another operation or for Python. How long they take depends on
# what they are fed.
_ENDLESS_OPS = re.compile("While|NextIteration|Dequeue|Enqueue|Barrier|Unstage|Iterator|Reader|Recv|PyFunc")

_BATCHING_OPS = frozenset({"Batch", "BatchFunction", "Unbatch"})


class GraphSession:
    """A graph and its variables. Runs are thread-safe, and so is closing.

    Attributes:
        may_not_end: Whether a run may last for ever, however quick others were.
        batches_itself: Whether the graph has batching ops of its own.
    """

    def __init__(self, graph: Any, config: Any, runs: Runs, ops: Iterable[str]) -> None:
        """Open a session.

        Args:
            graph: A tf.Graph that nothing else uses.
            config: A tensorflow ConfigProto.
            runs: How the graph is run.
            ops: The operations of the graph and its functions.

        Raises:
            ServingError: if TensorFlow does not take the config.
        """
        self._ops = frozenset(ops)
        self.may_not_end = any(map(_ENDLESS_OPS.search, self._ops))
        self.batches_itself = not self._ops.isdisjoint(_BATCHING_OPS)
        self._runs = runs
        # Held while operations are added to the graph.
        self._lock = threading.Lock()
        try:
            self._session: Any = tf.compat.v1.Session(graph=graph, config=config)
        except tf.errors.OpError as error:
            raise translate(error) from error

    def dtype_of(self, tensor_name: str) -> int | None:
        """The tensorflow.DataType of a tensor of the graph; None if there is none of that name."""
        try:
            tensor = self._opened().graph.get_tensor_by_name(endpoint(tensor_name))
        except (KeyError, ValueError):
            return None
        return int(tensor.dtype.base_dtype.as_datatype_enum)

    def prepare(self, feeds: Sequence[str], fetches: Sequence[str]) -> Run:
        """A run of these tensor names; `translate` turns what it raises into a ServingError.

        Raises:
            ServingError: if the graph has no such tensors, or if they cannot be fed and fetched together.
        """
        fed, fetched, strings = self._check(feeds, fetches)
        return _restoring_strings(self._prepare_untimed(fed, fetched), strings)

    def prepare_timed(self, feeds: Sequence[str], fetches: Sequence[str]) -> TimedRun:
        """As prepare, with a time limit, for tensor names that `prepare` accepted before."""
        fed, fetched, strings = self._check(feeds, fetches)
        return _restoring_strings(self._prepare(self._runs.prepare_timed, fed, fetched), strings)

    def add_string_nodes(self, fetches: Iterable[str]) -> None:
        """Add the nodes that fetching strings needs, before the model serves.

        Each later addition would make TensorFlow copy the whole graph.

        Args:
            fetches: Tensor names; the graph may lack some.
        """
        with self._lock:
            _substitute_strings(self._opened().graph, _endpoints(fetches))

    def run_once(self, operation: str, feeds: Mapping[str, str]) -> None:
        """Run an operation for its effect (restore, initialise), with strings fed to scalar tensors.

        Raises:
            ServingError: as TensorFlow raises it, or if the graph has no such operation.
        """
        session = self._opened()
        try:
            session.run(session.graph.get_operation_by_name(operation), dict(feeds))
        except (tf.errors.OpError, KeyError, ValueError) as error:
            raise translate(error) from error

    def close(self) -> None:
        """Free the graph, its variables and resources, as soon as runs that are under way have ended.

        Those runs end early where TensorFlow can stop them; runs that begin later are refused.
        """
        session, self._session = self._session, None
        if session is not None:
            session.close()
            graph_import.dismantle(session.graph)

    def _check(
        self, feeds: Sequence[str], fetches: Sequence[str]
    ) -> tuple[Sequence[str], Sequence[str], Sequence[int]]:
        """The endpoints to feed and to fetch, and the positions of the strings among the latter."""
        graph, fed, fetched = self._opened().graph, _endpoints(feeds), _endpoints(fetches)
        try:
            run_guard.check(graph, fed, fetched)
        except tf.errors.OpError as error:
            raise translate(error) from error
        # Threads that serve requests may prepare runs at the same time.
        with self._lock:
            return fed, *_substitute_strings(graph, fetched)

    def _prepare_untimed(self, fed: Sequence[str], fetched: Sequence[str]) -> Run:
        run = self._prepare(self._runs.prepare, fed, fetched)
        if run_guard.needs_full_run(self._ops):
            return self._prepare_full(fed, fetched)

        def run_unless_dead(arrays: Arrays) -> Sequence[Any]:
            results = run(arrays)
            # Only a full run distinguishes a result without elements from no result.
            return self._prepare_full(fed, fetched)(arrays) if run_guard.looks_dead(results) else results

        return run_unless_dead if run_guard.may_be_dead(self._ops) else run

    def _prepare_full(self, fed: Sequence[str], fetched: Sequence[str]) -> Run:
        run = self._prepare(self._runs.prepare_timed, fed, fetched)
        return lambda arrays: run(arrays, LONGEST_TIMEOUT_S)

    def _prepare(self, prepare: Callable[..., _Run], fed: Sequence[str], fetched: Sequence[str]) -> _Run:
        try:
            return prepare(self._opened(), fed, fetched)
        except tf.errors.OpError as error:
            raise translate(error) from error

    def _opened(self) -> Any:
        session = self._session
        if session is None:
            raise Cancelled("Session has been closed.")
        return session


def translate(error: Exception) -> ServingError:
    """The canonical error of what TensorFlow raised, in the words of its C++."""
    if isinstance(error, UnicodeDecodeError):
        # TensorFlow's Python failed to decode a text that quotes fed bytes, and so lost the code of the error.
        return InvalidArgument(error.object.decode(errors="surrogateescape"))
    # Session.run decorates the text and keeps the plain error as the context.
    plain = error.__context__ if isinstance(error.__context__, tf.errors.OpError) else error
    if isinstance(plain, tf.errors.OpError):
        return of_code(plain.error_code, python_ops.without_traceback(plain.message))
    return InvalidArgument(str(error.args[0] if error.args else error))


def _endpoints(tensor_names: Iterable[str]) -> list[str]:
    return [endpoint(name) for name in tensor_names]


def endpoint(tensor_name: str) -> str:
    """The canonical name of a tensor: with the number of its output, without leading zeros.

    The name of an operation stands for its first output.
    """
    found = _ENDPOINT.fullmatch(tensor_name)
    return f"{found[1]}:{found[2]}" if found else f"{tensor_name}:0"


def _substitute_strings(graph: Any, fetches: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
    """The tensors to fetch in place of some, and the positions of those that hold strings.

    Values come at the positions of their strings, shapes at the end in the order of these positions.

    Args:
        graph: A tf.Graph; the first call for a tensor adds operations, so calls must not overlap.
        fetches: Tensor names as `endpoint` writes them. Those that the graph lacks stay.
    """
    positions = [position for position, name in enumerate(fetches) if _holds_strings(graph, name)]
    names = list(fetches)
    for position in positions:
        names[position], shape = _flatten(graph, fetches[position])
        names.append(shape)
    return names, positions


def _restoring_strings(run: Callable[_Args, Sequence[Any]], positions: Sequence[int]) -> Callable[_Args, Sequence[Any]]:
    """A run of what `_substitute_strings` returned, with strings in their shape; the run itself where there are none.

    It raises ValueError for strings that NumPy cannot hold.
    """
    if not positions:
        return run

    def run_and_restore(*args: _Args.args, **kwargs: _Args.kwargs) -> Sequence[Any]:
        results = list(run(*args, **kwargs))
        shapes = results[-len(positions) :]
        del results[-len(positions) :]
        for position, shape in zip(positions, shapes, strict=True):
            results[position] = results[position].reshape(shape)
        return results

    return run_and_restore


def _holds_strings(graph: Any, name: str) -> bool:
    try:
        return bool(graph.get_tensor_by_name(name).dtype.base_dtype == tf.string)
    except (KeyError, ValueError):
        return False


def _flatten(graph: Any, name: str) -> tuple[str, str]:
    """The names of a tensor's values and shape."""
    folder = f"{_STRINGS_FOLDER}/{name.replace(':', '_')}"
    values, shape = f"{folder}/values", f"{folder}/shape"
    tensor = graph.get_tensor_by_name(name)
    try:
        graph.get_operation_by_name(shape)
    except KeyError:
        with graph.as_default():
            tf.raw_ops.Reshape(tensor=tensor, shape=[-1], name=values)
            tf.raw_ops.Shape(input=tensor, out_type=tf.int64, name=shape)
    return f"{values}:0", f"{shape}:0"
