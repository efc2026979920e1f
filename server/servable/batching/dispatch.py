"""Where a run happens: here, on the thread that the request came on; gathered, in a batch with others; or queued.

This module decides, and nothing else does. A caller is a lane (see ARCHITECTURE.md's glossary), whose other calls wait
while it runs something, or a thread that has nothing else to do.

- A caller that is a thread of its own runs everything itself. The rest is about lanes.
- A run whose cost is not known, or not trusted (see `run_costs`), is queued for a thread of the scheduler. So is the
  first of each size, which is thereby measured where nobody waits behind it.
- A run that takes more than `LONGEST_HERE_S` is queued: neighbours should not notice it.
- A shorter one runs here if no other call waits for the lane. If others do, it runs here if its CPU is less than what a
  hand-over takes (measured once, at start): else the lane could have run it in that time. On one processor nothing is
  gained by handing over.
- Requests that are batched gather while the lane has other calls to look at (see `transport.lane`), and run here as a
  batch by the same rule of cost. One that is alone runs at once as a batch of one.

A run that is begun here by a wrong estimate blocks the lane until `transport.watchdog` gives the lane to another
thread, a few milliseconds later; `timed_runs.suspend` then suspends the estimate, so that runs like it are queued.
"""

from __future__ import annotations

import functools
import statistics
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Final, TypeVar
from weakref import WeakKeyDictionary, ref

from servable.batching import merging, timed_runs
from servable.batching.counts import BatchCounts
from servable.batching.queues import BatchQueue, FifoQueue
from servable.batching.scheduler import Scheduler
from servable.batching.tasks import RunnerPreparation, Task, Unparsed, Waiting, send
from servable.config.batching import QueueLimits
from servable.errors import InvalidArgument, ServingError
from servable.methods import LaneMethod, Method, Reply
from servable.requests import Begin, Fetched, Request
from servable.routing import Runner, Servable
from servable.run_costs import RunCost, RunCosts

_K = TypeVar("_K")
_V = TypeVar("_V")

LONGEST_HERE_S: Final = 1e-3
"""A run that is predicted to take longer is not done on a lane."""
_HAND_OVERS: Final = 64
# Messages of no more bytes are parsed at once: the worst of them takes less than a run may.
_SMALL_MESSAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class _Placement:
    """What is known of all runs of a target.

    Attributes:
        runner: What runs them; not kept here, since whoever made it may drop it.
        cost: The estimate for each; None if a run may last for ever, however quick others were.
        queue: Where they wait for a batch; None if they are not batched.
        batch: The same as a lane sees it.
        rows: The rows of each.
        kind: See merging.kind.
        may_be_lone: See BatchQueue.takes_lone.
    """

    runner: ref[Runner]
    cost: RunCost | None
    queue: BatchQueue | None = None
    batch: GatheredBatch | None = None
    rows: int = 0
    kind: object = None
    may_be_lone: bool = False


@functools.cache
def measure_hand_over() -> float:
    """Seconds of CPU that it takes to hand a run to a thread, on this machine; measured once, in some 30 ms."""
    scheduler = Scheduler(2, "hand-over")
    scheduler.start()
    try:
        return statistics.median(_measure_hand_over(scheduler) for _ in range(5))
    finally:
        scheduler.stop()


def _measure_hand_over(scheduler: Scheduler) -> float:
    queue, ended = FifoQueue(), threading.Semaphore(0)
    tasks = [_Nothing(ended) for _ in range(_HAND_OVERS)]
    began_s = time.process_time()
    for task in tasks:
        _hold_interpreter()
        task.run()
        ended.acquire()
    alone_s = time.process_time() - began_s
    for task in tasks:
        _hold_interpreter()
        scheduler.add(queue, task)
        # A lane lets go of the interpreter when it polls.
        time.sleep(0)
    for _ in tasks:
        ended.acquire()
    return max(time.process_time() - began_s - 2 * alone_s, 0.0) / _HAND_OVERS


class _Nothing(Waiting):
    """A run that does nothing."""

    def __init__(self, ended: threading.Semaphore) -> None:
        super().__init__(_Awaited(), None)
        self._ended = ended

    def run(self) -> None:
        self._ended.release()


def _hold_interpreter() -> None:
    """As long as a lane does for a request."""
    for _ in range(1000):
        pass


