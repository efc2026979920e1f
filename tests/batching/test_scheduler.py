"""Threads for queues: turns, limits, timeouts, and no job left behind. Real threads that wait for events."""

import threading
import time
import weakref

import pytest

from servable.batching.scheduler import Scheduler
from servable.errors import Unavailable
from tests.batching.fakes import TIMEOUT_S


class Job:
    """Runs until it is released."""

    def __init__(self, *, held=False, error=None):
        self.began, self.go_on, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.error, self.refusals, self.thread = error, [], None
        if not held:
            self.go_on.set()

    def run(self):
        self.thread = threading.current_thread()
        self.began.set()
        assert self.go_on.wait(TIMEOUT_S)
        self.ended.set()
        if self.error is not None:
            raise self.error


class FakeQueue:
    """Jobs as they came, each due some time after it is added."""

    def __init__(self, max_in_flight=1):
        self.in_flight, self.max_in_flight = 0, max_in_flight
        self.jobs, self.most_in_flight = [], 0

    def add(self, task, now_s):
        job, after_s = task
        if job is None:
            raise Unavailable("full")
        self.jobs.append((now_s + after_s, job))

    def due_s(self):
        return min(due for due, _ in self.jobs) if self.jobs else None

    def take(self):
        self.jobs.sort(key=lambda entry: entry[0])
        return self.jobs.pop(0)[1]

    def run(self, job):
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        job.run()

    def note_run(self, job, seconds, ended_s):
        pass

    def refuse(self, job, error):
        job.refusals.append(error)


@pytest.fixture
def start():
    """Schedulers that are stopped at the end."""
    started = []

    def start_one(threads):
        scheduler = Scheduler(threads)
        scheduler.start()
        started.append(scheduler)
        return scheduler

    yield start_one
    for scheduler in started:
        assert scheduler.stop(TIMEOUT_S)


def add(scheduler, queue, *jobs, after_s=0.0, wakes=True):
    for job in jobs:
        scheduler.add(queue, (job, after_s), wakes=wakes)


def await_sleep(scheduler, threads):
    """Return when so many threads have found nothing to do."""
    ends_at_s = time.monotonic() + TIMEOUT_S
    while scheduler._asleep < threads:
        assert time.monotonic() < ends_at_s
        threading.Event().wait(0.001)


def all_end(*jobs):
    return all(job.ended.wait(TIMEOUT_S) for job in jobs)


@pytest.mark.behaviour("8.1", "batch_timeout_micros 0 runs a batch as soon as a thread is free")
def test_what_is_added_runs(start):
    scheduler, queue, jobs = start(2), FakeQueue(), [Job() for _ in range(20)]
    await_sleep(scheduler, 2)
    add(scheduler, queue, *jobs)
    assert all_end(*jobs)


@pytest.mark.behaviour("8.2", "models and versions share threads in turns, and no batch")
def test_a_queue_runs_no_more_jobs_at_a_time_than_it_may_and_others_go_on(start):
    scheduler, busy, light = start(2), FakeQueue(), FakeQueue()
    first, second, other = Job(held=True), Job(), Job()
    add(scheduler, busy, first, second)
    assert first.began.wait(TIMEOUT_S)
    add(scheduler, light, other)
    assert all_end(other)
    assert not second.began.is_set()
    first.go_on.set()
    assert all_end(second)
    assert busy.most_in_flight == 1


def test_a_queue_runs_as_many_jobs_at_a_time_as_it_may(start):
    scheduler, queue = start(4), FakeQueue(max_in_flight=3)
    jobs = [Job(held=True) for _ in range(3)]
    add(scheduler, queue, *jobs)
    assert all(job.began.wait(TIMEOUT_S) for job in jobs)
    for job in jobs:
        job.go_on.set()
    assert all_end(*jobs)


def test_however_many_jobs_wait_the_last_idle_thread_is_kept_for_another_queue(start):
    scheduler, busy, light = start(3), FakeQueue(max_in_flight=99), FakeQueue()
    held, others = [Job(held=True) for _ in range(9)], [Job() for _ in range(3)]
    add(scheduler, busy, *held)
    assert held[0].began.wait(TIMEOUT_S)
    assert held[1].began.wait(TIMEOUT_S)
    for other in others:
        add(scheduler, light, other)
        assert all_end(other)
    assert busy.in_flight == 2
    for job in held:
        job.go_on.set()
    assert all_end(*held)


