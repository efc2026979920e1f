"""Where a request runs, and that each is answered once and then released."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest

from servable.batching.counts import Cut
from servable.batching.dispatch import Dispatcher
from servable.batching.scheduler import Scheduler
from servable.config.batching import QueueLimits
from servable.errors import InvalidArgument, NotFound
from tests.batching.fakes import TIMEOUT_S, FakeReply, FakeRequest, FakeRunner, FakeServable, call

QUICK_S = 5e-5
# Worth a hand-over if others wait, and short enough if nobody does.
SHORT_S = 5e-4
WORTH_HANDING_OVER_S = 1e-4


@pytest.fixture
def scheduler():
    running = Scheduler(4)
    running.start()
    yield running
    assert running.stop(TIMEOUT_S)


@pytest.fixture
def dispatcher(scheduler):
    return Dispatcher(scheduler, WORTH_HANDING_OVER_S)


class Gate:
    """A runner's function that holds the first run until it is opened; notes who runs."""

    def __init__(self):
        self.entered, self.opened, self.threads = threading.Event(), threading.Event(), []

    def __call__(self, arrays):
        self.threads.append(threading.current_thread())
        self.entered.set()
        assert self.opened.wait(TIMEOUT_S)
        return [arrays[0] * 2]


def begin(dispatcher, servable, *arrays, time_left_s=None, active=True, others_waiting=True):
    """Begin a request, one of several unless said; its reply, and the batch if it is for the caller to run."""
    reply = FakeReply(active, others_waiting)
    return reply, call(dispatcher, lambda _: FakeRequest(servable, *arrays), reply, time_left_s)


def test_a_quick_run_is_over_when_begin_returns(dispatcher):
    servable = FakeServable(None, FakeRunner(takes_s=QUICK_S))
    reply, batch = begin(dispatcher, servable, [1, 2], time_left_s=5.0)
    assert batch is None
    assert reply.answer == [[2, 4]]
    assert servable.its_runner.timeouts_s == [5.0]


def test_a_long_run_does_not_block_the_caller(dispatcher):
    gate = Gate()
    reply, batch = begin(dispatcher, FakeServable(None, FakeRunner(gate)), [1])
    assert batch is None
    assert gate.entered.wait(TIMEOUT_S)
    assert not reply.answers
    gate.opened.set()
    assert reply.wait() == [[2]]


class Meeting:
    """A runner's function whose runs end once two of them run at the same time, as in a graph that batches itself."""

    def __init__(self):
        self.entered, self._both = threading.Event(), threading.Barrier(2)

    def __call__(self, arrays):
        self.entered.set()
        self._both.wait(TIMEOUT_S)
        return [arrays[0] * 2]


def test_batches_of_a_graph_that_batches_itself_run_at_the_same_time(dispatcher):
    meeting = Meeting()
    servable = FakeServable(QueueLimits(longest_run_s=1.0), FakeRunner(meeting, batches_itself=True))
    first, _ = begin(dispatcher, servable, [1])
    assert meeting.entered.wait(TIMEOUT_S)
    second, _ = begin(dispatcher, servable, [2])
    assert [first.wait(), second.wait()] == [[[2]], [[4]]]


@pytest.mark.parametrize("limits", [None, QueueLimits(max_batch_rows=1, max_batches=9, batches_at_once=None)])
def test_one_model_leaves_a_thread_to_others(dispatcher, limits):
    gate, runner = Gate(), FakeRunner()
    busy = FakeServable(limits, FakeRunner(gate))
    held = [begin(dispatcher, busy, [1])[0] for _ in range(9)]
    for _ in range(3):
        reply, batch = begin(dispatcher, FakeServable(limits, runner), [3])
        if batch is not None:
            batch.run()
        assert reply.wait() == [[6]]
    assert len(gate.threads) <= 3
    gate.opened.set()
    assert [reply.wait() for reply in held] == [[[2]]] * 9


@pytest.mark.parametrize("limits", [None, QueueLimits()])
def test_a_runner_that_is_not_made_yet_is_made_on_another_thread(dispatcher, limits):
    servable = FakeServable(limits, FakeRunner(takes_s=QUICK_S), ready=False)
    makers = []
    make = servable.runner
    servable.runner = lambda feeds, fetches: makers.append(threading.current_thread()) or make(feeds, fetches)
    reply, batch = begin(dispatcher, servable, [1])
    assert batch is None
    assert reply.wait() == [[2]]
    assert threading.current_thread() not in makers


