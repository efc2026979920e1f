"""How long calls take, 200 a second one after another. A process of its own, which prints the seconds of each as JSON.

python -m benchmarks.resilience.latencies grpc|rest PORT SECONDS [CA_FILE]
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.resilience.callers import RIGHT, GrpcConnection, RestConnection
from benchmarks.resilience.servers import Server
from benchmarks.rest.slow_loris import time_calls


def measure(server: Server, seconds: float, ca_file: Path | None = None) -> dict[str, tuple[float, float]]:
    """p50 and p99 in milliseconds by protocol, both at the same time; over TLS gRPC's only."""
    where = {"grpc": server.port} if ca_file else {"grpc": server.port, "rest": server.rest_port}
    processes = {
        protocol: subprocess.Popen(
            [sys.executable, "-m", __spec__.name, protocol, str(port), str(seconds), *([str(ca_file)] * bool(ca_file))],
            stdout=subprocess.PIPE,
        )
        for protocol, port in where.items()
    }
    figures = {}
    for protocol, process in processes.items():
        output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the caller over {protocol} failed")
        p50, p99 = np.percentile(np.array(json.loads(output)) * 1000, [50, 99])
        figures[protocol] = float(p50), float(p99)
    return figures


def main(protocol: str, port: str, seconds: str, ca_file: str = "") -> None:
    """What the process of its own does."""
    connection: Any
    if protocol == "rest":
        connection = RestConnection(int(port), 60)
    else:
        credentials = grpc.ssl_channel_credentials(Path(ca_file).read_bytes()) if ca_file else None
        connection = GrpcConnection(f"127.0.0.1:{port}", 60, credentials)
    numbers = itertools.count(1)

    def call() -> None:
        outcome, _ = connection.call(next(numbers))
        if outcome != RIGHT:
            raise RuntimeError(outcome)

    print(json.dumps(time_calls(call, float(seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
