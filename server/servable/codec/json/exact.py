"""JSON read exactly as RapidJSON 1.1.0 reads it, with its errors and where they are.

It takes what Python's json does not (`Inf`, a byte order mark, strings that are no UTF-8, 500,000 levels), refuses what
that takes (a lone high surrogate, 1e999), and stops after the first value, so that what follows is ignored. It is in
Python and therefore slow; `reading` asks it only for what Python's json refuses or could read otherwise.

Source of the behaviour: RapidJSON's documentation of its parse errors, and the original's answers.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final, NoReturn

from servable.codec.json.values import LEAST_INT64, MOST_UINT64, JsonObject, Text, Value

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_PLAIN: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_INTEGER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_FRACTION: Final = re.compile(rb"\.([0-9]+)")
_EXPONENT: Final = re.compile(rb"[eE]([+-]?)([0-9]+)")
_HEX: Final = re.compile(rb"[0-9a-fA-F]{4}")
_LITERALS: Final[dict[bytes, tuple[bytes, Value]]] = {
    b"n": (b"null", None),
    b"t": (b"true", True),
    b"f": (b"false", False),
}
_ESCAPES: Final = {
    b'"': b'"',
    b"\\": b"\\",
    b"/": b"/",
    b"b": b"\b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
}
# The greatest power of ten of a double.
_MOST_EXPONENT: Final = 308

MOST_LEVELS: Final = 1_000_000
"""The original has no limit; a level takes some 200 bytes here, for one byte of the body."""

EMPTY: Final = "The document is empty."
_INVALID: Final = "Invalid value."
_NO_NAME: Final = "Missing a name for object member."
_NO_COLON: Final = "Missing a colon after a name of object member."
_NO_CURLY: Final = "Missing a comma or '}' after an object member."
_NO_SQUARE: Final = "Missing a comma or ']' after an array element."


class MalformedJson(ValueError):
    """A body that is no JSON.

    Attributes:
        reason: RapidJSON's text.
        offset: How many bytes had been read.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} at offset: {offset}")
        self.reason, self.offset = reason, offset


def read(body: bytes) -> Value:
    """The first value of a body.

    Raises:
        MalformedJson: if there is none, or if it is not whole.
    """
    return _Reader(body).read()


class _Frame:
    """An array or an object that has not ended: its items or members, and the name that waits for its value."""

    __slots__ = ("contents", "is_array", "name")

    def __init__(self, *, is_array: bool) -> None:
        self.is_array = is_array
        self.contents: list[Any] = []
        self.name: Text = ""

    def add(self, value: Value) -> None:
        self.contents.append(value if self.is_array else (self.name, value))

    def close(self) -> Value:
        return self.contents if self.is_array else JsonObject(self.contents)


