"""servable-client beside the stock stubs with tf.make_tensor_proto and tf.make_ndarray, in one run, with ratios.

Needs an environment that has both (tensorflow-serving-api and this checkout). Each figure is the median over rounds in
which the sides take turns, so that what else the machine does falls on all.

    python benchmarks/client/compare.py             times
    python benchmarks/client/compare.py --sizes     also the sizes of two fresh environments, which it installs
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SERVER = """
import sys
from servable_client.testing import FakeModelServer
with FakeModelServer() as server:
    server.model("half").predict(lambda x: {"y": x * 0.5 + 2})
    print(server.address, flush=True)
    sys.stdin.read()
"""
OURS, STOCK = "servable_client", "tensorflow_serving.apis.prediction_service_pb2_grpc"


@dataclass(frozen=True)
class Figure:
    """One comparison.

    Attributes:
        what: What was measured.
        ours: Our figure.
        other: The figure it is compared with.
        unit: Of both.
        against: What the other one is.
        target: The ratio that ours should not exceed; None for figures without one.
    """

    what: str
    ours: float
    other: float
    unit: str
    against: str = "stock"
    target: float | None = None

    def __str__(self) -> str:
        ratio = self.ours / self.other
        verdict = (
            "" if self.target is None else f"at most {self.target:.2f}: {'met' if ratio <= self.target else 'MISSED'}"
        )
        figures = f"{self.ours:>11.2f}{self.other:>11.2f} {self.unit:<4}{self.against:<7}{ratio:>7.3f}"
        return f"{self.what:<44}{figures}  {verdict}".rstrip()


def main() -> int:
    """Prints all figures; the status is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--sizes", action="store_true", help="install both clients in fresh environments and weigh them"
    )
    parser.add_argument("--calls", type=int, default=4000, help="calls of each side for the CPU time (%(default)s)")
    options = parser.parse_args()
    print(describe_machine())
    print(f"{'':<44}{'ours':>11}{'other':>11} {'unit':<4}{'other':<7}{'ratio':>7}  target")
    figures: list[Figure] = []
    for figure in list_figures(options):
        figures.append(figure)
        print(figure, flush=True)
    return int(any(each.target is not None and each.ours > each.target * each.other for each in figures))


def describe_machine() -> str:
    """When, where and with what."""
    import grpc
    import numpy as np
    import tensorflow as tf
    from google import protobuf

    cpu = next(
        (line.split(":", 1)[1].strip() for line in _cpu_info() if line.startswith("model name")), platform.machine()
    )
    modules = {"tensorflow": tf, "grpcio": grpc, "protobuf": protobuf, "numpy": np}
    versions = ", ".join(f"{name} {module.__version__}" for name, module in modules.items())
    now = datetime.now(timezone.utc)
    return f"{now:%Y-%m-%d %H:%M} UTC, {os.cpu_count()} x {cpu}, Python {platform.python_version()}, {versions}"


def _cpu_info() -> list[str]:
    try:
        with open("/proc/cpuinfo") as file:
            return file.readlines()
    except OSError:
        return []


def list_figures(options: argparse.Namespace) -> Iterator[Figure]:
    """Measures one after the other."""
    yield measure_import()
    if options.sizes:
        from sizes import weigh

        ours, stock = weigh()
        yield Figure("installed size", ours, stock, "MB", target=0.05)
    yield from measure_cpu(options.calls)
    yield from measure_tensors()


def measure_import() -> Figure:
    """Wall time of the imports that a caller makes, without the interpreter's own start."""
    rounds = [[_time_import(module) for module in ("sys", OURS, STOCK)] for _ in range(5)]
    empty, ours, stock = (min(column) for column in zip(*rounds, strict=True))
    return Figure("import", (ours - empty) * 1e3, (stock - empty) * 1e3, "ms", target=0.1)


def _time_import(module: str) -> float:
    # make_tensor_proto is TensorFlow's, so that the stock side imports it too.
    code = f"import {module}" + ("; import tensorflow" if module == STOCK else "")
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - start