def test_the_last_idle_thread_goes_on_with_a_busy_queue_once_it_is_not_the_last(start):
    scheduler, busy, light = start(2), FakeQueue(max_in_flight=2), FakeQueue()
    first, second, third, other = Job(held=True), Job(), Job(), Job(held=True)
    add(scheduler, busy, first)
    add(scheduler, light, other)
    assert first.began.wait(TIMEOUT_S)
    assert other.began.wait(TIMEOUT_S)
    add(scheduler, busy, second, third)
    first.go_on.set()
    assert all_end(second, third)
    other.go_on.set()


@pytest.mark.behaviour("8.2", "models and versions share threads in turns, and no batch")
def test_queues_take_turns(start):
    scheduler, gate = start(1), Job(held=True)
    add(scheduler, FakeQueue(), gate)
    assert gate.began.wait(TIMEOUT_S)
    order = []
    queues = {name: FakeQueue() for name in "ab"}
    for name, queue in queues.items():
        queue.run = lambda job, name=name: (order.append(name), job.run())
    jobs = [Job() for _ in range(6)]
    add(scheduler, queues["a"], *jobs[:4])
    add(scheduler, queues["b"], *jobs[4:])
    gate.go_on.set()
    assert all_end(*jobs)
    assert order == list("ababaa")


def test_a_job_runs_when_it_is_due_and_not_before(start):
    scheduler, queue, job = start(2), FakeQueue(), Job()
    begun_s = time.monotonic()
    add(scheduler, queue, job, after_s=0.05)
    assert all_end(job)
    assert time.monotonic() - begun_s >= 0.05


def test_a_job_that_is_due_earlier_is_not_held_up_by_a_later_one(start):
    scheduler, queue, late, early = start(2), FakeQueue(), Job(), Job()
    await_sleep(scheduler, 2)
    add(scheduler, queue, late, after_s=3600.0)
    add(scheduler, queue, early)
    assert all_end(early)
    assert not late.began.is_set()


def test_a_queue_that_becomes_due_earlier_does_not_wait_longer(start):
    scheduler, queue, late, early = start(1), FakeQueue(), Job(), Job()
    await_sleep(scheduler, 1)
    add(scheduler, queue, late, after_s=3600.0, wakes=False)
    add(scheduler, queue, early)
    assert all_end(early)
    assert not late.began.is_set()


def test_a_thread_that_waits_holds_nothing_of_what_it_ran(start):
    scheduler, gone = start(1), threading.Event()
    job = Job()
    weakref.finalize(job, gone.set)
    add(scheduler, FakeQueue(), job)
    assert all_end(job)
    del job
    assert gone.wait(TIMEOUT_S)


def test_a_wait_of_ages_is_no_error(start):
    scheduler, job = start(1), Job()
    add(scheduler, FakeQueue(), Job(), after_s=1e13)
    add(scheduler, FakeQueue(), job)
    assert all_end(job)


def test_a_job_that_is_due_later_runs_though_its_thread_takes_other_work(start):
    scheduler, timed, busy = start(2), FakeQueue(), FakeQueue()
    held, job = Job(held=True), Job()
    add(scheduler, timed, job, after_s=0.05)
    add(scheduler, busy, held)
    assert all_end(job)
    held.go_on.set()


def test_a_job_that_raises_is_refused_and_the_thread_goes_on(start, caplog):
    scheduler, queue = start(1), FakeQueue()
    bad, good = Job(error=RuntimeError("no")), Job()
    add(scheduler, queue, bad, good)
    assert all_end(good)
    assert [error.code.name for error in bad.refusals] == ["INTERNAL"]
    assert "RuntimeError: no" in caplog.text
    assert not good.refusals


def test_what_a_queue_refuses_is_raised_to_the_caller_of_add(start):
    scheduler, queue = start(1), FakeQueue()
    with pytest.raises(Unavailable, match="full"):
        add(scheduler, queue, None)
    job = Job()
    add(scheduler, queue, job)
    assert all_end(job)


def test_run_here_runs_on_the_caller_s_thread(start):
    scheduler, queue, job = start(1), FakeQueue(), Job()
    add(scheduler, queue, job, wakes=False)
    scheduler.run_here(queue, lambda: True)
    assert job.thread is threading.current_thread()
    scheduler.run_here(queue, lambda: True)
    assert queue.in_flight == 0


