"""A method that takes far longer than estimated delays its own caller, and no other call of its lane."""

import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servable.methods import without_context
from servable.transport import lane as lane_module
from servable.transport.server import GrpcServer, HotMethods, ServerSettings
from servable.transport.watchdog import Watchdog
from tests.process.transport import PATIENCE_S, UNARY, Gate, connect
from tests.transport.serving import PUBLIC, Keeper, inline, serve, serve_methods

SLOW, QUICK = "/test.Service/Slow", "/test.Service/Quick"


class Overruns:
    """The threads that the watchdog reports."""

    def __init__(self):
        self.threads = []

    def __call__(self, thread_id):
        self.threads.append(thread_id)


class ManyGates:
    """A method whose calls each block their thread until all are released."""

    def __init__(self):
        self.arrived, self._opened, self.threads = threading.Semaphore(0), threading.Event(), []

    def __call__(self, request, time_left_s):
        self.threads.append(threading.get_ident())
        self.arrived.release()
        assert self._opened.wait(PATIENCE_S)
        return request

    def await_arrival(self):
        assert self.arrived.acquire(timeout=PATIENCE_S)

    def open(self):
        self._opened.set()


@pytest.fixture
def gates():
    gates = ManyGates()
    yield gates
    gates.open()


def watched(methods, overruns=None, **settings):
    """A LaneServer whose lanes the real watchdog watches."""
    return serve_methods(methods, watchdog=Watchdog(overruns or Overruns()), **settings)


def methods_of(gates):
    return {SLOW: inline(gates), QUICK: inline(lambda request, time_left_s: request)}


@pytest.mark.parametrize("count", [1, 2])
def test_calls_behind_a_method_that_takes_long_are_answered(gates, count):
    overruns = Overruns()
    with watched(methods_of(gates), overruns, count=count) as server:
        slow = server.begin(b"slow", path=SLOW)
        gates.await_arrival()
        for number in range(100):
            assert server.call(b"%d" % number, path=QUICK) == b"%d" % number
        assert not slow.done()
        gates.open()
        assert slow.result(PATIENCE_S) == b"slow"
    if count == 1:
        assert overruns.threads == gates.threads


def test_calls_that_wait_already_when_it_begins_are_answered(gates):
    with watched(methods_of(gates)) as server:
        slow = [server.begin(b"slow", path=SLOW) for _ in range(3)]
        quick = [server.begin(b"%d" % number, path=QUICK) for number in range(50)]
        assert [call.result(PATIENCE_S) for call in quick] == [b"%d" % number for number in range(50)]
        gates.open()
        assert [call.result(PATIENCE_S) for call in slow] == [b"slow"] * 3


def test_several_methods_that_take_long_block_no_other_call(gates):
    with watched(methods_of(gates)) as server:
        slow = []
        for number in range(8):
            slow.append(server.begin(b"%d" % number, path=SLOW))
            gates.await_arrival()
            assert server.call(b"quick", path=QUICK) == b"quick"
        assert len(set(gates.threads)) == 8
        gates.open()
        assert [call.result(PATIENCE_S) for call in slow] == [b"%d" % number for number in range(8)]
        # The threads of methods that are over have ended, but for the one that leads.
        for _ in range(100):
            assert server.call(b"quick", path=QUICK) == b"quick"
        wait_until(lambda: not server.lanes._lanes[0]._deposed)


def wait_until(condition):
    ends_at_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_at_s
        time.sleep(0.001)  # There is no event for the end of a deposed thread.


def test_the_last_thread_of_a_lane_may_run_no_model(gates):
    seen = []

    def ask(request, time_left_s, reply):
        seen.append(reply.may_run_here())
        reply.send(request)

    with watched({SLOW: inline(gates), QUICK: ask}) as server:
        slow = []
        for _ in range(lane_module._MOST_DEPOSED):
            assert server.call(path=QUICK) == b""
            slow.append(server.begin(path=SLOW))
            gates.await_arrival()
        assert server.call(path=QUICK) == b""
        gates.open()
        for call in slow:
            call.result(PATIENCE_S)
    assert seen == [True] * lane_module._MOST_DEPOSED + [False]


