"""A JSON value as the original's errors quote it: printed as RapidJSON's PrettyWriter does, up to some 256 bytes.

Before each event (a scalar, a name, a bracket) the writer looks at what it has printed, and ends at 256 bytes or more;
so one long string is printed whole. NaN and infinities cannot be printed and end the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

from servable.codec.json.number_arrays import NotTaken
from servable.codec.json.values import JsonObject, Text, Value, to_bytes, to_number

_MOST_BYTES: Final = 256
_MOST_STRING_LENGTH: Final = 4096
_INDENT: Final = b"    "
_ESCAPES: Final = {
    **{bytes((code,)): b"\\u%04X" % code for code in range(0x20)},
    b"\b": b"\\b",
    b"\f": b"\\f",
    b"\n": b"\\n",
    b"\r": b"\\r",
    b"\t": b"\\t",
    b'"': b'\\"',
    b"\\": b"\\\\",
}
_ESCAPED: Final = re.compile(rb'[\x00-\x1f"\\]')


def dump(value: Value) -> str:
    """The text of a value; bytes that are no UTF-8 as surrogates, as errors.ServingError takes them."""
    parts: list[bytes] = []
    size = 0
    for before, text in _events(value):
        if size >= _MOST_BYTES:
            break
        parts.append(before)
        if text is None:
            break
        parts.append(text)
        size += len(before) + len(text)
    return b"".join(parts).decode(errors="surrogateescape")


def _events(value: Value) -> Iterator[tuple[bytes, bytes | None]]:
    """What is printed for each event: what separates it from the one before, and its text; None: it cannot be."""
    stack: list[_Open] = []
    pending, before = value, b""
    while True:
        if isinstance(pending, (list, JsonObject)):
            stack.append(_Open(pending))
            yield before, stack[-1].brackets[:1]
        else:
            yield before, _scalar(pending)
        while stack and stack[-1].is_at_end:
            ended = stack.pop()
            yield (_line(len(stack)) if ended.names and ended.printed else b""), ended.brackets[1:]
        if not stack:
            return
        frame = stack[-1]
        before, pending = b", " if frame.printed else b"", frame.values[frame.printed]
        if frame.names:
            yield (b"," if frame.printed else b"") + _line(len(stack)), _quote(frame.names[frame.printed])
            before = b": "
        frame.printed += 1


class _Open:
    """A container that has not been printed to its end."""

    def __init__(self, container: list[Value] | JsonObject) -> None:
        if isinstance(container, list):
            self.brackets, self.names, self.values = b"[]", [], container
        else:
            self.brackets = b"{}"
            self.names = [name for name, _ in container.members]
            self.values = [value for _, value in container.members]
        self.printed = 0

    @property
    def is_at_end(self) -> bool:
        return self.printed == len(self.values)


def _line(depth: int) -> bytes:
    return b"\n" + depth * _INDENT


def _scalar(value: Value) -> bytes | None:
    if value is None or isinstance(value, bool):
        return {None: b"null", False: b"false", True: b"true"}[value]
    if isinstance(value, (int, float)):
        value = to_number(value)
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, float):
        return _number(value) if math.isfinite(value) else None
    if not isinstance(value, (str, bytes)):
        raise NotTaken  # A `NumberArray`, whose values must be read one by one to be printed.
    return _quote(value)


def _quote(text: Text) -> bytes:
    # The original prints all of it. Of a string as long as a body that would hold the interpreter for seconds.
    return b'"%b"' % _ESCAPED.sub(lambda found: _ESCAPES[found[0]], to_bytes(text[:_MOST_STRING_LENGTH]))


def _number(value: float) -> bytes:
    """The shortest digits, and 21 of them before the point at most."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return f"{sign}0.0".encode()
    # The number is 0.digits times ten to this power.
    power = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= power <= 21:
        text = digits.ljust(power, "0") + ".0"
    elif 0 < power <= 21:
        text = f"{digits[:power]}.{digits[power:]}"
    elif -6 < power <= 0:
        text = f"0.{'0' * -power}{digits}"
    else:
        text = f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{power - 1}"
    return (sign + text).encode()