def test_what_run_here_does_not_accept_is_for_a_thread(start):
    scheduler, queue, job = start(1), FakeQueue(), Job()
    await_sleep(scheduler, 1)
    add(scheduler, queue, job, wakes=False)
    scheduler.run_here(queue, lambda: False)
    assert all_end(job)
    assert job.thread is not threading.current_thread()


def test_a_job_that_was_added_without_waking_runs_when_a_thread_is_woken(start):
    scheduler, queue, job = start(1), FakeQueue(), Job()
    await_sleep(scheduler, 1)
    add(scheduler, queue, job, wakes=False)
    scheduler.wake(queue)
    assert all_end(job)


def test_run_here_leaves_what_is_not_due(start):
    scheduler, queue, job = start(1), FakeQueue(), Job()
    add(scheduler, queue, job, after_s=3600.0)
    scheduler.run_here(queue, lambda: True)
    assert not job.began.is_set()


def test_run_here_leaves_what_comes_meanwhile_to_a_thread(start):
    scheduler, queue = start(1), FakeQueue()
    later = Job()

    class Adding(Job):
        def run(self):
            add(scheduler, queue, later, wakes=False)
            super().run()

    add(scheduler, queue, Adding(), wakes=False)
    scheduler.run_here(queue, lambda: True)
    assert all_end(later)
    assert later.thread is not threading.current_thread()


def test_run_here_shares_what_may_run_at_the_same_time(start):
    scheduler, queue = start(2), FakeQueue(max_in_flight=2)
    first, second = Job(held=True), Job(held=True)
    add(scheduler, queue, first, second, wakes=False)
    thread = threading.Thread(target=scheduler.run_here, args=[queue, lambda: True])
    thread.start()
    assert first.began.wait(TIMEOUT_S)
    assert second.began.wait(TIMEOUT_S)
    first.go_on.set()
    second.go_on.set()
    thread.join(TIMEOUT_S)


def test_run_here_runs_nothing_while_a_thread_runs_as_much_as_may(start):
    scheduler, queue, first, second = start(1), FakeQueue(), Job(held=True), Job()
    add(scheduler, queue, first)
    assert first.began.wait(TIMEOUT_S)
    add(scheduler, queue, second, wakes=False)
    scheduler.run_here(queue, lambda: True)
    assert not second.began.is_set()
    first.go_on.set()
    assert all_end(second)


def test_stop_refuses_what_waits_and_ends_with_what_runs():
    scheduler, queue = Scheduler(1), FakeQueue()
    scheduler.start()
    running, waiting, timed = Job(held=True), [Job(), Job()], Job()
    add(scheduler, queue, running)
    assert running.began.wait(TIMEOUT_S)
    add(scheduler, queue, *waiting)
    add(scheduler, FakeQueue(), timed, after_s=3600.0)
    assert not scheduler.stop(0.0)
    for job in (*waiting, timed):
        assert [(error.code.name, error.message) for error in job.refusals] == [
            ("UNAVAILABLE", "The server is shutting down.")
        ]
    running.go_on.set()
    assert scheduler.stop(TIMEOUT_S)
    assert running.ended.is_set()
    assert not any(job.began.is_set() for job in (*waiting, timed))


def test_nothing_is_taken_after_stop():
    scheduler = Scheduler(1)
    assert scheduler.stop()
    with pytest.raises(Unavailable):
        add(scheduler, FakeQueue(), Job())


def test_no_job_is_left_behind_by_many_callers(start):
    """Six callers, of whom some run what is there themselves, over queues of every limit, on three threads."""
    scheduler = start(3)
    queues = [FakeQueue(limit) for limit in (1, 2, 9)]
    jobs = [[Job() for _ in range(300)] for _ in range(6)]

    def call(number):
        for index, job in enumerate(jobs[number]):
            queue = queues[(index + number) % 3]
            runs_here = (index + number) % 2 == 0
            add(scheduler, queue, job, after_s=0.0 if runs_here else 0.0005 * (index % 3), wakes=not runs_here)
            if runs_here:
                scheduler.run_here(queue, lambda: True)

    callers = [threading.Thread(target=call, args=[number]) for number in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(TIMEOUT_S)
    assert all(all_end(*own) for own in jobs)
    for queue in queues:
        assert queue.most_in_flight <= queue.max_in_flight
