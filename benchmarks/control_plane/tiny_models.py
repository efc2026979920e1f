"""Makes the models of these benchmarks. Only this module needs TensorFlow, so it runs in a process of its own.

A model answers who it is, from a constant and a variable that its checkpoint restores, and repeats its input:

    x: int64[n]  ->  echo: int64[n], model: string[], version: int64[]

Another makes much of little:

    x: float32[n]  ->  product: float32[n, n]
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def make_versions(base_path: Path, model: str, count: int) -> None:
    """Write the versions 1 to `count` of a model."""
    _run(str(base_path), model, str(count))


def make_outer_product(base_path: Path) -> None:
    """Write version 1 of the model that makes much of little."""
    _run(str(base_path))


def _run(*arguments: str) -> None:
    command = [sys.executable, __file__, *arguments]
    made = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"no models were made:\n{made.stderr}")


def main(base_path: str, model: str = "", count: str = "1") -> None:
    """What the process of its own does; without a name it makes the model that makes much of little."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not model:
        _export_outer_product(Path(base_path, "1"))
        return
    for version in range(1, int(count) + 1):
        _export(Path(base_path, str(version)), model, version)


def _export(directory: Path, model: str, version: int) -> None:
    import tensorflow.compat.v1 as tf

    tf.logging.set_verbosity(tf.logging.ERROR)
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.int64, [None], "x")
        number = tf.Variable(version, dtype=tf.int64, use_resource=True)
        outputs = {"echo": tf.identity(x), "model": tf.constant(model), "version": tf.identity(number)}
        session.run(tf.global_variables_initializer())
        _save(session, directory, {"x": x}, outputs)


def _export_outer_product(directory: Path) -> None:
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None], "x")
        _save(session, directory, {"x": x}, {"product": x[:, None] * x[None, :]})


def _save(session: Any, directory: Path, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
    import tensorflow.compat.v1 as tf

    signature = tf.saved_model.build_signature_def(
        *(
            {alias: tf.saved_model.build_tensor_info(tensor) for alias, tensor in each.items()}
            for each in (inputs, outputs)
        ),
        "tensorflow/serving/predict",
    )
    builder = tf.saved_model.Builder(str(directory))
    builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
    builder.save()


if __name__ == "__main__":
    main(*sys.argv[1:])
