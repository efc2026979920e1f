"""A lane keeps nothing of a call that is over: the control plane waits until a version's last reference is gone."""

import contextlib
import gc
import resource
import sys
import threading
import time
import weakref

import pytest

from servable import methods
from servable.errors import NotFound
from servable.transport import lane
from tests.process.raw_http2 import RawClient
from tests.process.transport import PATIENCE_S, UNARY
from tests.transport.serving import Keeper, inline, serve

# Of an object in a list that a comprehension looks at: the list, the variable, the argument.
REFERENCES = 3


class Handle:
    """Stands for what a method holds while it runs."""

    def __init__(self):
        self.gone = threading.Event()
        weakref.finalize(self, self.gone.set)


class Holder:
    """A method that takes a new Handle for each call, and ends as it is given."""

    def __init__(self, end):
        self._end = end
        self.handles_gone = []

    def __call__(self, request, time_left_s):
        handle = Handle()
        self.handles_gone.append(handle.gone)
        return self._end(handle)


def fail(handle):
    raise NotFound("with a traceback through the frame that holds the handle")


def fail_by_accident(handle):
    raise ZeroDivisionError


@pytest.fixture
def _without_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_without_gc")
@pytest.mark.parametrize("end", [lambda handle: b"", fail, fail_by_accident])
def test_what_a_method_held_is_released_at_the_end_of_the_call(end, monkeypatch):
    monkeypatch.setattr(methods._log, "disabled", True)  # pytest keeps what is logged, so the traceback and its frames.
    holder = Holder(end)
    with serve(inline(holder)) as server:
        server.begin().exception(PATIENCE_S)
        # No further event comes to the lane meanwhile.
        assert holder.handles_gone[0].wait(PATIENCE_S)


@pytest.mark.usefixtures("_without_gc")
@pytest.mark.parametrize("kept", [True, False])
def test_neither_request_nor_reply_is_kept(kept):
    seen = []

    def echo(request, time_left_s, reply):
        seen.extend([request, bytes(bytearray(request))])
        reply.send(seen[1])

    keeper = Keeper()
    with serve(keeper if kept else echo) as server:
        call = server.begin(b"request")
        if kept:
            reply = keeper.await_arrival()
            echo(keeper.requests.pop(), None, reply)
        assert call.result(PATIENCE_S) == b"request"
        await_true(lambda: [sys.getrefcount(message) for message in seen] == [REFERENCES] * 2)


@pytest.mark.usefixtures("_without_gc")
@pytest.mark.parametrize("end", ["answered", "cancelled", "half open", "held"])
def test_the_reply_of_a_call_is_released(end):
    keeper, before = Keeper(), replies_alive()
    with serve(keeper) as server:
        if end == "held":
            with server.paused(0):
                call = server.begin(timeout=None)
                await_true(lambda: replies_alive() == before + 1)
                assert not keeper.replies
            keeper.await_arrival().send(b"")
            assert call.result(PATIENCE_S) == b""
            keeper.replies.clear()
        elif end == "half open":
            with contextlib.closing(RawClient(server.port)) as client:
                client.begin(UNARY)
                await_true(lambda: replies_alive() == before + 1)
        else:
            call = server.begin(timeout=None)
            keeper.await_arrival()
            assert replies_alive() == before + 1
            call.cancel() if end == "cancelled" else keeper.replies[0].send(b"")
            keeper.replies.clear()
        await_true(lambda: replies_alive() == before)


def replies_alive():
    return sum(isinstance(thing, lane._CallReply) for thing in gc.get_objects())


def await_true(condition):
    ends_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.001)


def test_many_calls_do_not_grow_the_process():
    def make(server, count):
        for _ in range(count // 100):
            calls = [server.begin(bytes(10_000)) for _ in range(100)]
            for call in calls:
                call.result(PATIENCE_S)

    with serve(count=2) as server:
        make(server, 4000)
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        make(server, 4000)
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    # A request or reply that is kept would be 40 MB.
    assert grown_kib < 10_000
