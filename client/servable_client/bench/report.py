"""A result as text for people and as a value for `--json`."""

from __future__ import annotations

from typing import Any

from servable_client.bench.coordinator import Progress, Result
from servable_client.bench.worker import Plan

_PERCENTILES = (50, 75, 90, 95, 99, 99.9, 100)
_BAR_COLUMNS = 40
# Below this share of the rate that was asked for, the run says so.
_REACHED = 0.98
# Above this share of a core, the sender is likely what was measured.
_BUSY = 0.9


def progress_line(progress: Progress) -> str:
    """One line about a run that goes on."""
    if progress.elapsed_s < 0:
        return "warming up"
    total, found = progress.latencies.total, progress.latencies
    rate = total / progress.elapsed_s if progress.elapsed_s else 0.0
    latency = f"p50 {_ms(found.percentile_s(50))} ms, p99 {_ms(found.percentile_s(99))} ms"
    return f"{progress.elapsed_s:5.1f} s  {total} calls, {rate:.0f}/s  {latency}  {progress.failed} failed"


def as_value(plan: Plan, result: Result) -> dict[str, Any]:
    """A result as JSON takes it; times in seconds."""
    found = result.latencies
    return {
        "concurrency": plan.concurrency,
        "processes": plan.processes,
        "rate_asked": plan.rate,
        "request_bytes": len(plan.request),
        "elapsed_s": result.elapsed_s,
        "interrupted": not result.is_whole,
        "succeeded": found.total,
        "rate": found.total / result.elapsed_s,
        "statuses": result.statuses,
        "unsent": result.unsent,
        "latency_s": {"mean": found.mean_s(), **{_name(p): found.percentile_s(p) for p in _PERCENTILES}},
        "histogram": [{"from_s": row.from_s, "to_s": row.to_s, "count": row.count} for row in found.rows()],
        "sender_cpu_s": result.cpu_s,
    }


def as_text(plan: Plan, result: Result) -> str:
    """A result for a terminal."""
    lines = [_headline(plan, result), *_failures(result), *_warnings(plan, result)]
    if result.latencies.total:
        lines += ["", *_latencies(plan, result), "", *_bars(result)]
    return "\n".join(lines)


def _headline(plan: Plan, result: Result) -> str:
    total = result.latencies.total
    how = f"{plan.concurrency} at once" if plan.rate is None else f"{plan.rate:g}/s asked for"
    return f"{total} calls succeeded in {result.elapsed_s:.2f} s: {total / result.elapsed_s:.1f}/s ({how})"


def _failures(result: Result) -> list[str]:
    return [f"{count} calls failed: {name}" for name, count in result.statuses.items() if name != "OK"]


def _warnings(plan: Plan, result: Result) -> list[str]:
    warnings = [] if result.is_whole else ["interrupted before the end"]
    if result.unsent:
        warnings.append(f"{result.unsent} calls could not be sent before the end; no latency below counts them")
    if plan.rate is not None and result.latencies.total / result.elapsed_s < _REACHED * plan.rate:
        warnings.append(f"the rate of {plan.rate:g}/s was not reached")
    if result.cpu_s / (result.elapsed_s + plan.warmup_s) > _BUSY * plan.processes:
        warnings.append("the sending processes were busy all the time: try more --processes")
    return warnings


def _latencies(plan: Plan, result: Result) -> list[str]:
    found = result.latencies
    since = "the time each call was sent" if plan.rate is None else "the time each call should have been sent"
    values = {"mean": found.mean_s(), **{_name(percent): found.percentile_s(percent) for percent in _PERCENTILES}}
    return [f"latency in ms, from {since}", *(f"  {name:<6}{_ms(seconds):>10}" for name, seconds in values.items())]


def _bars(result: Result) -> list[str]:
    rows = result.latencies.rows()
    most = max(row.count for row in rows)
    return [
        f"  {_ms(row.from_s):>9} - {_ms(row.to_s):>9} {row.count:>9}  {'#' * round(_BAR_COLUMNS * row.count / most)}"
        for row in rows
    ]


def _name(percent: float) -> str:
    return "max" if percent == 100 else f"p{percent:g}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3f}" if seconds < 0.1 else f"{seconds * 1000:.1f}"
