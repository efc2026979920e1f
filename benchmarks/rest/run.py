"""CPU of a REST request: this server, and FastAPI with uvicorn around `tf.saved_model.load`; and gRPC beside images.

    python benchmarks/rest/run.py                            everything, about three minutes
    python benchmarks/rest/run.py --rounds 3 --seconds 1     less
    python benchmarks/rest/run.py --write                    also into benchmarks/README.md

The servers are up together and visited in turn. Connections are kept open, and each sends its next request when the
last is answered. Then gRPC calls are sent at a fixed rate, alone and beside images over REST, 15 a second. Needs
FastAPI, which the project itself does not: `pip install fastapi`. The status is 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import functools
import http.client
import importlib.util
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "compare"))

import exports
import fixed_rate
import machine
import ports
import report
from messages import PREDICT, predict_floats
from process import ServerProcess, start_all
from servers import serve_command

_HEADERS = {"Content-Type": "application/json"}
_TIMEOUT_S = 60.0
_MOST_SHARE = 1 / 3
_MOST_TIMES_P99 = 2.0
_IMAGES_A_SECOND = 15.0
_GRPC_RATE = 200.0


@dataclass(frozen=True)
class Workload:
    """What is asked of both servers.

    Attributes:
        title: As the table shows it.
        export: The model, among the exports of benchmarks/compare.
        body: The request in JSON.
        connections: How many send at once.
    """

    title: str
    export: str
    body: bytes
    connections: int


@dataclass
class Side:
    """One server under one workload: CPU microseconds of a request in each round, requests/s, and latencies."""

    cpu_us: list[float] = field(default_factory=list)
    requests_s: list[float] = field(default_factory=list)


def workloads() -> list[Workload]:
    """Three floats by one caller and by sixteen; an image with four digits a value, and with all of them."""
    pixels = np.random.default_rng(1).random((1, 224, 224, 3), np.float32)
    four_digits = np.round(pixels.astype(float), 4).tolist()
    small = b'{"instances": [1.0, 2.0, 5.0]}'
    return [
        Workload("half_plus_two, 3 floats, 1 connection", "half_plus_two", small, 1),
        Workload("half_plus_two, 3 floats, 16 connections", "half_plus_two", small, 16),
        Workload("sum of a 224x224x3 image, 4 digits", "sum", _flat_image(four_digits), 1),
        Workload("MobileNetV2, 224x224x3 image, 4 digits", "mobilenet_v2", _body(four_digits), 1),
        Workload("MobileNetV2, 224x224x3 image, 17 digits", "mobilenet_v2", _body(pixels.astype(float).tolist()), 1),
    ]


def _body(instances: object) -> bytes:
    return json.dumps({"instances": instances}).encode()


def _flat_image(image: Sequence[object]) -> bytes:
    return _body(np.array(image).reshape(1, -1).tolist())


@contextmanager
def closed_loop(port: int, workload: Workload) -> Iterator[Callable[[], int]]:
    """Callers that send one request after the other; gives a count of the answers so far."""
    path, stop, counts, faults = f"/v1/models/{workload.export}:predict", threading.Event(), [], []

    def call(index: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
        try:
            while not stop.is_set():
                connection.request("POST", path, workload.body, _HEADERS)
                reply = connection.getresponse()
                said = reply.read()
                if reply.status != 200:
                    faults.append(f"{reply.status}: {said[:200]!r}")
                    return
                counts[index] += 1
        except OSError as error:
            faults.append(repr(error))
        finally:
            connection.close()

    counts.extend([0] * workload.connections)
    threads = [threading.Thread(target=call, args=(index,)) for index in range(workload.connections)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: sum(counts)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if faults:
        raise RuntimeError(f"{workload.title}: {faults[0]}")


def visit(server: ServerProcess, rest_port: int, workload: Workload, seconds: float, side: Side) -> None:
    """One round of one server."""
    with closed_loop(rest_port, workload) as answered:
        _wait_until(lambda: answered() >= 3 * workload.connections)
        begun_s, before, cpu_s = time.monotonic(), answered(), server.cpu_s()
        time.sleep(seconds)
        _wait_until(lambda: answered() >= before + 3)
        cpu_s, taken_s, count = server.cpu_s() - cpu_s, time.monotonic() - begun_s, answered() - before
    side.cpu_us.append(1e6 * cpu_s / count)
    side.requests_s.append(count / taken_s)
    server.wait_until_idle()


def _wait_until(is_so: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + _TIMEOUT_S
    while not is_so():
        if time.monotonic() > give_up_s:
            raise RuntimeError("no answers")
        time.sleep(0.002)


class OurServer:
    """`servable serve` of one model, over gRPC and REST."""

    def __init__(self, model: str, base_path: Path, folder: Path, checkout: Path | None) -> None:
        self.rest_port = ports.find_free()
        flags = [f"--rest_api_port={self.rest_port}", f"--model_name={model}", f"--model_base_path={base_path}"]
        command = functools.partial(_serve, flags=flags, checkout=checkout)
        self.process = ServerProcess(f"servable-{model}", command, folder)


def _serve(port: int, flags: Sequence[str], checkout: Path | None) -> list[str]:
    return serve_command(port, *flags, checkout=checkout)


def _fastapi(base_path: Path, port: int) -> list[str]:
    return [
        sys.executable,
        str(Path(__file__).with_name("fastapi_server.py")),
        str(port),
        str(base_path / "1"),
        base_path.name,
    ]


def compare(workload: Workload, models: Path, folder: Path, options: argparse.Namespace) -> tuple[Side, Side]:
    """Both servers under one workload, in turn."""
    base_path, ours_side, theirs_side = models / workload.export, Side(), Side()
    with ExitStack() as stack:
        ours = OurServer(workload.export, base_path, folder, options.checkout)
        theirs = ServerProcess("fastapi", functools.partial(_fastapi, base_path), folder)
        start_all(stack, [ours.process, theirs])
        _wait_until(lambda: ports.is_open(ours.rest_port))
        for _ in range(options.rounds):
            visit(ours.process, ours.rest_port, workload, options.seconds, ours_side)
            visit(theirs, theirs.port, workload, options.seconds, theirs_side)
    return ours_side, theirs_side


def measure_beside_images(models: Path, folder: Path, options: argparse.Namespace) -> tuple[list[float], list[float]]:
    """The p99 in ms of gRPC calls to an MLP, alone and beside images to another model over REST."""
    image = next(workload for workload in workloads() if workload.export == "sum")
    alone, beside = [], []
    config = folder / "models.txt"
    config.write_text(_config(models, ["mlp", "sum"]))
    rest_port = ports.find_free()
    flags = [f"--rest_api_port={rest_port}", f"--model_config_file={config}"]
    with ExitStack() as stack:
        server = ServerProcess(
            "servable-both", functools.partial(_serve, flags=flags, checkout=options.checkout), folder
        )
        start_all(stack, [server])
        _wait_until(lambda: ports.is_open(rest_port))
        for _ in range(options.rounds):
            alone.append(_p99_ms(server, options.seconds))
            with _images(rest_port, image):
                beside.append(_p99_ms(server, options.seconds))
    return alone, beside


def _config(folder: Path, names: Sequence[str]) -> str:
    entries = [
        f'config {{ name: "{name}" base_path: "{folder / name}" model_platform: "tensorflow" }}' for name in names
    ]
    return f"model_config_list {{ {' '.join(entries)} }}"


def _p99_ms(server: ServerProcess, seconds: float) -> float:
    request = predict_floats("mlp", (1, 64), 0)
    with fixed_rate.open_channel(server.address) as channel:
        reply_bytes = len(channel.unary_unary(PREDICT)(request, timeout=_TIMEOUT_S))
        stream = fixed_rate.Stream(channel, PREDICT, [request], _GRPC_RATE, reply_bytes)
        fixed_rate.send([stream], seconds)
    if stream.faults:
        raise RuntimeError(stream.faults[0])
    return float(np.percentile(stream.latencies_ms, 99))


@contextmanager
def _images(port: int, image: Workload) -> Iterator[None]:
    """Images over REST at a fixed rate, as far as the server keeps up."""
    stop, faults = threading.Event(), []

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
        due_s = time.monotonic()
        while not stop.wait(max(due_s - time.monotonic(), 0)):
            due_s += 1 / _IMAGES_A_SECOND
            connection.request("POST", f"/v1/models/{image.export}:predict", image.body, _HEADERS)
            reply = connection.getresponse()
            if reply.status != 200:
                faults.append(reply.read())
            reply.read()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if faults:
        raise RuntimeError(repr(faults[0]))


def main() -> int:
    """Measure and print; 1 if a bound is missed."""
    options = _parse()
    rows, misses = [], []
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        models = exports.ensure(sorted({workload.export for workload in workloads()} | {"mlp"}))
        for workload in workloads():
            ours, theirs = compare(workload, models, folder, options)
            share = statistics.median(a / b for a, b in zip(ours.cpu_us, theirs.cpu_us, strict=True))
            is_bounded = workload.export != "mobilenet_v2"
            if is_bounded and share > _MOST_SHARE:
                misses.append(workload.title)
            rows.append(_row(workload, ours, theirs, share))
        alone, beside = measure_beside_images(models, folder, options)
    ratio = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
    if ratio > _MOST_TIMES_P99:
        misses.append("gRPC beside images")
    text = _tell(rows, alone, beside, ratio, options)
    print(text)
    if options.write:
        report.insert(machine.ROOT / "benchmarks" / "README.md", text, "rest")
    print("missed:", ", ".join(misses) or "nothing")
    return 1 if misses else 0


def _row(workload: Workload, ours: Side, theirs: Side, share: float) -> list[str]:
    cells = [
        f"{statistics.median(side.cpu_us):.0f} ({statistics.median(side.requests_s):.0f}/s)" for side in (ours, theirs)
    ]
    return [workload.title, f"{len(workload.body) / 1e6:.2f}", *cells, f"{share:.2f}"]


def _tell(
    rows: Sequence[Sequence[str]],
    alone: Sequence[float],
    beside: Sequence[float],
    ratio: float,
    options: argparse.Namespace,
) -> str:
    has_simdjson = importlib.util.find_spec("simdjson") is not None
    return "\n".join(
        [
            f"{machine.as_line(machine.describe())}; {options.rounds} rounds of {options.seconds:g} s, medians; "
            f"pysimdjson {'installed' if has_simdjson else 'not installed'}. CPU of the server for a request, us "
            "(and requests/s); the model's own work is in it, which for MobileNetV2 is most of it.",
            "",
            *report.table(["", "body, MB", "servable", "FastAPI", "ratio"], rows),
            "",
            f"p99 of gRPC calls to an MLP, {_GRPC_RATE:g} a second: alone {statistics.median(alone):.1f} ms, beside "
            f"{_IMAGES_A_SECOND:g} images a second over REST {statistics.median(beside):.1f} ms; median of the rounds' "
            f"ratios {ratio:.2f}.",
        ]
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each server is visited (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long, each time (%(default)s)")
    parser.add_argument("--checkout", type=Path, help="the server of another checkout in place of the installed one")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
