"""What is in a model.tflite, as far as a server needs it. The weights stay where they are.

Source of the format: TensorFlow Lite, schema/schema.fbs (version 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from servable import saved_model
from servable.errors import FailedPrecondition, InvalidArgument
from servable.tflite_model.tables import Damaged, Table, root

NAME: Final = saved_model.TFLITE_NAME
"""The name of the file in a version directory."""
UNREADABLE: Final = "Cannot build FlatBufferModel from buffer."

_Item = TypeVar("_Item")
_IDENTIFIER: Final = b"TFL3"
_VERSION: Final = 3
_WHILE: Final = 119
# Operators of an older schema had a byte for their code; this one stands for a code that needs more.
_LARGEST_OLD_CODE: Final = 127
_FLEX: Final = "Flex"
_PARSE_EXAMPLE: Final = frozenset({"ParseExample", "ParseExampleV2"})


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a subgraph.

    Attributes:
        index: Its number in the subgraph.
        name: Its name, often with the number of an output behind a colon.
        type: The number in the schema's TensorType.
        shape: The sizes that it has before any input is resized: 1 where the size is open.
        declared_shape: The same, but -1 where the size is open.
        is_constant: Whether the file holds its value.
    """

    index: int
    name: str
    type: int
    shape: tuple[int, ...]
    declared_shape: tuple[int, ...]
    is_constant: bool

    @property
    def elements(self) -> int:
        """How many values it has at its stored shape."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A function of the model: its tensors, and which of them go in and come out."""

    tensors: Sequence[StoredTensor]
    inputs: Sequence[StoredTensor]
    outputs: Sequence[StoredTensor]


@dataclass(frozen=True, slots=True)
class OwnSignature:
    """An entry of the file's own list of signatures, which converters write.

    Attributes:
        key: Its name.
        subgraph: The number of the subgraph that it calls.
        inputs: The tensor of each input, by alias.
        outputs: The tensor of each output, by alias.
    """

    key: str
    subgraph: int
    inputs: Mapping[str, StoredTensor]
    outputs: Mapping[str, StoredTensor]


@dataclass(frozen=True, slots=True)
class TfliteModel:
    """The contents of a file.

    Attributes:
        subgraphs: The first is the model's main function; there is at least one.
        signatures: The file's own.
        metadata: Bytes by name.
        has_loops: Whether an operator may run for as long as it likes.
        flex_ops: The operators that are TensorFlow's, which only the Flex delegate runs.
        parse_ops: The operators that parse tf.Examples, which the original adds.
        size_bytes: The size of the file.
    """

    subgraphs: Sequence[Subgraph]
    signatures: Sequence[OwnSignature]
    metadata: Mapping[str, bytes]
    has_loops: bool
    flex_ops: Sequence[str]
    parse_ops: Sequence[str]
    size_bytes: int

    @property
    def main(self) -> Subgraph:
        """The subgraph that the original runs."""
        return self.subgraphs[0]


def read_file(path: Path) -> bytes:
    """The bytes of a model.

    Raises:
        FailedPrecondition: if the file cannot be read.
        InvalidArgument: if it is what Git LFS keeps in place of a file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FailedPrecondition(
            f"{error.filename}; {error.strerror}. The server must be allowed to read it."
        ) from error
    if saved_model.is_lfs_pointer(path):
        raise InvalidArgument(f"{UNREADABLE}\n{saved_model.describe_lfs_pointers([path])} {saved_model.LFS_REMEDY}")
    return data


def parse(data: bytes, path: Path) -> TfliteModel:
    """The contents of a file.

    Args:
        data: The file.
        path: Where it lies, for errors.

    Raises:
        InvalidArgument: if it is no TensorFlow Lite model.
    """
    try:
        return _parse(data)
    except Damaged as error:
        raise InvalidArgument(
            f"{UNREADABLE}\n{path} ({len(data)} bytes) is truncated, damaged or no TensorFlow Lite model: {error}. "
            "Copy it again."
        ) from error


def _parse(data: bytes) -> TfliteModel:
    model = root(data, _IDENTIFIER)
    version = model.integer(0, "<I")
    if version != _VERSION:
        raise Damaged(f"schema version {version}")
    buffers = list(model.tables(4))
    subgraphs = [_subgraph(table, buffers) for table in model.tables(2)]
    if not subgraphs:
        raise Damaged("it has no subgraph")
    codes = [_operator(table) for table in model.tables(1)]
    customs = sorted({custom for _, custom in codes if custom})
    return TfliteModel(
        subgraphs,
        [_signature(table, subgraphs) for table in model.tables(7)],
        {table.text(0): _content(_at(buffers, table.integer(1, "<I")), data) for table in model.tables(6)},
        any(code == _WHILE for code, _ in codes),
        [custom for custom in customs if custom.startswith(_FLEX)],
        [custom for custom in customs if custom in _PARSE_EXAMPLE],
        len(data),
    )


def _subgraph(table: Table, buffers: Sequence[Table]) -> Subgraph:
    tensors = [_tensor(index, each, buffers) for index, each in enumerate(table.tables(0))]
    return Subgraph(
        tensors,
        [_at(tensors, index) for index in table.integers(1)],
        [_at(tensors, index) for index in table.integers(2)],
    )


def _tensor(index: int, table: Table, buffers: Sequence[Table]) -> StoredTensor:
    shape, declared = table.integers(0), table.integers(7)
    if any(size < 0 for size in shape):
        raise Damaged(f"tensor {index} has the shape {list(shape)}")
    number = table.integer(2, "<I")
    # Buffer 0 is empty by definition.
    is_constant = 0 < number < len(buffers) and _has_content(buffers[number])
    declared = declared if len(declared) == len(shape) else shape
    return StoredTensor(index, table.text(3), table.integer(1, "<b"), shape, declared, is_constant)


def _operator(table: Table) -> tuple[int, str]:
    """The code of an operator, and the name of a custom one."""
    old, new = table.integer(0, "<b"), table.integer(3, "<i")
    return (new if old == _LARGEST_OLD_CODE or new > old else old), table.text(1)


def _signature(table: Table, subgraphs: Sequence[Subgraph]) -> OwnSignature:
    number = table.integer(4, "<I")
    tensors = _at(subgraphs, number).tensors
    return OwnSignature(table.text(2), number, dict(_entries(table, 0, tensors)), dict(_entries(table, 1, tensors)))


def _entries(table: Table, field: int, tensors: Sequence[StoredTensor]) -> Iterator[tuple[str, StoredTensor]]:
    for entry in table.tables(field):
        yield entry.text(0), _at(tensors, entry.integer(1, "<I"))


def _has_content(buffer: Table) -> bool:
    return buffer.has_items(0) or buffer.integer(1, "<Q") > 1


def _content(buffer: Table, data: bytes) -> bytes:
    # A file of more than 2 GB keeps contents behind the FlatBuffer.
    start, size = buffer.integer(1, "<Q"), buffer.integer(2, "<Q")
    return data[start : start + size] if start > 1 else buffer.content(0)


def _at(items: Sequence[_Item], index: int) -> _Item:
    if not 0 <= index < len(items):
        raise Damaged(f"number {index} of {len(items)}")
    return items[index]
