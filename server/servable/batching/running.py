"""Running a batch: merge its members, run, split the results, answer each member.

A bad request fails alone. In the original it fails all requests that were merged with it.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Sequence
from typing import Final

from servable.batching import merging, timed_runs
from servable.batching.counts import BatchCounts, Cut
from servable.batching.tasks import Member, log_and_make_internal_error
from servable.calls import BatchRecord
from servable.config.batching import QueueLimits
from servable.errors import Code, ResourceExhausted, ServingError

# Not caused by the input of one member: alone each would fail likewise, or there is no time or memory for a retry.
_NOT_INPUT_ERRORS: Final = frozenset(
    {Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.UNAVAILABLE}
)


class Batch:
    """Tasks, or parts of tasks, that run together.

    Attributes:
        members: In the order in which they were queued.
        rows: The rows of all members.
        size_bytes: The size of all members.
        begun_s: When the first was queued (time.monotonic).
        cut: Why the batch was closed; valid once it has been taken from its queue.
    """

    __slots__ = ("begun_s", "cut", "members", "rows", "size_bytes")

    def __init__(self, begun_s: float) -> None:
        self.members: list[Member] = []
        self.rows = self.size_bytes = 0
        self.begun_s = begun_s
        self.cut = Cut.FULL

    def add(self, member: Member) -> None:
        """Add a member."""
        self.members.append(member)
        self.rows += member.rows
        self.size_bytes += member.size_bytes


def run_batch(batch: Batch, limits: QueueLimits, counts: BatchCounts) -> bool:
    """Run a batch, and answer each of its members.

    Members whose callers no longer wait are not run. Rows of different shapes are padded if the limits say so;
    otherwise they run separately.

    Returns:
        Whether one run completed all members, so that the time it took is that of such a batch.
    """
    members, now_s = batch.members, time.monotonic()
    counts.note_batch(
        batch.cut,
        [(member.rows, len(member.arrays)) for member in members],
        [now_s - member.queued_s for member in members],
    )
    for member in members:
        member.begun_s = now_s
    wanted = _drop_unwanted(members)
    groups = _group(wanted)
    errors = [_run_group(group, limits, counts) for group in groups]
    return len(errors) == 1 and errors[0] is None and len(wanted) == len(members)


def _run_group(group: Sequence[Member], limits: QueueLimits, counts: BatchCounts) -> ServingError | None:
    """Run members of one kind and answer each; the error of the run of all of them, if it failed."""
    error = _try_run(group, limits, counts)
    if error is not None:
        _retry_in_halves(group, error, limits, counts)
    return error


def _retry_in_halves(group: Sequence[Member], error: ServingError, limits: QueueLimits, counts: BatchCounts) -> None:
    """Answer the members of a run that failed.

    The input of one member may have caused it. So each half is run by itself, and each half of a half that fails, until
    the bad member is alone: one bad request of 64 costs 13 runs.
    """
    if len(group) == 1 or error.code in _NOT_INPUT_ERRORS:
        for member in group:
            # Each member gets an error of its own, since raising an error changes it.
            member.fail(copy.copy(error))
        return
    middle = len(group) // 2
    for half in (group[:middle], group[middle:]):
        wanted = _drop_unwanted(half)
        if wanted:
            _run_group(wanted, limits, counts)


def _try_run(group: Sequence[Member], limits: QueueLimits, counts: BatchCounts) -> ServingError | None:
    """Run members of one kind together. Either all are answered, or the error is returned and none is answered."""
    try:
        rows = [member.rows for member in group]
        wanted = sum(rows)
        run_rows = merging.choose_rows(wanted, limits.allowed_rows)
        arrays = merging.merge([member.arrays for member in group], run_rows - wanted)
        counts.note_run(run_rows, run_rows - wanted)
        runner, size_bytes = group[0].runner, sum([member.size_bytes for member in group])
        results, began_s, ended_s = timed_runs.run(
            runner, arrays, runner.costs.of(size_bytes), _longest_time_left_s(group)
        )
        _note_batch(group, began_s, ended_s, run_rows)
        shares = merging.split(results, rows, run_rows)
    except ServingError as error:
        # The frames of its traceback, and of the errors that led to it, hold the requests.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    except Exception:
        return log_and_make_internal_error()
    for member, share in zip(group, shares, strict=True):
        member.finish(share)
    return None


def _note_batch(group: Sequence[Member], began_s: float, ended_s: float, rows: int) -> None:
    """Tell the records of calls that somebody follows in which run they were."""
    records = [member.mark[3] for member in group if member.mark is not None and member.mark[3] is not None]
    if records:
        batch = BatchRecord(began_s, ended_s, rows, len(group))
        for record in records:
            record.batch = batch


def _drop_unwanted(members: Iterable[Member]) -> list[Member]:
    """The members whose callers still wait; answers the others."""
    wanted = []
    for member in members:
        if member.is_wanted():
            wanted.append(member)
        else:
            member.fail(ResourceExhausted("Run() timeout exceeded while waiting in batching queue"))
    return wanted


def _group(members: Sequence[Member]) -> Sequence[Sequence[Member]]:
    """Group members that can be merged. Nearly always all can, so a list is enough to find a kind's group."""
    if len(members) <= 1:
        return [members] if members else []
    groups: list[tuple[object, list[Member]]] = []
    for member in members:
        kind = member.kind
        for known, group in groups:
            if kind is not None and kind == known:
                group.append(member)
                break
        else:
            groups.append((kind, [member]))
    return [group for _, group in groups]


def _longest_time_left_s(group: Sequence[Member]) -> float | None:
    """Seconds until the last caller stops waiting; None if one of them never does."""
    latest_s = 0.0
    for member in group:
        if member.ends_at_s is None:
            return None
        latest_s = max(latest_s, member.ends_at_s)
    return latest_s - time.monotonic()
