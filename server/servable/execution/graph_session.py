"""One graph in one TensorFlow session: import it, initialise it, prepare runs of it, translate what it raises."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from servable.errors import InvalidArgument, ServingError, of_code
from servable.execution import open_shapes
from servable.execution.runs import Run, Runs, TimedRun

_ENDPOINT = re.compile(r".*:[0-9]+")
# Parts of the names of operations that loop, or wait for somebody: how long they take is up to what they are fed.
_ENDLESS_OPS = re.compile("While|NextIteration|Dequeue|Enqueue|Barrier|Unstage|Iterator|Reader|Recv|PyFunc")


class GraphSession:
    """A graph and its variables. Runs are thread-safe; closing is for the last who holds it.

    Attributes:
        may_not_end: Whether a run may last for ever, however quick others were.
    """

    def __init__(self, graph_def: Any, producer_ops: Any, config: Any, runs: Runs, fed: Mapping[str, int]) -> None:
        """Import the graph.

        Args:
            graph_def: A tensorflow GraphDef; it may be changed.
            producer_ops: The OpList of the TensorFlow that wrote it, whose defaults the nodes leave out; or
                None.
            config: A tensorflow ConfigProto.
            runs: How the graph is run.
            fed: The tensorflow.DataType of each tensor that may be fed, by name.

        Raises:
            ServingError: if this TensorFlow cannot run the graph.
        """
        if runs.checks_shapes:
            open_shapes.open_feeds(graph_def, {_endpoint(name): dtype for name, dtype in fed.items()})
        self.may_not_end = _may_not_end(graph_def)
        self._runs = runs
        graph = tf.Graph()
        try:
            with graph.as_default():
                tf.graph_util.import_graph_def(graph_def, name="", producer_op_list=producer_ops)
            self._session = tf.compat.v1.Session(graph=graph, config=config)
        except (tf.errors.OpError, ValueError) as error:
            raise translate(error) from error

    def dtype_of(self, tensor_name: str) -> int | None:
        """The tensorflow.DataType of a tensor of the graph; None if there is none of that name."""
        try:
            tensor = self._session.graph.get_tensor_by_name(_endpoint(tensor_name))
        except (KeyError, ValueError):
            return None
        return int(tensor.dtype.base_dtype.as_datatype_enum)

    def prepare(self, feeds: Sequence[str], fetches: Sequence[str]) -> Run:
        """A run of these tensor names; it raises what `translate` takes.

        Raises:
            ServingError: if the graph has no such tensors.
        """
        try:
            return self._runs.prepare(self._session, _endpoints(feeds), _endpoints(fetches))
        except tf.errors.OpError as error:
            raise translate(error) from error

    def prepare_timed(self, feeds: Sequence[str], fetches: Sequence[str]) -> TimedRun:
        """As prepare, for tensors that are known to be there, with a time limit."""
        return self._runs.prepare_timed(self._session, _endpoints(feeds), _endpoints(fetches))

    def run_once(self, operation: str, feeds: Mapping[str, str]) -> None:
        """Run an operation for its effect (restore, initialise), with strings fed to scalar tensors.

        Raises:
            ServingError: as TensorFlow raises it, or if the graph has no such operation.
        """
        try:
            self._session.run(self._session.graph.get_operation_by_name(operation), dict(feeds))
        except (tf.errors.OpError, KeyError, ValueError) as error:
            raise translate(error) from error

    def close(self) -> None:
        """Free the graph's variables and resources."""
        self._session.close()


def translate(error: Exception) -> ServingError:
    """The canonical error of what TensorFlow raised, in the words of its C++."""
    if isinstance(error, UnicodeDecodeError):
        # A text that quotes fed bytes: TensorFlow's Python fails to decode it, and with the text drops the code.
        return InvalidArgument(error.object.decode(errors="replace"))
    # Session.run decorates the text and leaves the plain error behind as the context.
    plain = error.__context__ if isinstance(error.__context__, tf.errors.OpError) else error
    if isinstance(plain, tf.errors.OpError):
        return of_code(plain.error_code, plain.message)
    return InvalidArgument(str(error.args[0] if error.args else error))


def _may_not_end(graph_def: Any) -> bool:
    bodies = (graph_def.node, *(function.node_def for function in graph_def.library.function))
    return any(_ENDLESS_OPS.search(node.op) for nodes in bodies for node in nodes)


def _endpoints(tensor_names: Sequence[str]) -> list[str]:
    return [_endpoint(name) for name in tensor_names]


def _endpoint(tensor_name: str) -> str:
    """TensorFlow takes the name of an operation for that of its first output."""
    return tensor_name if _ENDPOINT.fullmatch(tensor_name) else f"{tensor_name}:0"