def test_a_runner_that_cannot_be_prepared_fails_the_request(dispatcher):
    servable = FakeServable(None, ready=False)

    def refuse(feeds, fetches):
        raise NotFound("no such tensor")

    servable.runner = refuse
    reply, _ = begin(dispatcher, servable, [1])
    assert reply.wait().message == "no such tensor"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (InvalidArgument("no"), ("INVALID_ARGUMENT", "no")),
        (ValueError("what?"), ("INTERNAL", "Internal error")),
    ],
)
def test_whatever_fails_is_answered(dispatcher, caplog, error, answer):
    def fail(_message):
        raise error

    def failing_run(arrays):
        raise error

    before, inline, posted = FakeReply(), FakeReply(), FakeReply()
    call(dispatcher, fail, before)
    call(dispatcher, lambda _: FakeRequest(FakeServable(None, FakeRunner(failing_run, takes_s=QUICK_S)), [1]), inline)
    call(dispatcher, lambda _: FakeRequest(FakeServable(None, FakeRunner(failing_run)), [1]), posted)
    posted.wait()
    assert (before.error, inline.error, posted.error) == (answer, answer, answer)


@pytest.mark.behaviour("11.2", "ours: on a lane too what was cancelled or is late is not run")
def test_what_waited_too_long_for_a_thread_is_not_run(dispatcher):
    gate = Gate()
    servable = FakeServable(None, FakeRunner(gate))
    held = [begin(dispatcher, servable, [1])[0] for _ in range(2)]
    late, gone = begin(dispatcher, servable, [2], time_left_s=0.0)[0], begin(dispatcher, servable, [3])[0]
    late.active = gone.active = False
    gate.opened.set()
    assert [reply.wait() for reply in held] == [[[2]]] * 2
    late.wait(), gone.wait()
    assert late.error == ("DEADLINE_EXCEEDED", "Timed out waiting for notification")
    assert gone.error == ("CANCELLED", "CANCELLED")
    assert len(servable.its_runner.runs) == 2


@pytest.mark.parametrize(
    ("tiny", "others_waiting", "here"), [(False, False, True), (False, True, False), (True, True, True)]
)
def test_a_run_that_takes_longer_than_a_hand_over_leaves_the_thread_to_others(dispatcher, tiny, others_waiting, here):
    threads = []

    def note(arrays):
        threads.append(threading.current_thread())
        return [arrays[0] * 2]

    servable = FakeServable(None, FakeRunner(note, takes_s=QUICK_S if tiny else SHORT_S))
    reply = FakeReply(others_waiting=others_waiting)
    assert call(dispatcher, lambda _: FakeRequest(servable, [1]), reply) is None
    assert reply.wait() == [[2]]
    assert (threads == [threading.current_thread()]) is here


def test_quick_requests_wait_until_the_caller_has_no_more(dispatcher):
    servable = FakeServable(QueueLimits(), FakeRunner(takes_s=QUICK_S))
    begun = [begin(dispatcher, servable, [number]) for number in range(3)]
    assert not any(reply.answers for reply, _ in begun)
    (batch,) = {batch for _, batch in begun}
    batch.run()
    assert [reply.answer for reply, _ in begun] == [[[0]], [[2]], [[4]]]
    assert len(servable.its_runner.runs) == 1


def test_a_quick_request_runs_at_once_if_no_other_is_there(dispatcher):
    servable = FakeServable(QueueLimits(), FakeRunner(takes_s=QUICK_S))
    reply, batch = begin(dispatcher, servable, [1, 2], time_left_s=5.0, others_waiting=False)
    assert batch is None
    assert reply.answer == [[2, 4]]
    assert servable.its_runner.timeouts_s == [5.0]
    counts = dispatcher.counts.of("")
    assert (counts.cuts, counts.requests, counts.inputs) == ({Cut.FREE: 1}, {1: 1}, {(2, 1): 1})
    waits = counts.waits_us
    assert (counts.runs, waits.counts[0], waits.count, waits.sum) == ({(2, 0): 1}, 1, 1, 0.0)


def test_a_request_that_finds_others_queued_joins_them(dispatcher):
    servable = FakeServable(QueueLimits(), FakeRunner(takes_s=QUICK_S))
    first, batch = begin(dispatcher, servable, [1])
    second, same_batch = begin(dispatcher, servable, [2], others_waiting=False)
    assert batch == same_batch
    batch.run()
    assert (first.answer, second.answer) == ([[2]], [[4]])
    assert servable.its_runner.runs == [[[1, 2]]]