class Dispatcher:
    """Begins requests and sees that each is answered. Thread-safe.

    Attributes:
        counts: What was batched so far.
    """

    def __init__(self, scheduler: Scheduler, worth_handing_over_s: float = 0.0) -> None:
        """Dispatch to a scheduler.

        Args:
            scheduler: Runs what is queued.
            worth_handing_over_s: A run that takes longer is handed over if other calls wait for the lane.
        """
        self.counts = BatchCounts()
        self._scheduler = scheduler
        self._worth_handing_over_s = min(worth_handing_over_s, LONGEST_HERE_S)
        self._lock = threading.Lock()
        # Queued requests keep the key alive; an empty queue may be collected.
        self._fifo_queues: WeakKeyDictionary[Servable, FifoQueue] = WeakKeyDictionary()
        self._batch_queues: WeakKeyDictionary[Runner, BatchQueue] = WeakKeyDictionary()
        self._unparsed = FifoQueue()

    def lane_method(self, begin: Begin) -> LaneMethod:
        """A method for lanes: what is quick is answered before it returns, the rest later from other threads."""
        parse_costs = RunCosts()

        def answer(message: bytes, time_left_s: float | None, reply: Reply) -> GatheredBatch | None:
            if len(message) <= _SMALL_MESSAGE_BYTES:
                return self._begin(begin(message), time_left_s, reply)
            cost, began_s = parse_costs.of(len(message)), time.monotonic()
            if not _is_short(cost, began_s):
                self._parse_later(begin, message, time_left_s, reply, cost)
                return None
            request = _parse(begin, message, cost, began_s)
            return self._begin(request, time_left_s, reply)

        return answer

    def waiting_method(self, begin: Begin) -> Method:
        """A method for a thread of the caller's own, which waits for the answer."""

        def answer(message: bytes, time_left_s: float | None) -> bytes:
            awaited = _Awaited()
            batch = self._begin(begin(message), time_left_s, awaited)
            if batch is not None:
                batch.run()
            return awaited.result()

        return answer

    def _begin(self, request: Request, time_left_s: float | None, reply: Reply) -> GatheredBatch | None:
        """See that a request is answered, now or later. Raises a ServingError if that is the answer.

        Returns:
            What it is gathered in, if the caller is to run that once others have joined.
        """
        target = request.target
        placement: _Placement | None = target.placement
        runner = None if placement is None else placement.runner()
        if placement is None or runner is None:
            runner = target.servable.ready_runner(target.feeds, target.fetches)
            if runner is None:
                self._post(target.servable, RunnerPreparation(reply, _end_s(time_left_s), request, self._on_ready))
                return None
            placement = self._place(request, runner)
        began_s, queue = time.monotonic(), placement.queue
        if queue is None:
            if self._may_run_here(placement.cost, began_s, reply):
                send(reply, self._run_here(request, runner, time_left_s, placement))
            else:
                self._post(target.servable, Task.of(request, runner, reply, _end_s(time_left_s)))
            return None
        is_lone = placement.may_be_lone and not reply.other_calls_waiting()
        if is_lone and self._may_run_here(placement.cost, began_s, reply) and self._scheduler.begin_lone(queue):
            send(reply, self._run_lone(request, runner, time_left_s, placement))
            return None
        task = Task.of(request, runner, reply, _end_s(time_left_s))
        task.rows, task.kind = placement.rows, placement.kind
        gathers = _gathers(queue, placement.cost, began_s) and reply.may_run_here()
        self._scheduler.add(queue, task, wakes=not gathers)
        return placement.batch if gathers else None

    def _may_run_here(self, cost: RunCost | None, now_s: float, reply: Reply) -> bool:
        """The rule of this module, for a run by itself."""
        if cost is None or not _is_short(cost, now_s) or not reply.may_run_here():
            return False
        return cost.cpu_s <= self._worth_handing_over_s or not reply.other_calls_waiting()

    def _run_here(self, request: Request, runner: Runner, time_left_s: float | None, placement: _Placement) -> bytes:
        """The reply of a request that runs on the calling thread."""
        cost = placement.cost
        assert cost is not None  # noqa: S101  For mypy.
        results = timed_runs.run(runner, request.arrays, cost, time_left_s)
        if placement.queue is not None:
            merging.check_results(results, placement.rows)
        return request.finish(Fetched(results, runner.fetch_dtypes))

    def _run_lone(self, request: Request, runner: Runner, time_left_s: float | None, placement: _Placement) -> bytes:
        """The reply of a request that `Scheduler.begin_lone` let begin: a batch of one, without a queue."""
        queue = placement.queue
        assert queue is not None  # noqa: S101  For mypy.
        try:
            self.counts.note_lone(placement.rows)
            return self._run_here(request, runner, time_left_s, placement)
        finally:
            self._scheduler.end_lone(queue)

    def _parse_later(
        self, begin: Begin, message: bytes, time_left_s: float | None, reply: Reply, cost: RunCost
    ) -> None:
        """Parse a request on a thread, and go on from there as every request does."""

        def parse(message: bytes) -> Request:
            return _parse(begin, message, cost, time.monotonic())

        def go_on(request: Request, call: Unparsed) -> None:
            batch = self._begin(request, call.time_left_s(), call.reply)
            if batch is not None:
                batch.hand_over()

        self._scheduler.add(self._unparsed, Unparsed(_OnThread(reply), _end_s(time_left_s), parse, message, go_on))

    def _on_ready(self, task: Task) -> None:
        """Run what a runner was made for right there, on the scheduler's thread, or batch it."""
        request = task.request
        if request is None:
            return
        placement = self._place(request, task.runner)
        if placement.queue is None:
            task.run()
            return
        task.rows, task.kind = placement.rows, placement.kind
        self._scheduler.add(placement.queue, task)

    def _post(self, servable: Servable, task: Waiting) -> None:
        queue = self._fifo_queues.get(servable)
        if queue is None:
            queue = self._add_queue(self._fifo_queues, servable, FifoQueue)
        self._scheduler.add(queue, task)

    def _place(self, request: Request, runner: Runner) -> _Placement:
        """Find where the runs of a target wait; refuse what could fail its neighbours there."""
        limits, arrays, target = request.target.servable.queue_limits, request.arrays, request.target
        cost = None if runner.may_not_end else runner.costs.of(request.size_bytes)
        if limits is None:
            placement = _Placement(ref(runner), cost)
        else:
            rows = merging.count_rows(arrays)
            if rows > limits.max_task_rows:
                raise InvalidArgument(
                    f"Task size {rows} is larger than maximum input batch size {limits.max_task_rows}"
                )
            if limits.pads:
                merging.check_paddable(arrays)
            runner.check(arrays)
            kind = merging.kind(arrays, pads=limits.pads)
            queue = self._batch_queue(runner, limits)
            batch = GatheredBatch(self, queue)
            placement = _Placement(ref(runner), cost, queue, batch, rows, kind, queue.takes_lone(rows))
        target.placement = placement
        return placement

    def _batch_queue(self, runner: Runner, limits: QueueLimits) -> BatchQueue:
        queue = self._batch_queues.get(runner)
        if queue is None:
            gathered_s = 0.0 if runner.may_not_end else LONGEST_HERE_S
            queue = self._add_queue(self._batch_queues, runner, lambda: BatchQueue(limits, self.counts, gathered_s))
        return queue

    def _add_queue(self, queues: MutableMapping[_K, _V], key: _K, make: Callable[[], _V]) -> _V:
        with self._lock:
            return queues.setdefault(key, make())

    def run_gathered(self, queue: BatchQueue) -> None:
        """Run a batch on the calling thread if it is short and due; otherwise see that another thread does."""

        def accept() -> bool:
            cost = queue.cost_of_next()
            return cost is not None and _is_short(cost, time.monotonic())

        self._scheduler.run_here(queue, accept)

    def hand_over(self, queue: BatchQueue) -> None:
        """See that a thread of the scheduler comes for what is gathered."""
        self._scheduler.wake(queue)


