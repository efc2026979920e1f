"""The invariants of the scheduler, under threads that yield anywhere: after any line of the scheduler's modules.

A tracer yields the processor after random lines, so that threads interleave anywhere.
Each seed is another schedule as far as the system lets it be; what fails with one need not fail with it each time.
"""

import contextlib
import random
import sys
import threading
import time
from collections import Counter

import pytest

from servable.batching import queues as queues_module
from servable.batching import scheduler as scheduler_module
from servable.batching.counts import BatchCounts
from servable.batching.queues import BatchQueue, FifoQueue
from servable.batching.scheduler import Scheduler
from servable.batching.tasks import QueuedCall
from servable.config.batching import QueueLimits
from servable.errors import Unavailable
from tests.batching.fakes import TIMEOUT_S, FakeReply, FakeRunner, task

TRACED = {scheduler_module.__file__, queues_module.__file__}
THREADS, CALLERS, CALLS = 3, 5, 40
SEEDS = range(12)


@contextlib.contextmanager
def yielding(seed):
    """Threads that begin meanwhile yield the processor after some lines."""
    chance = random.Random(seed)

    def trace(frame, event, argument):
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line" and chance.random() < 0.2:
            time.sleep(chance.choice([0.0, 0.0, 1e-6, 1e-4]))  # So that another thread overtakes this one.
        return trace

    threading.settrace(trace)
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield chance
    finally:
        sys.setswitchinterval(interval_s)
        threading.settrace(None)


class Watched(FifoQueue):
    """A queue that notes a fault if two threads are in it at the same time, but for `run`."""

    def __init__(self, name, faults, most_in_flight=sys.maxsize):
        super().__init__()
        self.name, self.faults, self.max_in_flight = name, faults, most_in_flight
        self._inside = threading.Lock()

    def _enter(self, what):
        if not self._inside.acquire(blocking=False):
            self.faults.append(f"{self.name}: two threads at once, {what}")
            return False
        return True

    def add(self, task, now_s):
        entered = self._enter("add")
        try:
            return super().add(task, now_s)
        finally:
            if entered:
                self._inside.release()

    def take(self):
        entered = self._enter("take")
        try:
            if self.in_flight >= self.max_in_flight:
                self.faults.append(f"{self.name}: more in flight than may be")
            return super().take()
        finally:
            if entered:
                self._inside.release()

    def run(self, job):
        super().run(job)
        return 0.0

    def note_run(self, job, seconds, ended_s):
        if self._enter("note_run"):
            self._inside.release()


class Call(QueuedCall):
    """Runs once; `ends` counts how it was answered."""

    def __init__(self, ends, number):
        super().__init__(FakeReply(), None)
        self._ends, self._number = ends, number

    def run(self):
        self._ends[self._number] += 1

    def fail(self, error):
        self._ends[self._number] += 1


@pytest.mark.parametrize("seed", SEEDS)
def test_each_call_is_run_once_by_any_mix_of_callers(seed):
    with yielding(seed) as chance:
        scheduler, faults, ends = Scheduler(THREADS), [], Counter()
        queues = [Watched(name, faults, most) for name, most in (("one", 1), ("two", 2), ("any", sys.maxsize))]
        scheduler.start()
        plans = [
            [(chance.choice(queues), chance.choice(["thread", "here", "refused", "woken"])) for _ in range(CALLS)]
            for _ in range(CALLERS)
        ]

        def call(number):
            for index, (queue, how) in enumerate(plans[number]):
                scheduler.add(queue, Call(ends, (number, index)), wakes=how == "thread")
                if how == "woken":
                    scheduler.wake(queue)
                elif how != "thread":
                    scheduler.run_here(queue, lambda how=how: how == "here")

        run_all(call)
        wait_until(lambda: len(ends) == CALLERS * CALLS and not any(queue.in_flight for queue in queues))
        assert scheduler.stop(TIMEOUT_S)
    assert set(ends.values()) == {1}
    assert not faults
    assert not scheduler._waiting


