"""Running a batch: which members run together, and what each is answered when something is wrong."""

import time

import numpy as np
import pytest

from servable import errors
from servable.batching import merging
from servable.batching.counts import BatchCounts, Cut
from servable.batching.queues import BatchQueue
from servable.batching.running import Batch, run_batch
from servable.config.batching import QueueLimits
from servable.errors import InvalidArgument
from servable.observability.histograms import QUEUE_MICROSECONDS
from tests.batching.fakes import FakeRunner, task

LATE = ("RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue")
NO_BATCH_DIMENSION = (
    "FAILED_PRECONDITION",
    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors",
)


def run(requests, counts=None, **limits):
    """Run requests, each a task and its reply, as one batch."""
    batch = Batch(0.0)
    for waiting, _ in requests:
        waiting.kind = merging.kind(waiting.arrays, pads=limits.get("pads", False))
        batch.add(waiting)
    run_batch(batch, QueueLimits(**limits), counts or BatchCounts())
    return [reply.answer for _, reply in requests]


def refusing(bad, error=None):
    """A runner that fails whatever has a bad value among its rows."""

    def function(arrays):
        if (arrays[0] == bad).any():
            raise error or InvalidArgument(f"{bad} is bad")
        return [arrays[0] * 2]

    return FakeRunner(function)


@pytest.mark.behaviour("13.12", "178 Basic")
def test_requests_of_one_kind_are_one_run():
    runner = FakeRunner()
    answers = run([task(runner, [1, 2]), task(runner, [3]), task(runner, [4, 5])])
    assert runner.runs == [[[1, 2, 3, 4, 5]]]
    assert answers == [[[2, 4]], [[6]], [[8, 10]]]


@pytest.mark.behaviour("8.4", "ours: one bad request fails alone")
def test_a_bad_request_fails_alone():
    runner = refusing(13)
    requests = [task(runner, [1]), task(runner, [13]), task(runner, [3])]
    answers = run(requests)
    assert [answers[0], answers[2]] == [[[2]], [[6]]]
    assert requests[1][1].error == ("INVALID_ARGUMENT", "13 is bad")
    assert runner.runs == [[[1, 13, 3]], [[1]], [[13, 3]], [[13]], [[3]]]


def test_one_bad_request_of_64_costs_13_runs():
    runner = refusing(13)
    requests = [task(runner, [13 if number == 40 else -number]) for number in range(64)]
    answers = run(requests)
    assert requests[40][1].error == ("INVALID_ARGUMENT", "13 is bad")
    assert [answer for number, answer in enumerate(answers) if number != 40] == [
        [[-2 * number]] for number in range(64) if number != 40
    ]
    assert len(runner.runs) == 13


def test_only_a_batch_that_was_completed_in_one_run_says_what_such_a_run_takes():
    def completes(requests, runner):
        batch = Batch(0.0)
        for waiting, _ in requests:
            waiting.runner = runner
            batch.add(waiting)
        return run_batch(batch, QueueLimits(), BatchCounts())

    good, bad = FakeRunner(), refusing(13)
    assert completes([task(good, [1]), task(good, [2])], good)
    assert not completes([task(bad, [1]), task(bad, [13])], bad)
    assert not completes([task(good, [1]), task(good, [[2]])], good)
    assert not completes([task(good, [1]), task(good, [2], active=False)], good)


def test_an_unforeseen_failure_fails_alone_too(caplog):
    runner = refusing(13, TypeError("what is this?"))
    requests = [task(runner, [1]), task(runner, [13])]
    assert run(requests)[0] == [[2]]
    assert requests[1][1].error == ("INTERNAL", "Internal error")
    assert "what is this?" in caplog.text


@pytest.mark.behaviour("13.12", "186 SingletonBatch")
def test_a_lone_request_that_fails_is_run_once():
    runner = refusing(13)
    requests = [task(runner, [13])]
    run(requests)
    assert len(runner.runs) == 1
    assert requests[0][1].error == ("INVALID_ARGUMENT", "13 is bad")


