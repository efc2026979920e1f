"""CRC-32C (Castagnoli, RFC 3720 appendix B.4) with NumPy: many stretches of the data at once.

The CRC of two stretches in a row follows from theirs, so that stretches of equal length are computed side by
side, a byte of each in a step, and joined in pairs.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
_STRETCH_BYTES = 256
# Below, a step of Python for each byte is as quick.
_SMALL_BYTES = 1024


def _make_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return table


_TABLE = _make_table()
_NUMPY_TABLE = np.array(_TABLE, np.uint32)


def crc32c(data: bytes) -> int:
    """The CRC of some bytes."""
    crc, done = _ONES, 0
    if len(data) >= _SMALL_BYTES:
        done = len(data) // _STRETCH_BYTES * _STRETCH_BYTES
        crc = _join(_stretches(np.frombuffer(data, np.uint8, done)), crc)
    for byte in data[done:]:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ _ONES


def _stretches(data: Any) -> Any:
    """The raw CRC (from zero) of each stretch."""
    columns = np.ascontiguousarray(data.reshape(-1, _STRETCH_BYTES).T)
    crcs = np.zeros(columns.shape[1], np.uint32)
    for column in columns:
        crcs = _NUMPY_TABLE[(crcs ^ column) & 0xFF] ^ crcs >> np.uint32(8)
    return crcs


def _join(crcs: Any, before: int) -> int:
    """The CRC of all stretches in a row, after data of another CRC."""
    length, total = _STRETCH_BYTES, len(crcs) * _STRETCH_BYTES
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
    tables = _zeros_tables(count)
    moved = tables[0][crcs & 0xFF]
    for index in (1, 2, 3):
        moved = moved ^ tables[index][crcs >> np.uint32(8 * index) & 0xFF]
    return moved


@functools.lru_cache(maxsize=64)
def _zeros_tables(count: int) -> Any:
    """What each value of each byte of a CRC becomes: the map is linear, so that bytes add up."""
    values = np.arange(256, dtype=np.uint32)[None, :] << (8 * np.arange(4, dtype=np.uint32))[:, None]
    if count == 1:
        return _NUMPY_TABLE[values & 0xFF] ^ values >> np.uint32(8)
    half = count // 2
    return _append_zeros(_append_zeros(values, half), half)
