"""One graph in one TensorFlow session: initialise it, prepare runs of it, close it, translate what it raises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from servable.errors import Cancelled, InvalidArgument, ServingError, of_code
from servable.execution import graph_import, python_ops
from servable.execution.runs import Run, Runs, TimedRun

_ENDPOINT = re.compile(r".*:[0-9]+")
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
        self.may_not_end = any(map(_ENDLESS_OPS.search, ops))
        self._runs = runs
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
            ServingError: if the graph has no such tensors.
        """
        try:
            return self._runs.prepare(self._opened(), _endpoints(feeds), _endpoints(fetches))
        except tf.errors.OpError as error:
            raise translate(error) from error

    def prepare_timed(self, feeds: Sequence[str], fetches: Sequence[str]) -> TimedRun:
        """As prepare, for tensors that are known to be there, with a time limit."""
        return self._runs.prepare_timed(self._opened(), _endpoints(feeds), _endpoints(fetches))

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


def _endpoints(tensor_names: Sequence[str]) -> list[str]:
    return [endpoint(name) for name in tensor_names]


def endpoint(tensor_name: str) -> str:
    """A tensor's name with the number of its output; that of an operation is taken for its first output's."""
    return tensor_name if _ENDPOINT.fullmatch(tensor_name) else f"{tensor_name}:0"
