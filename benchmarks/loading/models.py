"""The models of these measurements, exported by TensorFlow in a process of its own; nothing is downloaded."""

from __future__ import annotations

import contextlib
import io
from multiprocessing import get_context
from pathlib import Path


def export(root: Path) -> None:
    """Write `small` (x / 2 + 2), `mobilenet` (MobileNetV2, random weights) and `large` (50 MB) under a root."""
    process = get_context("spawn").Process(target=_export, args=(root,))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("the models could not be exported")


def _export(root: Path) -> None:
    import tensorflow as tf

    vector = tf.TensorSpec([None], tf.float32, name="x")
    small = tf.Module()
    tf.saved_model.save(
        small, str(root / "small" / "1"), tf.function(lambda x: {"y": x / 2.0 + 2.0}, input_signature=[vector])
    )
    large = tf.Module()
    large.weights = tf.Variable(tf.random.uniform([12_500_000]))
    tf.saved_model.save(
        large, str(root / "large" / "1"), tf.function(lambda x: {"y": x + large.weights[0]}, input_signature=[vector])
    )
    with contextlib.redirect_stdout(io.StringIO()):
        tf.keras.applications.MobileNetV2(weights=None).export(str(root / "mobilenet" / "1"))