@pytest.mark.behaviour("8.4", "ours: an error that no input can cause goes to all callers, without another try")
@pytest.mark.parametrize("name", ["Cancelled", "DeadlineExceeded", "ResourceExhausted", "Aborted", "Unavailable"])
def test_an_error_that_no_input_caused_is_not_tried_again(name):
    error = getattr(errors, name)("no", {"hint": "why"})
    runner = refusing(13, error)
    requests = [task(runner, [1]), task(runner, [13])]
    answers = run(requests)
    assert len(runner.runs) == 1
    assert [reply.error for _, reply in requests] == [(error.code.name, "no")] * 2
    assert all(answer.hints == {"hint": "why"} for answer in answers)
    # Raising an error changes it.
    assert answers[0] is not answers[1]


@pytest.mark.behaviour(
    "8.4", "a deadline that passes in the queue is RESOURCE_EXHAUSTED; ours: each late request, and it is not run"
)
def test_a_request_whose_caller_left_is_not_run():
    runner = FakeRunner()
    requests = [task(runner, [1]), task(runner, [2], active=False), task(runner, [3])]
    run(requests)
    assert runner.runs == [[[1, 3]]]
    assert requests[1][1].error == LATE


def test_a_deadline_that_has_passed_is_seen_whatever_the_reply_says():
    runner = FakeRunner()
    requests = [task(runner, [1]), task(runner, [2], ends_at_s=time.monotonic())]
    run(requests)
    assert runner.runs == [[[1]]]
    assert requests[1][1].error == LATE


@pytest.mark.behaviour(
    "8.4", "a deadline that passes in the queue is RESOURCE_EXHAUSTED; ours: each late request, and it is not run"
)
def test_a_batch_that_nobody_waits_for_is_not_run():
    runner = FakeRunner()
    requests = [task(runner, [1], active=False)]
    run(requests)
    assert not runner.runs
    assert requests[0][1].error == LATE


def test_a_request_whose_caller_leaves_during_the_run_is_not_tried_again():
    requests = []

    def function(arrays):
        for _, reply in requests:
            reply.active = False
        raise InvalidArgument("no")

    runner = FakeRunner(function)
    requests += [task(runner, [1]), task(runner, [2])]
    run(requests)
    assert len(runner.runs) == 1
    assert [reply.error for _, reply in requests] == [LATE, LATE]


@pytest.mark.behaviour("8.4", "a run has as long as the last of its callers waits")
def test_the_last_caller_to_wait_bounds_the_run():
    runner = FakeRunner()
    now_s = time.monotonic()
    run([task(runner, [1], ends_at_s=now_s + 100), task(runner, [2], ends_at_s=now_s + 1000)])
    assert 900 < runner.timeouts_s[0] <= 1000
    run([task(runner, [1], ends_at_s=now_s + 100), task(runner, [2])])
    assert runner.timeouts_s[1] is None


@pytest.mark.behaviour("8.4", "ours: rows of different shapes run apart")
@pytest.mark.behaviour(
    "13.12", "181 BatchHandlesSplitError, 185 UnequalTensorShapesWithPaddingTurnedOff: ours run apart"
)
def test_rows_of_different_shapes_run_apart_without_padding():
    runner = FakeRunner()
    answers = run([task(runner, [[1, 2]]), task(runner, [[3]]), task(runner, [[4, 5]])])
    assert runner.runs == [[[[1, 2], [4, 5]]], [[[3]]]]
    assert answers == [[[[2, 4]]], [[[6]]], [[[8, 10]]]]


@pytest.mark.behaviour("8.4", "padding is the tensor's own first element, and outputs keep it")
def test_rows_of_different_shapes_are_padded_if_the_limits_say_so():
    runner = FakeRunner()
    answers = run([task(runner, [[1, 2]]), task(runner, [[3]])], pads=True)
    assert runner.runs == [[[[1, 2], [3, 3]]]]
    # As in the original, nobody cuts the outputs back.
    assert answers == [[[[2, 4]]], [[[6, 6]]]]


def test_rows_of_different_ranks_run_apart_even_with_padding():
    runner = FakeRunner()
    run([task(runner, [[1]]), task(runner, [[[1]]])], pads=True)
    assert len(runner.runs) == 2


@pytest.mark.behaviour("8.4", "ours: rows of different shapes run apart")
def test_an_array_without_elements_runs_apart_where_it_would_be_padded():
    runner = FakeRunner()
    answers = run([task(runner, [[1, 2]]), task(runner, np.zeros((1, 0)))], pads=True)
    assert runner.runs == [[[[1, 2]]], [[[]]]]
    assert answers == [[[[2, 4]]], [[[]]]]


