"""When a lane says that it is idle: once it has drained its queue after it handed calls over, and on its own thread."""

import threading

import grpc
import pytest

from servable.errors import NotFound
from tests.process.transport import PATIENCE_S, Gate
from tests.transport.serving import PUBLIC, Keeper, await_end, serve


class Gatherer:
    """A batcher at its simplest: answers all it has gathered when its lane is idle."""

    def __init__(self):
        self.batches, self.threads, self._gathered = [], set(), []
        self.idle = threading.Semaphore(0)

    def __call__(self, request, time_left_s, reply):
        self.threads.add(threading.current_thread())
        self._gathered.append((request, reply))

    def run(self):
        self.threads.add(threading.current_thread())
        work, self._gathered = self._gathered, []
        self.batches.append([request for request, _ in work])
        for request, reply in work:
            reply.send(request + b"!")
        self.idle.release()


def test_a_lone_call_is_run_at_once():
    gatherer = Gatherer()
    with serve(gatherer, on_idle=gatherer.run) as server:
        for number in range(5):
            assert server.call(b"%d" % number) == b"%d!" % number
    assert gatherer.batches == [[b"%d" % number] for number in range(5)]
    assert len(gatherer.threads) == 1


def test_calls_that_came_while_the_lane_was_busy_are_run_together():
    gate, gatherer = Gate(), Gatherer()

    def run():
        gate(b"", None)
        gatherer.run()

    with serve(gatherer, on_idle=run) as server:
        first = server.begin(b"first")
        gate.await_arrival()
        others = [server.begin(b"%d" % number) for number in range(50)]
        # One past the lanes, on the same connection, that is answered says that the calls before it have arrived.
        assert server.call(b"late", path=PUBLIC) == b"late"
        gate.open()
        assert first.result(PATIENCE_S) == b"first!"
        assert [call.result(PATIENCE_S) for call in others] == [b"%d!" % number for number in range(50)]
    assert gatherer.batches[0] == [b"first"]
    assert sorted(gatherer.batches[1], key=int) == [b"%d" % number for number in range(50)]
    assert len(gatherer.batches) == 2


def test_an_idle_lane_is_idle_once():
    gatherer = Gatherer()
    with serve(gatherer, on_idle=gatherer.run) as server:
        assert server.call(b"1") == b"1!"
        assert server.call(b"2") == b"2!"
    # Ended lanes say nothing more. The second call may have come before the end of the first was seen.
    assert gatherer.batches == [[b"1"], [b"2"]]


def test_calls_that_are_answered_at_once_make_no_lane_idle():
    idle = []
    with serve(on_idle=lambda: idle.append(1)) as server:
        calls = [server.begin(b"%d" % number) for number in range(20)]
        assert [call.result(PATIENCE_S) for call in calls] == [b"%d" % number for number in range(20)]
    assert idle == []


def test_a_call_without_a_message_makes_no_lane_idle():
    idle = []
    with serve(on_idle=lambda: idle.append(1)) as server:
        channel = server.channel
        assert channel.stream_unary("/test.Service/Call").future(iter([])).exception(PATIENCE_S) is not None
    assert idle == []


def test_a_cancelled_call_is_seen_before_the_gathered_are_run():
    keeper, active = Keeper(), []
    gate = Gate()

    def run():
        gate(b"", None)
        active.extend(reply.is_active() for reply in keeper.replies)

    with serve(keeper, on_idle=run) as server:
        call = server.begin(timeout=None)
        gate.await_arrival()
        call.cancel()
        gate.open()
        await_end(keeper.await_arrival())
    assert active  # Run at all.


@pytest.mark.parametrize("error", [NotFound("x"), ZeroDivisionError()])
def test_a_lane_survives_what_its_idle_function_raises(error, caplog):
    keeper = Keeper()

    def run():
        keeper.replies[-1].send(keeper.requests[-1])
        raise error

    with serve(keeper, on_idle=run) as server:
        assert [server.call(b"%d" % number) for number in range(3)] == [b"0", b"1", b"2"]
    assert {record.exc_info[1] for record in caplog.records} == {error}


def test_a_drain_answers_what_was_gathered_and_refuses_what_came_behind():
    gate, gatherer = Gate(), Gatherer()

    def run():
        gate(b"", None)
        gatherer.run()

    with serve(gatherer, on_idle=run) as server:
        call = server.begin(b"gathered")
        gate.await_arrival()
        behind = [server.begin(b"%d" % number) for number in range(20)]
        assert server.call(path=PUBLIC) == b""  # They have arrived before it.
        drain = threading.Thread(target=server.drain)
        drain.start()
        drain.join(0.5)
        assert drain.is_alive()
        gate.open()
        assert call.result(PATIENCE_S) == b"gathered!"
        # One whose message was asked for before the drain may be gathered still.
        errors = [call.exception(PATIENCE_S) for call in behind]
        assert {error.code() for error in errors if error is not None} == {grpc.StatusCode.UNAVAILABLE}
        drain.join(PATIENCE_S)
        assert not drain.is_alive()
