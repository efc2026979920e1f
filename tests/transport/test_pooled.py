"""A lane's method that answers on a pool: the promises are those of the public path."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from servable.errors import NotFound
from servable.transport.replies import pooled
from tests.process.transport import PATIENCE_S, Gate
from tests.transport.serving import PUBLIC, Keeper, serve


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


def test_it_answers_on_the_pool(pool):
    method = pooled(lambda request, time_left_s: threading.current_thread().name.encode(), pool)
    with serve(method) as server:
        assert server.call().startswith(b"ThreadPoolExecutor")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (NotFound("nothing"), grpc.StatusCode.NOT_FOUND, "nothing"),
        (ZeroDivisionError(), grpc.StatusCode.INTERNAL, "Internal error"),
    ],
)
def test_what_it_raises_is_told(error, code, text, pool, caplog):
    def fail(request, time_left_s):
        raise error

    with serve(pooled(fail, pool)) as server:
        told = server.error_of()
        assert (told.code(), told.details()) == (code, text)
    assert len(caplog.records) == (code is grpc.StatusCode.INTERNAL)


def test_calls_that_nobody_waits_for_any_more_are_not_run(pool, gate):
    with serve(pooled(gate, pool)) as server:
        first = server.begin(b"first")
        gate.await_arrival()
        cancelled, late = server.begin(b"cancelled"), server.begin(b"late", timeout=0.2)
        assert late.exception(PATIENCE_S).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        cancelled.cancel()
        last = server.begin(b"last")
        assert server.call(b"later", path=PUBLIC) == b"later"  # The core has seen all of them.
        assert server.error_of(b"one more", timeout=0.2) is not None  # The lane has, too.
        gate.open()
        assert [first.result(PATIENCE_S), last.result(PATIENCE_S)] == [b"first", b"last"]
    assert gate.seen == [b"first", b"last"]


class LateExecutor:
    """A pool whose threads have all been busy for a while."""

    def submit(self, function, *arguments):
        time.sleep(0.1)
        function(*arguments)


@pytest.mark.parametrize(("time_left_s", "least", "most"), [(10.0, 0.1, 9.9), (0.01, 0.0, 0.0)])
def test_the_time_that_it_waited_is_not_left(time_left_s, least, most):
    told = []
    method = pooled(lambda request, time_left_s: told.append(time_left_s) or b"", LateExecutor())
    keeper = Keeper()
    with serve(keeper) as server:
        call = server.begin()
        reply = keeper.await_arrival()
        method(b"", time_left_s, reply)
        assert call.result(PATIENCE_S) == b""
    assert least <= told[0] <= most


def test_a_call_without_a_bound_has_none_on_the_pool(pool):
    with serve(pooled(lambda request, time_left_s: repr(time_left_s).encode(), pool)) as server:
        assert server.call(timeout=None) == b"None"


def test_a_drain_answers_what_waits_for_the_pool(pool, gate):
    handed_over, hand_over = threading.Semaphore(0), pooled(gate, pool)

    def method(request, time_left_s, reply):
        hand_over(request, time_left_s, reply)
        handed_over.release()

    with serve(method) as server:
        calls = [server.begin(b"first"), server.begin(b"second")]
        for _ in calls:
            assert handed_over.acquire(timeout=PATIENCE_S)
        drain = threading.Thread(target=server.drain)
        drain.start()
        # Its way in closes though the pool is busy: the lane is not.
        error = None
        while error is None or error.code() is not grpc.StatusCode.UNAVAILABLE:
            error = server.error_of(b"new", timeout=0.2)
        gate.open()
        assert [call.result(PATIENCE_S) for call in calls] == [b"first", b"second"]
        drain.join(PATIENCE_S)
        assert not drain.is_alive()
