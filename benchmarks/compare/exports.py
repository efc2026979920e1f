"""Writes the models of the comparison as SavedModels, in a process of its own; nothing is downloaded.

    python exports.py FOLDER NAME...        FOLDER/NAME/1/saved_model.pb

All take and give what `serving_default` says: x -> y, but for `classify`, which takes tf.Examples.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from importlib import metadata
from pathlib import Path
from typing import Any

import timed_exports

FEATURES = 10
_SEED = 5


def cache_folder() -> Path:
    """Where this benchmark keeps what it makes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "servable-benchmarks"


def ensure(names: Collection[str]) -> Path:
    """Make the models that are not there yet, and give their folder.

    Raises:
        RuntimeError: if TensorFlow could not write them.
    """
    sources = b"".join(Path(source).read_bytes() for source in (__file__, timed_exports.__file__))
    recipe = sources + metadata.version("tensorflow").encode()
    folder = cache_folder() / f"models-{hashlib.sha256(recipe).hexdigest()[:12]}"
    missing = [name for name in dict.fromkeys(names) if not (folder / name).is_dir()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, str(folder), *missing]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the models could not be written:\n{done.stdout[-3000:]}")
    return folder


def main(folder: str, *names: str) -> None:
    """What the process of its own does."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.keras.utils.set_random_seed(_SEED)
    for name in names:
        unfinished = Path(folder, f"{name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _MODELS[name](tf, str(unfinished / "1"))
        unfinished.rename(Path(folder, name))


def _half_plus_two(tf: Any, directory: str) -> None:
    module = tf.Module()
    module.half, module.two = tf.Variable(0.5), tf.Variable(2.0)
    vector = tf.TensorSpec([None], tf.float32, "x")
    _save(tf, module, lambda x: {"y": module.half * x + module.two}, vector, directory)


def _sum(tf: Any, directory: str) -> None:
    matrix = tf.TensorSpec([None, None], tf.float32, "x")
    _save(tf, tf.Module(), lambda x: {"y": tf.reduce_sum(x, axis=1)}, matrix, directory)


def _strings(tf: Any, directory: str) -> None:
    _save(tf, tf.Module(), lambda x: {"y": tf.strings.upper(x)}, tf.TensorSpec([None], tf.string, "x"), directory)


def _classify(tf: Any, directory: str) -> None:
    module = tf.Module()
    module.weights = tf.Variable(tf.random.normal([FEATURES, 3], seed=_SEED))

    def classify(inputs: Any) -> dict[str, Any]:
        features = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([FEATURES], tf.float32)})
        scores = tf.nn.softmax(features["x"] @ module.weights)
        classes = tf.broadcast_to(tf.constant(["cat", "dog", "bird"]), tf.shape(scores))
        return {"scores": scores, "classes": classes}

    _save(tf, module, classify, tf.TensorSpec([None], tf.string, "inputs"), directory)


def _save(tf: Any, module: Any, body: Callable[..., Any], spec: Any, directory: str) -> None:
    tf.saved_model.save(module, directory, tf.function(body, input_signature=[spec]))


def _mlp(tf: Any, directory: str) -> None:
    layers = tf.keras.layers
    hidden = [layers.Dense(256, activation="relu"), layers.Dense(256, activation="relu")]
    model = tf.keras.Sequential([layers.Input((64,)), *hidden, layers.Dense(10, activation="softmax")])
    _save_keras(tf, model, directory)


def _cnn(tf: Any, directory: str) -> None:
    layers = tf.keras.layers
    convolved = [layers.Conv2D(16, 3, activation="relu"), layers.MaxPool2D()]
    convolved += [layers.Conv2D(32, 3, activation="relu"), layers.MaxPool2D(), layers.Flatten()]
    dense = [layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax")]
    _save_keras(tf, tf.keras.Sequential([layers.Input((28, 28, 1)), *convolved, *dense]), directory)


def _mobilenet_v2(tf: Any, directory: str) -> None:
    _save_keras(tf, tf.keras.applications.MobileNetV2(weights=None), directory)


def _save_keras(tf: Any, model: Any, directory: str) -> None:
    # Keras' own way: saved by tf.saved_model.save, they read variables that the C++ reference does not find.
    archive = tf.keras.export.ExportArchive()
    archive.track(model)
    spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, "x")
    archive.add_endpoint("serve", lambda x: {"y": model(x, training=False)}, input_signature=[spec])
    archive.write_out(directory, verbose=False)


_MODELS: dict[str, Callable[[Any, str], None]] = {
    "half_plus_two": _half_plus_two,
    "mlp": _mlp,
    "cnn": _cnn,
    "mobilenet_v2": _mobilenet_v2,
    "classify": _classify,
    "strings": _strings,
    "sum": _sum,
    **timed_exports.RECIPES,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
