"""Calls that nobody waits for any more: cancelled ones, and those whose deadline has passed."""

import time

import grpc
import pytest

from servable.errors import NotFound
from servable.transport import lane
from tests.process.transport import PATIENCE_S, Gate
from tests.transport.serving import PUBLIC, Keeper, await_end, inline, serve


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


def await_arrival_of_all(server):
    """Wait for the answer to a later call of the same connection, past the lanes."""
    assert server.call(b"later", path=PUBLIC) == b"later"


def test_a_kept_reply_learns_of_its_cancellation_at_once():
    keeper = Keeper()
    with serve(keeper) as server:
        call = server.begin(timeout=None)
        reply = keeper.await_arrival()
        assert reply.is_active()
        call.cancel()
        await_end(reply)


def test_a_kept_reply_is_not_active_once_its_deadline_has_passed():
    keeper = Keeper()
    with serve(keeper) as server:
        call = server.begin(timeout=0.2)
        reply = keeper.await_arrival()
        assert call.exception(PATIENCE_S).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await_end(reply)


def test_a_deadline_passes_while_the_lane_is_blocked():
    # The end of the call cannot be heard of, as the lane itself asks.
    seen = []

    def ask(request, time_left_s, reply):
        ends_at = time.monotonic() + PATIENCE_S
        while reply.is_active() and time.monotonic() < ends_at:
            time.sleep(0.001)
        seen.append(time.monotonic() < ends_at)
        reply.send(b"")

    with serve(ask) as server:
        # The deadline passes at about the same time on both sides, so the late reply may be in time.
        server.error_of(timeout=0.1)
    assert seen == [True]


@pytest.mark.parametrize("answer", [lambda reply: reply.send(b"late"), lambda reply: reply.fail(NotFound("late"))])
@pytest.mark.parametrize("heard", [True, False])
def test_answering_a_cancelled_call_is_harmless(answer, heard, caplog):
    keeper = Keeper()
    with serve(keeper) as server:
        for _ in range(50):
            call = server.begin(timeout=None)
            reply = keeper.await_arrival()
            call.cancel()
            if heard:
                await_end(reply)
            answer(reply)
        call = server.begin(b"next")
        keeper.await_arrival().send(b"answer")
        assert call.result(PATIENCE_S) == b"answer"
    assert caplog.records == []


def test_a_call_that_ends_before_it_is_answered_is_counted():
    keeper = Keeper()
    with serve(keeper) as server:
        answered = server.begin()
        keeper.await_arrival().send(b"")
        answered.result(PATIENCE_S)
        assert server.lanes.count_aborted_calls() == 0
        call = server.begin()
        reply = keeper.await_arrival()
        assert server.lanes.count_open_calls() == 1
        call.cancel()
        await_end(reply)
        # The event that ends the call is one step of the lane.
        server.call(path=PUBLIC)
        assert server.lanes.count_aborted_calls() == 1


@pytest.mark.behaviour("11.2", "ours: on a lane too what was cancelled or is late is not run")
def test_a_call_that_was_cancelled_while_it_waited_is_not_run(gate):
    with serve(inline(gate)) as server:
        first = server.begin(b"first")
        gate.await_arrival()
        waiting = server.begin(b"cancelled")
        last = server.begin(b"last")
        await_arrival_of_all(server)
        waiting.cancel()
        await_arrival_of_all(server)
        gate.open()
        assert [first.result(PATIENCE_S), last.result(PATIENCE_S)] == [b"first", b"last"]
    assert gate.seen == [b"first", b"last"]


@pytest.mark.behaviour("11.2", "ours: on a lane too what was cancelled or is late is not run")
def test_a_call_whose_deadline_passed_while_it_waited_is_not_run(gate):
    with serve(inline(gate)) as server:
        first = server.begin(b"first")
        gate.await_arrival()
        late = server.begin(b"late", timeout=0.2)
        assert late.exception(PATIENCE_S).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        last = server.begin(b"last")
        await_arrival_of_all(server)
        gate.open()
        assert [first.result(PATIENCE_S), last.result(PATIENCE_S)] == [b"first", b"last"]
    assert gate.seen == [b"first", b"last"]


class Recorder:
    """A call of the core that runs no operation, and one of its events."""

    def __init__(self, message=b"request"):
        self.batches, self.tag = [], None
        self.batch_operations = [self]
        self.message = lambda: message

    def start_server_batch(self, operations, tag):
        self.batches.append([type(operation).__name__ for operation in operations])
        return 0


CLOSE = "ReceiveCloseOnServerOperation"
STATUS = ["SendInitialMetadataOperation", "SendStatusFromServerOperation", CLOSE]


@pytest.mark.parametrize(("left_s", "runs", "batches"), [(-1.0, [], [STATUS]), (60.0, [b"request"], [[CLOSE]])])
def test_a_message_that_comes_after_the_deadline_is_not_run(left_s, runs, batches):
    # The core ends such calls by itself, but not in the same moment.
    seen, call = [], Recorder()
    with serve() as server:
        idle_lane = server.lanes._lanes[0]
        listener = lane._MethodListener(idle_lane, None, None, "/path", lambda request, *_: seen.append(request))
        lane._CallReply(idle_lane, listener, call, time.monotonic() + left_s).run(call)
    assert seen == runs
    assert call.batches == batches


def test_a_message_of_a_call_that_is_over_is_not_run():
    seen, call = [], Recorder()
    with serve() as server:
        idle_lane = server.lanes._lanes[0]
        idle_lane.expected += 1
        listener = lane._MethodListener(idle_lane, None, None, "/path", lambda request, *_: seen.append(request))
        reply = lane._CallReply(idle_lane, listener, call, float("inf"))
        reply.end(call)
        reply.run(call)
    assert seen == call.batches == []


@pytest.mark.behaviour("11.2", "ours: thousands of calls may wait for a busy lane")
def test_more_calls_than_the_core_keeps_by_itself_wait_for_a_busy_lane(gate):
    with serve(inline(gate)) as server:
        first = server.begin(b"first")
        gate.await_arrival()
        calls = [server.begin(b"%d" % number) for number in range(3500)]
        await_arrival_of_all(server)
        gate.open()
        assert first.result(PATIENCE_S) == b"first"
        assert [call.result(PATIENCE_S) for call in calls] == [b"%d" % number for number in range(3500)]
