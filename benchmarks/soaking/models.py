"""The models of the soak, in NumPy and in TensorFlow. All numbers are whole and small, so sums are exact."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, "np.ndarray[Any, Any]"]

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

    weights = [tf.Variable(array) for array in _WEIGHTS]
    graphs: dict[str, tuple[Any, dict[str, Any], list[int]]] = {
        "affine": (lambda x, k: {"y": 2 * x + 1, "z": 3 * k}, {"x": tf.float32, "k": tf.int64}, []),
        "mlp": (lambda x: {"y": tf.nn.relu(x @ weights[0]) @ weights[1]}, {"x": tf.float32}, [64]),
        "text": (lambda x: {"y": tf.strings.join([x, "!"])}, {"x": tf.string}, []),
        "slow": (slow, {"x": tf.int64}, []),
    }
    for model, (function, dtypes, shape) in graphs.items():
        specs = [tf.TensorSpec([None, *shape], dtype, name=alias) for alias, dtype in dtypes.items()]
        traced = tf.function(function, input_signature=specs)
        module = tf.Module()
        module.weights = weights
        tf.saved_model.save(module, str(folder / model / "1"), {"serving_default": traced})


def write_config(folder: Path) -> Path:
    """Write the config file that serves them, and give its path."""
    configs = "".join(
        f'config {{ name: "{model}" base_path: "{folder / model}" model_platform: "tensorflow" }}\n' for model in MODELS
    )
    (folder / "models.config").write_text(f"model_config_list {{ {configs} }}")
    return folder / "models.config"
