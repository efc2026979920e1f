"""What `--adaptive_concurrency` does under twice the capacity: goodput, and the latency of what is admitted.

    python benchmarks/overload.py                                  a model of 5 ms, some two minutes
    python benchmarks/overload.py --model fixed_20ms --load 5 --seconds 20
    python benchmarks/overload.py --flags=--enable_batching        flags for the servers

For each mode a server is started, and callers (of another process) measure three things: the latency of calls one at a
time; the capacity, with a few callers that each wait for the last answer; and calls that come at random moments at a
multiple of the capacity, whether or not earlier ones were answered. The first part of each load is not counted, as
the limit learns then. Latencies are the client's. Linux only.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).resolve().parent / "compare"))

import exports
import grpc
from messages import PREDICT, predict_floats
from process import ServerProcess, start_all
from servers import serve_command

MODES: Final = {"without": (), "adaptive": ("--adaptive_concurrency",)}
_LONGEST_S: Final = 30.0


@dataclass
class Load:
    """What a load found.

    Attributes:
        seconds: The latencies of calls that were answered, in no order.
        codes: How many calls ended how.
        taken_s: How long it was looked at.
        pushed_back: Refused calls that said when to try again.
    """

    seconds: list[float] = field(default_factory=list)
    codes: collections.Counter[str] = field(default_factory=collections.Counter)
    taken_s: float = 0.0
    pushed_back: int = 0

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.taken_s

    def quantile_ms(self, quantile: float) -> float:
        """A quantile of the latencies."""
        return 1e3 * sorted(self.seconds)[int(quantile * len(self.seconds))]


class Caller:
    """Sends one request again and again."""

    def __init__(self, address: str, request: bytes) -> None:
        """Connect.

        Args:
            address: Of the server.
            request: A Predict.
        """
        self._request = request
        # Retries would hide what was refused.
        self._channel = grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)])
        self._predict = self._channel.unary_unary(PREDICT)
        self._lock = threading.Lock()

    def call_in_turn(self, callers: int, seconds: float) -> Load:
        """So many callers, each of which waits for its answer before it calls again."""
        load, end_s = Load(taken_s=seconds), time.monotonic() + seconds
        threads = [threading.Thread(target=self._call_until, args=(load, end_s)) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return load

    def call_at_random(self, rate: float, seconds: float, ignored_s: float) -> Load:
        """Calls at a rate, each whether or not the ones before are answered; counted by when they begin."""
        load, pending = Load(taken_s=seconds), threading.Semaphore(0)
        began = 0
        counted_s = time.monotonic() + ignored_s
        for moment_s in _moments(rate, ignored_s + seconds):
            began += 1
            call = self._predict.future(self._request, timeout=_LONGEST_S)
            call.add_done_callback(self._note(load, time.monotonic(), moment_s >= counted_s, pending))
        for _ in range(began):
            pending.acquire(timeout=2 * _LONGEST_S)
        return load

    def _call_until(self, load: Load, end_s: float) -> None:
        while (began_s := time.monotonic()) < end_s:
            self._predict(self._request, timeout=_LONGEST_S)
            with self._lock:
                load.seconds.append(time.monotonic() - began_s)

    def _note(self, load: Load, began_s: float, is_counted: bool, pending: threading.Semaphore):
        def note(call: grpc.Future) -> None:
            ended_s, code = time.monotonic(), call.code()
            if is_counted:
                with self._lock:
                    load.codes[code.name] += 1
                    if code is grpc.StatusCode.OK:
                        load.seconds.append(ended_s - began_s)
                    else:
                        load.pushed_back += any(key == "grpc-retry-pushback-ms" for key, _ in call.trailing_metadata())
            pending.release()

        return note


def _moments(rate: float, seconds: float) -> Iterator[float]:
    """Wait until each random moment has come, and give it."""
    rng, moment_s = random.Random(1), time.monotonic()
    end_s = moment_s + seconds
    while (moment_s := moment_s + rng.expovariate(rate)) < end_s:
        time.sleep(max(0.0, moment_s - time.monotonic()))
        yield moment_s


def measure(mode: str, arguments: argparse.Namespace, folder: Path) -> str:
    """A row of the table."""
    request = predict_floats(arguments.model, (1,), 1)
    base_path = exports.ensure([arguments.model]) / arguments.model
    flags = [f"--model_name={arguments.model}", f"--model_base_path={base_path}", *MODES[mode], *arguments.flags]
    with ExitStack() as stack:
        server = ServerProcess(mode, lambda port: serve_command(port, *flags), folder)
        start_all(stack, [server])
        caller = Caller(server.address, request)
        caller.call_in_turn(1, 2.0)
        alone = caller.call_in_turn(1, arguments.seconds / 2)
        capacity = arguments.capacity or caller.call_in_turn(8, arguments.seconds / 2).goodput
        load = caller.call_at_random(arguments.load * capacity, arguments.seconds, arguments.seconds)
    slowness = load.quantile_ms(0.99) / alone.quantile_ms(0.99)
    codes = ", ".join(f"{code} {count}" for code, count in load.codes.most_common())
    return (
        f"| {mode} | {alone.quantile_ms(0.5):.1f} | {alone.quantile_ms(0.99):.1f} "
        f"| {capacity:.0f} | {load.goodput:.0f} "
        f"| {load.goodput / capacity:.2f} | {load.quantile_ms(0.5):.1f} | {load.quantile_ms(0.99):.1f} "
        f"| {slowness:.1f} | {codes}; {load.pushed_back} pushed back |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fixed_5ms", help="of compare/exports.py, with one float")
    parser.add_argument("--load", type=float, default=2.0, help="in multiples of the capacity")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each load, and as long before it to learn")
    parser.add_argument("--capacity", type=float, default=0.0, help="calls a second; 0: measured")
    parser.add_argument("--flags", action="append", default=[], help="for all servers")
    arguments = parser.parse_args()
    print(
        "| mode | alone p50 ms | p99 ms | capacity/s | goodput/s | of the best | p50 ms | p99 ms | of alone | calls |"
    )
    print("| --- " * 10 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for mode in MODES:
            print(measure(mode, arguments, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
