"""Runs, timed: what each takes is noted by its size, and what a thread runs at this moment can be told.

Only the run is timed. To merge, split and answer is Python's work, which holds up a lane on whatever thread it is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from servable.batching.merging import Array
from servable.routing import Runner
from servable.run_costs import RunCost

# What runs, by thread. A run that takes too long moves to the other one, and is not trusted meanwhile.
_running: dict[int, RunCost] = {}
_overdue: dict[int, RunCost] = {}


def run(runner: Runner, arrays: Sequence[Array], cost: RunCost, time_left_s: float | None) -> Sequence[Array]:
    """Run on the calling thread, and note what it took.

    Args:
        runner: What runs.
        arrays: One array for each feed.
        cost: The runner's estimate for such a size.
        time_left_s: Seconds until the last caller stops waiting; None for no bound.

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
    return results


def suspend(thread_id: int) -> None:
    """What a thread runs, if it runs something, takes longer than predicted: its estimate is not trusted until it ends.

    For one thread at a time.
    """
    cost = _running.get(thread_id)
    if cost is None:
        return
    cost.suspend()
    # In this order: the running thread looks into the first of the two first, and into the second if it finds nothing.
    _overdue[thread_id] = cost
    if _running.pop(thread_id, None) is None and _overdue.pop(thread_id, None) is not None:
        # The run has ended meanwhile.
        cost.resume()


def _end(thread_id: int) -> bool:
    """What the calling thread ran is over; whether its estimate was suspended."""
    if _running.pop(thread_id, None) is not None:
        return False
    overdue = _overdue.pop(thread_id, None)
    if overdue is not None:
        overdue.resume()
    return True
