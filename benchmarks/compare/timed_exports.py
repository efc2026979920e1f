"""Models that take a stated time on whatever machine writes them, and models whose time does not depend on their rows.

The time is made of many small pieces, and how long one takes is measured when a model is written. All take and give
what `serving_default` says: x -> y.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

FIXED_COSTS_MS: Final = (5, 20, 100)
HUGE_VALUES: Final = 150_000
LARGE_REPLY_FLOATS: Final = 250_000
WAIT_WIDTH: Final = 4
LOOP_WIDTH: Final = 64
LSTM_SHAPE: Final = (300, 16)

_HUGE_S: Final = 1.3
_LOOP_STEPS: Final = 300
_MEASURED_STEPS: Final = 5_000
_MEASURED_DIGITS, _MEASURED_VALUES = 100, 10_000
_SEED: Final = 5


def _spin(tf: Any, steps: Any) -> Any:
    """So many small matrix products, each of which needs the one before. Gives a zero that no optimizer can foresee."""
    weights = tf.constant(_random(LOOP_WIDTH, LOOP_WIDTH))
    _, state = tf.while_loop(
        lambda step, _: step < steps,
        lambda step, state: (step + 1, tf.tanh(state @ weights)),
        (tf.constant(0), tf.ones([1, LOOP_WIDTH])),
    )
    return tf.minimum(tf.reduce_max(tf.abs(state)), 0.0)


def _random(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(_SEED).normal(0, 1 / math.sqrt(shape[0]), shape).astype(np.float32)


@functools.cache
def _step_s(tf: Any) -> float:
    """What a step of `_spin` takes here: the least of several, since other work only adds to it."""
    spin = tf.function(lambda steps: _spin(tf, steps), input_signature=[tf.TensorSpec([], tf.int32)])
    steps, least_s = tf.constant(_MEASURED_STEPS), math.inf
    for _ in range(8):
        began_s = time.perf_counter()
        spin(steps).numpy()
        least_s = min(least_s, time.perf_counter() - began_s)
    return least_s / _MEASURED_STEPS


def _fixed_cost(cost_ms: int, tf: Any, directory: str) -> None:
    steps = max(round(cost_ms / 1e3 / _step_s(tf)), 1)
    _save(tf, tf.Module(), lambda x: x / 2 + _spin(tf, steps), tf.TensorSpec([None], tf.float32, "x"), directory)


def _time_by_values(tf: Any, directory: str) -> None:
    """About 100 us for one value, well over a second for HUGE_VALUES. One thread, so that a CPU stays free; no loop."""
    matrix = tf.TensorSpec([None, None], tf.float32, "x")
    rewrite = tf.function(lambda x: _rewrite(tf, x, _MEASURED_DIGITS), input_signature=[matrix])
    values, least_s = tf.ones([1, _MEASURED_VALUES]), math.inf
    for _ in range(5):
        began_s = time.perf_counter()
        rewrite(values).numpy()
        least_s = min(least_s, time.perf_counter() - began_s)
    digits = math.ceil(_MEASURED_DIGITS * _HUGE_S * _MEASURED_VALUES / HUGE_VALUES / least_s)
    _save(tf, tf.Module(), lambda x: x / 2 + _rewrite(tf, x, digits), matrix, directory)


def _rewrite(tf: Any, values: Any, digits: int) -> Any:
    """Write each value with so many digits and replace each of these. Gives zeros that no optimizer can foresee."""
    rewritten = tf.strings.regex_replace(tf.strings.as_string(values, width=digits, fill="0"), ".", "7")
    return tf.cast(tf.minimum(tf.strings.length(rewritten), 0), tf.float32)


def _wait(tf: Any, wait_ms: int, after: Any) -> Any:
    """Wait without using a CPU once a tensor is there. Gives a zero.

    The dataset sleeps before each look for an element, and DatasetToSingleElement looks for a second one.
    """
    with tf.control_dependencies([after]):
        zero = tf.data.Dataset.from_tensors(tf.constant(0.0))
        kind: dict[str, Any] = {"output_types": [tf.float32], "output_shapes": [tf.TensorShape([])]}
        microseconds = tf.constant(wait_ms * 1000 // 2, tf.int64)
        slept = tf.raw_ops.SleepDataset(
            input_dataset=zero._variant_tensor,  # noqa: SLF001  (the public `sleep` is an eager transformation)
            sleep_microseconds=microseconds,
            **kind,
        )
    return tf.raw_ops.DatasetToSingleElement(dataset=slept, **kind)[0]


def _waiting(wait_ms: int, tf: Any, directory: str) -> None:
    """Fails on a wrong shape at once, and otherwise waits."""
    module = tf.Module()
    module.weights = tf.Variable(tf.eye(WAIT_WIDTH))

    def wait(x: Any) -> Any:
        product = x @ module.weights
        return product + _wait(tf, wait_ms, product)

    _save(tf, module, wait, tf.TensorSpec([None, WAIT_WIDTH], tf.float32, "x"), directory)


def _large_reply(tf: Any, directory: str) -> None:
    """A megabyte for each row."""
    vector = tf.TensorSpec([None], tf.float32, "x")
    _save(tf, tf.Module(), lambda x: tf.repeat(x[:, None], LARGE_REPLY_FLOATS, axis=1), vector, directory)


def _loop_over_steps(tf: Any, directory: str) -> None:
    """A loop whose number of steps does not depend on the rows, while the work of a step does, a little."""
    module = tf.Module()
    module.weights = tf.Variable(_random(LOOP_WIDTH, LOOP_WIDTH))

    def loop(x: Any) -> Any:
        return tf.while_loop(
            lambda step, _: step < _LOOP_STEPS,
            lambda step, state: (step + 1, tf.tanh(state @ module.weights)),
            (0, x),
        )[1]

    _save(tf, module, loop, tf.TensorSpec([None, LOOP_WIDTH], tf.float32, "x"), directory)


def _batching_ops(tf: Any, directory: str) -> None:
    """An MLP that batches in the graph: its runs wait for each other inside TensorFlow."""
    module = tf.Module()
    module.hidden = tf.Variable(_random(LOOP_WIDTH, 256))
    module.out = tf.Variable(_random(256, 10))

    @tf.nondifferentiable_batch_function(num_batch_threads=2, max_batch_size=64, batch_timeout_micros=1000)  # type: ignore[untyped-decorator]
    def classify(x: Any) -> Any:
        return tf.nn.softmax(tf.nn.relu(x @ module.hidden) @ module.out)

    _save(tf, module, classify, tf.TensorSpec([None, LOOP_WIDTH], tf.float32, "x"), directory)


def _lstm(tf: Any, directory: str) -> None:
    layers = tf.keras.layers
    model = tf.keras.Sequential([layers.Input(LSTM_SHAPE), layers.LSTM(256), layers.Dense(10, activation="softmax")])
    archive = tf.keras.export.ExportArchive()
    archive.track(model)
    spec = tf.TensorSpec([None, *LSTM_SHAPE], tf.float32, "x")
    archive.add_endpoint("serve", lambda x: {"y": model(x, training=False)}, input_signature=[spec])
    archive.write_out(directory, verbose=False)


def _save(tf: Any, module: Any, body: Callable[[Any], Any], spec: Any, directory: str) -> None:
    tf.saved_model.save(module, directory, tf.function(lambda x: {"y": body(x)}, input_signature=[spec]))


RECIPES: Final[dict[str, Callable[[Any, str], None]]] = {
    **{f"fixed_{cost_ms}ms": functools.partial(_fixed_cost, cost_ms) for cost_ms in FIXED_COSTS_MS},
    "time_by_values": _time_by_values,
    "waiting_100ms": functools.partial(_waiting, 100),
    "waiting_2s": functools.partial(_waiting, 2000),
    "large_reply": _large_reply,
    "loop": _loop_over_steps,
    "batching_ops": _batching_ops,
    "lstm": _lstm,
}
