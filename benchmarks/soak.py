"""Minutes at full load on a real server: no wrong reply, no error, no growth. The status is 1 if there is any.

    python benchmarks/soak.py                                      ten minutes, with --enable_batching
    python benchmarks/soak.py --batching off --minutes 1
    python benchmarks/soak.py --batching limits -- --grpc_lanes=2   with a parameters file; more flags after --

Client processes keep a number of calls in flight each, of four models (one of them slow) and many numbers of rows. One
call in 40 is cancelled, and one in 40 has a deadline that may pass. Every reply is compared with what NumPy says;
payloads differ, so that a reply that went to another caller is seen.

What growth is: from the end of the warm-up (a fifth of the time) to the end, each taken as the median of a tenth of the
time, resident memory may grow by 5 %, and threads and open files by 4 each, which is how much gRPC's own pools vary.
Once the clients have left, their connections must be closed: 4 open files more than before they came, at most.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from control_plane.server_process import ServerProcess, describe_machine

from servable_client import wire
from servable_client.tensors import decode, encode

LIMITS = (
    "max_batch_size { value: 64 } batch_timeout_micros { value: 500 } max_enqueued_batches { value: 1000 } "
    "allowed_batch_sizes: [8, 32, 64] max_execution_batch_size { value: 32 } "
    "enable_large_batch_splitting { value: true }"
)
ROWS = (1, 1, 1, 2, 3, 8, 17, 64)
MEMORY_GROWTH, OTHER_GROWTH = 0.05, 4
_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_CANCELS, _HURRIES = 1 / 40, 1 / 40
_REQUESTS = 400
_PATIENCE_S = 60.0
_SAMPLE_INTERVAL_S = 0.5

Arrays = dict[str, "np.ndarray[Any, Any]"]


def main() -> int:
    """Prints the table; the status is 1 if anything failed or grew."""
    options = _parse_arguments()
    print(
        f"{describe_machine()}\nbatching {options.batching}, {options.clients} clients, {options.minutes:g} min",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(options.clients, get_context("spawn")) as pool:
        folder = Path(name)
        pool.submit(make_models, folder).result()
        flags = [
            f"--model_config_file={_write_config(folder)}",
            *_batching_flags(options.batching, folder),
            *options.flags,
        ]
        with ServerProcess(folder / "log", *flags) as server:
            before = Sample.take(server)
            seconds = 60 * options.minutes
            sent = [
                pool.submit(send, server.address, number, options.in_flight, seconds)
                for number in range(options.clients)
            ]
            samples = _watch(server, sent, seconds)
            outcomes = sum((each.result() for each in sent), Counter[str]())
            # A connection is closed when its end has been heard of.
            time.sleep(2)
            return _judge(outcomes, before, samples, Sample.take(server), seconds)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long (%(default)s)")
    parser.add_argument("--batching", choices=("off", "on", "limits"), default="on", help="(%(default)s)")
    parser.add_argument("--clients", type=int, default=2, help="client processes (%(default)s)")
    parser.add_argument("--in-flight", type=int, default=32, help="calls in flight of each (%(default)s)")
    parser.add_argument("flags", nargs="*", help="more flags of the server")
    return parser.parse_args()


def _batching_flags(batching: str, folder: Path) -> list[str]:
    (folder / "batching.txt").write_text(LIMITS)
    flags = ["--enable_batching", f"--batching_parameters_file={folder / 'batching.txt'}"]
    return {"off": [], "on": flags[:1], "limits": flags}[batching]


# The models, in NumPy and in TensorFlow. All numbers are whole and small, so sums are exact.

_WEIGHTS = [np.random.default_rng(7).integers(-1, 2, shape).astype(np.float32) for shape in ((64, 256), (256, 16))]
_SLOW_STEPS = 500


def _affine(x: Any, k: Any) -> Arrays:
    return {"y": 2 * x + 1, "z": 3 * k}


def _mlp(x: Any) -> Arrays:
    return {"y": np.maximum(x @ _WEIGHTS[0], 0) @ _WEIGHTS[1]}


def _text(x: Any) -> Arrays:
    return {"y": np.array([each + b"!" for each in x], object)}


def _slow(x: Any) -> Arrays:
    return {"y": x + _SLOW_STEPS}


MODELS: dict[str, Callable[..., Arrays]] = {"affine": _affine, "mlp": _mlp, "text": _text, "slow": _slow}


def make_inputs(model: str, rows: int, chance: np.random.Generator) -> Arrays:
    """Inputs by alias, unlike any others."""
    numbers = chance.integers(0, 1 << 20, rows)
    if model == "text":
        return {"x": np.array([b"%d" % number for number in numbers], object)}
    if model == "mlp":
        return {"x": chance.integers(0, 8, (rows, 64)).astype(np.float32)}
    return {"x": numbers.astype(np.float32), "k": numbers} if model == "affine" else {"x": numbers}


def make_models(folder: Path) -> None:
    """Write the models; for a process of its own, as TensorFlow is large."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    def slow(x: Any) -> dict[str, Any]:
        return {"y": tf.while_loop(lambda step, _: step < _SLOW_STEPS, lambda step, y: (step + 1, y + 1), (0, x))[1]}

    graphs: dict[str, tuple[Any, dict[str, Any], list[int]]] = {
        "affine": (lambda x, k: {"y": 2 * x + 1, "z": 3 * k}, {"x": tf.float32, "k": tf.int64}, []),
        "mlp": (lambda x: {"y": tf.nn.relu(x @ _WEIGHTS[0]) @ _WEIGHTS[1]}, {"x": tf.float32}, [64]),
        "text": (lambda x: {"y": tf.strings.join([x, "!"])}, {"x": tf.string}, []),
        "slow": (slow, {"x": tf.int64}, []),
    }
    for model, (function, dtypes, shape) in graphs.items():
        specs = [tf.TensorSpec([None, *shape], dtype, name=alias) for alias, dtype in dtypes.items()]
        traced = tf.function(function, input_signature=specs)
        tf.saved_model.save(tf.Module(), str(folder / model / "1"), {"serving_default": traced})