class _Reader:
    """Reads one body. Containers are on a stack of its own, so that Python's does not bound the depth."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = len(_BYTE_ORDER_MARK) if body.startswith(_BYTE_ORDER_MARK) else 0
        self._frames: list[_Frame] = []

    def read(self) -> Value:
        next_byte = self._skip_space()
        if next_byte in b"}],:\0":
            self._fail(EMPTY)
        value, is_complete = self._begin_value(next_byte)
        while self._frames:
            frame = self._frames[-1]
            if is_complete:
                frame.add(value)
                is_complete = self._is_last(frame)
            elif frame.is_array:
                is_complete = self._skip_space() == b"]"
            else:
                is_complete = self._skip_space() == b"}"
            if is_complete:
                self._at += 1
                value = self._frames.pop().close()
                continue
            if not frame.is_array:
                self._read_name(frame)
            value, is_complete = self._begin_value(self._skip_space())
        return value

    def _is_last(self, frame: _Frame) -> bool:
        """Whether a container ends after the value that was read; a comma is read."""
        next_byte = self._skip_space()
        if next_byte == (b"]" if frame.is_array else b"}"):
            return True
        if next_byte != b",":
            self._fail(_NO_SQUARE if frame.is_array else _NO_CURLY)
        self._at += 1
        return False

    def _read_name(self, frame: _Frame) -> None:
        if self._skip_space() != b'"':
            self._fail(_NO_NAME)
        frame.name = self._read_string()
        if self._skip_space() != b":":
            self._fail(_NO_COLON)
        self._at += 1

    def _begin_value(self, first: bytes) -> tuple[Value, bool]:
        """A scalar, and that it is complete; or a container is opened."""
        if first in (b"[", b"{"):
            if len(self._frames) == MOST_LEVELS:
                self._fail(f"More than {MOST_LEVELS} levels.")
            self._at += 1
            self._frames.append(_Frame(is_array=first == b"["))
            return None, False
        if first == b'"':
            return self._read_string(), True
        if first in _LITERALS:
            return self._read_literal(*_LITERALS[first]), True
        return self._read_number(), True

    def _skip_space(self) -> bytes:
        """The next byte that is no white space; a NUL at the end, which is what RapidJSON sees there."""
        found = _SPACE.match(self._body, self._at)
        self._at = self._at if found is None else found.end()
        return self._body[self._at : self._at + 1] or b"\0"

    def _fail(self, reason: str, offset: int | None = None) -> NoReturn:
        raise MalformedJson(reason, self._at if offset is None else offset)

    def _read_literal(self, text: bytes, value: Value) -> Value:
        self._consume(text)
        return value

    def _consume(self, text: bytes) -> None:
        """Read a text; it fails at the first byte that differs."""
        for expected in text:
            if self._body[self._at : self._at + 1] != bytes((expected,)):
                self._fail(_INVALID)
            self._at += 1

    def _read_number(self) -> float:
        start = self._at
        integer = _INTEGER.match(self._body, start)
        if integer is None:
            return self._read_not_finite()
        self._at = integer.end()
        fraction = self._read_part(_FRACTION, b".", "Miss fraction part in number.")
        exponent = self._read_part(_EXPONENT, b"eE", "Miss exponent in number.")
        text = self._body[start : self._at]
        if fraction is None and exponent is None:
            # Python's int refuses thousands of digits; a double has 309 at most.
            number = int(text) if len(text) <= 20 else MOST_UINT64 + 1
            if LEAST_INT64 <= number <= MOST_UINT64:
                return number
        if exponent is not None and exponent[1] != b"-":
            digits = exponent[2].lstrip(b"0")[:9] or b"0"
            if int(digits) > _MOST_EXPONENT + (len(fraction[1]) if fraction else 0):
                self._fail("Number too big to be stored in double.", start)
        value = float(text)
        if math.isinf(value):
            self._fail("Number too big to be stored in double.", start)
        return value

    def _read_part(self, pattern: re.Pattern[bytes], first: bytes, missing: str) -> re.Match[bytes] | None:
        """A fraction or an exponent, if there is one."""
        found = pattern.match(self._body, self._at)
        if found is not None:
            self._at = found.end()
        elif self._body[self._at : self._at + 1] and self._body[self._at] in first:
            self._at += 1
            if first == b"eE" and self._body[self._at : self._at + 1] in (b"+", b"-"):
                self._at += 1
            self._fail(missing)
        return found

    def _read_not_finite(self) -> float:
        is_negative = self._body[self._at : self._at + 1] == b"-"
        self._at += is_negative
        first = self._body[self._at : self._at + 1]
        if first == b"N":
            self._consume(b"NaN")
            return math.nan
        self._consume(b"Inf")
        if self._body[self._at : self._at + 1] == b"i":
            self._consume(b"inity")
        return -math.inf if is_negative else math.inf

    def _read_string(self) -> Text:
        self._at += 1
        parts = []
        while True:
            plain = _PLAIN.match(self._body, self._at)
            if plain is not None:
                parts.append(plain[0])
                self._at = plain.end()
            stop = self._body[self._at : self._at + 1]
            if stop == b'"':
                self._at += 1
                return _to_text(b"".join(parts))
            if stop == b"\\":
                parts.append(self._read_escape())
            elif stop in (b"", b"\0"):
                self._fail("Missing a closing quotation mark in string.")
            else:
                self._fail("Invalid escape character in string.")

    def _read_escape(self) -> bytes:
        start = self._at
        kind = self._body[start + 1 : start + 2]
        self._at += 2
        if kind in _ESCAPES:
            return _ESCAPES[kind]
        if kind != b"u":
            self._fail("Invalid escape character in string.", start)
        code = self._read_hex(start)
        if 0xD800 <= code <= 0xDBFF:
            if self._body[self._at : self._at + 2] != b"\\u":
                self._fail("The surrogate pair in string is invalid.", start)
            self._at += 2
            low = self._read_hex(start)
            if not 0xDC00 <= low <= 0xDFFF:
                self._fail("The surrogate pair in string is invalid.", start)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code).encode(errors="surrogatepass")

    def _read_hex(self, start: int) -> int:
        found = _HEX.match(self._body, self._at)
        if found is None:
            self._fail("Incorrect hex digit after \\u escape in string.", start)
        self._at = found.end()
        return int(found[0], 16)


def _to_text(raw: bytes) -> Text:
    try:
        return raw.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return raw