@pytest.mark.parametrize("seed", SEEDS)
def test_no_job_is_left_behind_when_calls_cease(seed):
    """Few calls a round, and then none: no later call wakes a thread for a job that was left behind."""
    with yielding(seed) as chance:
        scheduler, ends = Scheduler(THREADS), Counter()
        queue = Watched("one", [], 1)
        scheduler.start()
        for round_number in range(30):
            hows = [chance.choice(["thread", "here", "refused"]) for _ in range(3)]

            def call(number, round_number=round_number, hows=hows):
                if number < len(hows):
                    how = hows[number]
                    scheduler.add(queue, Call(ends, (round_number, number)), wakes=how == "thread")
                    if how != "thread":
                        scheduler.run_here(queue, lambda: how == "here")

            run_all(call)
            wait_until(lambda round_number=round_number: len(ends) == 3 * (round_number + 1) and not queue.in_flight)
        assert scheduler.stop(TIMEOUT_S)
    assert set(ends.values()) == {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_jobs_that_may_run_at_the_same_time_do(seed):
    """Two jobs wait for each other: each is taken while the other one's thread is busy."""
    with yielding(seed) as chance:
        scheduler, ends = Scheduler(THREADS), Counter()
        queues = [Watched(name, []) for name in ("a", "b")]
        scheduler.start()
        for round_number in range(15):
            meeting = threading.Barrier(2)

            class Meeting(Call):
                def run(self, meeting=meeting):
                    meeting.wait(TIMEOUT_S)
                    super().run()

            used = chance.choice([queues, queues[:1] * 2])
            for number, queue in enumerate(used):
                scheduler.add(queue, Meeting(ends, (round_number, number)), wakes=number == 0 or queue is used[0])
                if queue is not used[0]:
                    scheduler.wake(queue)
            wait_until(lambda round_number=round_number: len(ends) == 2 * (round_number + 1))
        assert scheduler.stop(TIMEOUT_S)
    assert set(ends.values()) == {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_busy_queue_never_takes_the_last_idle_thread(seed):
    with yielding(seed):
        scheduler, gate, ends = Scheduler(THREADS), threading.Event(), Counter()
        busy = Watched("busy", [])

        class Held(Call):
            def run(self):
                super().run()
                assert gate.wait(TIMEOUT_S)

        scheduler.start()
        for number in range(9):
            scheduler.add(busy, Held(ends, number))

        def call(number):
            own = Watched(f"own {number}", [])
            for index in range(CALLS // 4):
                scheduler.add(own, Call(ends, (number, index)))
                wait_until(lambda index=index: (number, index) in ends)

        run_all(call)
        gate.set()
        wait_until(lambda: not busy.in_flight and len(ends) == 9 + CALLERS * (CALLS // 4))
        assert scheduler.stop(TIMEOUT_S)
    assert set(ends.values()) == {1}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_comes_around_a_stop_is_run_or_refused_once(seed):
    with yielding(seed):
        scheduler, ends, refused = Scheduler(THREADS), Counter(), Counter()
        queues = [Watched(name, [], most) for name, most in (("one", 1), ("any", sys.maxsize))]
        scheduler.start()

        def call(number):
            for index in range(CALLS):
                if (number, index) == (0, CALLS // 2):
                    scheduler.stop(TIMEOUT_S)
                try:
                    scheduler.add(queues[index % 2], Call(ends, (number, index)))
                except Unavailable:
                    refused[number, index] += 1

        run_all(call)
        wait_until(lambda: len(ends) + len(refused) == CALLERS * CALLS)
    assert set((ends + refused).values()) == {1}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("timeout_s", [0.0, 0.002])
def test_rows_that_gather_are_answered_each_with_its_own(seed, timeout_s):
    with yielding(seed) as chance:
        scheduler = Scheduler(THREADS)
        limits = QueueLimits(max_batch_rows=4, max_batches=1000, timeout_s=timeout_s, longest_run_s=0.03)
        queue, runner = BatchQueue(limits, BatchCounts(), 1e-3), FakeRunner()
        scheduler.start()
        wanted, plans = {}, [[chance.random() < 0.5 for _ in range(CALLS)] for _ in range(CALLERS)]

        def call(number):
            for index, runs_here in enumerate(plans[number]):
                value = number * CALLS + index
                waiting, wanted[value] = task(runner, [value])
                scheduler.add(queue, waiting, wakes=not runs_here)
                if runs_here:
                    scheduler.run_here(queue, lambda: True)
                    scheduler.wake(queue)

        run_all(call)
        assert {value: reply.wait() for value, reply in wanted.items()} == {
            value: [[2 * value]] for value in range(CALLERS * CALLS)
        }
        wait_until(lambda: not queue.in_flight)
        assert scheduler.stop(TIMEOUT_S)
    assert len(queue) == 0


def run_all(call):
    callers = [threading.Thread(target=call, args=[number]) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(TIMEOUT_S)
        assert not caller.is_alive()


def wait_until(condition):
    ends_at_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < ends_at_s, "a job is left behind"
        time.sleep(0.001)  # Bounded; there is no event to wait for.
