"""Versions that are replaced every two seconds under calls: no call may fail, and no reply may be wrong.

    python benchmarks/control_plane/swaps.py                 about two minutes
    python benchmarks/control_plane/swaps.py --swap-s 10     ten seconds of swaps in place of sixty

Two models change at the same time, half a period apart:

    renamed     a version folder is renamed into the base path; the policy is the latest one
    reloaded    HandleReloadConfigRequest adds the next version to the `specific` ones; when that serves, a second one
                moves the label to it and drops the version before

Clients ask both for the latest version, and `reloaded` by number (the newest that has answered them) and by label too.
Every reply is checked for itself (the payload names model and version, and repeats the request), against the
versions that GetModelStatus showed at that time, and against the newest or labelled version. The status is 1 if a call
failed or a reply was wrong.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from replacing import Replacements, Schedule
from server_process import ServerProcess, describe_machine
from timeline import Timeline
from tiny_models import make_versions
from traffic import Call, Load, Traffic
from verdict import Verdict

RENAMED, RELOADED, LABEL = "renamed", "reloaded", "stable"
# Processes import and connect before the first call is due, and the first calls are not timed.
_START_S, _WARM_S = 6.0, 3.0
_SAMPLE_INTERVAL_S = 0.02


def main() -> int:
    """Prints all figures; the status is 1 if anything failed."""
    options = _parse_arguments()
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        count = 2 + int(options.swap_s / options.period_s)
        for model in (RENAMED, RELOADED):
            make_versions(Path(folder, "made", model), model, count)
        return _measure(Path(folder), options)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rate", type=float, default=200, help="calls a second, of all clients (%(default)s)")
    parser.add_argument("--clients", type=int, default=4, help="client processes (%(default)s)")
    parser.add_argument("--period-s", type=float, default=2, help="from one swap of a model to its next (%(default)s)")
    parser.add_argument(
        "--quiet-s",
        type=float,
        default=20,
        help="seconds without a swap, half of them before and half after (%(default)s)",
    )
    parser.add_argument("--swap-s", type=float, default=60, help="seconds of swaps (%(default)s)")
    return parser.parse_args()


def _measure(folder: Path, options: argparse.Namespace) -> int:
    replacements = Replacements(folder, RENAMED, RELOADED, LABEL)
    with ServerProcess(folder / "log", f"--model_config_file={replacements.first_config()}") as server:
        timeline = Timeline(server.address, (RENAMED, RELOADED), _SAMPLE_INTERVAL_S)
        begins_s = time.monotonic() + _START_S
        swaps_at_s = begins_s + _WARM_S + options.quiet_s / 2
        quiet_again_s = swaps_at_s + options.swap_s + 1
        seconds = quiet_again_s + options.quiet_s / 2 - begins_s
        labels = {RELOADED: LABEL}
        load = Load(server.address, (RENAMED, RELOADED), labels, options.rate, options.clients, begins_s, seconds)
        traffic = Traffic(load)
        resident_mb = server.resident_mb()
        schedule = Schedule(swaps_at_s, options.period_s, int(options.swap_s / options.period_s))
        swaps = replacements.run(server.address, timeline, schedule)
        calls = traffic.wait()
        timeline.stop()
        print(f"resident memory {resident_mb:.0f} MB before, {server.resident_mb():.0f} MB after")
    quiet = [call for call in calls if begins_s + _WARM_S <= call.due_s < swaps_at_s or call.due_s >= quiet_again_s]
    swapping = [call for call in calls if swaps_at_s <= call.due_s < swaps_at_s + options.swap_s]
    _print_latencies({"quiet": quiet, "during swaps": swapping})
    _print_swaps(swaps, timeline)
    missing = {model: sorted(versions - set(timeline.seen(model))) for model, versions in replacements.asked.items()}
    return _judge(calls, Verdict(timeline, {RELOADED: replacements.labelled}), missing)


def _print_latencies(phases: dict[str, Sequence[Call]]) -> None:
    print(f"{'latency from the time a call was due':<38}{'calls':>8}{'p50':>9}{'p99':>9}{'max':>9} ms")
    for phase, calls in phases.items():
        for choice in ("", *sorted({call.choice for call in calls})):
            times_ms = [1e3 * (call.done_s - call.due_s) for call in calls if choice in ("", call.choice)]
            name = f"  {phase}, {choice}" if choice else phase
            print(f"{name:<38}{len(times_ms):>8}" + "".join(f"{each:>9.2f}" for each in _spread(times_ms)))
        late_ms = _spread([1e3 * (call.sent_s - call.due_s) for call in calls])
        print(f"{'  of that the client itself was late':<46}" + "".join(f"{each:>9.2f}" for each in late_ms))


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 99th percentile, highest."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1]


def _print_swaps(swaps: dict[str, list[float]], timeline: Timeline) -> None:
    for model, seconds in swaps.items():
        p50, _, highest = _spread(seconds)
        print(f"{model}: {len(seconds)} swaps, from the change to available: p50 {p50:.2f} s, max {highest:.2f} s")
    p50_ms, _, highest_ms = _spread([1e3 * gap_s for gap_s in timeline.gaps_s()])
    print(f"tolerance, which is the time between two samples: p50 {p50_ms:.0f} ms, max {highest_ms:.0f} ms")


def _judge(calls: Sequence[Call], verdict: Verdict, missing: dict[str, list[int]]) -> int:
    faults = [fault for call in calls if (fault := verdict.find_fault(call))]
    faults += [f"{model}: version {version} never served" for model, lost in missing.items() for version in lost]
    print(f"{len(calls)} calls, {len(faults)} faults; answered by {_count_versions(calls)}")
    for fault, times in Counter(faults).most_common(20):
        print(f"  {times} x {fault}")
    return int(bool(faults))


def _count_versions(calls: Iterable[Call]) -> str:
    answered = Counter(model for model, _ in {(call.model, call.version) for call in calls if call.version})
    return ", ".join(f"{count} versions of {model}" for model, count in sorted(answered.items()))


if __name__ == "__main__":
    sys.exit(main())