@pytest.mark.parametrize("limits", [QueueLimits(timeout_s=0.02), QueueLimits(allowed_rows=(4,), max_batch_rows=4)])
def test_a_lone_request_waits_and_is_filled_up_where_the_limits_say_so(dispatcher, limits):
    servable = FakeServable(limits, FakeRunner(takes_s=QUICK_S))
    reply, batch = begin(dispatcher, servable, [1], others_waiting=False)
    if batch is not None:
        batch.run()
    assert reply.wait() == [[2]]
    assert servable.its_runner.runs == [[[1, 1, 1, 1] if limits.allowed_rows else [1]]]
    assert dispatcher.counts.of("").waits_us.sum > 0


def test_a_lone_request_that_is_too_large_for_one_batch_is_split(dispatcher):
    servable = FakeServable(QueueLimits(max_batch_rows=2, splits=True), FakeRunner(takes_s=QUICK_S))
    for rows in ([1, 2], [1, 2, 3]):
        reply, batch = begin(dispatcher, servable, rows, others_waiting=False)
        if batch is not None:
            batch.run()
        assert reply.wait() == [[2 * row for row in rows]]
    assert servable.its_runner.runs == [[[1, 2]], [[1, 2]], [[3]]]


@pytest.mark.parametrize("fails", [False, True])
def test_what_comes_while_a_lone_request_runs_is_run_together_by_the_threads(dispatcher, fails):
    gate = Gate()

    def run(arrays):
        gate.entered.is_set() or gate(arrays)
        if fails and len(arrays[0]) == 1:
            raise InvalidArgument("no")
        return [arrays[0] * 2]

    servable = FakeServable(QueueLimits(), FakeRunner(run, takes_s=QUICK_S))
    lone = FakeReply()
    caller = threading.Thread(target=call, args=(dispatcher, lambda _: FakeRequest(servable, [0]), lone))
    caller.start()
    assert gate.entered.wait(TIMEOUT_S)
    later = [begin(dispatcher, servable, [number], others_waiting=False) for number in (1, 2)]
    for _, batch in later:
        batch.run()
    assert servable.its_runner.runs == [[[0]]]
    gate.opened.set()
    caller.join(TIMEOUT_S)
    assert [reply.wait() for reply, _ in later] == [[[2]], [[4]]]
    assert servable.its_runner.runs == [[[0]], [[1, 2]]]
    assert lone.error == ("INVALID_ARGUMENT", "no") if fails else lone.answer == [[0]]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (np.float32(1), "Batched output tensor has 0 dimensions"),
        (
            np.zeros(3),
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors",
        ),
    ],
)
def test_what_a_lone_request_gives_is_checked_as_in_a_batch(dispatcher, result, text):
    servable = FakeServable(QueueLimits(), FakeRunner(lambda arrays: [result], takes_s=QUICK_S))
    for others_waiting in (False, True):
        reply, batch = begin(dispatcher, servable, [1, 2], others_waiting=others_waiting)
        if batch is not None:
            batch.run()
        assert reply.error == ("FAILED_PRECONDITION", text)


def test_no_lone_request_runs_after_a_stop(dispatcher, scheduler):
    assert scheduler.stop(TIMEOUT_S)
    reply, _ = begin(dispatcher, FakeServable(QueueLimits(), FakeRunner(takes_s=QUICK_S)), [1], others_waiting=False)
    assert reply.error == ("UNAVAILABLE", "The server is shutting down.")


def test_a_full_batch_says_so(dispatcher):
    servable = FakeServable(QueueLimits(max_batch_rows=2), FakeRunner(takes_s=QUICK_S))
    seen = []
    for number in range(3):
        reply, batch = begin(dispatcher, servable, [number])
        seen.append(batch.is_full())
        if batch.is_full():
            batch.run()
    assert seen == [False, True, False]
    batch.run()
    assert reply.answer == [[4]]


@pytest.mark.behaviour("8.2", "or when its oldest request has waited for the timeout")
def test_with_a_timeout_batches_are_for_the_threads(dispatcher):
    servable = FakeServable(QueueLimits(timeout_s=0.02), FakeRunner(takes_s=QUICK_S))
    begun = [begin(dispatcher, servable, [number]) for number in range(2)]
    assert [batch for _, batch in begun] == [None, None]
    assert [reply.wait() for reply, _ in begun] == [[[0]], [[2]]]


