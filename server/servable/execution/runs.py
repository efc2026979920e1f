"""The two ways to run a graph in a session, behind one protocol.

PrivateRuns is the only place that uses TensorFlow's private API. `Session._make_callable_from_options` runs a
graph on the calling thread for a tenth of the price of an eager signature; `Session._call_tf_sessionrun`
takes a time limit and, unlike `Session.run`, neither compares shapes with the placeholders' nor decorates
error texts. PublicRuns is the way on where these are missing: slower, with the same answers.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from servable.execution import open_shapes

_log = logging.getLogger(__name__)

Arrays = Sequence[np.ndarray[Any, Any]]
Run = Callable[[Arrays], Sequence[Any]]
TimedRun = Callable[[Arrays, float], Sequence[Any]]

# RunOptions.timeout_in_ms is an int32; the original sends this for a call without a deadline.
_LONGEST_TIMEOUT_MS = 2147483647


class Runs(Protocol):
    """Makes runs of a session. Runs raise tf.errors.OpError."""

    checks_shapes: bool
    """Whether a fed array must fit the placeholder's static shape, which the original never asks."""

    def prepare(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> Run:
        """A run of these tensor names without a time limit."""

    def prepare_timed(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> TimedRun:
        """A run of these tensor names that is given up after a number of seconds."""


class PrivateRuns:
    """Runs by TensorFlow's private API."""

    checks_shapes = False

    def prepare(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> Run:
        """See Runs."""
        options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
        # A negative pool is the calling thread: no hand-over, no second thread to wake.
        options.run_options.inter_op_thread_pool = -1
        call = session._make_callable_from_options(options)

        def run(arrays: Arrays) -> Sequence[Any]:
            results: Sequence[Any] = call(*arrays)
            return results

        return run

    def prepare_timed(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> TimedRun:
        """See Runs."""
        from tensorflow.python.client import pywrap_tf_session as c_api

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
        _check_names(session.graph, feeds, fetches)
        fed_names = open_shapes.find(session.graph, feeds)

        def run(arrays: Arrays) -> Sequence[Any]:
            results: Sequence[Any] = session.run(fetches, dict(zip(fed_names, arrays, strict=True)))
            return results

        return run

    def prepare_timed(self, session: Any, feeds: Sequence[str], fetches: Sequence[str]) -> TimedRun:
        """See Runs."""
        fed_names = open_shapes.find(session.graph, feeds)

        def run(arrays: Arrays, timeout_s: float) -> Sequence[Any]:
            fed = dict(zip(fed_names, arrays, strict=True))
            results: Sequence[Any] = session.run(fetches, fed, options=_time_limit(timeout_s))
            return results

        return run


def _check_names(graph: Any, feeds: Sequence[str], fetches: Sequence[str]) -> None:
    """Refuse, in the words and the order of the C++, what Session.run puts otherwise or lets pass."""
    outputs = {name: _count_outputs(graph, name) for name in (*feeds, *fetches)}
    for name, (count, kind) in outputs.items():
        operation, _, output = name.rpartition(":")
        if kind and int(output) >= count:
            text = f"Node '{operation}' (type: '{kind}', num of outputs: {count}) does not have output {output}"
            raise tf.errors.OutOfRangeError(None, None, text)
    for name, (_, kind) in outputs.items():
        if not kind:
            _refuse(f"Tensor {name}, specified in either feed_devices or fetch_devices was not found in the Graph")
    if not fetches:
        _refuse("Must specify at least one target to fetch or execute.")
    for index, name in enumerate(feeds):
        if name in fetches:
            _refuse(f"{name} is both fed and fetched.")
        if name in feeds[:index]:
            _refuse(f'Endpoint "{name}" fed more than once.')


def _count_outputs(graph: Any, tensor_name: str) -> tuple[int, str]:
    """How many outputs the operation of a tensor has, and its type; no type if the graph does not hold it."""
    try:
        operation = graph.get_operation_by_name(tensor_name.rpartition(":")[0])
    except (KeyError, ValueError):
        return 0, ""
    return len(operation.outputs), operation.type


def _refuse(text: str) -> NoReturn:
    raise tf.errors.InvalidArgumentError(None, None, text)


def _time_limit(timeout_s: float) -> Any:
    # A limit of 0 ms would mean none.
    return config_pb2.RunOptions(timeout_in_ms=min(max(int(timeout_s * 1000), 1), _LONGEST_TIMEOUT_MS))


@functools.cache
def best_runs() -> Runs:
    """The private runs if they work in this TensorFlow, else the public ones; tried once."""
    try:
        _probe(PrivateRuns())
    except Exception as error:  # Whatever a changed private API does, there is a way on.
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