def test_a_caller_that_gives_up_frees_nothing_and_blocks_no_other(gates):
    with watched(methods_of(gates)) as server:
        slow = server.begin(path=SLOW, timeout=0.05)
        gates.await_arrival()
        assert slow.exception(PATIENCE_S).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert server.call(b"quick", path=QUICK) == b"quick"
        gates.open()


@pytest.mark.parametrize("raises", [False, True])
def test_what_the_deposed_thread_returns_is_answered(raises):
    gate = Gate()

    def method(request, time_left_s, reply):
        gate(request, time_left_s)
        if raises:
            raise ZeroDivisionError
        reply.send(request)

    with watched({SLOW: method, QUICK: inline(lambda request, time_left_s: request)}) as server:
        slow = server.begin(b"slow", path=SLOW)
        gate.await_arrival()
        assert server.call(b"quick", path=QUICK) == b"quick"
        gate.open()
        if raises:
            assert slow.exception(PATIENCE_S).code() is grpc.StatusCode.INTERNAL
        else:
            assert slow.result(PATIENCE_S) == b"slow"
        assert server.call(b"quick", path=QUICK) == b"quick"


def test_a_reply_that_a_deposed_thread_keeps_learns_of_its_end():
    gate, keeper = Gate(), Keeper()

    def method(request, time_left_s, reply):
        gate(request, time_left_s)
        keeper(request, time_left_s, reply)

    with watched({SLOW: method, QUICK: inline(lambda request, time_left_s: request)}) as server:
        call = server.begin(path=SLOW, timeout=None)
        gate.await_arrival()
        assert server.call(path=QUICK) == b""
        gate.open()
        reply = keeper.await_arrival()
        wait_until(lambda: not server.lanes._lanes[0]._deposed)
        call.cancel()
        wait_until(lambda: not reply.is_active())


class Deferred:
    """What methods gather; its first run blocks."""

    def __init__(self, gate):
        self._gate, self.replies, self.handed_over = gate, [], 0

    def __call__(self, request, time_left_s, reply):
        self.replies.append(reply)
        return self

    def is_full(self):
        return False

    def run(self):
        replies, self.replies = self.replies, []
        self._gate(b"", None)
        for reply in replies:
            reply.send(b"run")

    def hand_over(self):
        self.handed_over += 1
        for reply in self.replies:
            reply.send(b"handed over")


def test_a_deferred_run_that_takes_long_leaves_the_lane_and_what_else_is_gathered_to_others():
    gate, free = Gate(), Gate()
    free.open()
    blocks, light = Deferred(gate), Deferred(free)
    with watched({SLOW: blocks, QUICK: light}) as server:
        slow = server.begin(path=SLOW)
        gate.await_arrival()
        # While the other call is open the lane is never without one, so this one waits for an idle moment.
        assert server.call(path=QUICK) in {b"run", b"handed over"}
        assert not slow.done()
        gate.open()
        assert slow.result(PATIENCE_S) == b"run"


def test_a_batch_that_a_deposed_thread_would_have_gathered_is_handed_over():
    gate, deferred = Gate(), Deferred(Gate())

    def method(request, time_left_s, reply):
        gate(request, time_left_s)
        return deferred(request, time_left_s, reply)

    with watched({SLOW: method, QUICK: inline(lambda request, time_left_s: request)}) as server:
        slow = server.begin(path=SLOW)
        gate.await_arrival()
        assert server.call(path=QUICK) == b""
        gate.open()
        assert slow.result(PATIENCE_S) == b"handed over"


def test_a_server_that_stops_waits_for_deposed_threads_as_for_others(gates):
    with watched(methods_of(gates)) as server:
        slow = server.begin(path=SLOW)
        gates.await_arrival()
        assert server.call(path=QUICK) == b""
        stopped = server.server.stop(0)
        assert stopped.wait(PATIENCE_S)
        assert slow.exception(PATIENCE_S) is not None
        assert not server.lanes.join(0.05)
        gates.open()
        assert server.lanes.join(PATIENCE_S)


class FailingQueue:
    """A completion queue whose polls fail a number of times."""

    def __init__(self, queue, times):
        self._queue, self.times_left = queue, times
        self.failed = threading.Event()

    def poll(self, deadline):
        if self.times_left:
            self.times_left -= 1
            if not self.times_left:
                self.failed.set()
            raise RuntimeError("the queue is out of order")
        return self._queue.poll(deadline)


