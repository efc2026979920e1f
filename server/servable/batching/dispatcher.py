"""Where and when a request runs: here and now, on a thread of the scheduler, or in a batch with others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary, ref

from servable import requests
from servable.batching import merging
from servable.batching.counts import BatchCounts
from servable.batching.lines import BatchLine, JobLine
from servable.batching.scheduler import Scheduler
from servable.batching.tasks import Task, Unprepared, fail, send, unforeseen
from servable.config.batching import QueueLimits
from servable.errors import InvalidArgument, ServingError
from servable.methods import Reply
from servable.requests import Fetched, Run, Steps
from servable.routing import Runner, Servable

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class _Placement:
    """Where the runs of a target are done, and what is known of each.

    Attributes:
        runner: What runs them; not kept here, since whoever made it may drop it.
        line: Where they wait for a batch; None if they are not batched.
        rows: The rows of each.
        kind: See merging.kind.
        may_be_lone: See BatchLine.takes_lone.
    """

    runner: ref[Runner]
    line: BatchLine | None = None
    rows: int = 0
    kind: object = None
    may_be_lone: bool = False


class Dispatcher:
    """Begins requests and sees that each is answered. Thread-safe.

    Attributes:
        counts: What was batched so far.
    """

    def __init__(self, scheduler: Scheduler, threads_per_model: int) -> None:
        """Dispatch to a scheduler.

        Args:
            scheduler: Runs what is not run at once.
            threads_per_model: How many of its threads the requests of one model may hold that are not batched.
        """
        self.counts = BatchCounts()
        self._scheduler, self._threads_per_model = scheduler, threads_per_model
        self._lock = threading.Lock()
        # A line lives as long as its key: requests in line hold that, and an empty line is nothing to keep.
        self._job_lines: WeakKeyDictionary[Servable, JobLine] = WeakKeyDictionary()
        self._batch_lines: WeakKeyDictionary[Runner, BatchLine] = WeakKeyDictionary()

    def begin(self, steps: Steps, time_left_s: float | None, reply: Reply) -> BatchLine | None:
        """Begin a request. It is answered before this returns, or later from another thread. Raises nothing.

        Returns:
            The line that it waits in, if the caller is to call `run_here` for it once others have joined.
        """
        try:
            return self._begin(steps, time_left_s, reply)
        except ServingError as error:
            fail(steps, reply, error)
        except Exception:
            fail(steps, reply, unforeseen())
        return None

    def run_here(self, line: BatchLine) -> None:
        """Run what waits in a line on the calling thread, unless another thread does that already."""
        self._scheduler.run_here(line)

    def _begin(self, steps: Steps, time_left_s: float | None, reply: Reply) -> BatchLine | None:
        run = next(steps)
        placement: _Placement | None = run.target.placement
        runner = None if placement is None else placement.runner()
        if placement is None or runner is None:
            runner = run.target.servable.ready_runner(run.target.feeds, run.target.fetches)
            if runner is None:
                ends_at_s = None if time_left_s is None else time.monotonic() + time_left_s
                self._post(run.target.servable, Unprepared(steps, reply, ends_at_s, run, self._go_on))
                return None
            placement = self._place(run, runner)
        results = self._run_at_once(run, placement, runner, time_left_s, reply)
        if results is not None:
            send(reply, requests.finish(steps, Fetched(results, runner.fetch_dtypes)))
            return None
        ends_at_s = None if time_left_s is None else time.monotonic() + time_left_s
        task = Task(steps, reply, ends_at_s, runner, run.arrays, placement.rows, placement.kind)
        line = placement.line
        if line is None:
            self._post(run.target.servable, task)
            return None
        is_quick = runner.is_quick and not line.waits
        is_full = self._scheduler.add(line, task, wakes=not is_quick)
        if not is_quick:
            return None
        if is_full:
            # The caller may be too busy to come back soon.
            self._scheduler.run_here(line)
        return line

    def _run_at_once(
        self, run: Run, placement: _Placement, runner: Runner, time_left_s: float | None, reply: Reply
    ) -> Sequence[merging.Array] | None:
        """What a run gives, if it is so quick that it may be done here and now; otherwise None."""
        line = placement.line
        if line is None:
            is_cheap = runner.is_tiny or (runner.is_quick and not reply.holds_up_others())
            return runner.run(run.arrays, time_left_s) if is_cheap else None
        is_lone = placement.may_be_lone and runner.is_quick and not reply.holds_up_others()
        if not is_lone or not self._scheduler.begin_lone(line):
            return None
        try:
            # A batch of one, without a queue.
            self.counts.note_lone(placement.rows)
            results = runner.run(run.arrays, time_left_s)
        finally:
            self._scheduler.end(line)
        merging.check_results(results, placement.rows)
        return results

    def _go_on(self, task: Task, run: Run) -> None:
        """What was prepared on a thread of the scheduler runs right there, or is batched."""
        placement = self._place(run, task.runner)
        if placement.line is None:
            task.run()
            return
        task.rows, task.kind = placement.rows, placement.kind
        self._scheduler.add(placement.line, task)

    def _post(self, servable: Servable, task: Task | Unprepared) -> None:
        line = self._job_lines.get(servable)
        if line is None:
            line = self._add_line(self._job_lines, servable, lambda: JobLine(self._threads_per_model))
        self._scheduler.add(line, task)

    def _place(self, run: Run, runner: Runner) -> _Placement:
        """Find where a run waits; refuse what could fail its neighbours there."""
        limits, arrays = run.target.servable.queue_limits, run.arrays
        if limits is None:
            placement = _Placement(ref(runner))
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
            line = self._batch_line(runner, limits)
            placement = _Placement(ref(runner), line, rows, kind, line.takes_lone(rows))
        run.target.placement = placement
        return placement

    def _batch_line(self, runner: Runner, limits: QueueLimits) -> BatchLine:
        line = self._batch_lines.get(runner)
        if line is None:
            line = self._add_line(self._batch_lines, runner, lambda: BatchLine(limits, self.counts))
        return line

    def _add_line(self, lines: MutableMapping[_K, _V], key: _K, make: Callable[[], _V]) -> _V:
        with self._lock:
            return lines.setdefault(key, make())