@pytest.mark.behaviour("8.2", "ours: a request without rows does not wait for another")
@pytest.mark.parametrize("pads", [False, True])
def test_no_rows_run_apart_and_are_not_filled_up(pads):
    runner = FakeRunner()
    answers = run([task(runner, [1]), task(runner, np.zeros(0))], pads=pads, allowed_rows=(4,))
    assert runner.runs == [[[1, 1, 1, 1]], [[]]]
    assert answers == [[[2]], [[]]]


@pytest.mark.behaviour(
    "8.3", "a run has the first allowed size that is large enough, filled up with the first row of the last request"
)
def test_a_run_is_filled_up_to_an_allowed_size_unseen_by_callers():
    runner = FakeRunner()
    answers = run([task(runner, [1]), task(runner, [2, 3])], allowed_rows=(2, 4, 8))
    assert runner.runs == [[[1, 2, 3, 2]]]
    assert answers == [[[2]], [[4, 6]]]


def test_a_request_that_runs_again_alone_is_filled_up_too():
    runner = refusing(13)
    run([task(runner, [1]), task(runner, [13])], allowed_rows=(2, 4))
    assert runner.runs == [[[1, 13]], [[1, 1]], [[13, 13]]]


@pytest.mark.behaviour("8.4", "outputs without a batch dimension, even of a lone request")
def test_an_output_of_other_rows_fails_even_a_lone_request():
    requests = [task(FakeRunner(lambda arrays: [np.zeros(3)]), [1, 2])]
    run(requests)
    assert requests[0][1].error == NO_BATCH_DIMENSION


@pytest.mark.behaviour("8.4", "ours: one bad request fails alone")
def test_an_output_that_depends_on_the_rows_fails_only_the_request_that_causes_it():
    runner = FakeRunner(lambda arrays: [arrays[0][arrays[0] > 0]])
    requests = [task(runner, [1]), task(runner, [-1])]
    assert run(requests)[0] == [[1]]
    assert requests[1][1].error == NO_BATCH_DIMENSION


@pytest.mark.behaviour("8.4", "ours: two output aliases on one tensor both have their values")
def test_two_outputs_may_be_one_tensor():
    runner = FakeRunner(lambda arrays: [arrays[0], arrays[0]])
    assert run([task(runner, [1]), task(runner, [2])]) == [[[1], [1]], [[2], [2]]]


def test_a_reply_that_cannot_be_made_fails_its_own_caller_only(caplog):
    runner = FakeRunner(lambda arrays: [arrays[0]])
    bad, good = task(runner, [1]), task(runner, [2])

    def fail(fetched):
        raise TypeError("no such dtype")

    bad[0].request.finish = fail
    run([bad, good])
    assert bad[1].error == ("INTERNAL", "Internal error")
    assert good[1].answer == [[2]]
    assert len(runner.runs) == 1
    assert "no such dtype" in caplog.text


def test_a_reply_that_cannot_be_sent_leaves_the_others_theirs(caplog):
    runner = FakeRunner()
    requests = [task(runner, [1]), task(runner, [2], active=False), task(runner, [3])]
    for _, reply in requests[:2]:
        reply.answers.append("already answered")
    batch = Batch(0.0)
    for waiting, _ in requests:
        batch.add(waiting)
    run_batch(batch, QueueLimits(), BatchCounts())
    assert requests[2][1].answer == [[6]]
    assert "a reply could not be sent" in caplog.text
    assert "an error could not be sent" in caplog.text


def split(runner, values, most, **limits):
    """The batches of one request that is split, and its reply."""
    queue = BatchQueue(QueueLimits(max_batch_rows=most, splits=True, **limits), BatchCounts())
    waiting, reply = task(runner, values, pads=limits.get("pads", False))
    queue.add(waiting, 0.0)
    return [queue.take() for _ in range(len(queue))], reply


@pytest.mark.behaviour("8.5", "one request goes through several batches, the open one first")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_parts_are_put_together_in_any_order(order):
    runner = FakeRunner()
    batches, reply = split(runner, [1, 2, 3, 4, 5], 2)
    for index in order:
        assert not reply.answers
        run_batch(batches[index], QueueLimits(), BatchCounts())
    assert reply.answer == [[2, 4, 6, 8, 10]]


