"""An echo over grpc.server beside the same over lanes: requests/s and CPU a call, in one run, visited in turn.

Needs h2load (Debian: nghttp2-client) and this checkout's packages.

    python benchmarks/lanes/compare.py                      all ways, 1x1 and 8x8 (connections x streams)
    python benchmarks/lanes/compare.py --rounds 9 --requests 40000
    python benchmarks/lanes/compare.py --soak 100000        does memory grow over so many calls on a lane?
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import grpc

WAYS = ("public 8", "aio 1", "inline 1", "inline 2", "inline 3", "kept 1", "kept 2")
LOADS = ((1, 1), (8, 8))
MESSAGE_BYTES = 50


@dataclass
class EchoServer:
    """A process that echoes in one way, and what was measured of it: (requests/s, CPU microseconds a call) by load."""

    way: str
    process: subprocess.Popen[str]
    port: int
    figures: dict[tuple[int, int], list[tuple[float, float]]] = field(default_factory=dict)

    @classmethod
    def start(cls, way: str) -> EchoServer:
        """Start one, and wait until it listens."""
        command = [sys.executable, str(Path(__file__).with_name("echo_server.py")), *way.split()]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return cls(way, process, int(process.stdout.readline()))

    def used(self) -> tuple[float, int]:
        """CPU seconds so far, and memory in KiB."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        cpu_s, kib = self.process.stdout.readline().split()
        return float(cpu_s), int(kib)

    def visit(self, load: tuple[int, int], requests: int, body: str) -> None:
        """Load it once."""
        before_s, _ = self.used()
        rate = load_with_h2load(self.port, load, requests, body)
        after_s, _ = self.used()
        self.figures.setdefault(load, []).append((rate, (after_s - before_s) / requests * 1e6))

    def median(self, load: tuple[int, int]) -> tuple[float, float]:
        """Over all visits."""
        rates, cpus = zip(*self.figures[load], strict=True)
        return statistics.median(rates), statistics.median(cpus)


def load_with_h2load(port: int, load: tuple[int, int], requests: int, body: str) -> float:
    """Requests/s; every one of them must be answered."""
    connections, streams = load
    command = ["h2load", f"-n{requests}", f"-c{connections}", f"-m{streams}", "-d", body]
    headers = ["-H", "te: trailers", "-H", "content-type: application/grpc"]
    url = f"http://127.0.0.1:{port}/echo.Echo/Echo"
    said = subprocess.run([*command, *headers, url], capture_output=True, text=True, check=True).stdout
    rate, answered = re.search(r"([\d.]+) req/s", said), re.search(r"(\d+) 2xx", said)
    if rate is None or answered is None or int(answered[1]) != requests:
        raise RuntimeError(f"not all were answered:\n{said}")
    return float(rate[1])


def compare(servers: Sequence[EchoServer], rounds: int, requests: int, body: str) -> None:
    """Visit all in turn, after a first load for what is made once."""
    for server in servers:
        load_with_h2load(server.port, (4, 4), 2000, body)
    for _ in range(rounds):
        for load in LOADS:
            for server in servers:
                server.visit(load, requests if load != (1, 1) else requests // 4, body)


def report(servers: Sequence[EchoServer]) -> None:
    """Print the table; ratios are to the first server."""
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    print(f"{when}, {platform.machine()}, Python {platform.python_version()}, grpcio {grpc.__version__}\n")
    print("| way | load | requests/s | ratio | CPU a call | ratio |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for load in LOADS:
        base_rate, base_us = servers[0].median(load)
        for server in servers:
            rate, cpu_us = server.median(load)
            name, ratios = f"{load[0]}x{load[1]}", (rate / base_rate, cpu_us / base_us)
            print(f"| {server.way} | {name} | {rate:.0f} | {ratios[0]:.2f} | {cpu_us:.1f} us | {ratios[1]:.2f} |")


def soak(requests: int, body: str) -> None:
    """Memory before and after; the first calls are for what is made once."""
    for way in ("inline 1", "kept 2"):
        server = EchoServer.start(way)
        load_with_h2load(server.port, (8, 8), 20_000, body)
        sizes = [server.used()[1]]
        for _ in range(4):
            load_with_h2load(server.port, (8, 8), requests // 4, body)
            sizes.append(server.used()[1])
        print(f"{way}: {requests} calls, KiB after each quarter: {sizes}")
        server.process.kill()


def main() -> None:
    """Parse the flags and go."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--soak", type=int, metavar="CALLS")
    arguments = parser.parse_args()
    with tempfile.NamedTemporaryFile() as body:
        body.write(b"\0" + MESSAGE_BYTES.to_bytes(4, "big") + bytes(MESSAGE_BYTES))
        body.flush()
        if arguments.soak:
            soak(arguments.soak, body.name)
            return
        servers = [EchoServer.start(way) for way in WAYS]
        try:
            compare(servers, arguments.rounds, arguments.requests, body.name)
        finally:
            for server in servers:
                server.process.kill()
        report(servers)


if __name__ == "__main__":
    main()