def break_queue(server, times):
    """Let polls of the first lane fail from its next one on."""
    first = server.lanes._lanes[0]
    queue = first._queue = FailingQueue(first._queue, times)
    server.begin(b"wakes the lane", timeout=0.5).exception(PATIENCE_S)
    return queue


def test_a_poll_that_fails_once_is_logged_and_costs_no_call(caplog):
    with serve() as server:
        queue = break_queue(server, 2)
        for number in range(20):
            assert server.call(b"%d" % number) == b"%d" % number
        assert queue.failed.is_set()
    assert "lane 0 could not poll its completion queue" in caplog.text
    assert "the queue is out of order" in caplog.text


def test_when_a_lane_dies_it_is_reported_and_another_takes_its_calls(caplog):
    deaths = []
    with serve(on_death=deaths.append) as server:
        queue = break_queue(server, 10_000)
        wait_until(lambda: deaths)
        # What the core had already given to the dead lane is lost; those behind are answered.
        lost = [server.begin(b"%d" % number, timeout=0.5) for number in range(lane_module._OUTSTANDING)]
        for call in lost:
            call.exception(PATIENCE_S)
        for number in range(20):
            assert server.call(b"%d" % number) == b"%d" % number
        # What is left in the queue of the dead lane would keep the server from its end.
        queue.times_left = 0
        while queue.poll(time.time() + 0.1).tag is not None:
            pass
    (text,) = deaths
    assert text.startswith("lane 0 has ended")


def test_a_server_whose_lane_dies_says_not_serving_and_answers_by_another_lane(caplog):
    settings = ServerSettings(["127.0.0.1:0"], lanes=1)
    methods = {UNARY: lambda request, time_left_s: request}
    server = GrpcServer(
        {UNARY: without_context(methods[UNARY])}, settings, hot_methods=HotMethods({UNARY: inline(methods[UNARY])})
    )
    (port,) = server.start()
    server.health.set_serving("", serving=True)
    first = server._lanes._lanes[0]
    with connect(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(UNARY)
        ask = health_pb2_grpc.HealthStub(channel).Check
        assert ask(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        first._queue = FailingQueue(first._queue, 10_000)
        for _ in range(lane_module._OUTSTANDING + 1):
            call.future(b"lost", timeout=0.3).exception(PATIENCE_S)
        wait_until(lambda: ask(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.NOT_SERVING)
        for number in range(20):
            assert call(b"%d" % number, timeout=PATIENCE_S) == b"%d" % number
        assert "NOT_SERVING from now on: lane 0 has ended" in caplog.text
        first._queue.times_left = 0
        while first._queue.poll(time.time() + 0.1).tag is not None:
            pass
    server.stop()


def test_an_exception_of_any_kind_ends_no_lane(caplog):
    def method(request, time_left_s, reply):
        if request == b"exit":
            raise SystemExit(3)
        reply.send(request)

    with serve(method) as server:
        exiting = server.begin(b"exit", timeout=PATIENCE_S)
        assert exiting.exception(PATIENCE_S).code() is grpc.StatusCode.INTERNAL
        assert server.call(b"after it") == b"after it"
        assert server.call(b"past it", path=PUBLIC) == b"past it"
    assert "SystemExit" in caplog.text


class CountingWatchdog(Watchdog):
    """Counts how often it goes to sleep and is woken."""

    sleeps = wakes = 0

    def wake(self):
        self.wakes += 1
        super().wake()

    def _sleep(self, lanes, seen):
        self.sleeps += 1
        super()._sleep(lanes, seen)


def test_an_idle_watchdog_sleeps_and_each_call_that_finds_it_asleep_wakes_it():
    dog = CountingWatchdog(Overruns())
    with serve_methods({UNARY: inline(lambda request, time_left_s: request)}, watchdog=dog) as server:
        for number in range(3):
            # Just after it was woken it may still count as asleep, and then be awake when the call comes.
            wait_until(lambda asleep=number + 1: dog.sleeps >= asleep and dog.is_asleep)
            assert dog.wakes >= number
            assert server.call(b"x") == b"x"
    assert dog.wakes >= 3
