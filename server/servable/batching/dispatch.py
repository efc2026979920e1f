"""Where a request runs: on the thread that began it, in a batch with others, or on a thread of the scheduler.

Only this module decides that. The thread that begins a request is a lane (see ARCHITECTURE.md's glossary), whose other
calls wait while it runs something, or a thread of the public path, which has nothing else to do.

- A thread of the public path runs everything itself. The rest is about lanes.
- A run whose cost is not known, or not trusted (see `run_costs`), is queued for a thread of the scheduler. So the first
  run of each size is measured where no call waits behind it.
- A run that takes more than `LONGEST_HERE_S` is queued, so that the calls behind it do not wait for it.
- A shorter one runs on the lane if no other call waits for the lane. If others do, it runs there only if its CPU is
  less than that of a hand-over under load, three times what one takes at start, where it is measured. With one
  processor a hand-over gains nothing, so all these runs stay on the lane.
- Requests that are batched are gathered while the lane has other calls to take (see `transport.lane`), and run on the
  lane as a batch by the same rule of cost.
- A lone request of a batched model is never queued (`Scheduler.begin_lone`): it runs at once, counts as a batch of one
  and as the queue's job in flight. So what arrives meanwhile is the next batch.

Estimates can be wrong, but by a bounded amount (see `run_costs`). A run that blocks its lane for longer than predicted
loses the lane to another thread after a few milliseconds (`transport.watchdog`), and `timed_runs.suspend` suspends its
estimate, so that runs like it are queued.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Final, TypeVar
from weakref import WeakKeyDictionary, ref

from servable.batching import merging, timed_runs
from servable.batching.counts import BatchCountsByModel
from servable.batching.queues import BatchQueue, FifoQueue
from servable.batching.scheduler import Scheduler
from servable.batching.tasks import QueuedCall, RunnerPreparation, Task, send
from servable.config.batching import QueueLimits
from servable.errors import InvalidArgument
from servable.methods import AwaitedReply, Reply
from servable.observability.request_counts import Mark
from servable.requests import Fetched, Request
from servable.run_costs import RunCost
from servable.servables import Runner, Servable

_K = TypeVar("_K")
_V = TypeVar("_V")

LONGEST_HERE_S: Final = 1e-3
"""A run that is predicted to take longer does not run on a lane."""
# In one measurement of what a hand-over takes.
_HAND_OVERS: Final = 64


class Dispatcher:
    """Begins requests where they are to run, and ensures that each is answered. Thread-safe.

    Attributes:
        counts: Counts of all batches so far, by model.
        scheduler: Runs what is queued.
    """

    def __init__(self, scheduler: Scheduler, worth_handing_over_s: float = 0.0, most_queued: int = sys.maxsize) -> None:
        """Dispatch to a scheduler.

        Args:
            scheduler: Runs what is queued.
            worth_handing_over_s: A run that takes longer is handed over if other calls wait for the lane.
            most_queued: How many calls of a version may wait that are not batched.
        """
        self.counts = BatchCountsByModel()
        self.scheduler = scheduler
        self._worth_handing_over_s = min(worth_handing_over_s, LONGEST_HERE_S)
        self._most_queued = most_queued
        self._lock = threading.Lock()
        # Queued requests keep the key alive; an empty queue may be collected.
        self._fifo_queues: WeakKeyDictionary[Servable, FifoQueue] = WeakKeyDictionary()
        self._batch_queues: WeakKeyDictionary[Runner, BatchQueue] = WeakKeyDictionary()

    def begin(
        self, request: Request, time_left_s: float | None, reply: Reply, mark: Mark | None = None
    ) -> GatheredBatch | None:
        """Decide where a request runs, and run it or queue it there; the reply is answered now or later.

        Args:
            request: The request.
            time_left_s: Seconds until the caller stops waiting; None for no bound.
            reply: Where the answer goes.
            mark: What the request is counted in, if it is. What this raises is not counted.

        Returns:
            The batch that the request waits in, if the caller is to run that batch once other requests have joined.

        Raises:
            ServingError: in place of an answer by the reply.
        """
        target = request.target
        placement: _Placement | None = target.placement
        runner = None if placement is None else placement.runner()
        if placement is None or runner is None:
            runner = target.servable.ready_runner(target.feeds, target.fetches)
            if runner is None:
                preparation = RunnerPreparation(reply, _end_s(time_left_s), request, self._on_ready)
                self._post(target.servable, preparation, mark, time.monotonic())
                return None
            placement = self._place(request, runner)
        began_s, queue = time.monotonic(), placement.queue
        if queue is None:
            if self._may_run_here(placement.cost, began_s, reply):
                send(reply, self._run_here(request, runner, time_left_s, placement, mark))
            else:
                self._post(target.servable, Task.of(request, runner, reply, _end_s(time_left_s)), mark, began_s)
            return None
        is_lone = placement.may_be_lone and not reply.other_calls_waiting()
        if is_lone and self._may_run_here(placement.cost, began_s, reply) and self.scheduler.begin_lone(queue):
            send(reply, self._run_lone(request, runner, time_left_s, placement, mark))
            return None
        task = Task.of(request, runner, reply, _end_s(time_left_s))
        task.rows, task.kind, task.mark = placement.rows, placement.kind, mark
        gathers = _gathers(queue, placement.cost, began_s) and reply.may_run_here()
        self.scheduler.add(queue, task, wakes=not gathers)
        return placement.batch if gathers else None

    def _may_run_here(self, cost: RunCost | None, now_s: float, reply: Reply) -> bool:
        """The rule of this module, for a run by itself."""
        if cost is None or not is_short(cost, now_s) or not reply.may_run_here():
            return False
        return cost.cpu_s <= self._worth_handing_over_s or not reply.other_calls_waiting()

    def _run_here(
        self,
        request: Request,
        runner: Runner,
        time_left_s: float | None,
        placement: _Placement,
        mark: Mark | None,
    ) -> bytes:
        """Run a request on the calling thread; the bytes of its reply."""
        cost = placement.cost
        assert cost is not None  # noqa: S101  For mypy.
        results, began_s, ended_s = timed_runs.run(runner, request.arrays, cost, time_left_s)
        if placement.queue is not None:
            merging.check_results(results, placement.rows)
        message = request.finish(Fetched(results, runner.fetch_dtypes))
        if mark is not None:
            mark[0].note(mark, began_s, began_s, ended_s, len(message))
        return message

    def _run_lone(
        self,
        request: Request,
        runner: Runner,
        time_left_s: float | None,
        placement: _Placement,
        mark: Mark | None,
    ) -> bytes:
        """Run a request that `Scheduler.begin_lone` has admitted, as a batch of one; the bytes of its reply."""
        queue = placement.queue
        assert queue is not None  # noqa: S101  For mypy.
        try:
            queue.counts.note_lone(placement.rows, len(request.arrays))
            return self._run_here(request, runner, time_left_s, placement, mark)
        finally:
            self.scheduler.end_lone(queue)

    def _on_ready(self, task: Task) -> None:
        """Go on with a request whose runner has been prepared: run it on this thread of the scheduler, or batch it."""
        request = task.request
        if request is None:
            return
        placement = self._place(request, task.runner)
        if placement.queue is None:
            task.run()
            return
        task.rows, task.kind = placement.rows, placement.kind
        self.scheduler.add(placement.queue, task)

    def _post(self, servable: Servable, task: QueuedCall, mark: Mark | None, now_s: float) -> None:
        task.mark, task.queued_s = mark, now_s
        queue = self._fifo_queues.get(servable)
        if queue is None:
            queue = self._add_queue(self._fifo_queues, servable, lambda: FifoQueue(self._most_queued))
        self.scheduler.add(queue, task)

    def _place(self, request: Request, runner: Runner) -> _Placement:
        """Work out the placement of a target's runs; refuse a request that could fail the others of its batch.

        Raises:
            InvalidArgument: if its arrays cannot be batched.
        """
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
            queue = self._batch_queue(runner, limits, target.model)
            batch = GatheredBatch(self, queue)
            placement = _Placement(ref(runner), cost, queue, batch, rows, kind, queue.takes_lone(rows))
        target.placement = placement
        return placement

    def _batch_queue(self, runner: Runner, limits: QueueLimits, model: str) -> BatchQueue:
        queue = self._batch_queues.get(runner)
        if queue is None:
            gathered_s = 0.0 if runner.may_not_end else LONGEST_HERE_S
            if runner.batches_itself and limits.longest_run_s is not None:
                # Nobody has set how many, and a run waits for what the next ones bring.
                limits = dataclasses.replace(limits, batches_at_once=None)
            counts = self.counts.of(model)
            queue = self._add_queue(self._batch_queues, runner, lambda: BatchQueue(limits, counts, gathered_s))
        return queue

    def _add_queue(self, queues: MutableMapping[_K, _V], key: _K, make: Callable[[], _V]) -> _V:
        with self._lock:
            return queues.setdefault(key, make())

    def run_gathered(self, queue: BatchQueue) -> None:
        """Run the next batch on the calling thread if it is short and due; otherwise wake a thread for it."""

        def accept() -> bool:
            cost = queue.cost_of_next()
            return cost is not None and is_short(cost, time.monotonic())

        self.scheduler.run_here(queue, accept)

    def hand_over(self, queue: BatchQueue) -> None:
        """Wake a thread of the scheduler for what is gathered."""
        self.scheduler.wake(queue)


@dataclass(frozen=True, slots=True)
class GatheredBatch:
    """A queue in which a lane gathers requests: a methods.DeferredRun. Equal if the queue is the same."""

    _dispatcher: Dispatcher
    _queue: BatchQueue

    def is_full(self) -> bool:
        """Whether waiting for more requests would not make the batch larger."""
        return self._queue.is_full

    def run(self) -> None:
        """Run the batch on the calling thread if it is short; otherwise wake another thread for it. Raises nothing."""
        self._dispatcher.run_gathered(self._queue)

    def hand_over(self) -> None:
        """Wake another thread for the batch. Raises nothing."""
        self._dispatcher.hand_over(self._queue)


def is_short(cost: RunCost, now_s: float) -> bool:
    """Whether a run, or the parsing of a message, may be done on a lane: its estimate is trusted and short enough."""
    return now_s < cost.trusted_until_s and cost.run_s <= LONGEST_HERE_S


def _gathers(queue: BatchQueue, cost: RunCost | None, now_s: float) -> bool:
    """Whether a lane may run the next batch, by the latest batch, or by the request's own cost before the first."""
    if queue.gathers is not None:
        return queue.gathers
    return not queue.waits and cost is not None and is_short(cost, now_s)


def _end_s(time_left_s: float | None) -> float | None:
    return None if time_left_s is None else time.monotonic() + time_left_s


@dataclass(frozen=True, slots=True)
class _Placement:
    """What is the same for all runs of a target, worked out for the first of them.

    Attributes:
        runner: Runs them. A weak reference, since the version that prepared it may drop it.
        cost: The estimate for each; None if a run may never end, however short earlier runs were.
        queue: Where they wait for a batch; None if they are not batched.
        batch: The same queue as a lane sees it.
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
    """Seconds of CPU that a hand-over of a run to a thread takes on this machine; measured once, in some 30 ms."""
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
        # Release the interpreter, as a lane does when it polls.
        time.sleep(0)
    for _ in tasks:
        ended.acquire()
    return max(time.process_time() - began_s - 2 * alone_s, 0.0) / _HAND_OVERS


class _Nothing(QueuedCall):
    """A run that does nothing."""

    def __init__(self, ended: threading.Semaphore) -> None:
        super().__init__(AwaitedReply(), None)
        self._ended = ended

    def run(self) -> None:
        self._ended.release()


def _hold_interpreter() -> None:
    """Hold it for as long as a lane does for a request."""
    for _ in range(1000):
        pass
