"""A SavedModel as TensorFlow's own `tf.saved_model.load` runs it: what `servable check` compares the server with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from servable.errors import ServingError, Unknown
from servable.execution.graph_session import translate


class EagerModel:
    """A loaded model. Nothing of it outlives the object but what TensorFlow keeps for good."""

    def __init__(self, directory: Path, tags: Sequence[str]) -> None:
        """Load.

        Args:
            directory: The version directory.
            tags: Those of the meta graph.

        Raises:
            ServingError: If TensorFlow cannot load it.
        """
        with _Translating():
            self._model = tf.saved_model.load(str(directory), tags=list(tags))

    def run(self, key: str, inputs: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        """The outputs of a signature, by name.

        Args:
            key: The signature's.
            inputs: An array for each input that has no default, by name.

        Raises:
            ServingError: If TensorFlow does not run it.
        """
        with _Translating():
            found = self._model.signatures[key](**{name: tf.constant(value) for name, value in inputs.items()})
            return {name: output.numpy() for name, output in found.items()}


class _Translating:
    """Turns whatever TensorFlow raises into a ServingError: its loader raises errors of every kind."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None or isinstance(error, ServingError) or not isinstance(error, Exception):
            return
        if isinstance(error, tf.errors.OpError):
            raise translate(error) from error
        raise Unknown(f"{type(error).__name__}: {error}") from error
