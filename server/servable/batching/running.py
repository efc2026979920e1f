"""One batch to its end: merge, run, split, answer each.

One bad request fails alone: in the original it fails all that were merged with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

from servable.batching import merging
from servable.batching.counts import BatchCounts
from servable.batching.queues import Batch
from servable.batching.tasks import Member, unforeseen
from servable.config.batching import QueueLimits
from servable.errors import Code, ResourceExhausted, ServingError

# No input is to blame for these: alone it would go no better, or there is no time or memory to try.
_NOBODYS_FAULT: Final = frozenset(
    {Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.UNAVAILABLE}
)


def run_batch(batch: Batch, limits: QueueLimits, counts: BatchCounts) -> None:
    """Run what was queued together, and answer each.

    Nobody is run whose caller has gone. Rows of different shapes are padded if the limits say so; otherwise they run
    apart.
    """
    members, now_s = batch.members, time.monotonic()
    counts.note_batch(batch.cut, [member.rows for member in members], [now_s - member.queued_s for member in members])
    for group in _group(_drop_late(members)):
        error = _attempt(group, limits, counts)
        if error is not None:
            _settle(group, error, limits, counts)


def _settle(group: Sequence[Member], error: ServingError, limits: QueueLimits, counts: BatchCounts) -> None:
    """Answer those whose run failed: some input may be to blame, so each is run alone and has its own answer."""
    if len(group) == 1 or error.code in _NOBODYS_FAULT:
        for member in group:
            # Each caller gets an error of its own, since to raise one changes it.
            member.fail(type(error)(error.message, error.hints))
        return
    for member in group:
        for alone in _drop_late([member]):
            own_error = _attempt([alone], limits, counts)
            if own_error is not None:
                alone.fail(own_error)


def _attempt(group: Sequence[Member], limits: QueueLimits, counts: BatchCounts) -> ServingError | None:
    """Run those of one kind together. All of them are answered, or an error is returned and none is."""
    try:
        rows = [member.rows for member in group]
        wanted = sum(rows)
        run_rows = merging.choose_rows(wanted, limits.allowed_rows)
        arrays = merging.merge([member.arrays for member in group], run_rows - wanted)
        counts.note_run(run_rows, run_rows - wanted)
        shares = merging.split(group[0].runner.run(arrays, _longest_time_left_s(group)), rows, run_rows)
    except ServingError as error:
        return error
    except Exception:
        return unforeseen()
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


def _group(members: Sequence[Member]) -> Iterable[Sequence[Member]]:
    """Those that can be merged. Nearly always all of them, so a list is enough to tell the kinds apart."""
    if len(members) == 1:
        return [members]
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