def _write_config(folder: Path) -> Path:
    configs = "".join(
        f'config {{ name: "{model}" base_path: "{folder / model}" model_platform: "tensorflow" }}\n' for model in MODELS
    )
    (folder / "models.config").write_text(f"model_config_list {{ {configs} }}")
    return folder / "models.config"


class Request:
    """One request, made once and sent often."""

    def __init__(self, model: str, rows: int, chance: np.random.Generator) -> None:
        inputs = make_inputs(model, rows, chance)
        message = wire.PredictRequest()
        message.model_spec.name = model
        for alias, array in inputs.items():
            message.inputs[alias].CopyFrom(encode(array))
        self.message, self._outputs = message.SerializeToString(), MODELS[model](**inputs)
        self._right = b""

    def is_right(self, reply: bytes) -> bool:
        """Whether a reply is what NumPy says. Bytes that were right once are right again."""
        if reply == self._right:
            return True
        outputs = wire.PredictResponse.FromString(reply).outputs
        if outputs.keys() != self._outputs.keys():
            return False
        if all(np.array_equal(decode(outputs[alias]), array) for alias, array in self._outputs.items()):
            self._right = reply
        return reply == self._right


def send(address: str, number: int, in_flight: int, seconds: float) -> Counter[str]:
    """What a client process does.

    Returns:
        The calls by what came of them: `right`, `cancelled`, `late`, or what was wrong.
    """
    return _Sender(number, in_flight).send(address, seconds)