@pytest.mark.behaviour("8.5", "a part that fails fails the request")
def test_a_part_that_fails_fails_the_request_once_and_the_rest_is_not_run():
    runner = refusing(2)
    batches, reply = split(runner, [1, 2, 3, 4, 2, 2], 2)
    for batch in batches:
        run_batch(batch, QueueLimits(), BatchCounts())
    assert reply.error == ("INVALID_ARGUMENT", "2 is bad")
    assert runner.runs == [[[1, 2]]]


@pytest.mark.behaviour("8.5", "a part that fails fails the request")
def test_a_part_that_fails_leaves_its_batch_to_the_others():
    runner = refusing(2)
    queue = BatchQueue(QueueLimits(max_batch_rows=2, splits=True), BatchCounts())
    requests = [task(runner, [1]), task(runner, [2, 3])]
    for waiting, _ in requests:
        queue.add(waiting, 0.0)
    for _ in range(len(queue)):
        run_batch(queue.take(), QueueLimits(), BatchCounts())
    assert requests[0][1].answer == [[2]]
    assert requests[1][1].error == ("INVALID_ARGUMENT", "2 is bad")


@pytest.mark.behaviour("8.5", "a part that fails fails the request")
def test_a_part_that_fails_during_the_run_of_another_fails_no_other_request():
    runner = FakeRunner()
    batches, reply = split(runner, [1, 2, 3, 4], 2)
    other, other_reply = task(runner, [5])
    batches[0].add(other)

    def fail_the_other(arrays):
        runner.function = refuse
        run_batch(batches[1], QueueLimits(), BatchCounts())
        return [arrays[0] * 2]

    def refuse(arrays):
        raise InvalidArgument("no")

    runner.function = fail_the_other
    run_batch(batches[0], QueueLimits(), BatchCounts())
    assert reply.error == ("INVALID_ARGUMENT", "no")
    assert other_reply.answer == [[10]]


@pytest.mark.behaviour("8.5", "a part that fails fails the request")
def test_parts_that_came_out_in_different_shapes_fail_their_request_only():
    runner = FakeRunner()
    batches, reply = split(runner, [[1], [2], [3]], 2, pads=True)
    wide, wide_reply = task(runner, [[4, 5]], pads=True)
    batches[1].add(wide)
    for batch in batches:
        run_batch(batch, QueueLimits(pads=True), BatchCounts())
    assert reply.error[0] == "INTERNAL"
    assert reply.error[1].startswith("Tensor concat operation failed: ")
    assert wide_reply.answer == [[[8, 10]]]


@pytest.mark.behaviour("13.12", "189 AllowedBatchSizesNoPaddingNeeded, 190 AllowedBatchSizesRequirePadding")
def test_batches_are_counted():
    counts, runner = BatchCounts(), FakeRunner()
    queue = BatchQueue(QueueLimits(max_batch_rows=4), counts)
    for values in ([1, 2], [3], [4, 5]):
        queue.add(task(runner, values)[0], time.monotonic())
    for _ in range(2):
        run_batch(queue.take(), QueueLimits(allowed_rows=(4,)), counts)
    assert counts.cuts == {Cut.FULL: 1, Cut.FREE: 1}
    assert counts.requests == {2: 1, 1: 1}
    assert counts.inputs == {(2, 1): 2, (1, 1): 1}
    assert counts.runs == {(4, 1): 1, (4, 2): 1}
    assert counts.waits_us.count == 3
    assert counts.waits_us.sum > 0


def test_waits_are_counted_in_the_original_s_buckets():
    counts = BatchCounts()
    # A wait that equals a limit belongs to the next bucket.
    counts.note_batch(Cut.FREE, [(1, 1)] * 4, [0.0, 100e-6, 110e-6, 10.0])
    waits = counts.waits_us.counts
    assert (waits[0], waits[1], waits[-1], sum(waits)) == (1, 2, 1, 4)
    assert counts.waits_us.sum == 10_000_210
    assert len(QUEUE_MICROSECONDS.limits) == 52
    assert QUEUE_MICROSECONDS.limits[-1] == pytest.approx(100 * 1.2**51)
