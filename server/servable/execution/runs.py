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
from typing import Any, Final, Protocol

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from servable.execution import open_shapes, run_guard

_log = logging.getLogger(__name__)

Arrays = Sequence[np.ndarray[Any, Any]]
Run = Callable[[Arrays], Sequence[Any]]
TimedRun = Callable[[Arrays, float], Sequence[Any]]

# RunOptions.timeout_in_ms is an int32; the original sends this for a call without a deadline.
_LONGEST_TIMEOUT_MS = 2147483647
LONGEST_TIMEOUT_S: Final = _LONGEST_TIMEOUT_MS / 1000
"""A time limit that stands for none."""


class Runs(Protocol):
    """Makes runs of a session, of tensors that `run_guard` let pass. Runs raise tf.errors.OpError."""

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
        # Session.run says otherwise what the graph lacks.
        run_guard.check_known(session.graph, (*feeds, *fetches))
        _check_arrays_hold(session.graph, feeds)
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


def _check_arrays_hold(graph: Any, feeds: Sequence[str]) -> None:
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
