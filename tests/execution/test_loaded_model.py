"""Runners of a loaded model: one for each set of tensors, made once, and at most MAX_RUNNERS."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from servable.errors import InvalidArgument
from servable.execution.loaded_model import MAX_RUNNERS, LoadedModel

PATIENCE_S = 30.0


class FakeSession:
    """A GraphSession that counts what it prepares, and can be made to wait or to fail."""

    may_not_end = batches_itself = False

    def __init__(self):
        self.prepared = []
        self.closed = False
        self.error = None
        self.preparing, self.may_finish = threading.Semaphore(0), threading.Event()
        self.may_finish.set()

    def dtype_of(self, tensor_name):
        return None

    def prepare(self, feeds, fetches):
        self.preparing.release()
        assert self.may_finish.wait(PATIENCE_S)
        self.prepared.append((feeds, fetches))
        if self.error is not None:
            raise self.error
        return lambda arrays: [*fetches]

    def close(self):
        self.closed = True


@pytest.fixture
def session():
    return FakeSession()


@pytest.fixture
def model(session):
    return LoadedModel(session, {})


def ask(model, number):
    return model.runner(("x:0",), (f"y:{number}",))


def test_the_same_tensors_have_the_same_runner(model, session):
    assert ask(model, 1) is ask(model, 1)
    assert ask(model, 1) is not ask(model, 2)
    assert session.prepared == [(("x:0",), ("y:1",)), (("x:0",), ("y:2",))]


def test_the_order_of_tensors_makes_another_runner(model):
    assert model.runner((), ("a:0", "b:0")) is not model.runner((), ("b:0", "a:0"))


def test_the_one_that_was_not_used_for_longest_is_dropped_when_there_are_too_many(model, session):
    runners = [ask(model, number) for number in range(MAX_RUNNERS)]
    assert ask(model, 0) is runners[0]
    ask(model, MAX_RUNNERS)
    session.prepared.clear()
    assert ask(model, 0) is runners[0]
    assert ask(model, 2) is runners[2]
    assert session.prepared == []
    assert ask(model, 1) is not runners[1]
    assert len(model._runners) == MAX_RUNNERS == 128


def test_many_sets_of_tensors_never_make_more_than_the_most(model):
    for number in range(3 * MAX_RUNNERS):
        ask(model, number)
        assert len(model._runners) <= MAX_RUNNERS


def test_calls_while_a_runner_is_prepared_wait_for_it(model, session):
    session.may_finish.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, model, 1) for _ in range(8)]
        assert session.preparing.acquire(timeout=PATIENCE_S)
        session.may_finish.set()
        runners = [one.result(PATIENCE_S) for one in asked]
    assert all(runner is runners[0] for runner in runners)
    assert len(session.prepared) == 1


def test_other_tensors_do_not_wait(model, session):
    ready = ask(model, 1)
    session.may_finish.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, model, 2)
        assert session.preparing.acquire(timeout=PATIENCE_S)
        assert session.preparing.acquire(timeout=PATIENCE_S)
        assert ask(model, 1) is ready
        session.may_finish.set()
        slow.result(PATIENCE_S)


def test_a_runner_that_cannot_be_made_fails_each_call_and_is_not_kept(model, session):
    session.error = InvalidArgument("no such tensor")
    for _ in range(2):
        with pytest.raises(InvalidArgument, match="no such tensor"):
            ask(model, 1)
    session.error = None
    assert ask(model, 1) is ask(model, 1)
    assert len(session.prepared) == 3


def test_all_waiting_threads_get_the_error_of_a_runner_that_cannot_be_made(model, session):
    session.error = InvalidArgument("no such tensor")
    session.may_finish.clear()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, model, 1) for _ in range(4)]
        assert session.preparing.acquire(timeout=PATIENCE_S)
        session.may_finish.set()
        assert [str(one.exception(PATIENCE_S)) for one in asked] == ["INVALID_ARGUMENT: no such tensor"] * 4


def test_closing_closes_the_session(model, session):
    model.close()
    assert session.closed


def test_a_ready_runner_that_is_used_outlives_those_that_are_not(model, session):
    hot = ask(model, 0)
    for number in range(1, 3 * MAX_RUNNERS):
        assert model.ready_runner(("x:0",), ("y:0",)) is hot
        ask(model, number)
    assert session.prepared.count((("x:0",), ("y:0",))) == 1
