"""Timed runs: each run is timed and noted in the estimate for its size, and `suspend` finds the run of a thread.

Only the run is timed. Merging, splitting and answering hold the interpreter, so lanes wait for them on any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from servable.batching.merging import Array
from servable.run_costs import RunCost
from servable.servables import Runner

# The estimates of the runs under way, by thread id. `suspend` moves one from the first to the second.
_running: dict[int, RunCost] = {}
_overdue: dict[int, RunCost] = {}


def run(
    runner: Runner, arrays: Sequence[Array], cost: RunCost, time_left_s: float | None
) -> tuple[Sequence[Array], float, float]:
    """Run on the calling thread, and note in the estimate how long it took.

    Args:
        runner: Runs.
        arrays: One array for each feed.
        cost: The runner's estimate for such a size.
        time_left_s: Seconds until the last caller stops waiting; None for no bound.

    Returns:
        One array for each fetch; when the run began and when it ended (time.monotonic).

    Raises:
        ServingError: as the runner does.
    """
    thread_id = threading.get_ident()
    _running[thread_id] = cost
    wants_cpu = cost.wants_cpu()
    cpu_began_s = time.thread_time() if wants_cpu else 0.0
    began_s = time.monotonic()
    try:
        results = runner.run(arrays, time_left_s)
    except BaseException:
        cost.note_failure(time.monotonic() - began_s, was_overdue=_end(thread_id))
        raise
    ended_s = time.monotonic()
    was_overdue = _end(thread_id)
    if wants_cpu:
        cost.note_cpu(time.thread_time() - cpu_began_s)
    cost.note(ended_s - began_s, ended_s, was_overdue=was_overdue)
    return results, began_s, ended_s


def suspend(thread_id: int) -> None:
    """Suspend the estimate of what a thread runs, if it runs anything, until the run ends: it takes too long.

    Called by one thread, the watchdog.
    """
    cost = _running.get(thread_id)
    if cost is None:
        return
    cost.suspend()
    # The watchdog adds to `_overdue` before it removes from `_running`. The running thread looks in the opposite order
    # (`_end`): into `_running`, then into `_overdue`. So one of the two threads resumes the estimate.
    _overdue[thread_id] = cost
    if _running.pop(thread_id, None) is None and _overdue.pop(thread_id, None) is not None:
        # The run ended between these two lines.
        cost.resume()


def _end(thread_id: int) -> bool:
    """End the run of the calling thread; whether its estimate was suspended."""
    if _running.pop(thread_id, None) is not None:
        return False
    overdue = _overdue.pop(thread_id, None)
    if overdue is not None:
        overdue.resume()
    return True
