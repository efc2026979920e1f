"""The values of a Predict request to arrays, for the inputs of a signature.

Two ways give the same. `_read_regular` takes what is right, many values at a time. What it does not take goes item by
item through the checks of the original (TensorFlow Serving, util/json_tensor.cc), in its order, since only the first
failure is told; if all of them pass, the array is made there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from servable import wire
from servable.codec import dtypes
from servable.codec.json import b64
from servable.codec.json.dump import dump
from servable.codec.json.number_arrays import MOST_RANK, Array, NotTaken, NumberArray
from servable.codec.json.values import (
    LEAST_INT64,
    MOST_INT64,
    MOST_UINT64,
    JsonObject,
    Value,
    kind_of,
    to_bytes,
    to_name,
)
from servable.errors import InvalidArgument, ServingError, Unimplemented

Inputs = Mapping[str, wire.TensorInfo]

# Comes after the last item.
_END: Final[Any] = object()
_INT32: Final = (-(2**31), 2**31 - 1)
_RANGES: Final = {
    wire.DT_INT8: _INT32,
    wire.DT_UINT8: _INT32,
    wire.DT_INT16: _INT32,
    wire.DT_INT32: _INT32,
    wire.DT_INT64: (LEAST_INT64, MOST_INT64),
    wire.DT_UINT32: (0, 2**32 - 1),
    wire.DT_UINT64: (0, MOST_UINT64),
}
_FLOATS: Final = frozenset((wire.DT_FLOAT, wire.DT_DOUBLE))


def read_rows(document: JsonObject, inputs: Inputs) -> dict[str, Array]:
    """The inputs of the row layout.

    Args:
        document: The request. Its `instances` hold a value for each row: a value, list or `b64` object of the only
            input, or an object of all inputs.
        inputs: By alias; at least one.

    Returns:
        By alias, arrays of one more dimension than the rows.

    Raises:
        InvalidArgument: with the original's text.
    """
    instances: Value | NumberArray = document.get("instances")
    if isinstance(instances, NumberArray):
        if len(inputs) > 1:
            raise NotTaken
        ((alias, info),) = inputs.items()
        return {alias: instances.read(info.dtype)}
    if not isinstance(instances, list):
        raise InvalidArgument(f"JSON Value: {dump(document)} Expecting 'instances' to be an list/array")
    if not instances:
        raise InvalidArgument(f"JSON Value: {dump(document)} No values in 'instances' array")
    if len(inputs) > 1 and not isinstance(instances[0], JsonObject):
        raise InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    if _is_object(instances[0]):
        return _read_objects(instances, inputs)
    # The first input takes values; another one exists only if the first row is a `b64` object.
    alias = min(inputs)
    if len(inputs) == 1:
        regular = _read_regular(instances, inputs[alias].dtype)
        if regular is not None:
            return {alias: regular}
    rows = _Rows()
    for index, row in enumerate(instances):
        if _is_object(row):
            raise InvalidArgument(f"Expecting value/list but got object at item {index} of input list")
        with _Telling(f"Failed to process element: {index} of 'instances' list."):
            rows.add(alias, row, inputs)
    return rows.stack()


def read_columns(value: Value | NumberArray, inputs: Inputs) -> dict[str, Array]:
    """The inputs of the column layout.

    Args:
        value: A value, list or `b64` object of the only input, or an object of at least all inputs.
        inputs: By alias; at least one.

    Raises:
        InvalidArgument: with the original's text.
        Unimplemented: for a dtype that the original does not read.
    """
    if isinstance(value, JsonObject) and not b64.is_encoded(value):
        # The first one of a name wins.
        columns = {to_name(name): column for name, column in reversed(value.members)}
        return {alias: _read_tensor(alias, _require(columns, alias), info.dtype) for alias, info in inputs.items()}
    if len(inputs) > 1:
        raise InvalidArgument(
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map"
        )
    ((alias, info),) = inputs.items()
    return {alias: _read_tensor(alias, value, info.dtype)}


def _require(columns: Mapping[str, Value], alias: str) -> Value:
    if alias not in columns:
        raise InvalidArgument(f"Missing named input: {alias} in 'inputs' object.")
    return columns[alias]


def _is_object(value: Value) -> bool:
    return isinstance(value, JsonObject) and not b64.is_encoded(value)


def _read_regular_objects(rows: Sequence[Value], inputs: Inputs) -> dict[str, Array] | None:
    """The inputs of rows that are right in all respects, each input's values at once; None for any others."""
    columns: dict[Any, list[Value]] = {alias: [] for alias in inputs}
    if "b64" in columns:
        return None  # Whether such a row is an object depends on its value.
    for index, row in enumerate(rows):
        if not isinstance(row, JsonObject) or len(row) != len(columns):
            return None
        for name, value in row.members:
            column = columns.get(name)
            # A longer one has had this name in this row already; as many names as inputs then leave none out.
            if column is None or len(column) != index:
                return None
            column.append(value)
    arrays = {alias: _read_regular(column, inputs[alias].dtype) for alias, column in columns.items()}
    found = {alias: array for alias, array in arrays.items() if array is not None}
    return found if len(found) == len(arrays) else None


