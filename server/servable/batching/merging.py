"""Merges the arrays of several requests, and splits the results of their run. Pure.

Source of the behaviour: TensorFlow Serving, batching/batching_session.cc and batching_util.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from servable.errors import FailedPrecondition, InvalidArgument

Array: TypeAlias = np.ndarray[Any, Any]

MAX_PADDED_RANK: Final = 6


def count_rows(arrays: Sequence[Array]) -> int:
    """The rows of a request: the size of dimension 0, the same for all its arrays.

    Raises:
        InvalidArgument: if there is no array, or a scalar, or the sizes differ.
    """
    rows = -1
    for array in arrays:
        shape = array.shape
        if not shape:
            raise InvalidArgument("Batching Run() input tensors must have at least one dimension")
        if rows not in (-1, shape[0]):
            raise InvalidArgument("Batching Run() input tensors must have equal 0th-dimension size")
        rows = shape[0]
    if rows < 0:
        raise InvalidArgument("Batching Run() must have at least one input tensor")
    return rows


def check_paddable(arrays: Sequence[Array]) -> None:
    """Refuse what the original does not pad, whether or not it needs padding.

    Raises:
        InvalidArgument: for an array of too many dimensions.
    """
    if any(array.ndim > MAX_PADDED_RANK for array in arrays):
        raise InvalidArgument(f"Only tensors with rank from 1 to {MAX_PADDED_RANK} can be padded.")


def kind(arrays: Sequence[Array], *, pads: bool) -> object:
    """The kind of a request: requests of equal kinds have rows of one shape, or of one rank if they are padded.

    None if the request cannot be merged with any other: it has no rows, or an array without elements, and so without a
    first element to pad with.
    """
    if pads:
        return None if any(array.size == 0 for array in arrays) else [array.ndim for array in arrays]
    if not len(arrays[0]):
        return None
    # Most requests have one array, and this takes fewer calls.
    return arrays[0].shape[1:] if len(arrays) == 1 else [array.shape[1:] for array in arrays]


def choose_rows(rows: int, allowed_rows: Sequence[int]) -> int:
    """The first allowed size that is large enough for so many rows; the number of rows itself if there is none."""
    if not rows or not allowed_rows:
        return rows
    return next((size for size in allowed_rows if size >= rows), rows)


def merge(requests: Sequence[Sequence[Array]], filler: int = 0) -> Sequence[Array]:
    """Concatenate the arrays of requests, one array for each feed.

    Args:
        requests: The arrays of each request, of one kind. Rows of different shapes are padded at the end of each
            dimension with the array's own first element.
        filler: How many copies of the last request's first row follow.
    """
    if len(requests) == 1 and not filler:
        return requests[0]
    return [_concatenate(arrays, filler) for arrays in zip(*requests, strict=True)]


def _concatenate(arrays: Sequence[Array], filler: int) -> Array:
    shape = arrays[0].shape[1:]
    if any(array.shape[1:] != shape for array in arrays):
        shape = tuple(map(max, *(array.shape[1:] for array in arrays)))
        arrays = [_pad(array, shape) for array in arrays]
    if filler:
        arrays = [*arrays, np.repeat(arrays[-1][:1], filler, axis=0)]
    return np.concatenate(arrays)


def _pad(array: Array, shape: tuple[int, ...]) -> Array:
    if array.shape[1:] == shape:
        return array
    padded = np.empty((len(array), *shape), array.dtype)
    padded[...] = array[(slice(1),) * array.ndim]
    padded[tuple(map(slice, array.shape))] = array
    return padded


def check_results(results: Sequence[Array], run_rows: int) -> None:
    """Check that each result of a run has one row for each row of the run.

    Raises:
        FailedPrecondition: if one has not.
    """
    for result in results:
        if not result.ndim:
            raise FailedPrecondition("Batched output tensor has 0 dimensions")
        if len(result) != run_rows:
            raise FailedPrecondition(
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
                "tensors"
            )


def split(results: Sequence[Array], rows: Sequence[int], run_rows: int) -> Iterator[Sequence[Array]]:
    """Each request's share of the results of a run, in order; views.

    Args:
        results: One array for each fetch.
        rows: The rows of each request.
        run_rows: The rows of the run, with those that only filled it up.

    Raises:
        FailedPrecondition: as `check_results` does; at once, not while iterating.
    """
    check_results(results, run_rows)
    return iter([results]) if rows == [run_rows] else _slices(results, rows)


def _slices(results: Sequence[Array], rows: Sequence[int]) -> Iterator[Sequence[Array]]:
    start = 0
    for count in rows:
        stop = start + count
        yield [result[start:stop] for result in results]
        start = stop
