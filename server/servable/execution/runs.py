"""The two ways to run a graph in a session, behind one protocol.

A TensorFlow 1 session runs graphs, and not an eager signature of `tf.saved_model.load`: a callable of the session on
the calling thread costs a tenth, checks no shapes (the original does not either) and raises the original's texts.

PrivateRuns uses TensorFlow's private API: `Session._make_callable_from_options` makes such callables;
`Session._call_tf_sessionrun` takes a time limit and, unlike `Session.run`, neither compares shapes with the
placeholders' nor decorates error texts. `best_runs` tries this API once. PublicRuns serves where it is missing: slower,
with the same answers. Every behavioural test runs with both. Of this package only `graph_import` uses private API
besides; `tf_records` unwraps a deprecated function.

`Session.run` compares what is fed with the static shape of the tensor, which TensorFlow's C++ sessions do not. So where
PublicRuns serves, `open_feeds` changes the graph before it is imported: the placeholders that signatures feed forget
their shapes, and any other tensor that they feed gets a stand-in of unknown shape, from which all consumers read. When
the stand-in is fed, it holds what was fed; otherwise it passes the tensor on.

TensorFlow's single-threaded executor was tried and is not used: it drops the node from error texts and every op from
profiles.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from servable.execution import run_guard

_log = logging.getLogger(__name__)

Arrays = Sequence[np.ndarray[Any, Any]]
Run = Callable[[Arrays], Sequence[Any]]
TimedRun = Callable[[Arrays, float], Sequence[Any]]

# RunOptions.timeout_in_ms is an int32; the original sends this for a call without a deadline.
_LONGEST_TIMEOUT_MS = 2147483647
LONGEST_TIMEOUT_S: Final = _LONGEST_TIMEOUT_MS / 1000
"""A time limit that stands for none."""

_STAND_IN_FOLDER = "servable_fed"
_FIRST_REFERENCE_DTYPE = 101


class Runs(Protocol):
    """Makes runs of a session, for tensors that `run_guard` accepts. Runs raise tf.errors.OpError."""

    checks_shapes: bool
    """Whether a fed array must fit the placeholder's static shape, which the original never requires."""

    def prepare(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> Run:
        """A run of these tensor names without a time limit."""

    def prepare_timed(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> TimedRun:
        """A run of these tensor names that is given up after a number of seconds."""


class PrivateRuns:
    """Runs by TensorFlow's private API, on the calling thread."""

    checks_shapes = False

    def prepare(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> Run:
        """See Runs."""
        options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
        # A negative number of a pool means the calling thread: no hand-over, no second thread to wake.
        options.run_options.inter_op_thread_pool = -1
        call = session._make_callable_from_options(options)

        def run(arrays: Arrays) -> Sequence[Any]:
            results: Sequence[Any] = call(*arrays)
            return results

        return run

    def prepare_timed(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> TimedRun:
        """See Runs."""
        from tensorflow.python.client import pywrap_tf_session as c_api

        run_guard.check_known(session.graph, (*feeds, *fetches))
        inputs = [_c_output(session, name) for name in feeds]
        outputs = [_c_output(session, name) for name in fetches]

        def run(arrays: Arrays, timeout_s: float) -> Sequence[Any]:
            options = c_api.TF_NewBufferFromString(_time_limit(timeout_s).SerializeToString())
            fed = dict(zip(inputs, arrays, strict=True))
            try:
                results: Sequence[Any] = session._call_tf_sessionrun(options, fed, outputs, [], None)
            finally:
                c_api.TF_DeleteBuffer(options)
            return results

        return run


def _c_output(session: Any, name: str) -> Any:
    return session.graph.get_tensor_by_name(name)._as_tf_output()


class PublicRuns:
    """Runs by Session.run."""

    checks_shapes = True

    def prepare(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> Run:
        """See Runs."""
        # Session.run would report missing tensors in other words than the C++.
        run_guard.check_known(session.graph, (*feeds, *fetches))
        _check_feeds_fit_arrays(session.graph, feeds)
        fed_names = _find_stand_ins(session.graph, feeds)

        def run(arrays: Arrays) -> Sequence[Any]:
            results: Sequence[Any] = session.run(fetches, dict(zip(fed_names, arrays, strict=True)))
            return results

        return run

    def prepare_timed(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> TimedRun:
        """See Runs."""
        fed_names = _find_stand_ins(session.graph, feeds)

        def run(arrays: Arrays, timeout_s: float) -> Sequence[Any]:
            fed = dict(zip(fed_names, arrays, strict=True))
            results: Sequence[Any] = session.run(fetches, fed, options=_time_limit(timeout_s))
            return results

        return run


def _check_feeds_fit_arrays(graph: Any, feeds: Sequence[str]) -> None:
    # Session.run looks for NumPy's dtype of what is fed, and fails with a KeyError where there is none.
    for name in feeds:
        dtype = graph.get_tensor_by_name(name).dtype.base_dtype
        if dtype in {tf.resource, tf.variant}:
            raise tf.errors.InvalidArgumentError(None, None, f"{name} is a {dtype.name}, which no array holds")


def _time_limit(timeout_s: float) -> Any:
    # A limit of 0 ms would mean none.
    return config_pb2.RunOptions(timeout_in_ms=min(max(int(timeout_s * 1000), 1), _LONGEST_TIMEOUT_MS))


@functools.cache
def best_runs() -> Runs:
    """The private runs if they work in this TensorFlow, else the public ones; tried once."""
    try:
        _probe(PrivateRuns())
    except Exception as error:  # A changed private API may raise anything.
        _log.warning(
            "TensorFlow %s lacks the private API for fast runs (%s: %s); runs go through Session.run",
            tf.__version__, type(error).__name__, error,
        )  # fmt: skip
        return PublicRuns()
    return PrivateRuns()


def _probe(runs: Runs) -> None:
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        tf.identity(tf.compat.v1.placeholder(tf.float32, [None], name="x"), name="y")
        scalar = np.array(2, np.float32)
        (plain,) = runs.prepare(session, ["x:0"], ["y:0"])([scalar])
        (timed,) = runs.prepare_timed(session, ["x:0"], ["y:0"])([scalar], 60.0)
        if plain != scalar or timed != scalar:
            raise RuntimeError(f"an identity of 2 gave {plain} and {timed}")


def open_feeds(graph_def: Any, dtypes: Mapping[str, int]) -> None:
    """Make the static shapes of tensors unknown, so that Session.run takes any shape for them.

    Args:
        graph_def: A tensorflow GraphDef; it is changed.
        dtypes: The tensorflow.DataType of each tensor, by its name with the number of the output. Tensors that are
            not the first output of a node of the graph, or that are references, are left as they are.
    """
    nodes = {f"{node.name}:0": node for node in graph_def.node}
    fed = {name: number for name, number in dtypes.items() if name in nodes and _is_value(number)}
    placeholders = {name for name in fed if nodes[name].op == "Placeholder"}
    for name in placeholders:
        _forget_shape(nodes[name])
    _add_stand_ins(graph_def, {name: number for name, number in fed.items() if name not in placeholders})


def _is_value(dtype: int) -> bool:
    return 0 < dtype < _FIRST_REFERENCE_DTYPE


def _forget_shape(placeholder: Any) -> None:
    # TensorFlow 1's builder stores the shapes of all outputs in a second attribute.
    for attribute in ("shape", "_output_shapes"):
        if attribute in placeholder.attr:
            del placeholder.attr[attribute]


def _add_stand_ins(graph_def: Any, dtypes: Mapping[str, int]) -> None:
    for node in graph_def.node:
        for index, source in enumerate(node.input):
            name = source if ":" in source else f"{source}:0"
            if name in dtypes:
                node.input[index] = _stand_in(name)
    for name, number in dtypes.items():
        stand_in = graph_def.node.add(name=_stand_in(name), op="PlaceholderWithDefault", input=[name])
        stand_in.attr["dtype"].type = number
        stand_in.attr["shape"].shape.unknown_rank = True


def _find_stand_ins(graph: Any, tensor_names: Iterable[str]) -> Sequence[str]:
    """The tensors to feed in place of these: their stand-ins, or themselves where they have none."""
    known = {name for name in tensor_names if _has_operation(graph, _stand_in(name))}
    return [f"{_stand_in(name)}:0" if name in known else name for name in tensor_names]


def _stand_in(tensor_name: str) -> str:
    return f"{_STAND_IN_FOLDER}/{tensor_name.removesuffix(':0')}"


def _has_operation(graph: Any, name: str) -> bool:
    try:
        graph.get_operation_by_name(name)
    except (KeyError, ValueError):
        return False
    return True