@contextmanager
def fake_server() -> Iterator[str]:
    """The address of a server in a process of its own, so that its CPU time is not ours."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


def measure_cpu(calls: int) -> Iterator[Figure]:
    """CPU time a call for three floats, gRPC's threads included, and how much of it is gRPC's own.

    The floor is the same call of bytes that were made before and are not decoded: no client on gRPC can be below it.
    """
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    from servable_client import Client

    with fake_server() as address, Client(address, model="half") as client, grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def ask_stock() -> Any:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "half"
            request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0, 2.0, 5.0], dtype=tf.float32))
            return tf.make_ndarray(stub.Predict(request, timeout=10).outputs["y"])

        def ask_ours() -> Any:
            return client.predict([1.0, 2.0, 5.0])["y"]

        assert ask_stock().tolist() == ask_ours().tolist() == [2.5, 3.0, 4.5]
        raw = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        data = encode_ours([1.0, 2.0, 5.0])
        sides = (ask_ours, ask_stock, lambda: raw(data, timeout=10))
        ours, stock, floor = (1e6 * each for each in _take_turns(sides, 50, calls // 50, time.process_time))
    yield Figure("CPU a predict call, 3 floats", ours, stock, "us", target=0.5)
    yield Figure("  gRPC alone: the same bytes, not decoded", floor, stock, "us")


def measure_tensors() -> Iterator[Figure]:
    """Values to the bytes of a request, and the bytes of a reply to values, without a network."""
    import numpy as np

    floats = np.random.default_rng(1).random((1024, 1024), np.float32)
    reply = _stock_reply(floats)
    as_values = _stock_reply(floats, by_value=True)
    for what, run in [
        ("encode 4 MB of float32", lambda: encode_ours(floats)),
        ("decode 4 MB of float32", lambda: decode_ours(reply)),
        ("decode 4 MB of float32, in float_val", lambda: decode_ours(as_values)),
    ]:
        ours, copied = _take_turns((run, floats.tobytes), 1, 201)
        yield Figure(what, ours * 1e3, copied * 1e3, "ms", "memcpy", 1.5)
    integers = np.random.default_rng(1).integers(-(10**6), 10**6, 1000)
    strings = [b"string %d" % number for number in integers]
    for what, value in [
        ("3 floats", np.array([1, 2, 5], np.float32)),
        ("4 MB of float32", floats),
        ("1000 int64", integers),
        ("1000 strings", strings),
    ]:
        yield from _against_stock(what, value)


def _against_stock(what: str, value: Any) -> Iterator[Figure]:
    number, rounds = (1, 25) if "MB" in what else (20, 51)
    ours, stock = _take_turns((lambda: encode_ours(value), lambda: encode_stock(value)), number, rounds)
    yield Figure(f"encode {what}", ours * 1e6, stock * 1e6, "us")
    reply = _stock_reply(value, by_value=True)
    ours, stock = _take_turns((lambda: decode_ours(reply), lambda: decode_stock(reply)), number, rounds)
    yield Figure(f"decode {what}, in *_val", ours * 1e6, stock * 1e6, "us")


def encode_ours(value: Any) -> bytes:
    """The bytes that the client sends; its core has no I/O, and stops where the call would be made."""
    from servable_client._core import Choice

    call: Any = next(_core().predict({"x": value}, Choice(model="half"), ()))
    return bytes(call.request)


def decode_ours(reply: bytes) -> Any:
    """What the client makes of a reply."""
    from servable_client import _reading

    return _reading.prediction(reply, ())["y"]


@functools.cache
def _core() -> Any:
    from servable_client._core import Choice, Core

    return Core(Choice(), infer=False, name="nowhere")


def encode_stock(value: Any) -> bytes:
    """The same with tf.make_tensor_proto."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(value))
    return bytes(request.SerializeToString())


def decode_stock(reply: bytes) -> Any:
    """The same with tf.make_ndarray."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    return tf.make_ndarray(predict_pb2.PredictResponse.FromString(reply).outputs["y"])


def _stock_reply(value: Any, *, by_value: bool = False) -> bytes:
    """A reply as tensorflow_model_server makes it: `*_val` by default, tensor_content by its option."""
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    tensor = tf.make_tensor_proto(value)
    if by_value and tensor.tensor_content:
        field = {np.float32: tensor.float_val, np.int64: tensor.int64_val}[np.asarray(value).dtype.type]
        field.extend(np.asarray(value).ravel().tolist())
        tensor.ClearField("tensor_content")
    response = predict_pb2.PredictResponse(outputs={"y": tensor})
    response.model_spec.name = "half"
    return bytes(response.SerializeToString())


def _take_turns(
    sides: Sequence[Callable[[], Any]],
    number: int,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """The median seconds of one run of each side, over rounds of so many runs."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for run, found in zip(sides, times, strict=True):
            start = clock()
            for _ in range(number):
                run()
            found.append((clock() - start) / number)
    return [statistics.median(found) for found in times]


if __name__ == "__main__":
    sys.exit(main())
