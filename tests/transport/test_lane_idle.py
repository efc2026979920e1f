"""When a lane runs what its methods gathered: once it has no other call, when that is full, or after a moment."""

import threading

import pytest

from servable.errors import NotFound
from servable.transport import lane
from tests.process.transport import PATIENCE_S, UNARY, Gate
from tests.transport.serving import PUBLIC, Keeper, await_end, serve, serve_methods


class Gatherer:
    """A batcher at its simplest: answers all that it has gathered when it is run. A method and its DeferredRun."""

    def __init__(self, gate=None, most=1000):
        self.batches, self.threads, self.handed_over = [], set(), 0
        self._gathered, self._gate, self._most = [], gate, most

    def __call__(self, request, time_left_s, reply):
        self.threads.add(threading.current_thread())
        self._gathered.append((request, reply))
        return self

    def is_full(self):
        return len(self._gathered) >= self._most

    def run(self):
        self.threads.add(threading.current_thread())
        if self._gate is not None:
            self._gate(b"", None)
        work, self._gathered = self._gathered, []
        self.batches.append([request for request, _ in work])
        for request, reply in work:
            reply.send(request + b"!")

    def hand_over(self):
        self.handed_over += 1
        threading.Thread(target=self.run).start()


def test_a_lone_call_is_run_at_once():
    gatherer = Gatherer()
    with serve(gatherer) as server:
        for number in range(5):
            assert server.call(b"%d" % number) == b"%d!" % number
    assert gatherer.batches == [[b"%d" % number] for number in range(5)]
    assert len(gatherer.threads) == 1


def test_calls_that_came_while_the_lane_was_busy_are_run_together():
    gate = Gate()
    gatherer = Gatherer(gate)
    with serve(gatherer) as server:
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
    with serve(gatherer) as server:
        assert server.call(b"1") == b"1!"
        assert server.call(b"2") == b"2!"
    # Ended lanes say nothing more. The second call may have come before the end of the first was seen.
    assert gatherer.batches == [[b"1"], [b"2"]]


def test_what_is_full_waits_for_no_idle_lane():
    gatherer = Gatherer(most=1)
    with serve(gatherer) as server:
        calls = [server.begin(b"%d" % number) for number in range(20)]
        assert [call.result(PATIENCE_S) for call in calls] == [b"%d!" % number for number in range(20)]
    assert {len(batch) for batch in gatherer.batches} == {1}


ECHO = "/test.Service/Echo"


def test_a_lane_that_is_never_idle_runs_what_was_gathered_all_the_same():
    gatherer, answered = Gatherer(), threading.Event()

    def echo(request, time_left_s, reply):
        reply.send(request)

    with serve_methods({UNARY: gatherer, ECHO: echo}) as server:
        stop, echoes = threading.Event(), []

        def call_again(call):
            echoes.append(call)
            if not stop.is_set():
                server.begin(path=ECHO).add_done_callback(call_again)

        for _ in range(64):
            server.begin(path=ECHO).add_done_callback(call_again)
        rare = server.begin(b"rare")
        rare.add_done_callback(lambda _call: answered.set())
        assert answered.wait(PATIENCE_S)
        assert rare.result() == b"rare!"
        stop.set()


def test_what_was_gathered_longest_is_run_and_the_rest_that_is_overdue_handed_over(monkeypatch):
    # No lane is ever idle in this one: each method comes while other calls are open.
    monkeypatch.setattr(lane, "_LONGEST_GATHERING_S", -1.0)
    gatherers = [Gatherer() for _ in range(5)]
    each = iter(gatherers)
    gate = Gate()

    def gather(request, time_left_s, reply):
        if request == b"first":
            gate(b"", None)
        return next(each)(request, time_left_s, reply)

    with serve(gather) as server:
        first = server.begin(b"first")
        gate.await_arrival()
        others = [server.begin(b"%d" % number) for number in range(4)]
        assert server.call(b"late", path=PUBLIC) == b"late"  # The others have arrived before it.
        gate.open()
        assert first.result(PATIENCE_S) == b"first!"
        assert [call.result(PATIENCE_S) for call in others] == [b"%d!" % number for number in range(4)]
    assert sum(len(gatherer.batches) for gatherer in gatherers) == 5


@pytest.mark.parametrize("error", [NotFound("x"), ZeroDivisionError()])
def test_a_lane_survives_what_a_deferred_run_raises(error, caplog):
    class Raising(Gatherer):
        def run(self):
            super().run()
            raise error

    with serve(Raising()) as server:
        assert [server.call(b"%d" % number) for number in range(3)] == [b"0!", b"1!", b"2!"]
    assert {record.exc_info[1] for record in caplog.records} == {error}


def test_a_cancelled_call_is_seen_before_the_gathered_are_run():
    keeper, active, gate = Keeper(), [], Gate()

    class Looking(Gatherer):
        def __call__(self, request, time_left_s, reply):
            keeper(request, time_left_s, reply)
            return self

        def run(self):
            gate(b"", None)
            active.extend(reply.is_active() for reply in keeper.replies)

    with serve(Looking()) as server:
        call = server.begin(timeout=None)
        gate.await_arrival()
        call.cancel()
        gate.open()
        await_end(keeper.await_arrival())
    assert active  # Run at all.


def test_a_drain_answers_what_was_gathered_and_what_came_behind():
    gate = Gate()
    gatherer = Gatherer(gate)
    with serve(gatherer) as server:
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
        assert [call.result(PATIENCE_S) for call in behind] == [b"%d!" % number for number in range(20)]
        drain.join(PATIENCE_S)
        assert not drain.is_alive()
