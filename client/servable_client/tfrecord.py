"""TFRecord files: records of bytes, each with its length and checksums; and files of tf.Examples.

A record is its length (uint64, little-endian), the masked CRC-32C of the length (uint32), the bytes, and their
masked CRC-32C (TensorFlow: record_writer.h).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from typing import IO, Union

from google.protobuf.message import Message

from servable_client import wire
from servable_client._crc32c import crc32c
from servable_client.errors import ClientError
from servable_client.examples import ExampleLike, make_example

__all__ = ["CorruptRecord", "read_examples", "read_records", "write_examples", "write_records"]

Path = Union[str, "os.PathLike[str]"]
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
# Of a record whose length is wrong no more than this is taken into memory at once.
_CHUNK_BYTES = 16 << 20


class CorruptRecord(ClientError):
    """A file that is no TFRecord file, or is damaged. The text says where."""


def read_records(path: Path, *, check: bool = True) -> Iterator[bytes]:
    """Read the records of a file, one by one.

    Args:
        path: The file, not compressed.
        check: Whether to compare the checksums of the records; those of the lengths always are.

    Raises:
        CorruptRecord: if a checksum is wrong, or the file ends inside a record.
        OSError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        start = 0
        while head := file.read(_LENGTH.size + _CHECKSUM.size):
            record = _read_record(file, head, check, f"{os.fspath(path)}, record at byte {start}")
            yield record
            start = file.tell()


def _read_record(file: IO[bytes], head: bytes, check: bool, where: str) -> bytes:
    if len(head) < _LENGTH.size + _CHECKSUM.size:
        raise CorruptRecord(f"{where}: the file ends inside a record")
    length_bytes = head[: _LENGTH.size]
    if _CHECKSUM.unpack_from(head, _LENGTH.size)[0] != _masked(length_bytes):
        raise CorruptRecord(f"{where}: the checksum of the length is wrong; is it an uncompressed TFRecord file?")
    (length,) = _LENGTH.unpack(length_bytes)
    data = _read_exactly(file, length, where)
    (checksum,) = _CHECKSUM.unpack(_read_exactly(file, _CHECKSUM.size, where))
    if check and checksum != _masked(data):
        raise CorruptRecord(f"{where}: the checksum of its {length} bytes is wrong")
    return data


def _read_exactly(file: IO[bytes], count: int, where: str) -> bytes:
    pieces, left = [], count
    while left:
        piece = file.read(min(left, _CHUNK_BYTES))
        if not piece:
            raise CorruptRecord(f"{where}: the file ends inside a record")
        pieces.append(piece)
        left -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Write a file of records.

    Returns:
        How many.

    Raises:
        OSError: if the file cannot be written.
    """
    count = 0
    with open(path, "wb") as file:
        for record in records:
            length = _LENGTH.pack(len(record))
            file.write(length + _CHECKSUM.pack(_masked(length)))
            file.write(record)
            file.write(_CHECKSUM.pack(_masked(record)))
            count += 1
    return count


def read_examples(path: Path, *, check: bool = True) -> Iterator[wire.Example]:
    """Read the tf.Examples of a file, one by one; `examples.read_example` makes a dict of one.

    Raises:
        CorruptRecord: as `read_records` does, and if a record is no Example.
        OSError: if the file cannot be read.
    """
    for index, record in enumerate(read_records(path, check=check)):
        try:
            yield make_example(record)
        except ClientError as error:  # noqa: PERF203  (it says which record)
            raise CorruptRecord(f"{os.fspath(path)}, record {index}: {error}") from None


def write_examples(path: Path, examples: Iterable[ExampleLike]) -> int:
    """Write a file of tf.Examples, each given as `examples.make_example` takes it.

    Returns:
        How many.

    Raises:
        InputError: if an example cannot be made.
        OSError: if the file cannot be written.
    """
    return write_records(path, (_serialize(example) for example in examples))


def _serialize(example: ExampleLike) -> bytes:
    if isinstance(example, bytes):
        return example
    made = example if isinstance(example, Message) else make_example(example)
    # Sorted keys: the same examples make the same file.
    return made.SerializeToString(deterministic=True)


def _masked(data: bytes) -> int:
    """A CRC that may itself be part of data with a CRC; rotated, so that nothing is a CRC of itself."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
