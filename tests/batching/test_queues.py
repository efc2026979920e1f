"""A queue stepped by hand: what joins which batch, when a batch is due, and what a full queue says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.batching.counts import BatchCounts, Cut
from servable.batching.queues import BatchQueue
from servable.batching.running import Batch
from servable.config.batching import QueueLimits
from servable.errors import Unavailable
from tests.batching.fakes import FakeRunner, task


def queue(**limits):
    return BatchQueue(QueueLimits(**limits), BatchCounts())


def add(line, *rows, at_s=0.0):
    for count in rows:
        line.add(task(FakeRunner(), [0.0] * count)[0], at_s)


def take_all(line):
    """The rows of the members of each batch."""
    return [[member.rows for member in line.take().members] for _ in range(len(line))]


@pytest.mark.behaviour("8.2", "a batch closes when the next request does not fit")
@pytest.mark.behaviour("13.12", "205 WrapSessionForBatching")
def test_requests_share_a_batch_as_long_as_they_fit():
    line = queue(max_batch_rows=4)
    add(line, 1, 2, 1, 3, 2)
    assert take_all(line) == [[1, 2, 1], [3], [2]]


def test_a_request_joins_the_last_batch_only_so_that_none_overtakes():
    line = queue(max_batch_rows=4)
    add(line, 3, 4, 1)
    assert take_all(line) == [[3], [4], [1]]


@pytest.mark.behaviour("8.1", "batch_timeout_micros 0 runs a batch as soon as a thread is free")
def test_without_a_timeout_a_batch_is_due_at_once():
    line = queue()
    assert line.due_s() is None
    add(line, 1, at_s=5.0)
    add(line, 1, at_s=6.0)
    assert line.due_s() == 5.0
    assert line.take().cut is Cut.FREE
    assert line.due_s() is None


@pytest.mark.behaviour("8.2", "or when its oldest request has waited for the timeout")
def test_a_batch_waits_for_its_timeout_from_the_first_request_on():
    line = queue(timeout_s=10.0)
    add(line, 1, at_s=5.0)
    add(line, 1, at_s=6.0)
    assert line.due_s() == 15.0
    assert line.take().cut is Cut.TIMEOUT


@pytest.mark.behaviour("8.2", "or when its oldest request has waited for the timeout")
def test_a_full_batch_waits_for_nothing():
    line = queue(timeout_s=10.0, max_batch_rows=2)
    add(line, 1, at_s=5.0)
    assert not line.is_full
    add(line, 1, at_s=6.0)
    assert line.is_full
    assert line.due_s() == 5.0
    assert line.take().cut is Cut.FULL


@pytest.mark.behaviour("8.2", "a batch closes when the next request does not fit")
def test_a_batch_is_full_when_the_next_request_does_not_fit():
    line = queue(timeout_s=10.0, max_batch_rows=3)
    add(line, 2, at_s=5.0)
    add(line, 2, at_s=6.0)
    assert line.due_s() == 5.0
    assert line.take().cut is Cut.FULL
    assert line.due_s() == 16.0


@pytest.mark.behaviour("8.2", "ours: a request without rows does not wait for another")
def test_a_request_without_rows_is_due_like_any_other():
    line = queue(timeout_s=10.0)
    add(line, 0, at_s=5.0)
    assert line.due_s() == 15.0
    assert take_all(line) == [[0]]


@pytest.mark.parametrize("splits", [False, True])
def test_a_request_without_rows_fits_into_a_full_batch(splits):
    line = queue(max_batch_rows=2, max_batches=1, splits=splits)
    add(line, 2, 0)
    assert take_all(line) == [[2, 0]]


@pytest.mark.behaviour("8.1", "max_enqueued_batches counts the open batch and those that no thread has taken")
@pytest.mark.behaviour("8.4", "a full queue, with and without splitting")
def test_a_full_queue_says_so_and_takes_what_still_fits():
    line = queue(max_batch_rows=2, max_batches=2)
    add(line, 2, 1)
    with pytest.raises(Unavailable) as error:
        add(line, 2)
    assert error.value.message == (
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued and "
        "max_enqueued_batches is 2"
    )
    add(line, 1)
    assert take_all(line) == [[2], [1, 1]]


@pytest.mark.behaviour("8.1", "max_enqueued_batches counts the open batch and those that no thread has taken")
def test_a_batch_that_was_taken_makes_room():
    line = queue(max_batch_rows=1, max_batches=1)
    add(line, 1)
    line.take()
    add(line, 1)
    assert take_all(line) == [[1]]


@pytest.mark.behaviour("8.5", "one request goes through several batches, the open one first")
@pytest.mark.behaviour("13.12", "180 BatchingWithLargeBatch, 182 BatchingLazySplit")
def test_splitting_fills_the_open_batch_first():
    line = queue(max_task_rows=10, max_batch_rows=4, splits=True)
    add(line, 3, 6, 1)
    assert take_all(line) == [[3, 1], [4], [1, 1]]


def test_splitting_leaves_whole_what_fits():
    line = queue(max_task_rows=10, max_batch_rows=4, splits=True)
    whole, _ = task(FakeRunner(), [0.0] * 4)
    line.add(whole, 0.0)
    assert line.take().members == [whole]


@pytest.mark.behaviour("8.4", "a full queue, with and without splitting")
def test_splitting_says_how_much_room_there_is():
    line = queue(max_task_rows=100, max_batch_rows=4, max_batches=3, splits=True)
    add(line, 6)
    with pytest.raises(Unavailable) as error:
        add(line, 7)
    assert error.value.message == (
        "The batch scheduling queue to which this task was submitted is full; task size is 7 but scheduling capacity "
        "is only 6 (num_enqueued_batches=2, max_enqueued_batches=3, open_batch_size=2, max_execution_batch_size=4)"
    )
    add(line, 6)
    assert take_all(line) == [[4], [2, 2], [4]]


@pytest.mark.behaviour("8.4", "a full queue, with and without splitting")
def test_a_queue_that_holds_nothing_has_an_open_batch_in_the_original_s_words():
    line = queue(max_task_rows=100, max_batch_rows=4, max_batches=2, splits=True)
    with pytest.raises(Unavailable, match=r"capacity is only 8 \(num_enqueued_batches=1, .* open_batch_size=0, "):
        add(line, 9)


ROWS = st.lists(st.integers(0, 9), max_size=20)


@settings(deadline=None)
@given(ROWS, st.integers(1, 9), st.integers(1, 4), st.booleans(), st.sets(st.integers(0, 20)))
def test_every_row_that_is_accepted_comes_out_once_and_in_order(rows, most, batches, splits, takes):
    line = queue(max_task_rows=9, max_batch_rows=most if splits else 9, max_batches=batches, splits=splits)
    accepted, given_out = [], []
    for number, count in enumerate(rows):
        request, _ = task(FakeRunner(), [(number, row) for row in range(count)])
        try:
            line.add(request, 0.0)
            accepted += [(number, row) for row in range(count)]
        except Unavailable:
            pass
        assert len(line) <= batches
        if number in takes and len(line):
            given_out.append(line.take())
    given_out += [line.take() for _ in range(len(line))]
    assert all(
        sum(member.rows for member in batch.members) == batch.rows <= line._limits.max_batch_rows for batch in given_out
    )
    fed = [tuple(row) for batch in given_out for member in batch.members for row in member.arrays[0].tolist()]
    assert fed == accepted


def run(line, rows, seconds, run_s=1.0, ended_s=0.0):
    """A batch of so many rows has taken so long, and so much of that for its run, as each of them does."""
    job = Batch(0.0)
    job.add(task(FakeRunner(takes_s=run_s), [0.0] * rows)[0])
    # One that is long may be so by chance.
    for _ in range(4 if seconds > 0.1 else 1):
        line.note_run(job, seconds, ended_s)


def test_batches_get_smaller_where_a_row_costs_the_same_in_any_company():
    line = queue(max_batch_rows=64, longest_run_s=0.1)
    run(line, 16, 0.8)
    run(line, 8, 0.4)
    add(line, *[1] * 10)
    assert take_all(line) == [[1] * 4, [1] * 4, [1] * 2]


def test_batches_begin_small_and_double_as_long_as_runs_are_short():
    line = queue(max_batch_rows=64, longest_run_s=0.1)
    for most in (16, 32, 64, 64):
        add(line, *[1] * 65)
        assert take_all(line)[0] == [1] * most
        run(line, most, 0.01)


def test_batches_of_a_model_that_became_faster_grow_again():
    line = queue(max_batch_rows=64, longest_run_s=0.1)
    run(line, 16, 0.2)
    for rows in (8, 16, 32, 64):
        run(line, rows, 0.01)
    add(line, *[1] * 65)
    assert take_all(line) == [[1] * 64, [1]]


def test_small_batches_say_nothing_of_larger_ones():
    line = queue(max_batch_rows=64, longest_run_s=0.1)
    run(line, 16, 0.2)
    run(line, 1, 0.01)
    add(line, *[1] * 9)
    assert take_all(line) == [[1] * 8, [1]]


def test_a_request_of_more_rows_than_batches_get_runs_alone():
    line = queue(max_batch_rows=64, longest_run_s=0.1)
    for exponent in range(4, 0, -1):
        run(line, 2**exponent, 2.0**exponent)
    add(line, 30, 1, 1)
    assert take_all(line) == [[30], [1], [1]]


def test_smaller_batches_leave_as_much_room_in_the_queue():
    line = queue(max_batch_rows=4, max_batches=2, longest_run_s=0.1)
    run(line, 4, 1.0)
    run(line, 2, 0.5)
    add(line, *[1] * 8)
    with pytest.raises(Unavailable):
        add(line, 1)
    assert take_all(line) == [[1]] * 8
    add(line, *[1] * 8)


def test_with_a_file_no_run_is_too_long():
    line = queue(max_batch_rows=64)
    run(line, 64, 100.0)
    add(line, *[1] * 64)
    assert take_all(line) == [[1] * 64]


@given(
    st.lists(
        st.one_of(st.tuples(st.just("add"), st.integers(0, 8)), st.tuples(st.just("run"), st.floats(0.0, 1.0))),
        max_size=60,
    )
)
def test_whatever_runs_take_all_rows_come_out_once(steps):
    line, rows_in, rows_out = queue(max_batch_rows=8, max_batches=3, longest_run_s=0.1), 0, 0
    for step, value in steps:
        if step == "add":
            try:
                add(line, value)
            except Unavailable:
                assert rows_in - rows_out + value > 8
            else:
                rows_in += value
        elif len(line):
            batch = line.take()
            rows_out += batch.rows
            line.note_run(batch, value, 0.0)
    rows_out += sum(map(sum, take_all(line)))
    assert rows_in == rows_out


def test_a_lane_gathers_batches_as_long_as_runs_like_the_latest_are_short():
    line = BatchQueue(QueueLimits(), BatchCounts(), gathered_s=0.001)
    assert line.gathers is None
    told = []
    for seconds in (0.0009, 0.0011, 0.0005):
        run(line, 4, 0.1, run_s=seconds)
        told.append(line.gathers)
    assert told == [True, False, True]


def test_a_lane_never_gathers_what_waits_for_a_timeout():
    line = BatchQueue(QueueLimits(timeout_s=0.01), BatchCounts(), gathered_s=0.001)
    run(line, 4, 0.0001, run_s=0.0001)
    assert line.gathers is False


def test_after_a_batch_that_took_a_while_its_callers_are_waited_for():
    line = queue(longest_run_s=1.0)
    run(line, 4, 0.2, ended_s=10.0)
    add(line, 1, at_s=10.001)
    assert line.due_s() == 10.0 + 0.05 * 0.2
    add(line, 2, at_s=10.002)
    assert line.due_s() == 10.0 + 0.05 * 0.2
    add(line, 1, at_s=10.003)
    assert line.due_s() == 10.001
    assert take_all(line) == [[1, 2, 1]]
    # Who comes later than that has waited for nobody.
    add(line, 1, at_s=10.5)
    assert line.due_s() == 10.5


@pytest.mark.parametrize(("limits", "seconds"), [({"longest_run_s": 1.0}, 0.004), ({}, 0.2)])
def test_nobody_is_waited_for_after_a_short_batch_or_where_a_file_says_how_long(limits, seconds):
    line = queue(**limits)
    run(line, 4, seconds, ended_s=10.0)
    add(line, 1, at_s=10.001)
    assert line.due_s() == 10.001
