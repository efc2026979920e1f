"""A SavedModel as TensorFlow's own loaders run it: what `servable check` compares the server with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from servable.errors import ServingError, Unknown
from servable.execution.graph_session import translate

_Arrays = Mapping[str, np.ndarray[Any, Any]]


class PlainModel(Protocol):
    """A loaded model. Nothing of it outlives the object but what TensorFlow keeps for good."""

    def run(self, key: str, inputs: _Arrays) -> _Arrays:
        """The outputs of a signature, by name.

        Args:
            key: The signature's.
            inputs: An array for each input that has no default, by name.

        Raises:
            ServingError: If TensorFlow does not run it.
        """


def load(directory: Path, tags: Sequence[str]) -> PlainModel:
    """Load by `tf.saved_model.load`, or by the loader of TensorFlow 1 what that cannot load.

    Args:
        directory: The version directory.
        tags: Those of the meta graph.

    Raises:
        ServingError: If neither can.
    """
    try:
        return _EagerModel(directory, tags)
    except ServingError:
        return _SessionModel(directory, tags)


class _EagerModel:
    def __init__(self, directory: Path, tags: Sequence[str]) -> None:
        with _Translating():
            self._model = tf.saved_model.load(str(directory), tags=list(tags))

    def run(self, key: str, inputs: _Arrays) -> _Arrays:
        with _Translating():
            found = self._model.signatures[key](**{name: tf.constant(value) for name, value in inputs.items()})
            return {name: output.numpy() for name, output in found.items()}


class _SessionModel:
    def __init__(self, directory: Path, tags: Sequence[str]) -> None:
        with _Translating():
            self._session = tf.compat.v1.Session(graph=tf.Graph())
            with self._session.graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(self._session, list(tags), str(directory))
        self._signatures = meta_graph.signature_def

    def run(self, key: str, inputs: _Arrays) -> _Arrays:
        with _Translating():
            signature = self._signatures[key]
            fetches = {name: info.name for name, info in signature.outputs.items()}
            fed = {signature.inputs[name].name: value for name, value in inputs.items()}
            found = self._session.run(fetches, fed)
        return {name: np.asarray(value) for name, value in found.items()}


class _Translating:
    """Turns whatever TensorFlow raises into a ServingError: its loaders raise errors of every kind."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is None or isinstance(error, ServingError) or not isinstance(error, Exception):
            return
        if isinstance(error, tf.errors.OpError):
            raise translate(error) from error
        raise Unknown(f"{type(error).__name__}: {error}") from error
