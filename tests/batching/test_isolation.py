"""Over sockets, with TensorFlow: no request of one model holds up another model, whatever was learnt before.

Each test sends what once stopped all models for seconds. None of them judges by time: a caller that was not held
up is answered while the request that would hold it up still runs.
"""

import contextlib
import threading
import time

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2

from tests import serving
from tests.batching.callers import PREDICT, outputs_of
from tests.conformance.calls import INVALID_ARGUMENT, TIMEOUT_S, predict_request
from tests.models.exporting import placeholder, save_tf1, signature, tf, tf1_session
from tests.process.transport import connect

# A run of so many rows takes from a fifth of a second to two, on one processor; one of a single row some 100 us.
HUGE = 150_000
WIDTH, OPS = 64, 24
SMALL_CALLS = 200
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
METADATA_OF_LIGHT = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
METADATA_OF_LIGHT.model_spec.name = "light"


def build_work(directory):
    """Work in proportion to the rows, which no batch makes cheaper; an x of another width than 1 is refused at once."""
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, None], "x")
        y = tf.matmul(x, tf.ones([1, WIDTH]))
        for _ in range(OPS):
            y = tf.sin(y) + 1.0
        save_tf1(session, directory, {"serving_default": signature({"x": x}, {"y": tf.reduce_sum(y, 1)})})


class Store:
    """Three models."""

    def __init__(self, root):
        self._root = root

    def base_path(self, name):
        base = self._root / name
        if not base.exists():
            build_work(base / "1")
        return base


@contextlib.contextmanager
def serve(root, **flags):
    running = serving.start(Store(root), "light", "heavy", "other", tensorflow_intra_op_parallelism=1, **flags)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("isolation")


LARGE_BATCHES = f"max_batch_size {{ value: {HUGE} }} max_enqueued_batches {{ value: 99 }}"


@pytest.fixture(scope="module", params=["unbatched", "large batches", "no file"])
def server(request, root):
    flags = {"enable_batching": request.param != "unbatched", "freeze_variables_up_to_mb": 0}
    if request.param == "large batches":
        (root / "batching.txt").write_text(LARGE_BATCHES)
        flags["batching_parameters_file"] = str(root / "batching.txt")
    with serve(root, **flags) as running:
        yield running


takes_huge_requests = pytest.mark.parametrize("server", ["unbatched", "large batches"], indirect=True)


def work(name, rows, width=1):
    return predict_request(name, {"x": np.ones((rows, width), np.float32)}).SerializeToString()


class Caller:
    """One client on a connection of its own."""

    def __init__(self, address):
        self._channel = connect(address)

    def begin(self, request, timeout_s=TIMEOUT_S, method=PREDICT):
        return self._channel.unary_unary(method).future(request, timeout=timeout_s)

    def call(self, request, method=PREDICT):
        return self.begin(request, method=method).result(TIMEOUT_S)

    def close(self):
        self._channel.close()


@pytest.fixture
def callers(server):
    made = []

    def make():
        made.append(Caller(server.address))
        return made[-1]

    yield make
    for caller in made:
        caller.close()


def _measure_s(caller, request):
    """How long a call takes on this machine."""
    began_s = time.monotonic()
    caller.call(request)
    return time.monotonic() - began_s


def check_that_others_are_answered(caller, running):
    """While a call is running."""
    for _ in range(20):
        assert outputs_of(caller.call(work("light", 1)))["y"].shape == (1,)
    assert caller.call(METADATA_OF_LIGHT.SerializeToString(), method=METADATA)
    assert not running.done(), "it is over, so this proves nothing"


@takes_huge_requests
def test_a_huge_request_after_many_small_ones_delays_no_other_model(server, callers):
    busy_caller, victim = callers(), callers()
    for _ in range(SMALL_CALLS):
        busy_caller.call(work("heavy", 1))
        victim.call(work("light", 1))
    huge = busy_caller.begin(work("heavy", HUGE))
    check_that_others_are_answered(victim, huge)
    assert outputs_of(huge.result(TIMEOUT_S))["y"].shape == (HUGE,)


@takes_huge_requests
def test_the_deadline_of_a_huge_request_after_many_small_ones_ends_it(server, callers):
    busy_caller, victim = callers(), callers()
    for _ in range(SMALL_CALLS):
        busy_caller.call(work("heavy", 1))
    late = busy_caller.begin(work("heavy", HUGE), timeout_s=_measure_s(busy_caller, work("other", HUGE)) / 4)
    assert late.exception(TIMEOUT_S).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert victim.call(work("light", 1))


@takes_huge_requests
def test_refused_requests_do_not_make_a_slow_model_quick(server, callers):
    """They are as large as those that take long, and are refused in no time."""
    busy_caller, victim = callers(), callers()
    for _ in range(3):
        busy_caller.call(work("heavy", HUGE))
    for _ in range(SMALL_CALLS):
        assert busy_caller.begin(work("heavy", 1, HUGE)).exception(TIMEOUT_S).code() is INVALID_ARGUMENT
    slow = busy_caller.begin(work("heavy", HUGE))
    check_that_others_are_answered(victim, slow)
    slow.result(TIMEOUT_S)


@takes_huge_requests
def test_a_busy_model_leaves_a_thread_to_others(server, callers):
    busy_callers, victim = [callers() for _ in range(12)], callers()
    busy = [busy_caller.begin(work("heavy", HUGE)) for busy_caller in busy_callers]
    # Unknown as yet, so each of them needs a thread.
    for count in range(1, 8):
        assert outputs_of(victim.call(work("other", count)))["y"].shape == (count,)
    assert not all(call.done() for call in busy)
    for call in busy:
        call.result(TIMEOUT_S)


def test_a_model_that_is_called_rarely_is_answered_beside_one_that_is_always_called(server, callers):
    flooding, victim, stop = callers(), callers(), threading.Event()
    flood, light = work("heavy", 1), work("light", 1)
    for _ in range(10):
        flooding.call(flood), victim.call(light)
    answered, ended = threading.Semaphore(0), threading.Semaphore(0)

    def call_again(call):
        assert call.exception() is None
        answered.release()
        if stop.is_set():
            ended.release()
        else:
            flooding.begin(flood).add_done_callback(call_again)

    callers_at_once = 64
    for _ in range(callers_at_once):
        flooding.begin(flood).add_done_callback(call_again)
    for _ in range(50):
        assert answered.acquire(timeout=TIMEOUT_S)
        assert victim.begin(light, timeout_s=2.0).result(TIMEOUT_S)
    stop.set()
    for _ in range(callers_at_once):
        assert ended.acquire(timeout=TIMEOUT_S)
