"""One graph in one TensorFlow session: initialise it, prepare runs of it, close it, translate what it raises."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import tensorflow as tf

from servable.errors import Cancelled, InvalidArgument, ServingError, of_code
from servable.execution import graph_import, python_ops, run_guard, string_results
from servable.execution.runs import LONGEST_TIMEOUT_S, Arrays, Run, Runs, TimedRun

_Run = TypeVar("_Run", Run, TimedRun)
_ENDPOINT = re.compile(r"(.*):0*([0-9]+)")
# Parts of the names of operations that loop, or wait for somebody: how long they take is up to what they are fed.
_ENDLESS_OPS = re.compile("While|NextIteration|Dequeue|Enqueue|Barrier|Unstage|Iterator|Reader|Recv|PyFunc")


class GraphSession:
    """A graph and its variables. Runs are thread-safe, and so is closing.

    Attributes:
        may_not_end: Whether a run may last for ever, however quick others were.
    """

    def __init__(self, graph: Any, config: Any, runs: Runs, ops: Iterable[str]) -> None:
        """Open a session.

        Args:
            graph: A tf.Graph that nobody else uses.
            config: A tensorflow ConfigProto.
            runs: How the graph is run.
            ops: The operations of the graph and its functions.

        Raises:
            ServingError: if TensorFlow does not take the config.
        """
        self._ops = frozenset(ops)
        self.may_not_end = any(map(_ENDLESS_OPS.search, self._ops))
        self._runs = runs
        # Held while the graph is changed.
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
        """A run of these tensor names; it raises what `translate` takes.

        Raises:
            ServingError: if the graph has no such tensors, or if they cannot be fed and fetched together.
        """
        fed, fetched, strings = self._check(feeds, fetches)
        return string_results.restoring(self._prepare_untimed(fed, fetched), strings)

    def prepare_timed(self, feeds: Sequence[str], fetches: Sequence[str]) -> TimedRun:
        """As prepare, for tensors that are known to be there, with a time limit."""
        fed, fetched, strings = self._check(feeds, fetches)
        return string_results.restoring(self._prepare(self._runs.prepare_timed, fed, fetched), strings)

    def expect(self, fetches: Iterable[str]) -> None:
        """Add what fetching these needs; later each addition would have TensorFlow copy the whole graph.

        Args:
            fetches: Tensor names; the graph may lack some.
        """
        with self._lock:
            string_results.substitute(self._opened().graph, _endpoints(fetches))

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

        They end early where TensorFlow can stop them; runs that begin later are refused.
        """
        session, self._session = self._session, None
        if session is not None:
            session.close()
            graph_import.dismantle(session.graph)

    def _check(
        self, feeds: Sequence[str], fetches: Sequence[str]
    ) -> tuple[Sequence[str], Sequence[str], Sequence[int]]:
        """The endpoints to feed and to fetch; see string_results for the positions."""
        graph, fed, fetched = self._opened().graph, _endpoints(feeds), _endpoints(fetches)
        try:
            run_guard.check(graph, fed, fetched)
        except tf.errors.OpError as error:
            raise translate(error) from error
        # Threads that serve requests may prepare runs at the same time.
        with self._lock:
            return fed, *string_results.substitute(graph, fetched)

    def _prepare_untimed(self, fed: Sequence[str], fetched: Sequence[str]) -> Run:
        run = self._prepare(self._runs.prepare, fed, fetched)
        if run_guard.needs_full_run(self._ops):
            return self._prepare_full(fed, fetched)

        def run_unless_dead(arrays: Arrays) -> Sequence[Any]:
            results = run(arrays)
            # Only a full run tells a result without elements from none.
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
        # A text that quotes fed bytes: TensorFlow's Python fails to decode it, and with the text drops the code.
        return InvalidArgument(error.object.decode(errors="replace"))
    # Session.run decorates the text and leaves the plain error behind as the context.
    plain = error.__context__ if isinstance(error.__context__, tf.errors.OpError) else error
    if isinstance(plain, tf.errors.OpError):
        return of_code(plain.error_code, python_ops.without_traceback(plain.message))
    return InvalidArgument(str(error.args[0] if error.args else error))


def _endpoints(tensor_names: Iterable[str]) -> list[str]:
    return [endpoint(name) for name in tensor_names]


def endpoint(tensor_name: str) -> str:
    """The one way to write a tensor's name: with the number of its output, without leading zeros.

    The name of an operation is taken for its first output's.
    """
    found = _ENDPOINT.fullmatch(tensor_name)
    return f"{found[1]}:{found[2]}" if found else f"{tensor_name}:0"
