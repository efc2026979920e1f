"""The real threads behind the manager: who runs what, and how they end."""

import threading

import pytest

from servable.lifecycle.manager import ThreadWorkers
from servable.lifecycle.version import ServableId
from servable.loops import Loop

BOUND_S = 30


@pytest.fixture
def loop():
    loop = Loop("manager under test")
    loop.start()
    yield loop
    loop.stop()


@pytest.fixture
def workers(loop, request):
    workers = ThreadWorkers(loop, getattr(request, "param", 1))
    workers.start()
    yield workers
    workers.stop()


class Job:
    """Notes the thread that it runs on, and goes on when it may."""

    def __init__(self):
        self.begun, self.may_end, self.thread = threading.Event(), threading.Event(), None

    def __call__(self):
        self.thread = threading.current_thread()
        self.begun.set()
        assert self.may_end.wait(BOUND_S)


def test_loads_have_a_thread_each_named_for_what_it_loads(workers):
    jobs = [Job(), Job()]
    for number, job in enumerate(jobs):
        workers.load(ServableId("m", number), job)
    # Both run at the same time: neither may end yet.
    assert all(job.begun.wait(BOUND_S) for job in jobs)
    assert [job.thread.name for job in jobs] == ["load m:0", "load m:1"]
    # A load may hang: it must not keep the process from ending.
    assert all(job.thread.daemon for job in jobs)
    for job in jobs:
        job.may_end.set()


def test_what_is_posted_runs_on_the_manager_s_thread(workers):
    job = Job()
    job.may_end.set()
    workers.post(job)
    assert job.begun.wait(BOUND_S)
    assert job.thread.name == "manager under test"


@pytest.mark.behaviour("5", "--num_unload_threads")
@pytest.mark.parametrize("workers", [0, -1, 1], indirect=True)
def test_one_unload_thread_takes_one_at_a_time_also_where_none_is_asked_for(workers):
    first, second = Job(), Job()
    workers.unload(first)
    workers.unload(second)
    assert first.begun.wait(BOUND_S)
    assert not second.begun.is_set()
    first.may_end.set()
    assert second.begun.wait(BOUND_S)
    assert second.thread is first.thread
    assert first.thread.daemon
    second.may_end.set()


@pytest.mark.behaviour("5", "--num_unload_threads")
@pytest.mark.parametrize("workers", [2], indirect=True)
def test_several_unload_threads_take_several_at_a_time(workers):
    first, second = Job(), Job()
    workers.unload(first)
    workers.unload(second)
    assert first.begun.wait(BOUND_S)
    assert second.begun.wait(BOUND_S)
    first.may_end.set()
    second.may_end.set()


def test_the_stop_waits_for_the_unload_under_way(workers):
    job = Job()
    workers.unload(job)
    assert job.begun.wait(BOUND_S)
    job.may_end.set()
    workers.stop()
    assert not job.thread.is_alive()