@pytest.mark.behaviour("8.2", "ours: without a file a batch grows while its model is busy")
def test_what_comes_while_a_model_is_busy_is_the_next_batch(dispatcher):
    gate = Gate()
    servable = FakeServable(QueueLimits(), FakeRunner(gate))
    first, _ = begin(dispatcher, servable, [0])
    assert gate.entered.wait(TIMEOUT_S)
    later = [begin(dispatcher, servable, [number])[0] for number in range(1, 6)]
    gate.opened.set()
    assert first.wait() == [[0]]
    assert [reply.wait() for reply in later] == [[[2]], [[4]], [[6]], [[8]], [[10]]]
    assert servable.its_runner.runs == [[[0]], [[1, 2, 3, 4, 5]]]


def test_several_batches_of_a_queue_run_at_once_where_the_limits_let_them(dispatcher):
    everybody = threading.Barrier(3)

    def together(arrays):
        everybody.wait(TIMEOUT_S)
        return [arrays[0] * 2]

    servable = FakeServable(QueueLimits(max_batch_rows=1, batches_at_once=None), FakeRunner(together))
    replies = [begin(dispatcher, servable, [number])[0] for number in range(3)]
    assert [reply.wait() for reply in replies] == [[[0]], [[2]], [[4]]]


@pytest.mark.behaviour("8.2", "models and versions share threads in turns, and no batch")
@pytest.mark.behaviour("13.12", "194 MultipleSignatures, 197 SubsetOutputTensors")
def test_models_share_no_batch(dispatcher):
    one, other = (FakeServable(QueueLimits(), FakeRunner(takes_s=QUICK_S)) for _ in range(2))
    begun = [begin(dispatcher, servable, [1]) for servable in (one, other, one)]
    for _, batch in begun:
        batch.run()
    assert (one.its_runner.runs, other.its_runner.runs) == ([[[1, 1]]], [[[1]]])


@pytest.mark.behaviour("8.4", "a request above max_batch_size")
@pytest.mark.behaviour("13.12", "180 BatchingWithLargeBatch, 182 BatchingLazySplit")
@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ([], "Batching Run() must have at least one input tensor"),
        ([np.float32(1)], "Batching Run() input tensors must have at least one dimension"),
        ([[1.0], [1.0, 2.0]], "Batching Run() input tensors must have equal 0th-dimension size"),
        ([[1.0] * 5], "Task size 5 is larger than maximum input batch size 4"),
        # The original finds the size first.
        ([np.array([1] * 5, np.int32)], "Task size 5 is larger than maximum input batch size 4"),
        ([np.zeros((1,) * 7, np.float32)], "Only tensors with rank from 1 to 6 can be padded."),
        ([np.array([1], np.int32)], "wrong dtype"),
    ],
)
def test_what_cannot_be_batched_is_refused_before_it_is_queued(dispatcher, arrays, text):
    runner = FakeRunner(takes_s=QUICK_S, dtype=np.float32)
    servable = FakeServable(QueueLimits(max_task_rows=4, max_batch_rows=4, pads=True), runner)
    arrays = [np.asarray(array, np.float32) if isinstance(array, list) else array for array in arrays]
    good, batch = begin(dispatcher, servable, np.ones(1, np.float32))
    bad, _ = begin(dispatcher, servable, *arrays)
    assert bad.error == ("INVALID_ARGUMENT", text)
    batch.run()
    assert good.answer == [[2.0]]


@pytest.mark.behaviour("8.4", "a full queue, with and without splitting")
def test_a_full_queue_answers_unavailable(dispatcher):
    gate = Gate()
    servable = FakeServable(QueueLimits(max_batch_rows=1, max_batches=1), FakeRunner(gate))
    first, _ = begin(dispatcher, servable, [1])
    assert gate.entered.wait(TIMEOUT_S)
    second, third = begin(dispatcher, servable, [2])[0], begin(dispatcher, servable, [3])[0]
    assert third.error == (
        "UNAVAILABLE",
        "The batch scheduling queue to which this task was submitted is full; currently 1 batches enqueued and "
        "max_enqueued_batches is 1",
    )
    gate.opened.set()
    assert (first.wait(), second.wait()) == ([[2]], [[4]])


@pytest.mark.behaviour(
    "8.4", "a deadline that passes in the queue is RESOURCE_EXHAUSTED; ours: each late request, and it is not run"
)
@pytest.mark.behaviour("13.12", "195 EnqueuedLongerThanTimeout")
def test_queued_work_whose_deadline_passes_is_not_run(dispatcher):
    gate = Gate()
    servable = FakeServable(QueueLimits(), FakeRunner(gate))
    first, _ = begin(dispatcher, servable, [1])
    assert gate.entered.wait(TIMEOUT_S)
    late = begin(dispatcher, servable, [2], time_left_s=0.0)[0]
    late.active = False
    gate.opened.set()
    first.wait(), late.wait()
    assert late.error == ("RESOURCE_EXHAUSTED", "Run() timeout exceeded while waiting in batching queue")
    assert len(servable.its_runner.runs) == 1


