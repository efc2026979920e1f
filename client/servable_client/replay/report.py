"""What came of a replay, as text for people and as a value for `--json`."""

from __future__ import annotations

from typing import Any

from servable_client.replay.sending import Plan, Result

_PERCENTILES = (50, 75, 90, 95, 99, 99.9, 100)
# Above, the pace that was asked for was not kept.
_LATE_S = 1.0


def as_value(result: Result) -> dict[str, Any]:
    """A result as JSON takes it; times in seconds."""
    found = result.latencies
    return {
        "ok": result.is_good,
        "sent": result.sent,
        "elapsed_s": result.elapsed_s,
        "interrupted": not result.is_whole,
        "statuses": dict(result.statuses),
        "unexpected": dict(result.unexpected),
        "compared": result.compared,
        "different": result.different,
        "differences": [{"request": number, "difference": text} for number, text in result.differences],
        "log_error": result.failure,
        "latency_s": {"mean": found.mean_s(), **{_name(p): found.percentile_s(p) for p in _PERCENTILES}},
    }


def as_text(plan: Plan, result: Result) -> str:
    """A result for a terminal."""
    rate = result.sent / result.elapsed_s if result.elapsed_s else 0.0
    lines = [f"{result.sent} calls in {result.elapsed_s:.2f} s: {rate:.1f}/s"]
    lines += [f"{count} calls ended with {name}" for name, count in sorted(result.statuses.items())]
    lines += [f"{count} calls ended otherwise than recorded: {name}" for name, count in result.unexpected.items()]
    lines.append(f"{result.compared} replies were compared, {result.different} differ")
    lines += [f"  request {number}: {text}" for number, text in result.differences]
    if result.different > len(result.differences):
        lines.append(f"  and {result.different - len(result.differences)} more")
    lines += _warnings(plan, result)
    if result.latencies.total:
        lines += ["latency in ms", *_latencies(result)]
    return "\n".join(lines)


def _warnings(plan: Plan, result: Result) -> list[str]:
    warnings = [] if result.is_whole else ["interrupted before the end"]
    if result.failure:
        warnings.append(f"the log could not be read to its end: {result.failure}")
    if plan.speed is not None and plan.rate is None and not result.has_times:
        warnings.append("the log does not say when calls were made: they were sent as fast as possible")
    if result.late_s > _LATE_S:
        warnings.append(f"the last call was sent {result.late_s:.1f} s too late: try more --concurrency")
    return warnings


def _latencies(result: Result) -> list[str]:
    found = result.latencies
    values = {"mean": found.mean_s(), **{_name(percent): found.percentile_s(percent) for percent in _PERCENTILES}}
    return [f"  {name:<6}{seconds * 1000:>10.3f}" for name, seconds in values.items()]


def _name(percent: float) -> str:
    return "max" if percent == 100 else f"p{percent:g}"
