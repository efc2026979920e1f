"""One interpreter with what has been asked of it: inputs are resized only if their shapes differ from the last run's.

Not thread-safe: `pool` gives it to one thread at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from servable.errors import Internal
from servable.execution.tflite.libraries import Interpreter
from servable.tflite_model.stored import StoredTensor

Arrays = Sequence[np.ndarray[Any, Any]]
# What an interpreter raises: it has no classes of its own.
FAILURES = (RuntimeError, ValueError, MemoryError)

ALLOCATE_FAILED = "Failed to allocate tensors"
INVOKE_FAILED = "Failed to invoke TfLite interpreter"


class Session:
    """Runs an interpreter."""

    def __init__(self, interpreter: Interpreter, inputs: Sequence[StoredTensor]) -> None:
        """Allocate the tensors of an interpreter.

        Args:
            interpreter: A new one.
            inputs: Those of the main subgraph.

        Raises:
            Internal: if it cannot run the model.
        """
        self._interpreter = interpreter
        self._shapes = {tensor.index: tensor.shape for tensor in inputs}
        try:
            interpreter.allocate_tensors()
        except FAILURES as error:
            raise Internal(f"{ALLOCATE_FAILED}\n{error}") from error

    def run(self, feeds: Mapping[int, np.ndarray[Any, Any]], fetches: Sequence[int]) -> Arrays:
        """Run the main subgraph.

        Args:
            feeds: An array for each input of the model, by the tensor's number.
            fetches: The numbers of tensors.

        Raises:
            Internal: if the interpreter fails; it is not to be used any more.
        """
        interpreter = self._interpreter
        self._resize({index: array.shape for index, array in feeds.items()})
        try:
            for index, array in feeds.items():
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in fetches]
        except FAILURES as error:
            raise Internal(f"{INVOKE_FAILED}\n{error}") from error

    def run_function(self, key: str, feeds: Mapping[str, np.ndarray[Any, Any]], fetches: Sequence[str]) -> Arrays:
        """Run one of the model's own signatures.

        Args:
            key: The signature's.
            feeds: An array for each of its inputs, by alias.
            fetches: The aliases of outputs.

        Raises:
            Internal: as `run`.
        """
        try:
            # Not kept: the interpreter would take it for a view of its memory, and refuse to be resized.
            results = self._interpreter.get_signature_runner(key)(**feeds)
        except FAILURES as error:
            raise Internal(f"{INVOKE_FAILED}\n{error}") from error
        return [results[alias] for alias in fetches]

    def _resize(self, shapes: Mapping[int, tuple[int, ...]]) -> None:
        changed = {index: shape for index, shape in shapes.items() if self._shapes[index] != shape}
        if not changed:
            return
        for index, shape in changed.items():
            try:
                self._interpreter.resize_tensor_input(index, shape)
            except FAILURES as error:
                raise Internal(f"Failed to resize input tensor: {index} to {list(shape)}\n{error}") from error
            self._shapes[index] = shape
        try:
            self._interpreter.allocate_tensors()
        except FAILURES as error:
            raise Internal(f"{ALLOCATE_FAILED}\n{error}") from error
