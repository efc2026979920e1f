"""TFRecord files: records of bytes, each with its length and checksums; and files of tf.Examples.

A record is its length (uint64, little-endian), the masked CRC-32C of the length (uint32), the bytes, and their
masked CRC-32C (TensorFlow: record_writer.h). The CRC-32C (Castagnoli, RFC 3720 appendix B.4) is computed with NumPy,
many blocks of the data at once.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterable, Iterator
from typing import IO, Any, Union

import numpy as np
from google.protobuf.message import Message

from servable_client import wire
from servable_client.errors import ClientError
from servable_client.examples import ExampleLike, make_example

__all__ = ["CorruptRecord", "read_examples", "read_records", "write_examples", "write_records"]

Path = Union[str, "os.PathLike[str]"]
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
# Records are read in pieces of this size, so that a record whose length is wrong takes no more memory at once.
_CHUNK_BYTES = 16 << 20
_POLYNOMIAL = 0x82F63B78
_CRC_ONES = 0xFFFFFFFF
_BLOCK_BYTES = 256
# Below, a step of Python for each byte is as quick.
_SMALL_DATA_BYTES = 1024


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
    """The CRC as TFRecord files store it: rotated and shifted, since a CRC of data that contains CRCs checks little."""
    crc = _crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _crc32c(data: bytes) -> int:
    """The CRC-32C of some bytes.

    The CRC of two blocks in a row follows from theirs. So blocks of equal length are computed side by side, a
    byte of each in a step, and joined in pairs.
    """
    crc, done = _CRC_ONES, 0
    if len(data) >= _SMALL_DATA_BYTES:
        done = len(data) // _BLOCK_BYTES * _BLOCK_BYTES
        crc = _join_crcs(_crcs_of_blocks(np.frombuffer(data, np.uint8, done)), crc)
    for byte in data[done:]:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ _CRC_ONES


def _crcs_of_blocks(data: Any) -> Any:
    """The raw CRC (from zero) of each block."""
    columns = np.ascontiguousarray(data.reshape(-1, _BLOCK_BYTES).T)
    crcs = np.zeros(columns.shape[1], np.uint32)
    for column in columns:
        crcs = _NUMPY_CRC_TABLE[(crcs ^ column) & 0xFF] ^ crcs >> np.uint32(8)
    return crcs


def _join_crcs(crcs: Any, before: int) -> int:
    """The CRC of all blocks in a row, after data of another CRC."""
    length, total = _BLOCK_BYTES, len(crcs) * _BLOCK_BYTES
    while len(crcs) > 1:
        # Zeros in front do not change a CRC from zero.
        if len(crcs) % 2:
            crcs = np.concatenate((np.zeros(1, np.uint32), crcs))
        crcs = _append_zeros(crcs[0::2], length) ^ crcs[1::2]
        length *= 2
    first = np.array([before], np.uint32)
    for bit in range(total.bit_length()):
        if total >> bit & 1:
            first = _append_zeros(first, 1 << bit)
    return int(first[0] ^ crcs[0])


def _append_zeros(crcs: Any, count: int) -> Any:
    """The raw CRCs after so many zero bytes more; count is a power of two."""
    tables = _tables_of_zeros(count)
    moved = tables[0][crcs & 0xFF]
    for index in (1, 2, 3):
        moved = moved ^ tables[index][crcs >> np.uint32(8 * index) & 0xFF]
    return moved


@functools.lru_cache(maxsize=64)
def _tables_of_zeros(count: int) -> Any:
    """What each value of each byte of a CRC becomes: the map is linear, so that bytes add up."""
    values = np.arange(256, dtype=np.uint32)[None, :] << (8 * np.arange(4, dtype=np.uint32))[:, None]
    if count == 1:
        return _NUMPY_CRC_TABLE[values & 0xFF] ^ values >> np.uint32(8)
    half = count // 2
    return _append_zeros(_append_zeros(values, half), half)


def _make_crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return table


_CRC_TABLE = _make_crc_table()
_NUMPY_CRC_TABLE = np.array(_CRC_TABLE, np.uint32)
