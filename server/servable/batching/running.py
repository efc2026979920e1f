"""One batch to its end: merge, run, split, answer each.

One bad request fails alone: in the original it fails all that were merged with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

from servable.batching import merging, timed_runs
from servable.batching.counts import BatchCounts, Cut
from servable.batching.tasks import Member, log_and_make_internal_error
from servable.config.batching import QueueLimits
from servable.errors import Code, ResourceExhausted, ServingError

# No input is to blame for these: alone it would go no better, or there is no time or memory to try.
_NOT_INPUT_ERRORS: Final = frozenset(
    {Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.UNAVAILABLE}
)


class Batch:
    """Tasks, or parts of such, that run together.

    Attributes:
        members: Which, as they came.
        rows: The sum of theirs.
        size_bytes: The sum of theirs.
        begun_s: When the first came.
        cut: Why no more will come; as soon as it is taken.
    """

    __slots__ = ("begun_s", "cut", "members", "rows", "size_bytes")

    def __init__(self, begun_s: float) -> None:
        self.members: list[Member] = []
        self.rows = self.size_bytes = 0
        self.begun_s = begun_s
        self.cut = Cut.FULL

    def add(self, member: Member) -> None:
        """Take one more."""
        self.members.append(member)
        self.rows += member.rows
        self.size_bytes += member.size_bytes


def run_batch(batch: Batch, limits: QueueLimits, counts: BatchCounts) -> bool:
    """Run what was queued together, and answer each.

    Nobody is run whose caller has gone. Rows of different shapes are padded if the limits say so; otherwise they run
    apart.

    Returns:
        Whether all of it was completed in one run, so that the time it took says what such a batch takes.
    """
    members, now_s = batch.members, time.monotonic()
    counts.note_batch(batch.cut, [member.rows for member in members], [now_s - member.queued_s for member in members])
    wanted = _drop_late(members)
    groups = _group(wanted)
    errors = [_run_group(group, limits, counts) for group in groups]
    return len(errors) == 1 and errors[0] is None and len(wanted) == len(members)


def _run_group(group: Sequence[Member], limits: QueueLimits, counts: BatchCounts) -> ServingError | None:
    """Run those of one kind and answer each; what the run of all of them raised, if it did."""
    error = _attempt(group, limits, counts)
    if error is not None:
        _retry_in_halves(group, error, limits, counts)
    return error


def _retry_in_halves(group: Sequence[Member], error: ServingError, limits: QueueLimits, counts: BatchCounts) -> None:
    """Answer those whose run failed.

    Some input may be to blame. So each half is run by itself, and each half of one that fails, until what is to blame
    is alone: of 64 requests one bad one costs 13 runs.
    """
    if len(group) == 1 or error.code in _NOT_INPUT_ERRORS:
        for member in group:
            # Each caller gets an error of its own, since to raise one changes it.
            member.fail(type(error)(error.message, error.hints))
        return
    middle = len(group) // 2
    for half in (group[:middle], group[middle:]):
        wanted = _drop_late(half)
        if wanted:
            _run_group(wanted, limits, counts)


def _attempt(group: Sequence[Member], limits: QueueLimits, counts: BatchCounts) -> ServingError | None:
    """Run those of one kind together. All of them are answered, or an error is returned and none is."""
    try:
        rows = [member.rows for member in group]
        wanted = sum(rows)
        run_rows = merging.choose_rows(wanted, limits.allowed_rows)
        arrays = merging.merge([member.arrays for member in group], run_rows - wanted)
        counts.note_run(run_rows, run_rows - wanted)
        runner, size_bytes = group[0].runner, sum([member.size_bytes for member in group])
        results = timed_runs.run(runner, arrays, runner.costs.of(size_bytes), _longest_time_left_s(group))
        shares = merging.split(results, rows, run_rows)
    except ServingError as error:
        # Its frames, and those of what it came from, hold the callers' frames and all that these hold.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    except Exception:
        return log_and_make_internal_error()
    for member, share in zip(group, shares, strict=True):
        member.finish(share)
    return None


def _drop_late(members: Iterable[Member]) -> list[Member]:
    wanted = []
    for member in members:
        if member.is_wanted():
            wanted.append(member)
        else:
            member.fail(ResourceExhausted("Run() timeout exceeded while waiting in batching queue"))
    return wanted


def _group(members: Sequence[Member]) -> Sequence[Sequence[Member]]:
    """Those that can be merged. Nearly always all of them, so a list is enough to tell the kinds apart."""
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
    """Seconds until the last caller stops waiting; None if one never does."""
    latest_s = 0.0
    for member in group:
        if member.ends_at_s is None:
            return None
        latest_s = max(latest_s, member.ends_at_s)
    return latest_s - time.monotonic()
