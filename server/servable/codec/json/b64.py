"""Binary data in JSON: an object `{"b64": "..."}` in place of a string.

Source of the behaviour: absl's Base64Unescape, which takes white space anywhere and text without padding.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from servable.codec.json.values import JsonObject, Value, to_bytes

_KEY: Final = "b64"
_SPACE: Final = re.compile(rb"[ \t\n\v\f\r]+")
_TEXT: Final = re.compile(rb"([A-Za-z0-9+/]*)(=*)")


class MalformedBase64(ValueError):
    """Text that is no base64."""


def is_encoded(value: Value) -> bool:
    """Whether a value is an object of one member `b64`, a string."""
    if not isinstance(value, JsonObject) or len(value) != 1:
        return False
    ((key, text),) = value.members
    return key == _KEY and isinstance(text, (str, bytes))


def decode(value: JsonObject) -> bytes:
    """The bytes of an object for which `is_encoded` holds.

    Raises:
        MalformedBase64: for other characters, another alphabet, or padding that does not fit.
    """
    ((_, text),) = value.members
    assert isinstance(text, (str, bytes))  # noqa: S101  For mypy.
    raw = _SPACE.sub(b"", to_bytes(text))
    found = _TEXT.fullmatch(raw)
    if found is None:
        raise MalformedBase64
    digits, padding = found[1], len(found[2])
    missing = -len(digits) % 4
    if missing == 3 or padding not in (0, missing):
        raise MalformedBase64
    return binascii.a2b_base64(digits + b"=" * missing)
