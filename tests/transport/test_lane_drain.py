"""A drain loses no call on a lane: each is answered, or UNAVAILABLE so that its caller tries elsewhere."""

import collections
import threading
import time

import grpc
import pytest

from servable.transport.arrivals import Arrivals
from servable.transport.core import Core
from servable.transport.lanes import Lanes
from tests.process.raw_http2 import RawClient
from tests.process.transport import PATIENCE_S, UNARY, Gate, connect
from tests.transport.draining import drain_while_many_call, draining, ended
from tests.transport.serving import PUBLIC, Keeper, inline, serve, serve_methods


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest.mark.behaviour("11.5", "ours: a drain loses no call on a lane")
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("calls_before", [0, 1, 20, 100])
def test_while_many_clients_call_each_call_is_answered_or_unavailable(count, calls_before):
    run = collections.Counter()

    def reverse(request, time_left_s, reply):
        run[request] += 1
        reply.send(request[::-1])

    with serve(reverse, count=count) as server:
        answered = drain_while_many_call(server, server.address, calls_before)
    # What ran was answered, and ran once.
    assert run == collections.Counter(answered)


@pytest.mark.behaviour("11.5", "ours: a drain loses no call on a lane")
def test_a_kept_call_ends_with_its_answer():
    keeper = Keeper()
    with serve(keeper) as server:
        call = server.begin(b"slow")
        reply = keeper.await_arrival()
        drain = draining(server)
        await_refusals(server)
        assert reply.is_active()
        reply.send(b"answer")
        assert call.result(PATIENCE_S) == b"answer"
        assert ended(drain)


@pytest.mark.behaviour("11.5", "ours: a drain loses no call on a lane")
def test_calls_behind_one_that_runs_are_answered_when_it_has_ended(gate):
    with serve(inline(gate)) as server:
        running = server.begin(b"running")
        gate.await_arrival()
        behind = [server.begin(b"%d" % number) for number in range(20)]
        assert server.call(b"later", path=PUBLIC) == b"later"  # Those behind have arrived before it.
        drain = draining(server)
        # Longer than lanes must be quiet for the server to stop.
        drain.join(0.5)
        assert drain.is_alive()
        gate.open()
        assert running.result(PATIENCE_S) == b"running"
        assert [call.result(PATIENCE_S) for call in behind] == [b"%d" % number for number in range(20)]
        assert ended(drain)
    assert sorted(gate.seen) == sorted([b"running", *(b"%d" % number for number in range(20))])


def test_a_method_that_ends_during_a_drain_restarts_the_wait_for_quiet(gate):
    # The calls behind it have not been picked up yet, and the lane looks idle for a moment.
    with serve(inline(gate)) as server:
        call = server.begin()
        gate.await_arrival()
        with server.paused(0):
            gate.open()
            assert call.result(PATIENCE_S) == b""
            assert server.arrivals._noted.wait(PATIENCE_S)


def test_a_call_whose_message_is_still_to_come_is_answered():
    with serve() as server:
        messages = Later()
        call = server.channel.stream_unary(UNARY).future(messages, timeout=PATIENCE_S, metadata=[("a", "b")])
        assert server.call(b"after it") == b"after it"  # It has been accepted before.
        drain = draining(server)
        await_refusals(server)
        messages.send(b"late")
        assert call.result(PATIENCE_S) == b"late"
        assert ended(drain)


@pytest.mark.behaviour("11.5", "ours: a drain loses no call on a lane")
@pytest.mark.parametrize("grace_s", [None, 0.0, 0.3])
@pytest.mark.parametrize("kept", [True, False])
def test_a_call_that_outlasts_the_grace_is_cut(grace_s, kept, gate):
    keeper = Keeper()
    with serve(keeper if kept else inline(gate)) as server:
        call = server.begin(timeout=None)
        (keeper if kept else gate).await_arrival()
        behind = [server.begin(timeout=None) for _ in range(8)]
        assert server.call(path=PUBLIC) == b""  # They have arrived before it.
        stopping = threading.Thread(target=lambda: server.server.stop(grace_s).wait(PATIENCE_S))
        stopping.start()
        codes = {call.exception(PATIENCE_S).code() for call in [call, *behind]}
        assert codes <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert ended(stopping)  # Though the method is still at it.
        gate.open()
        assert server.lanes.join(PATIENCE_S)
        for reply in keeper.replies:
            assert not reply.is_active()
            reply.send(b"late")


