"""Latency of gRPC and HTTP, alone and beside 1,000 connections that send slowly, not at all, or do not read.

`python benchmarks/rest/slow_loris.py BASE_PATH` serves the model at BASE_PATH (with an input `x` of one float32 row,
such as half_plus_two), and prints p50 and p99 of both, in alternating rounds. Callers, slow clients and server are
processes of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import ports

_GOOD_HEAD = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"
_KINDS = (
    (b"", b""),
    (b"GET /v1/models/m HTTP/1.1\r\n", b"A: b\r\n"),
    (b"G", b"E"),
    (_GOOD_HEAD, b"1"),
    (b"GET /healthz HTTP/1.1\r\n\r\n" * 20, b""),
)


def main() -> None:
    """Run the roles of a process, or all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_path")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rest", default="", help="the JSON body of a Predict over REST; empty asks /healthz")
    parser.add_argument("--role", default="")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    if options.role:
        {"slow": be_slow, "grpc": call_grpc, "http": call_http}[options.role](options)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Alternate rounds with and without slow clients."""
    grpc_port, http_port = ports.find_free(), ports.find_free()
    server = subprocess.Popen(
        [sys.executable, "-m", "servable", "serve", f"m={options.base_path}", "--bind_address=127.0.0.1",
         f"--port={grpc_port}", f"--rest_api_port={http_port}", "--drain_delay_s=0"],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    try:
        while not ports.is_open(http_port):
            time.sleep(0.2)
        rounds: dict[str, list[dict[str, float]]] = {"alone": [], "beside": []}
        for _ in range(options.rounds):
            rounds["alone"].append(measure(options, grpc_port, http_port))
            slow = start(options, "slow", http_port)
            try:
                # Until all have connected, and some have been cut off.
                time.sleep(3)
                rounds["beside"].append(measure(options, grpc_port, http_port))
            finally:
                slow.send_signal(signal.SIGKILL)
                slow.wait()
        report(rounds)
    finally:
        server.terminate()
        server.wait()


def report(rounds: dict[str, list[dict[str, float]]]) -> None:
    """Print the medians of rounds, and their ratios."""
    for name in rounds["alone"][0]:
        alone, beside = (np.median([one[name] for one in rounds[which]]) for which in ("alone", "beside"))
        print(f"{name:14} alone {alone:8.3f}  beside slow clients {beside:8.3f}  ratio {beside / alone:5.2f}")


def measure(options: argparse.Namespace, grpc_port: int, http_port: int) -> dict[str, float]:
    """One round: both kinds of callers at the same time."""
    callers = {"grpc": start(options, "grpc", grpc_port), "http": start(options, "http", http_port)}
    figures = {}
    for role, caller in callers.items():
        output, _ = caller.communicate()
        times_ms = np.array(json.loads(output)) * 1000
        figures[f"{role} p50, ms"], figures[f"{role} p99, ms"] = np.percentile(times_ms, [50, 99])
    return figures


def start(options: argparse.Namespace, role: str, port: int) -> subprocess.Popen[bytes]:
    """Start a process in a role."""
    arguments = [f"--{name}={getattr(options, name)}" for name in ("connections", "seconds", "rest")]
    command = [sys.executable, __file__, options.base_path, *arguments, f"--role={role}", f"--port={port}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE if role != "slow" else None)


def call_grpc(options: argparse.Namespace) -> None:
    """Call Predict one at a time, 200 times a second, and print the seconds that each took."""
    import grpc

    from servable import wire

    request = wire.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].dtype = wire.DT_FLOAT
    request.inputs["x"].tensor_shape.dim.add(size=1)
    request.inputs["x"].float_val.append(1)
    data = request.SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{options.port}") as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        print(json.dumps(time_calls(lambda: call(data, timeout=60), options.seconds)))


def call_http(options: argparse.Namespace) -> None:
    """The same over HTTP, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=60)

    def call() -> None:
        if options.rest:
            connection.request("POST", "/v1/models/m:predict", options.rest)
        else:
            connection.request("GET", "/healthz")
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            raise RuntimeError(reply.status)

    print(json.dumps(time_calls(call, options.seconds)))


def time_calls(call, seconds: float) -> list[float]:
    """Call 200 times a second."""
    for _ in range(50):
        call()
    times, until = [], time.monotonic() + seconds
    due = time.monotonic()
    while due < until:
        due += 0.005
        time.sleep(max(due - time.monotonic(), 0))
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def be_slow(options: argparse.Namespace) -> None:
    """Keep connections open that send a piece a second, and open another for each that is closed."""
    selector = selectors.DefaultSelector()
    number, turn, due = 0, 0, time.monotonic()
    while True:
        while len(selector.get_map()) < options.connections:
            with contextlib.suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", options.port))
                connection.setblocking(False)
                first, more = _KINDS[number % len(_KINDS)]
                number += 1
                connection.send(first)
                selector.register(connection, selectors.EVENT_READ, more)
        for key, _ in selector.select(0.02):
            if not is_open(key.fileobj):
                selector.unregister(key.fileobj)
                key.fileobj.close()
        if time.monotonic() > due:
            due += 0.02
            turn += 1
            send_more(selector, turn)


def is_open(connection: socket.socket) -> bool:
    """Whether the server has not closed it."""
    try:
        return bool(connection.recv(1000))
    except BlockingIOError:
        return True
    except OSError:
        return False


def send_more(selector: selectors.BaseSelector, turn: int) -> None:
    """A piece on every fiftieth connection, which is one a second on each."""
    for key in list(selector.get_map().values()):
        if (key.fd + turn) % 50 or not key.data:
            continue
        with contextlib.suppress(OSError):
            key.fileobj.send(key.data)


if __name__ == "__main__":
    main()
