"""Bytes that are almost a valid request, many thousand a second.

What tests/properties/mutations.py does by hypothesis' draws, by a random generator: that is some hundred times faster,
and nothing is shrunk here.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.properties.mutations import LENGTH_DELIMITED, VARINT, join_fields, split_fields

_TELLING = (
    *(bytes([byte]) for byte in (0x00, 0x01, 0x08, 0x0A, 0x12, 0x1A, 0x22, 0x7F, 0x80, 0xFF)),
    *(b"\xff" * 9 + b"\x01", b"\x80" * 9 + b"\x01", b"\x08" + b"\xff" * 9 + b"\x01", b"\xff\xff\xff\xff\x07"),
    *(b"\x0b\x0c", b"\xc3\x28", b"\xed\xa0\x80"),
)
_TELLING_TEXTS = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"true", b"-", b"1e999", b"NaN", b"Infinity", b"0x1"),
    *(b"\\u0000", b"\\ud800", b"9" * 25, b"[" * 200, b"\r\n", b"%00", b"%ff", b"/", b"//", b"..", b"\xff", b"\x00"),
    *(b'{"b64":"', b'{"b64":"!"}', b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"?", b"#"),
)
_TELLING_NUMBERS = (0, 1, 2, 9, 24, 127, 128, 1 << 31, (1 << 32) - 1, 1 << 62, 1 << 63, (1 << 64) - 1)
_LONGEST_SLICE = 24
_MOST_CHANGES = 4
_LAST_FIELD = 18


class Mutator:
    """Makes mutants of messages and of texts. The same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        """Start."""
        self._random = random.Random(seed)

    def message(self, seeds: Sequence[bytes]) -> bytes:
        """One of the messages, up to four times changed: blindly, or by fields at any depth."""
        return self._mutate(seeds, self._change_field if self._random.random() < 0.6 else self._change_bytes, _TELLING)

    def text(self, seeds: Sequence[bytes]) -> bytes:
        """One of the texts, up to four times changed."""
        return self._mutate(seeds, self._change_bytes, _TELLING_TEXTS)

    def choice(self, options: Sequence[bytes]) -> bytes:
        """One of several."""
        return self._random.choice(options)

    def is_once_in(self, times: int) -> bool:
        """Whether it is a case that comes once in so many times."""
        return self._random.random() * times < 1

    def _mutate(self, seeds, change, telling):  # type: ignore[no-untyped-def]
        data = self._random.choice(seeds)
        for _ in range(self._random.randint(1, _MOST_CHANGES)):
            data = change(data, seeds, telling)
        return data

    def _change_bytes(self, data: bytes, seeds: Sequence[bytes], telling: Sequence[bytes]) -> bytes:
        chance = self._random
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.randint(0, _LONGEST_SLICE))
        other, noise = chance.choice(seeds), chance.randbytes(end - start)
        flipped = bytes(byte ^ 1 << chance.randrange(8) for byte in data[start : start + 1])
        middle, rest = chance.choice(
            (
                (flipped, data[start + 1 :]),
                (b"", data[end:]),
                (data[start:end], b""),
                (noise, data[end:]),
                (data[start:end] * chance.choice((2, 2, 2, 40)), data[end:]),
                (b"", other[chance.randint(0, len(other)) :]),
                (chance.choice(telling), data[start:]),
            )
        )
        return data[:start] + middle + rest

    def _change_field(self, data: bytes, seeds: Sequence[bytes], telling: Sequence[bytes]) -> bytes:
        chance = self._random
        fields = split_fields(data)
        if not fields:
            return self._change_bytes(data, seeds, telling)
        index = chance.randrange(len(fields))
        number, kind, value = fields[index]
        way = chance.randrange(8)
        if way == 0:
            del fields[index]
        elif way == 1:
            fields.insert(index, fields[index])
        elif way == 2:
            fields[index] = number % _LAST_FIELD + 1, kind, value
        elif way == 3:
            others = split_fields(chance.choice(seeds)) or fields
            fields.insert(index, chance.choice(others))
        elif kind == VARINT:
            fields[index] = number, kind, chance.choice(_TELLING_NUMBERS)
        elif kind == LENGTH_DELIMITED:
            fields[index] = number, kind, self._change_field(value, [value], telling)
        else:
            fields[index] = number, kind, chance.randbytes(len(value))
        return join_fields(fields)
