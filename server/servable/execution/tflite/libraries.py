"""The library whose interpreters run TensorFlow Lite models: ai-edge-litert if it is installed, else TensorFlow's own.

They have one interface. TensorFlow says that its copy will go; until then both are tried by the tests.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from typing import Any, Final, Protocol

import numpy as np

from servable.errors import Unimplemented
from servable.observability import native_log

_THREADS: Final = 1
# The libraries that have said their lines.
_greeted: Final = set[str]()
_greeting: Final = threading.Lock()
_making: Final = threading.Lock()


class SignatureRun(Protocol):
    """Runs one of a model's own signatures."""

    def __call__(self, **inputs: np.ndarray[Any, Any]) -> Mapping[str, np.ndarray[Any, Any]]:
        """The outputs by alias; inputs are resized first."""


class Interpreter(Protocol):
    """What is used of an interpreter. One thread at a time may use one."""

    def allocate_tensors(self) -> None:
        """Take memory for all tensors; needed at first and after a resize."""

    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int]) -> None:
        """Give an input of the main subgraph another shape."""

    def set_tensor(self, tensor_index: int, value: np.ndarray[Any, Any]) -> None:
        """Copy an array to an input of the main subgraph."""

    def invoke(self) -> None:
        """Run the main subgraph."""

    def get_tensor(self, tensor_index: int) -> np.ndarray[Any, Any]:
        """A copy of an output of the main subgraph."""

    def get_signature_runner(self, signature_key: str) -> SignatureRun:
        """What runs one of the model's own signatures, whatever its subgraph."""


@dataclass(frozen=True, slots=True)
class Library:
    """One of the two libraries.

    Attributes:
        package: What is installed.
        module: Where its class `Interpreter` is.
    """

    package: str
    module: str

    def make(self, content: bytes) -> Interpreter:
        """An interpreter of a model, with one thread as in the original.

        Raises:
            ValueError, RuntimeError: if it cannot be made.
        """
        kind = importlib.import_module(self.module).Interpreter
        with _making, warnings.catch_warnings():
            # Each one that is made would warn that TensorFlow's copy will go. The lock, since filters are global.
            warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter is deprecated")
            interpreter: Interpreter = kind(model_content=content, num_threads=_THREADS)
        return interpreter

    @contextlib.contextmanager
    def quiet_first(self) -> Iterator[None]:
        """To be held while a first interpreter is made: log what the library says on stderr, that it has a delegate."""
        if self.package in _greeted:
            yield
            return
        with _greeting, native_log.captured():
            yield
        _greeted.add(self.package)

    def version(self) -> str:
        """The version that is installed."""
        return metadata.version(self.package)


LITERT: Final = Library("ai-edge-litert", "ai_edge_litert.interpreter")
TENSORFLOW: Final = Library("tensorflow", "tensorflow.lite.python.interpreter")


@functools.cache
def best() -> Library:
    """The library to use.

    Raises:
        Unimplemented: if neither is there.
    """
    for library in (LITERT, TENSORFLOW):
        if _is_there(library):
            return library
    raise Unimplemented(
        "Neither ai-edge-litert is installed, nor has this TensorFlow an interpreter of TensorFlow Lite models. "
        "pip install 'servable[tflite]'"
    )


def _is_there(library: Library) -> bool:
    try:
        return util.find_spec(library.module) is not None
    except ImportError:
        return False
