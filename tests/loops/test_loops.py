"""A loop's thread: what it runs, in which order, and that nothing but a stop ends it."""

import functools
import threading
import time
import weakref
from concurrent.futures import CancelledError, Future

import pytest

from servable.loops import Loop

BOUND_S = 30


@pytest.fixture
def start():
    """Starts loops, and stops them at the end."""
    started = []

    def start(*turn):
        started.append(Loop("loop under test", *turn))
        started[-1].start()
        return started[-1]

    yield start
    for loop in started:
        loop.stop()


def wait(loop):
    """Return when all that was posted so far has run."""
    loop.ask(lambda: None).result(BOUND_S)


def test_tasks_run_in_order_on_one_thread(start):
    loop, ran = start(), []
    for number in range(100):
        loop.post(lambda number=number: ran.append((number, threading.current_thread().name)))
    wait(loop)
    assert ran == [(number, "loop under test") for number in range(100)]


def test_the_thread_keeps_no_process_alive(start):
    assert start().ask(threading.current_thread).result(BOUND_S).daemon


def test_what_was_posted_before_the_start_runs_after_it():
    loop = Loop("late")
    asked = loop.ask(lambda: "answer")
    assert not asked.done()
    loop.start()
    assert asked.result(BOUND_S) == "answer"
    loop.stop()


def test_a_task_may_post_another_which_runs_after_those_that_wait(start):
    loop, ran, all_posted = start(), [], threading.Event()

    def first():
        assert all_posted.wait(BOUND_S)
        loop.post(lambda: ran.append("third"))

    loop.post(first)
    loop.post(lambda: ran.append("second"))
    all_posted.set()
    wait(loop)
    wait(loop)
    assert ran == ["second", "third"]


def test_a_question_is_answered_with_its_result_or_its_exception(start):
    loop = start()
    assert loop.ask(lambda: 5).result(BOUND_S) == 5
    with pytest.raises(KeyError, match="nope"):
        loop.ask(lambda: {}["nope"]).result(BOUND_S)
    assert loop.ask(lambda: 6).result(BOUND_S) == 6


def test_a_question_whose_future_was_cancelled_is_not_asked():
    loop, put = Loop("late"), []
    asked = loop.ask(lambda: put.append(1))
    assert asked.cancel()
    loop.start()
    wait(loop)
    with pytest.raises(CancelledError):
        asked.result(BOUND_S)
    assert put == []
    loop.stop()


def test_what_follows_another_result_comes_after_the_turns_of_what_was_posted_before_it(start):
    ran, may_turn = [], threading.Event()

    def turn(_now_s):
        if ran:
            assert may_turn.wait(BOUND_S)
            ran.append("turn")

    loop, earlier = start(turn), Future()
    followed = loop.follow(earlier)
    loop.ask(lambda: ran.append("task")).result(BOUND_S)
    earlier.set_result(5)
    assert not followed.done()
    may_turn.set()
    assert followed.result(BOUND_S) == 5
    assert ran[:2] == ["task", "turn"]


def test_what_follows_a_failure_is_the_failure(start):
    earlier = Future()
    earlier.set_exception(KeyError("nope"))
    with pytest.raises(KeyError, match="nope"):
        start().follow(earlier).result(BOUND_S)


def test_a_task_that_raises_is_logged_and_the_next_one_runs(start, caplog):
    loop = start()
    loop.post(lambda: 1 / 0)
    wait(loop)
    (record,) = [record for record in caplog.records if record.exc_info]
    assert (record.exc_info[0], record.getMessage()) == (
        ZeroDivisionError,
        "loop under test failed in an unforeseen way",
    )


def test_what_a_task_held_is_released_when_the_task_is_over(start):
    class Held:
        pass

    loop, held, gone = start(), Held(), threading.Event()
    weakref.finalize(held, gone.set)
    loop.post(functools.partial(id, held))
    del held
    # No further task comes that could take its place.
    assert gone.wait(BOUND_S)


def test_a_turn_is_taken_at_the_start_and_after_each_task(start):
    took = []

    def turn(now_s):
        took.append(now_s)

    loop = start(turn)
    wait(loop)
    wait(loop)
    # The one at the start, and one before the second question was taken up; the last may still be to come.
    assert 2 <= len(took) <= 3
    assert took == sorted(took)
    assert all(abs(now_s - time.monotonic()) < BOUND_S for now_s in took)


def test_a_turn_is_taken_when_it_said_so(start):
    third = threading.Event()
    turns = iter([None, None, None, None])

    def turn(now_s):
        if next(turns, "over") == "over":
            third.set()
            return None
        return now_s + 0.01

    start(turn)
    assert third.wait(BOUND_S)


@pytest.mark.parametrize("due_s", [-1e300, 0.0])
def test_a_turn_that_was_due_long_ago_is_taken_at_once_and_tasks_still_run(start, due_s):
    loop = start(lambda _now_s: due_s)
    assert loop.ask(lambda: 5).result(BOUND_S) == 5


@pytest.mark.parametrize("due_s", [1e300, float("inf")])
def test_a_turn_that_is_never_due_holds_up_no_task(start, due_s):
    loop = start(lambda _now_s: due_s)
    assert loop.ask(lambda: 5).result(BOUND_S) == 5


def test_a_turn_that_raises_is_logged_and_taken_again_but_not_at_once(caplog):
    def turn(now_s):
        raise ValueError("bad turn")

    loop = Loop("loop under test", turn)
    before_s = time.monotonic()
    due_s = loop._take_turn()
    assert before_s + 1 <= due_s <= time.monotonic() + 1
    (record,) = caplog.records
    assert record.exc_info[1].args == ("bad turn",)


def test_a_loop_whose_turns_raise_still_runs_tasks(start):
    loop = start(lambda _now_s: 1 / 0)
    assert loop.ask(lambda: 5).result(BOUND_S) == 5


def test_the_stop_returns_when_the_task_under_way_is_over_and_no_later_one_runs():
    loop, begun, may_end, ran = Loop("loop under test"), threading.Event(), threading.Event(), []

    def task():
        begun.set()
        assert may_end.wait(BOUND_S)
        ran.append("task")

    loop.start()
    loop.post(task)
    assert begun.wait(BOUND_S)
    stopper: Future[None] = Future()

    def stop():
        loop.stop()
        loop.post(lambda: ran.append("later"))
        stopper.set_result(None)

    threading.Thread(target=stop, daemon=True).start()
    assert not stopper.done()
    may_end.set()
    stopper.result(BOUND_S)
    assert not loop._thread.is_alive()
    assert ran == ["task"]


def test_the_stop_does_not_wait_for_ever_for_a_task_that_hangs():
    loop, begun, may_end = Loop("loop under test"), threading.Event(), threading.Event()
    loop.start()
    loop.post(lambda: (begun.set(), may_end.wait(BOUND_S)))
    assert begun.wait(BOUND_S)
    loop.stop(0.01)
    assert loop._thread.is_alive()
    may_end.set()
    loop._thread.join(BOUND_S)
    assert not loop._thread.is_alive()


def test_a_loop_may_be_stopped_from_its_own_thread_twice_and_before_its_start():
    Loop("never started").stop()
    loop = Loop("loop under test")
    loop.start()
    loop.ask(loop.stop).result(BOUND_S)
    loop.stop()
    assert not loop._thread.is_alive()