def test_a_method_that_never_ends_holds_up_a_drain_no_longer_than_the_grace(gate):
    with serve(inline(gate)) as server:
        call = server.begin(timeout=None)
        gate.await_arrival()
        began_at = time.monotonic()
        with server.paused(0.3):
            pass
        assert 0.3 <= time.monotonic() - began_at < PATIENCE_S / 2
        assert not call.done()
        gate.open()


def test_a_client_that_never_sends_its_message_holds_up_a_drain_no_longer_than_the_grace():
    with serve() as server:
        client = RawClient(server.port)
        client.begin(UNARY)
        assert server.call(b"after it") == b"after it"
        assert ended(draining(server, 0.2))
        client.close()


def test_a_client_that_does_not_read_its_reply_holds_up_a_drain_no_longer_than_the_grace():
    with serve() as server:
        client = RawClient(server.port, window_bytes=0)
        client.call(UNARY, b"x")
        assert server.call(b"after it") == b"after it"
        assert ended(draining(server, 0.2))
        client.close()


def test_a_drain_of_idle_lanes_is_quick():
    with serve(count=3) as server:
        assert server.call(b"x") == b"x"
        began_at = time.monotonic()
        server.drain()
        assert time.monotonic() - began_at < 2


def test_callers_who_try_again_at_once_and_for_ever_do_not_hold_up_a_drain():
    with serve() as server:
        over, calling = threading.Event(), threading.Event()

        def insist():
            with connect(server.address) as channel:
                while not over.is_set():
                    # It does not wait for a reply that is held.
                    channel.unary_unary(UNARY).future(b"", timeout=0.005).exception(PATIENCE_S)
                    calling.set()

        insisting = threading.Thread(target=insist, daemon=True)
        insisting.start()
        assert calling.wait(PATIENCE_S)
        began_at = time.monotonic()
        server.drain()
        assert time.monotonic() - began_at < PATIENCE_S / 2
        over.set()
        assert ended(insisting)


def test_the_threads_end_with_the_server():
    before = set(threading.enumerate())
    with serve_methods(
        {path: inline(lambda request, time_left_s: b"") for path in ("/a.A/A", "/a.A/B")}, count=3
    ) as server:
        assert server.call(path="/a.A/A") == b""
        assert [thread for thread in threading.enumerate() if thread.name.startswith("lane") and thread not in before]
        assert not server.lanes.join(0)
    assert [t.name for t in threading.enumerate() if t.name.startswith("lane") and t not in before] == []


def test_lanes_that_were_never_started_can_be_joined():
    server = grpc.server(None)
    lanes = Lanes(Core(server), {UNARY: inline(lambda request, time_left_s: b"")}, 2, Arrivals())
    server.stop(None).wait(PATIENCE_S)
    assert not lanes.are_busy()
    assert lanes.join(0)


class Later:
    """The one message of a stream, once it is given."""

    def __init__(self):
        self._given, self._messages = threading.Event(), []

    def send(self, message):
        self._messages.append(message)
        self._given.set()

    def __iter__(self):
        return self

    def __next__(self):
        self._given.wait(PATIENCE_S)
        if not self._messages:
            raise StopIteration
        return self._messages.pop()


def await_refusals(server):
    """Make calls until one is refused."""
    ends_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_at:
        call = server.begin(b"is it closed", timeout=0.2)
        error = call.exception(PATIENCE_S)
        if error is not None and error.code() is grpc.StatusCode.UNAVAILABLE:
            return
    raise AssertionError("no call was refused")