def _read_objects(rows: Sequence[Value], inputs: Inputs) -> dict[str, Array]:
    regular = _read_regular_objects(rows, inputs)
    if regular is not None:
        return regular
    read, names = _Rows(), set(inputs)
    for index, row in enumerate(rows):
        if not isinstance(row, JsonObject) or b64.is_encoded(row):
            raise InvalidArgument(f"Expecting object but got list at item {index} of input list")
        seen = set()
        for name, value in row.members:
            alias = to_name(name)
            if alias in seen:
                continue  # The first one wins. The original would take it for the next row's.
            with _Telling(f"Failed to process element: {index} key: {alias} of 'instances' list."):
                read.add(alias, value, inputs)
            seen.add(alias)
        if seen != names:
            raise InvalidArgument(
                f"Failed to process element: {index} of 'instances' list. JSON object: {dump(row)} keys must be equal "
                f"to: {','.join(sorted(names))}"
            )
    return read.stack()


class _RankTooHigh(InvalidArgument):
    """More dimensions than NumPy has. The original reads them, and refuses the tensor later, from 255 on."""

    def __init__(self, alias: str, rank: int) -> None:
        super().__init__(f"tensor parsing error: {alias}", {"reason": f"its rank of {rank} is more than {MOST_RANK}"})


class _Telling:
    """Puts where in the request an error was before its text; its code becomes INVALID_ARGUMENT, as in the original."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ServingError) and not isinstance(error, _RankTooHigh):
            message = error.message_bytes.decode(errors="surrogateescape")
            raise InvalidArgument(f"{self._where} Error: {error.code.name}: {message}") from error


class _Rows:
    """Gathers the rows of each input; all rows of one must have equal shapes."""

    def __init__(self) -> None:
        self._by_alias: dict[str, list[Array]] = {}

    def add(self, alias: str, value: Value, inputs: Inputs) -> None:
        info = inputs.get(alias)
        if info is None:
            raise InvalidArgument(f"JSON object: does not have named input: {alias}")
        row = _read_tensor(alias, value, info.dtype)
        rows = self._by_alias.setdefault(alias, [])
        if rows and row.size != rows[0].size:
            raise InvalidArgument(f"Expecting tensor size: {rows[0].size} but got: {row.size}")
        if rows and row.shape != rows[0].shape:
            raise InvalidArgument(f"Expecting shape {_format(rows[0].shape)} but got: {_format(row.shape)}")
        rows.append(row)

    def stack(self) -> dict[str, Array]:
        for alias, rows in self._by_alias.items():
            if rows[0].ndim == MOST_RANK:
                raise _RankTooHigh(alias, MOST_RANK + 1)
        return {alias: np.stack(rows) for alias, rows in self._by_alias.items()}


def _format(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _read_tensor(alias: str, value: Value | NumberArray, dtype: int) -> Array:
    if isinstance(value, NumberArray):
        return value.read(dtype)
    regular = _read_regular(value, dtype)
    if regular is not None:
        return regular
    shape = _shape_of(value)
    scalars = [_convert(scalar, dtype) for scalar in _walk(value, shape)]
    if len(shape) > MOST_RANK:
        raise _RankTooHigh(alias, len(shape))
    return _make_array(scalars, dtype).reshape(shape)


def _shape_of(value: Value) -> tuple[int, ...]:
    """The shape by the first value of each level."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _walk(value: Value, shape: Sequence[int]) -> Iterator[Value]:
    """The scalars in order, each checked to be where the shape says."""
    rank = len(shape)
    stack: list[Iterator[Any]] = [iter([value])]
    while stack:
        item, level = next(stack[-1], _END), len(stack) - 1
        if item is _END:
            stack.pop()
        elif not isinstance(item, list):
            if level != rank:
                raise InvalidArgument(
                    f"JSON Value: {dump(item)} found at incorrect level: {level + 1} in the JSON DOM. "
                    f"Expected at level: {rank}"
                )
            yield item
        elif level >= rank:
            raise InvalidArgument(f"Encountered list at unexpected level: {level} expected < {rank}")
        elif len(item) != shape[level]:
            raise InvalidArgument(
                f"Encountered list at unexpected size: {len(item)} at level: {level} expected size: {shape[level]}"
            )
        else:
            stack.append(iter(item))


