"""A servables.Runner on a pool of interpreters: what arrays may reach an interpreter, and what a run may leave behind.

The interpreters' kernels trust what they get. Tried with ai-edge-litert 2.3.0 and TensorFlow 2.21: an input of eleven
dimensions ends the process, one too large for the memory ends it too, a `while` over no elements never ends. So dtype,
rank and sizes are checked here, on every way to an interpreter:

- The dtype is the tensor's. (The original copies the bytes of any.)
- A rank above the stored one is refused, and a scalar where the model takes none. Lower ones pass, since the original's
  own test feeds a vector to a matrix.
- No input may be empty, since kernels divide by sizes.
- No tensor may grow beyond what kernels count with an int32, if all grow as the inputs do.

A run whose tensors would take more than `_LARGE_BYTES` gets its memory for itself: the session is dropped after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from servable import wire
from servable.codec import dtypes
from servable.errors import Internal, InvalidArgument
from servable.execution.tflite.pool import SessionPool
from servable.execution.tflite.session import Arrays
from servable.run_costs import RunCosts
from servable.tflite_model import signatures
from servable.tflite_model.signatures import Endpoint
from servable.tflite_model.stored import StoredTensor, Subgraph

_Array = np.ndarray[Any, Any]

_LARGE_BYTES: Final = 128_000_000
_MOST_ELEMENTS: Final = 2**31 - 1
# Models of old converters store no shape where they do not know the rank. Kernels are made for so many dimensions.
_MOST_DIMENSIONS_OF_UNKNOWN: Final = 4
# The interpreter numbers strings and their offsets by an int32.
_MOST_STRING_BYTES: Final = 2**31 - 1
_STRING_OFFSET_BYTES: Final = 4
_MOST_ELEMENT_BYTES: Final = 8


class TfliteRunner:
    """Runs some tensors of a TensorFlow Lite model. Safe to share between threads; see servables.Runner."""

    batches_itself = False

    def __init__(
        self,
        pool: SessionPool,
        subgraph: Subgraph,
        feeds: Sequence[tuple[str, Endpoint]],
        fetches: Sequence[Endpoint],
        *,
        may_not_end: bool,
    ) -> None:
        """Prepare a run.

        Args:
            pool: Lends sessions.
            subgraph: The one that all tensors are of.
            feeds: The name and the endpoint of each tensor to feed.
            fetches: The endpoint of each tensor to fetch.
            may_not_end: Whether a run may take for ever.
        """
        self._pool, self._subgraph = pool, subgraph
        self._feeds, self._fetches = list(feeds), list(fetches)
        self._function = fetches[0].function if fetches else ""
        # In the order of DirectSession, which numbers arguments by sorted tensor name.
        self._order = sorted(range(len(feeds)), key=lambda position: feeds[position][0])
        self._wanted = [dtypes.BY_NUMBER[endpoint.data_type].numpy for _, endpoint in feeds]
        fed = {endpoint.tensor.index for _, endpoint in feeds}
        # What is not set holds what an earlier run has left there.
        self._unfed = {tensor.index: _zeros(tensor) for tensor in subgraph.inputs if tensor.index not in fed}
        self._sizes = _Sizes(subgraph)
        self.costs = RunCosts()
        self.may_not_end = may_not_end
        self.fetch_dtypes: Sequence[int] = [endpoint.data_type for endpoint in fetches]

    def check(self, feeds: Arrays) -> None:
        """Refuse arrays that no interpreter may get.

        Raises:
            InvalidArgument: for another dtype, rank or size than the model can take.
        """
        for number, position in enumerate(self._order):
            got, wanted = feeds[position].dtype, self._wanted[position]
            if got != wanted:
                raise InvalidArgument(
                    f"Expects arg[{number}] to be {dtypes.BY_NUMPY[wanted].name} but {dtypes.BY_NUMPY[got].name} is "
                    "provided"
                )
        for (_, endpoint), array in zip(self._feeds, feeds, strict=True):
            _check_shape(endpoint.tensor, array)
            if endpoint.data_type == wire.DT_STRING:
                _check_strings(endpoint.tensor.name, array)
        if self._growth(feeds) > self._sizes.most_growth():
            shapes = ", ".join(str(list(array.shape)) for array in feeds)
            raise InvalidArgument(f"Inputs of the shapes {shapes} are too large for this TensorFlow Lite model")

    def run(self, feeds: Arrays, timeout_s: float | None) -> Arrays:
        """Run once, as soon as an interpreter is free. A run that has begun cannot be stopped.

        Raises:
            InvalidArgument: as `check`.
            DeadlineExceeded: if no interpreter is free in time.
            Internal: in the original's words, if the interpreter fails.
        """
        self.check(feeds)
        keeps = self._sizes.estimate_bytes(self._growth(feeds)) <= _LARGE_BYTES
        with self._pool.borrow(timeout_s, keeps=keeps) as session:
            if self._function:
                by_alias = {endpoint.alias: array for (_, endpoint), array in zip(self._feeds, feeds, strict=True)}
                results = session.run_function(self._function, by_alias, [each.alias for each in self._fetches])
            else:
                by_index = {
                    endpoint.tensor.index: array for (_, endpoint), array in zip(self._feeds, feeds, strict=True)
                }
                by_index.update(self._unfed)
                results = session.run(by_index, [each.tensor.index for each in self._fetches])
        return [_as_array(result, dtype) for result, dtype in zip(results, self.fetch_dtypes, strict=True)]

    def _growth(self, feeds: Arrays) -> float:
        """How many times as large as stored the input is that grows most."""
        grown = [
            array.size / max(endpoint.tensor.elements, 1)
            for (_, endpoint), array in zip(self._feeds, feeds, strict=True)
        ]
        return max(grown, default=1.0)


class _Sizes:
    """The sizes of a subgraph's tensors, as multiples of those that are stored."""

    def __init__(self, subgraph: Subgraph) -> None:
        # Constants do not grow. A tensor whose shape is known at a run only is stored without dimensions.
        grow = [tensor for tensor in subgraph.tensors if not tensor.is_constant]
        self._stored_bytes = _MOST_ELEMENT_BYTES * sum(tensor.elements for tensor in grow)
        self._largest = max((tensor.elements for tensor in grow), default=1)

    def estimate_bytes(self, growth: float) -> float:
        """At most so much do all tensors take; kernels share most of that memory."""
        return self._stored_bytes * growth

    def most_growth(self) -> float:
        """The growth at which the largest tensor has as many elements as a kernel can count."""
        return _MOST_ELEMENTS / max(self._largest, 1)


