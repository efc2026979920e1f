"""What a server answers under twice its capacity: with its default limits, and with --adaptive_concurrency.

    python benchmarks/overload.py                     MobileNetV2, about two minutes
    python benchmarks/overload.py --model cnn         another export of benchmarks/compare
    python benchmarks/overload.py --seconds 5         less

Each server is asked by one caller (unloaded), then by several that wait for their answers (capacity), then by calls at
fixed times that wait for nothing: twice the capacity of the server without the mode. A call is good if it is answered
within a second. The status is 1 if the mode misses an aim: goodput of at least 0.9 times the best capacity, and a p99
of what is admitted of at most 3 times that of the unloaded server.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np

sys.path.append(str(Path(__file__).resolve().parent / "compare"))

import exports
import fixed_rate
import machine
import report
from messages import PREDICT, predict_floats
from process import ServerProcess
from servers import serve_command

_SHAPES = {"mobilenet_v2": (1, 224, 224, 3), "cnn": (1, 28, 28, 1), "mlp": (1, 64)}
_MODES: dict[str, tuple[str, ...]] = {"default limits": (), "adaptive": ("--adaptive_concurrency",)}
_CALLERS = 6
_GOOD_MS = 1000.0
_LEAST_GOODPUT = 0.9
_MOST_TIMES_P99 = 3.0
_TIMEOUT_S = 60.0
_WARM_UP_S = 3.0
# Of a caller that was refused.
_PAUSE_S = 0.001
_Start = Callable[[Sequence[str]], ServerProcess]


@dataclass
class Overload(fixed_rate.Stream):
    """Calls at fixed times, of which some are refused.

    Attributes:
        admitted_ms: What calls took that were answered.
        refused_ms: What it took to refuse the others.
    """

    admitted_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)

    def note(self, due_s: float, done: grpc.Future) -> None:
        """See Stream."""
        latency_ms, error = 1e3 * (time.monotonic() - due_s), done.exception()
        if error is None:
            self.admitted_ms.append(latency_ms)
        elif error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            self.refused_ms.append(latency_ms)
        else:
            self.faults.append(fixed_rate.describe_error(error))


@dataclass(frozen=True)
class Figures:
    """What one server did.

    Attributes:
        unloaded_ms: What each call of one caller took.
        capacity: Calls a second of several callers.
        overload: What became of the calls at twice the capacity.
        goodput: Good answers a second then.
    """

    unloaded_ms: Sequence[float]
    capacity: float
    overload: Overload
    goodput: float

    @property
    def times_p99(self) -> float:
        """P99 of what was admitted, by that of the unloaded server."""
        return _percentile(self.overload.admitted_ms, 99) / _percentile(self.unloaded_ms, 99)


def _percentile(values: Sequence[float], share: float) -> float:
    return float(np.percentile(values, share)) if values else float("nan")


def ask_in_turn(address: str, requests: Sequence[bytes], callers: int, seconds: float) -> tuple[list[float], float]:
    """What calls take whose callers each wait for their answers, in ms; and how many are answered in a second."""
    ends_s, latencies_ms, lock = time.monotonic() + seconds, list[float](), threading.Lock()

    def ask(number: int) -> None:
        own = []
        with fixed_rate.open_channel(address) as channel:
            call = channel.unary_unary(PREDICT)
            while (began_s := time.monotonic()) < ends_s:
                error = call.future(requests[number % len(requests)], timeout=_TIMEOUT_S).exception()
                if error is None:
                    own.append(1e3 * (time.monotonic() - began_s))
                elif error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    time.sleep(_PAUSE_S)
                else:
                    raise error
        with lock:
            latencies_ms.extend(own)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies_ms, len(latencies_ms) / seconds


def overload(address: str, requests: Sequence[bytes], rate: float, seconds: float) -> tuple[Overload, float]:
    """What becomes of calls at fixed times, and how many good answers there are in a second."""
    with fixed_rate.open_channel(address) as channel:
        calls = Overload(channel, PREDICT, requests, rate, 0)
        fixed_rate.send([calls], seconds)
    if calls.faults:
        raise RuntimeError(f"{len(calls.faults)} calls failed: {calls.faults[0]}")
    return calls, sum(latency_ms <= _GOOD_MS for latency_ms in calls.admitted_ms) / seconds


def measure(
    start: Callable[[Sequence[str]], ServerProcess], requests: Sequence[bytes], seconds: float
) -> list[Figures]:
    """The figures of each mode, in their order."""
    figures: list[Figures] = []
    for flags in _MODES.values():
        with ExitStack() as stack:
            server = start(flags)
            stack.callback(server.stop)
            server.wait_until_ready()
            ask_in_turn(server.address, requests, _CALLERS, _WARM_UP_S)
            unloaded_ms, _ = ask_in_turn(server.address, requests, 1, seconds)
            _, capacity = ask_in_turn(server.address, requests, _CALLERS, seconds)
            rate = 2 * (figures[0].capacity if figures else capacity)
            figures.append(Figures(unloaded_ms, capacity, *overload(server.address, requests, rate, seconds)))
    return figures


def main() -> int:
    """Measure, print the table, and say whether the aims are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(_SHAPES), default="mobilenet_v2")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    options = parser.parse_args()
    models = exports.ensure([options.model])
    requests = [predict_floats(options.model, _SHAPES[options.model], variant) for variant in range(8)]
    with tempfile.TemporaryDirectory() as folder:

        def start(flags: Sequence[str]) -> ServerProcess:
            model = (f"--model_name={options.model}", f"--model_base_path={models / options.model}")
            return ServerProcess("servable", lambda port: serve_command(port, *model, *flags), Path(folder))

        figures = measure(start, requests, options.seconds)
    print(f"{machine.as_line(machine.describe())}\n\n{options.model}, calls at twice the capacity\n")
    print("\n".join(report.table(_HEAD, [_row(mode, each) for mode, each in zip(_MODES, figures, strict=True)])))
    best, adaptive = max(each.capacity for each in figures), figures[-1]
    share = adaptive.goodput / best
    print(f"\nadaptive: goodput is {share:.2f} times the best (aim: at least {_LEAST_GOODPUT})")
    print(
        f"adaptive: p99 is {adaptive.times_p99:.1f} times that of the unloaded server (aim: at most {_MOST_TIMES_P99})"
    )
    return int(share < _LEAST_GOODPUT or adaptive.times_p99 > _MOST_TIMES_P99)


_HEAD = ("mode", "capacity /s", "sent /s", "good /s", "p50 ms", "p99 ms", "unloaded p99 ms", "refused", "refused in ms")


def _row(mode: str, figures: Figures) -> tuple[str, ...]:
    calls = figures.overload
    refused = len(calls.refused_ms) / max(len(calls.refused_ms) + len(calls.admitted_ms), 1)
    return (
        mode,
        f"{figures.capacity:.0f}",
        f"{calls.rate:.0f}",
        f"{figures.goodput:.0f}",
        f"{_percentile(calls.admitted_ms, 50):.1f}",
        f"{_percentile(calls.admitted_ms, 99):.1f}",
        f"{_percentile(figures.unloaded_ms, 99):.1f}",
        f"{refused:.0%}",
        f"{statistics.median(calls.refused_ms):.1f}" if calls.refused_ms else "",
    )


if __name__ == "__main__":
    sys.exit(main())
