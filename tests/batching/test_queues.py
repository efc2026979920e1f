"""A queue stepped by hand: what joins which batch, when a batch is due, and what a full queue says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.batching.counts import BatchCounts, Cut
from servable.batching.queues import BatchQueue, FifoQueue
from servable.batching.running import Batch
from servable.config.batching import QueueLimits
from servable.errors import ResourceExhausted, Unavailable
from tests.batching.fakes import FakeRunner, task


def make_queue(**limits):
    return BatchQueue(QueueLimits(**limits), BatchCounts())


def add(queue, *rows, at_s=0.0):
    for count in rows:
        queue.add(task(FakeRunner(), [0.0] * count)[0], at_s)


def take_all(queue):
    """The rows of the members of each batch."""
    return [[member.rows for member in queue.take().members] for _ in range(len(queue))]


@pytest.mark.behaviour("8.2", "a batch closes when the next request does not fit")
@pytest.mark.behaviour("13.12", "205 WrapSessionForBatching")
def test_requests_share_a_batch_as_long_as_they_fit():
    queue = make_queue(max_batch_rows=4)
    add(queue, 1, 2, 1, 3, 2)
    assert take_all(queue) == [[1, 2, 1], [3], [2]]


def test_a_request_joins_the_last_batch_only_so_that_none_overtakes():
    queue = make_queue(max_batch_rows=4)
    add(queue, 3, 4, 1)
    assert take_all(queue) == [[3], [4], [1]]


@pytest.mark.behaviour("8.1", "batch_timeout_micros 0 runs a batch as soon as a thread is free")
def test_without_a_timeout_a_batch_is_due_at_once():
    queue = make_queue()
    assert queue.due_s() is None
    add(queue, 1, at_s=5.0)
    add(queue, 1, at_s=6.0)
    assert queue.due_s() == 5.0
    assert queue.take().cut is Cut.FREE
    assert queue.due_s() is None


@pytest.mark.behaviour("8.2", "or when its oldest request has waited for the timeout")
def test_a_batch_waits_for_its_timeout_from_the_first_request_on():
    queue = make_queue(timeout_s=10.0)
    add(queue, 1, at_s=5.0)
    add(queue, 1, at_s=6.0)
    assert queue.due_s() == 15.0
    assert queue.take().cut is Cut.TIMEOUT


@pytest.mark.behaviour("8.2", "or when its oldest request has waited for the timeout")
def test_a_full_batch_waits_for_nothing():
    queue = make_queue(timeout_s=10.0, max_batch_rows=2)
    add(queue, 1, at_s=5.0)
    assert not queue.is_full
    add(queue, 1, at_s=6.0)
    assert queue.is_full
    assert queue.due_s() == 5.0
    assert queue.take().cut is Cut.FULL


@pytest.mark.behaviour("8.2", "a batch closes when the next request does not fit")
def test_a_batch_is_full_when_the_next_request_does_not_fit():
    queue = make_queue(timeout_s=10.0, max_batch_rows=3)
    add(queue, 2, at_s=5.0)
    add(queue, 2, at_s=6.0)
    assert queue.due_s() == 5.0
    assert queue.take().cut is Cut.FULL
    assert queue.due_s() == 16.0


@pytest.mark.behaviour("8.2", "ours: a request without rows does not wait for another")
def test_a_request_without_rows_is_due_like_any_other():
    queue = make_queue(timeout_s=10.0)
    add(queue, 0, at_s=5.0)
    assert queue.due_s() == 15.0
    assert take_all(queue) == [[0]]


@pytest.mark.parametrize("splits", [False, True])
def test_a_request_without_rows_fits_into_a_full_batch(splits):
    queue = make_queue(max_batch_rows=2, max_batches=1, splits=splits)
    add(queue, 2, 0)
    assert take_all(queue) == [[2, 0]]


@pytest.mark.behaviour("8.1", "max_enqueued_batches counts the open batch and those that no thread has taken")
@pytest.mark.behaviour("8.4", "a full queue, with and without splitting")
def test_a_full_queue_says_so_and_takes_what_still_fits():
    queue = make_queue(max_batch_rows=2, max_batches=2)
    add(queue, 2, 1)
    with pytest.raises(Unavailable) as error:
        add(queue, 2)
    assert error.value.message == (
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued and "
        "max_enqueued_batches is 2"
    )
    add(queue, 1)
    assert take_all(queue) == [[2], [1, 1]]


@pytest.mark.behaviour("8.1", "max_enqueued_batches counts the open batch and those that no thread has taken")
def test_a_batch_that_was_taken_frees_capacity():
    queue = make_queue(max_batch_rows=1, max_batches=1)
    add(queue, 1)
    queue.take()
    add(queue, 1)
    assert take_all(queue) == [[1]]


@pytest.mark.behaviour("8.5", "one request goes through several batches, the open one first")
@pytest.mark.behaviour("13.12", "180 BatchingWithLargeBatch, 182 BatchingLazySplit")
def test_splitting_fills_the_open_batch_first():
    queue = make_queue(max_task_rows=10, max_batch_rows=4, splits=True)
    add(queue, 3, 6, 1)
    assert take_all(queue) == [[3, 1], [4], [1, 1]]


def test_splitting_leaves_whole_what_fits():
    queue = make_queue(max_task_rows=10, max_batch_rows=4, splits=True)
    whole, _ = task(FakeRunner(), [0.0] * 4)
    queue.add(whole, 0.0)
    assert queue.take().members == [whole]


@pytest.mark.behaviour("8.4", "a full queue, with and without splitting")
def test_splitting_says_how_much_capacity_is_left():
    queue = make_queue(max_task_rows=100, max_batch_rows=4, max_batches=3, splits=True)
    add(queue, 6)
    with pytest.raises(Unavailable) as error:
        add(queue, 7)
    assert error.value.message == (
        "The batch scheduling queue to which this task was submitted is full; task size is 7 but scheduling capacity "
        "is only 6 (num_enqueued_batches=2, max_enqueued_batches=3, open_batch_size=2, max_execution_batch_size=4)"
    )
    add(queue, 6)
    assert take_all(queue) == [[4], [2, 2], [4]]


@pytest.mark.behaviour("8.4", "a full queue, with and without splitting")
def test_a_queue_that_holds_nothing_has_an_open_batch_in_the_original_s_words():
    queue = make_queue(max_task_rows=100, max_batch_rows=4, max_batches=2, splits=True)
    with pytest.raises(Unavailable, match=r"capacity is only 8 \(num_enqueued_batches=1, .* open_batch_size=0, "):
        add(queue, 9)


ROWS = st.lists(st.integers(0, 9), max_size=20)


@settings(deadline=None)
@given(ROWS, st.integers(1, 9), st.integers(1, 4), st.booleans(), st.sets(st.integers(0, 20)))
def test_every_row_that_is_accepted_comes_out_once_and_in_order(rows, most, batches, splits, takes):
    queue = make_queue(max_task_rows=9, max_batch_rows=most if splits else 9, max_batches=batches, splits=splits)
    accepted, given_out = [], []
    for number, count in enumerate(rows):
        request, _ = task(FakeRunner(), [(number, row) for row in range(count)])
        try:
            queue.add(request, 0.0)
            accepted += [(number, row) for row in range(count)]
        except Unavailable:
            pass
        assert len(queue) <= batches
        if number in takes and len(queue):
            given_out.append(queue.take())
    given_out += [queue.take() for _ in range(len(queue))]
    assert all(
        sum(member.rows for member in batch.members) == batch.rows <= queue._limits.max_batch_rows
        for batch in given_out
    )
    fed = [tuple(row) for batch in given_out for member in batch.members for row in member.arrays[0].tolist()]
    assert fed == accepted


def run(queue, rows, seconds, run_s=1.0, ended_s=0.0):
    """A batch of so many rows has taken so long, and so much of that for its run, as each of them does."""
    job = Batch(0.0)
    job.add(task(FakeRunner(takes_s=run_s), [0.0] * rows)[0])
    # One that is long may be so by chance.
    for _ in range(4 if seconds > 0.1 else 1):
        queue.note_run(job, seconds, ended_s)


def test_batches_get_smaller_where_a_row_costs_the_same_in_any_batch():
    queue = make_queue(max_batch_rows=64, longest_run_s=0.1)
    run(queue, 16, 0.8)
    run(queue, 8, 0.4)
    add(queue, *[1] * 10)
    assert take_all(queue) == [[1] * 4, [1] * 4, [1] * 2]


def test_batches_begin_small_and_double_as_long_as_runs_are_short():
    queue = make_queue(max_batch_rows=64, longest_run_s=0.1)
    for most in (16, 32, 64, 64):
        add(queue, *[1] * 65)
        assert take_all(queue)[0] == [1] * most
        run(queue, most, 0.01)


def test_batches_of_a_model_that_became_faster_grow_again():
    queue = make_queue(max_batch_rows=64, longest_run_s=0.1)
    run(queue, 16, 0.2)
    for rows in (8, 16, 32, 64):
        run(queue, rows, 0.01)
    add(queue, *[1] * 65)
    assert take_all(queue) == [[1] * 64, [1]]


def test_small_batches_say_nothing_of_larger_ones():
    queue = make_queue(max_batch_rows=64, longest_run_s=0.1)
    run(queue, 16, 0.2)
    run(queue, 1, 0.01)
    add(queue, *[1] * 9)
    assert take_all(queue) == [[1] * 8, [1]]


def test_a_request_of_more_rows_than_batches_get_runs_alone():
    queue = make_queue(max_batch_rows=64, longest_run_s=0.1)
    for exponent in range(4, 0, -1):
        run(queue, 2**exponent, 2.0**exponent)
    add(queue, 30, 1, 1)
    assert take_all(queue) == [[30], [1], [1]]


def test_smaller_batches_leave_the_capacity_of_the_queue():
    queue = make_queue(max_batch_rows=4, max_batches=2, longest_run_s=0.1)
    run(queue, 4, 1.0)
    run(queue, 2, 0.5)
    add(queue, *[1] * 8)
    with pytest.raises(Unavailable):
        add(queue, 1)
    assert take_all(queue) == [[1]] * 8
    add(queue, *[1] * 8)


def test_with_a_file_no_run_is_too_long():
    queue = make_queue(max_batch_rows=64)
    run(queue, 64, 100.0)
    add(queue, *[1] * 64)
    assert take_all(queue) == [[1] * 64]


@given(
    st.lists(
        st.one_of(st.tuples(st.just("add"), st.integers(0, 8)), st.tuples(st.just("run"), st.floats(0.0, 1.0))),
        max_size=60,
    )
)
def test_whatever_runs_take_all_rows_come_out_once(steps):
    queue, rows_in, rows_out = make_queue(max_batch_rows=8, max_batches=3, longest_run_s=0.1), 0, 0
    for step, value in steps:
        if step == "add":
            try:
                add(queue, value)
            except Unavailable:
                assert rows_in - rows_out + value > 8
            else:
                rows_in += value
        elif len(queue):
            batch = queue.take()
            rows_out += batch.rows
            queue.note_run(batch, value, 0.0)
    rows_out += sum(map(sum, take_all(queue)))
    assert rows_in == rows_out


def test_a_lane_gathers_batches_as_long_as_runs_like_the_latest_are_short():
    queue = BatchQueue(QueueLimits(), BatchCounts(), gathered_s=0.001)
    assert queue.gathers is None
    seen = []
    for seconds in (0.0009, 0.0011, 0.0005):
        run(queue, 4, 0.1, run_s=seconds)
        seen.append(queue.gathers)
    assert seen == [True, False, True]


def test_a_lane_never_gathers_what_waits_for_a_timeout():
    queue = BatchQueue(QueueLimits(timeout_s=0.01), BatchCounts(), gathered_s=0.001)
    run(queue, 4, 0.0001, run_s=0.0001)
    assert queue.gathers is False


def test_after_a_batch_that_took_long_the_queue_waits_for_its_callers():
    queue = make_queue(longest_run_s=1.0)
    run(queue, 4, 0.2, ended_s=10.0)
    add(queue, 1, at_s=10.001)
    assert queue.due_s() == 10.0 + 0.05 * 0.2
    add(queue, 2, at_s=10.002)
    assert queue.due_s() == 10.0 + 0.05 * 0.2
    add(queue, 1, at_s=10.003)
    assert queue.due_s() == 10.001
    assert take_all(queue) == [[1, 2, 1]]
    # The queue does not wait for callers beyond that time.
    add(queue, 1, at_s=10.5)
    assert queue.due_s() == 10.5


@pytest.mark.parametrize(("limits", "seconds"), [({"longest_run_s": 1.0}, 0.004), ({}, 0.2)])
def test_the_queue_waits_for_no_callers_after_a_short_batch_or_with_a_file(limits, seconds):
    queue = make_queue(**limits)
    run(queue, 4, seconds, ended_s=10.0)
    add(queue, 1, at_s=10.001)
    assert queue.due_s() == 10.001


def test_the_queue_waits_for_no_callers_where_more_rows_make_none_cheaper():
    queue = make_queue(longest_run_s=1.0)
    for rows, run_s in [(8, 0.08), (16, 0.16)] * 8:
        run(queue, rows, run_s, ended_s=10.0)
    add(queue, 1, at_s=10.001)
    assert queue.due_s() == 10.001


def test_calls_that_are_not_batched_wait_in_a_queue_of_bounded_length():
    queue = FifoQueue(2)
    first, second, third = (task(FakeRunner(), [0.0])[0] for _ in range(3))
    queue.add(first, 0.0)
    queue.add(second, 0.0)
    with pytest.raises(ResourceExhausted, match="2 calls of the model wait") as caught:
        queue.add(third, 0.0)
    assert caught.value.retry_after_s > 0
    assert queue.take() is first
    queue.add(third, 0.0)
    assert [queue.take(), queue.take()] == [second, third]