def test_one_request_goes_through_several_batches(dispatcher):
    servable = FakeServable(QueueLimits(max_batch_rows=2, splits=True, batches_at_once=None))
    reply, _ = begin(dispatcher, servable, [1, 2, 3, 4, 5])
    assert reply.wait() == [[2, 4, 6, 8, 10]]
    assert sorted(map(len, (run[0] for run in servable.its_runner.runs))) == [1, 2, 2]


@pytest.mark.behaviour("8.4", "ours: what is queued when the server stops is UNAVAILABLE")
@pytest.mark.parametrize("limits", [None, QueueLimits()])
def test_a_stop_answers_all_that_wait(limits):
    scheduler, gate = Scheduler(1), Gate()
    scheduler.start()
    dispatcher, servable = Dispatcher(scheduler), FakeServable(limits, FakeRunner(gate))
    running, _ = begin(dispatcher, servable, [1])
    assert gate.entered.wait(TIMEOUT_S)
    waiting = [begin(dispatcher, servable, [number])[0] for number in range(3)]
    assert not scheduler.stop(0.0)
    waiting.append(begin(dispatcher, servable, [4])[0])
    assert {reply.error for reply in waiting} == {("UNAVAILABLE", "The server is shutting down.")}
    gate.opened.set()
    assert running.wait() == [[2]]
    assert scheduler.stop(TIMEOUT_S)


class Held:
    """Stands for the handle that a request holds."""


class HoldingRequest(FakeRequest):
    def __init__(self, servable, array, held):
        super().__init__(servable, array)
        self.held = held


def refuse(arrays):
    raise InvalidArgument("no")


@pytest.mark.parametrize("limits", [None, QueueLimits(), QueueLimits(max_batch_rows=1, splits=True)])
@pytest.mark.parametrize("takes_s", [None, QUICK_S])
@pytest.mark.parametrize(
    ("function", "array"),
    [(None, [1, 2]), (refuse, [1, 2]), (lambda arrays: [np.float32(1)], [1, 2]), (None, [1] * 1001)],
    ids=["answered", "refused", "no rows out", "too many rows"],
)
def test_an_answer_releases_the_version_even_if_the_answer_is_kept(dispatcher, limits, takes_s, function, array):
    held = Held()
    gone = threading.Event()
    weakref.finalize(held, gone.set)
    reply, servable = FakeReply(), FakeServable(limits, FakeRunner(function, takes_s=takes_s))
    gc.disable()
    try:
        requests = [HoldingRequest(servable, array, held)]
        del held
        batch = call(dispatcher, lambda _: requests.pop(), reply)
        if batch is not None:
            batch.run()
        reply.wait()
        assert gone.wait(TIMEOUT_S)
    finally:
        gc.enable()


def test_an_error_of_parsing_releases_the_version_even_if_the_error_is_kept(dispatcher):
    held = [Held()]
    gone = weakref.ref(held[0])

    def refuse_tensor():
        raise ValueError("not 8 bytes")

    def fail(holder):
        own = holder.pop()
        try:
            refuse_tensor()
        except ValueError as error:
            raise InvalidArgument(f"no {own}"[:2]) from error

    reply = FakeReply()
    gc.disable()
    try:
        call(dispatcher, lambda _: fail(held), reply)
        assert gone() is None
    finally:
        gc.enable()
    assert reply.error == ("INVALID_ARGUMENT", "no")


def test_queues_are_collected_with_their_runners_and_models(dispatcher):
    batched, alone = FakeServable(QueueLimits(), FakeRunner(takes_s=QUICK_S)), FakeServable(None)
    _, batch = begin(dispatcher, batched, [1])
    batch.run()
    begin(dispatcher, alone, [1])[0].wait()
    assert (len(dispatcher._batch_queues), len(dispatcher._fifo_queues)) == (1, 1)
    del batch, batched, alone
    ends_at_s = time.monotonic() + TIMEOUT_S
    while len(dispatcher._fifo_queues) and time.monotonic() < ends_at_s:  # A thread may just be letting go of it.
        threading.Event().wait(0.001)
    assert (len(dispatcher._batch_queues), len(dispatcher._fifo_queues)) == (0, 0)
