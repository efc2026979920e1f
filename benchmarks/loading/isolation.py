"""Latency of a small model under steady calls while MobileNetV2 loads beside it.

    python benchmarks/loading/isolation.py [--loads 15] [--rate 200]

Calls are sent in an open loop, and timed from when they were due. A load lasts from the reload request that adds the
model to its reply; between two loads the model is removed again.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import models
import numpy as np
from serving import Calls, ServerProcess, describe_machine, flags

_PAUSE_S = 1.0
_SETTLE_S = 0.3
_TARGET = 3.0


class SteadyCalls:
    """Sends at a rate from entry to exit.

    Attributes:
        latencies: When each call was due (time.monotonic), and the seconds from then to its reply.
    """

    def __init__(self, calls: Calls, rate: float) -> None:
        self._calls, self._interval_s, self._request = calls, 1 / rate, calls.request("small")
        self._thread = threading.Thread(target=self._send)
        self._ended = threading.Event()
        self.latencies: list[tuple[float, float]] = []

    def __enter__(self) -> SteadyCalls:  # noqa: PYI034  (Self is of Python 3.11)
        self._calls.predict(self._request)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        # A reply of now is behind all that were sent before.
        self._calls.predict(self._request)

    def _send(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            time.sleep(max(due - time.monotonic(), 0))
            future = self._calls.predict.future(self._request)
            future.add_done_callback(lambda done, due=due: self._note(done, due))
            due += self._interval_s

    def _note(self, done: object, due: float) -> None:
        done.result()  # type: ignore[attr-defined]  An error ends the run.
        self.latencies.append((due, time.monotonic() - due))


def _within(latencies: Sequence[tuple[float, float]], spans: Sequence[tuple[float, float]]) -> np.ndarray:
    due, taken = np.array(latencies).T
    inside = np.zeros(len(due), bool)
    for begin, end in spans:
        inside |= (due >= begin) & (due <= end)
    return 1000 * taken[inside]


def _row(name: str, latencies_ms: np.ndarray) -> str:
    p50, p99 = np.percentile(latencies_ms, (50, 99))
    return f"| {name} | {len(latencies_ms)} | {p50:.2f} | {p99:.2f} | {latencies_ms.max():.1f} |"


def measure(root: Path, loads: int, rate: float) -> bool:
    """Print the table; whether the target is met."""
    quiet, loading, leaving = [], [], []
    with ServerProcess(root / "server.log", *flags(root)) as server:
        calls = Calls(server.address, root)
        with SteadyCalls(calls, rate) as steady:
            for _ in range(loads + 1):
                time.sleep(_SETTLE_S)
                began = time.monotonic()
                time.sleep(_PAUSE_S)
                quiet.append((began, time.monotonic()))
                calls.serve("small", "mobilenet")
                loading.append((quiet[-1][1], time.monotonic()))
                time.sleep(_SETTLE_S)
                began = time.monotonic()
                calls.serve("small")
                leaving.append((began, time.monotonic() + _SETTLE_S))
    # The first load also starts TensorFlow's threads: a server that serves has done that.
    before, during, after = (_within(steady.latencies, spans[1:]) for spans in (quiet, loading, leaving))
    seconds = np.mean([end - begin for begin, end in loading[1:]])
    print(f"{describe_machine()}; a load takes {seconds:.2f} s\n")
    print("| small model, ms | calls | p50 | p99 | max |\n| --- | ---: | ---: | ---: | ---: |")
    print(_row("nothing else", before), _row("MobileNetV2 loads", during), _row("it leaves", after), sep="\n")
    ratio = np.percentile(during, 99) / np.percentile(before, 99)
    print(f"\np99 while a model loads: {ratio:.1f} times of what it was (target: {_TARGET:g})")
    return bool(ratio <= _TARGET)


def main() -> int:
    """Measure on fresh models; 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=int, default=15)
    parser.add_argument("--rate", type=float, default=200.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models.export(Path(folder))
        return 0 if measure(Path(folder), arguments.loads, arguments.rate) else 1


if __name__ == "__main__":
    raise SystemExit(main())