class _Sender:
    """Keeps a number of calls in flight."""

    def __init__(self, number: int, in_flight: int) -> None:
        chance = np.random.default_rng(number)
        self._requests = [
            Request(model, rows, chance) for model in MODELS for rows in ROWS for _ in range(_REQUESTS // 32)
        ]
        self._chance, self._in_flight = random.Random(number), in_flight
        self._room, self._lock, self._outcomes = threading.Semaphore(in_flight), threading.Lock(), Counter[str]()

    def send(self, address: str, seconds: float) -> Counter[str]:
        with grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)]) as channel:
            predict, ends_s = channel.unary_unary(_PREDICT), time.monotonic() + seconds
            while time.monotonic() < ends_s:
                self._room.acquire()
                self._begin(predict)
            for _ in range(self._in_flight):
                if not self._room.acquire(timeout=2 * _PATIENCE_S):
                    self._outcomes["never answered"] += 1
        return self._outcomes

    def _begin(self, predict: Any) -> None:
        request, fate = self._chance.choice(self._requests), self._chance.random()
        is_hurried = fate < _HURRIES
        call = predict.future(request.message, timeout=self._chance.uniform(1e-3, 2e-2) if is_hurried else _PATIENCE_S)
        is_cancelled = not is_hurried and fate < _HURRIES + _CANCELS
        call.add_done_callback(lambda call: self._end(call, request, is_hurried, is_cancelled))
        if is_cancelled:
            call.cancel()

    def _end(self, call: Any, request: Request, is_hurried: bool, is_cancelled: bool) -> None:
        outcome = "the client failed"
        try:
            outcome = _name_outcome(call, request, is_hurried, is_cancelled)
        finally:
            with self._lock:
                self._outcomes[outcome] += 1
            self._room.release()


def _name_outcome(call: Any, request: Request, is_hurried: bool, is_cancelled: bool) -> str:
    code = call.code()
    if code is grpc.StatusCode.OK:
        return "right" if request.is_right(call.result()) else "wrong reply"
    if is_cancelled and code is grpc.StatusCode.CANCELLED:
        return "cancelled"
    if is_hurried and code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED):
        return "late"
    return f"{code.name}: {call.details()[:120]}"


@dataclass(frozen=True)
class Sample:
    """What the server's process has: resident memory in 10^6 bytes, threads, open files; and when (time.monotonic)."""

    at_s: float
    memory_mb: float
    threads: float
    files: float

    @classmethod
    def take(cls, server: ServerProcess) -> Sample:
        """What it has now."""
        process = Path("/proc", str(server.pid))
        threads, files = len(os.listdir(process / "task")), len(os.listdir(process / "fd"))
        return cls(time.monotonic(), server.resident_mb(), threads, files)

    @classmethod
    def median(cls, samples: Sequence[Sample]) -> Sample:
        """The medians of several."""
        columns = ("at_s", "memory_mb", "threads", "files")
        return cls(*(statistics.median(getattr(sample, column) for sample in samples) for column in columns))


def _watch(server: ServerProcess, sent: Sequence[Future[Counter[str]]], seconds: float) -> list[Sample]:
    begun_s, samples = time.monotonic(), []
    while time.monotonic() < begun_s + seconds and not any(each.done() for each in sent):
        samples.append(Sample.take(server))
        time.sleep(_SAMPLE_INTERVAL_S)
    return samples


def _judge(outcomes: Counter[str], before: Sample, samples: Sequence[Sample], after: Sample, seconds: float) -> int:
    tenth = max(len(samples) // 10, 1)
    warm, end = Sample.median(samples[2 * tenth : 3 * tenth]), Sample.median(samples[-tenth:])
    print(f"{'':<14}{'memory':>10}{'threads':>9}{'files':>7}")
    for phase, sample in {"before": before, "warm": warm, "at the end": end, "clients left": after}.items():
        print(f"{phase:<14}{sample.memory_mb:>7.0f} MB{sample.threads:>9.0f}{sample.files:>7.0f}")
    calls, faults = outcomes.total(), outcomes.total() - sum(outcomes[fine] for fine in ("right", "cancelled", "late"))
    grown = [
        *["memory"] * (end.memory_mb > warm.memory_mb * (1 + MEMORY_GROWTH)),
        *["threads"] * (end.threads > warm.threads + OTHER_GROWTH),
        *["open files"] * (end.files > warm.files + OTHER_GROWTH or after.files > before.files + OTHER_GROWTH),
    ]
    print(
        f"{calls} calls, {calls / seconds:.0f}/s; memory {end.memory_mb - warm.memory_mb:+.1f} MB from warm to the end"
    )
    for outcome, count in outcomes.most_common(20):
        print(f"  {count:>9}  {outcome}")
    print(f"{faults} faults; growth: {', '.join(grown) or 'none'}")
    return int(bool(faults or grown or not outcomes["right"]))


if __name__ == "__main__":
    sys.exit(main())