def _convert(value: Value, dtype: int) -> Any:
    """One scalar, checked; strings as bytes."""
    if dtype in _FLOATS:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif dtype in _RANGES:
        least, most = _RANGES[dtype]
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    elif dtype == wire.DT_BOOL:
        fits = isinstance(value, bool)
    elif dtype == wire.DT_STRING:
        if isinstance(value, JsonObject):
            return _decode_b64(value)
        fits = isinstance(value, (str, bytes))
    elif isinstance(value, JsonObject):
        fits = False
    else:
        raise Unimplemented(f"Conversion of JSON Value: {dump(value)} to type: {_name(dtype)}")
    if not fits:
        raise InvalidArgument(
            f"JSON Value: {dump(value)} Type: {kind_of(value)} is not of expected type: {_name(dtype)}"
        )
    return to_bytes(value) if isinstance(value, (str, bytes)) else value


def _decode_b64(value: JsonObject) -> bytes:
    if not b64.is_encoded(value):
        raise InvalidArgument(f"JSON Value: {dump(value)} not formatted correctly for base64 data")
    try:
        return b64.decode(value)
    except b64.MalformedBase64 as error:
        raise InvalidArgument("Unable to base64 decode") from error


def _name(dtype: int) -> str:
    known = dtypes.BY_NUMBER.get(dtype) or dtypes.OPAQUE.get(dtype)
    return known.name if known else str(dtype)


def _read_regular(value: Value, dtype: int) -> Array | None:
    """The array of a value that is right in all respects; None for any other, and for kinds that are rare."""
    accepts = _ACCEPTED.get(dtype)
    if accepts is None:
        return None
    level: list[Any] = [value]
    shape: list[int] = []
    while type(level[0]) is list:
        count = len(level[0])
        if not count or len(shape) == MOST_RANK:
            return None
        # Set and map run in C: the loop is over levels, not over values.
        if set(map(type, level)) != {list} or set(map(len, level)) != {count}:
            return None
        level = list(chain.from_iterable(level))
        shape.append(count)
    return _make_array(level, dtype).reshape(shape) if accepts(level) else None


def _is_of(*kinds: type) -> Callable[[list[Value]], bool]:
    accepted = set(kinds)
    return lambda values: set(map(type, values)) <= accepted


def _is_in_range(dtype: int) -> Callable[[list[Value]], bool]:
    least, most = _RANGES[dtype]

    def accept(values: list[Any]) -> bool:
        return set(map(type, values)) == {int} and least <= min(values) and max(values) <= most

    return accept


_ACCEPTED: Final[dict[int, Callable[[list[Value]], bool]]] = {
    wire.DT_FLOAT: _is_of(int, float),
    wire.DT_DOUBLE: _is_of(int, float),
    wire.DT_BOOL: _is_of(bool),
    wire.DT_STRING: _is_of(str),
    **{dtype: _is_in_range(dtype) for dtype in _RANGES},
}


def _make_array(scalars: list[Any], dtype: int) -> Array:
    """A flat array of scalars that have been checked."""
    if dtype == wire.DT_STRING:
        encoded = [to_bytes(text) for text in scalars]
        array = np.empty(len(encoded), object)
        array[:] = encoded
        return array
    if dtype not in dtypes.BY_NUMBER:
        return np.empty(0)
    target = dtypes.BY_NUMBER[dtype].numpy
    if dtype in _FLOATS:
        with np.errstate(over="ignore"):  # A float that is too large is infinite, as in C++.
            return np.array(scalars, np.float64).astype(target, copy=False)
    # Small integers wrap around.
    return np.array(scalars, np.uint64 if dtype == wire.DT_UINT64 else np.int64).astype(target, copy=False)