def _check_shape(tensor: StoredTensor, array: _Array) -> None:
    stored = tensor.shape
    most = len(stored) or _MOST_DIMENSIONS_OF_UNKNOWN
    if array.ndim > most or (array.ndim == 0 and stored):
        raise InvalidArgument(
            f"Input {tensor.name} has the shape {list(array.shape)}; the model takes {list(tensor.declared_shape)}"
        )
    if array.size == 0 and tensor.elements:
        raise InvalidArgument(
            f"Input {tensor.name} has the shape {list(array.shape)}, which holds no value; TensorFlow Lite models "
            "are not run without values"
        )


def _check_strings(name: str, array: _Array) -> None:
    size_bytes = sum(map(len, array.flat)) + _STRING_OFFSET_BYTES * (array.size + 2)
    if size_bytes > _MOST_STRING_BYTES:
        raise Internal(f"Invalid size, string input too large:{size_bytes}\n{name}")


def _as_array(result: Any, data_type: int) -> _Array:
    return np.asarray(result, object if data_type == wire.DT_STRING else None)


def _zeros(tensor: StoredTensor) -> _Array:
    dtype = dtypes.BY_NUMBER[signatures.data_type(tensor)]
    return np.full(tensor.shape, b"" if dtype.is_string else 0, dtype.numpy)
