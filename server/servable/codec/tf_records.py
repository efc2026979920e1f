"""How a record lies in a TFRecord file, for those who may not import TensorFlow.

A record is its length (uint64, little-endian), the masked CRC-32C of the length (uint32), the bytes, and their masked
CRC-32C (TensorFlow: lib/io/record_writer.h). The CRC-32C (Castagnoli, RFC 3720 appendix B.4) of large data is computed
with NumPy, many blocks side by side: the interpreter is held for microseconds at a time.
"""

from __future__ import annotations

import functools
import struct
from typing import Any, Final

import numpy as np

_LENGTH: Final = struct.Struct("<Q")
_CHECKSUM: Final = struct.Struct("<I")
_MASK_DELTA: Final = 0xA282EAD8
_POLYNOMIAL: Final = 0x82F63B78
_ONES: Final = 0xFFFFFFFF
_BLOCK_BYTES: Final = 256
# Below, a step of Python for each byte is as quick.
_SMALL_DATA_BYTES: Final = 1024

FRAME_BYTES: Final = _LENGTH.size + 2 * _CHECKSUM.size
"""What a record takes beside its own bytes."""

_Crcs = np.ndarray[Any, np.dtype[np.uint32]]


def frame(record: bytes) -> bytes:
    """The bytes of a record as they lie in a file; records follow each other without anything between them."""
    length = _LENGTH.pack(len(record))
    return b"".join((length, _CHECKSUM.pack(_masked(length)), record, _CHECKSUM.pack(_masked(record))))


def _masked(data: bytes) -> int:
    """The CRC as files store it: rotated and shifted, since a CRC of data that contains CRCs checks little."""
    crc = _crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _ONES


def _crc32c(data: bytes) -> int:
    """The CRC-32C of some bytes.

    The CRC of two blocks in a row follows from theirs. So blocks of equal length are computed side by side, a byte of
    each in a step, and joined in pairs.
    """
    crc, done = _ONES, 0
    if len(data) >= _SMALL_DATA_BYTES:
        done = len(data) // _BLOCK_BYTES * _BLOCK_BYTES
        crc = _join(_of_blocks(np.frombuffer(data, np.uint8, done)), crc)
    for byte in data[done:]:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ _ONES


def _of_blocks(data: np.ndarray[Any, np.dtype[np.uint8]]) -> _Crcs:
    """The raw CRC (from zero) of each block."""
    columns = np.ascontiguousarray(data.reshape(-1, _BLOCK_BYTES).T)
    crcs: _Crcs = np.zeros(columns.shape[1], np.uint32)
    for column in columns:
        crcs = _NUMPY_TABLE[(crcs ^ column) & 0xFF] ^ crcs >> np.uint32(8)
    return crcs


def _join(crcs: _Crcs, before: int) -> int:
    """The CRC of all blocks in a row, after data of another CRC."""
    length, total = _BLOCK_BYTES, len(crcs) * _BLOCK_BYTES
    while len(crcs) > 1:
        if len(crcs) % 2:
            # Zeros in front do not change a CRC from zero.
            crcs = np.concatenate((np.zeros(1, np.uint32), crcs))
        crcs = _append_zeros(crcs[0::2], length) ^ crcs[1::2]
        length *= 2
    first: _Crcs = np.array([before], np.uint32)
    for bit in range(total.bit_length()):
        if total >> bit & 1:
            first = _append_zeros(first, 1 << bit)
    return int(first[0] ^ crcs[0])


def _append_zeros(crcs: _Crcs, count: int) -> _Crcs:
    """The raw CRCs after so many zero bytes more; count is a power of two."""
    tables = _tables_of_zeros(count)
    moved: _Crcs = tables[0][crcs & 0xFF]
    for index in (1, 2, 3):
        moved = moved ^ tables[index][crcs >> np.uint32(8 * index) & 0xFF]
    return moved


@functools.lru_cache(maxsize=64)
def _tables_of_zeros(count: int) -> _Crcs:
    """What each value of each byte of a CRC becomes: the map is linear, so that bytes add up."""
    values: _Crcs = np.arange(256, dtype=np.uint32)[None, :] << (8 * np.arange(4, dtype=np.uint32))[:, None]
    if count == 1:
        moved: _Crcs = _NUMPY_TABLE[values & 0xFF] ^ values >> np.uint32(8)
        return moved
    return _append_zeros(_append_zeros(values, count // 2), count // 2)


def _make_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (_POLYNOMIAL if value & 1 else 0) for value in table]
    return table


_TABLE: Final = _make_table()
_NUMPY_TABLE: Final[_Crcs] = np.array(_TABLE, np.uint32)