@dataclass(frozen=True, slots=True)
class GatheredBatch:
    """A queue in which a lane gathers requests: a methods.DeferredRun. Equal if the queue is the same."""

    _dispatcher: Dispatcher
    _queue: BatchQueue

    def is_full(self) -> bool:
        """Whether to wait for more requests would not make the batch larger."""
        return self._queue.is_full

    def run(self) -> None:
        """Run it on the calling thread if it is short; otherwise see that another thread does. Raises nothing."""
        self._dispatcher.run_gathered(self._queue)

    def hand_over(self) -> None:
        """See that another thread runs it. Raises nothing."""
        self._dispatcher.hand_over(self._queue)


def _is_short(cost: RunCost, now_s: float) -> bool:
    return now_s < cost.trusted_until_s and cost.run_s <= LONGEST_HERE_S


def _gathers(queue: BatchQueue, cost: RunCost | None, now_s: float) -> bool:
    """Whether a lane may run the next batch itself, by the latest one, or by the request's own cost before that."""
    if queue.gathers is not None:
        return queue.gathers
    return not queue.waits and cost is not None and _is_short(cost, now_s)


def _parse(begin: Begin, message: bytes, cost: RunCost, began_s: float) -> Request:
    try:
        request = begin(message)
    except BaseException:
        cost.note_failure(time.monotonic() - began_s, was_overdue=True)
        raise
    ended_s = time.monotonic()
    # Who parses holds the interpreter, so that no watchdog can tell.
    cost.note(ended_s - began_s, ended_s, was_overdue=True)
    return request


def _end_s(time_left_s: float | None) -> float | None:
    return None if time_left_s is None else time.monotonic() + time_left_s


@dataclass(frozen=True, slots=True)
class _OnThread:
    """A lane's Reply, as a request sees it that is on a thread of the scheduler already."""

    _reply: Reply

    def is_active(self) -> bool:
        return self._reply.is_active()

    def may_run_here(self) -> bool:
        # The thread runs jobs of one queue only; the model's own queue says how many threads it may have.
        return False

    def other_calls_waiting(self) -> bool:
        return True

    def send(self, message: bytes) -> None:
        self._reply.send(message)

    def fail(self, error: ServingError) -> None:
        self._reply.fail(error)


class _Awaited:
    """A Reply that a thread waits for."""

    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._message = b""
        self._error: ServingError | None = None

    def is_active(self) -> bool:
        return True

    def may_run_here(self) -> bool:
        return True

    def other_calls_waiting(self) -> bool:
        return False

    def send(self, message: bytes) -> None:
        self._message = message
        self._arrived.set()

    def fail(self, error: ServingError) -> None:
        self._error = error
        self._arrived.set()

    def result(self) -> bytes:
        """The answer, once it is there; the scheduler sees to it that it comes."""
        self._arrived.wait()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                # Its traceback holds this frame.
                del error
        return self._message
