"""Messages as protobuf's C++ writes them in JSON, with the options of the REST API.

Names are those of the .proto, fields without presence are written even if they have their default, and the text is
indented by one space. Python's own printer has other options in each of its versions, and other escapes.
Source of the behaviour: TensorFlow Serving, model_servers/http_rest_api_handler.cc; protobuf, src/google/protobuf/json.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

# Fields are Any: the stubs know neither of the two implementations' descriptors whole.
_WRAPPED: Final = "value"
_WRAPPERS: Final = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
# Beside what JSON itself escapes: what HTML or an eye may take for something else.
_ESCAPED: Final = re.compile(
    "[<>\x7f-\x9f\xad\u0600-\u0603\u06dd\u070f\u17b4\u17b5\u200b-\u200f\u2028-\u202e\u2060-\u2064\u206a-\u206f"
    "\ufeff\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)


def write(message: Message) -> str:
    """The JSON text of a message, which ends in a new line."""
    return "".join(_write_message(message, "\n")) + "\n"


def _write_message(message: Message, line: str) -> Iterator[str]:
    if message.DESCRIPTOR.full_name in _WRAPPERS:
        field = message.DESCRIPTOR.fields_by_name[_WRAPPED]
        yield from _write_value(field, getattr(message, _WRAPPED), line)
        return
    fields = [field for field in message.DESCRIPTOR.fields if not field.has_presence or message.HasField(field.name)]
    inner = line + " "
    yield from _enclose(
        "{}", ((_quote(field.name), _write_field(field, getattr(message, field.name), inner)) for field in fields), line
    )


def _write_field(field: Any, value: Any, line: str) -> Iterator[str]:
    inner, kind = line + " ", field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        of_value = kind.fields_by_name["value"]
        entries = ((_quote(str(key)), _write_value(of_value, value[key], inner)) for key in sorted(value))
        return _enclose("{}", entries, line)
    if _is_repeated(field):
        return _enclose("[]", (("", _write_value(field, each, inner)) for each in value), line)
    return _write_value(field, value, line)


def _enclose(brackets: str, members: Iterable[tuple[str, Iterator[str]]], line: str) -> Iterator[str]:
    """An object or a list, each member on a line of its own; members of a list have an empty name."""
    before = brackets[0]
    for name, value in members:
        yield before + line + " "
        if name:
            yield name + ": "
        yield from value
        before = ","
    yield brackets if before == brackets[0] else line + brackets[1]


def _write_value(field: Any, value: Any, line: str) -> Iterator[str]:
    if field.message_type is not None:
        yield from _write_message(value, line)
        return
    yield _WRITERS.get(field.cpp_type, str)(value) if field.enum_type is None else _write_enum(field, value)


def _write_enum(field: Any, number: int) -> str:
    known = field.enum_type.values_by_number.get(number)
    return str(number) if known is None else _quote(known.name)


def _write_float(value: float) -> str:
    if not math.isfinite(value):
        return _quote("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")
    return repr(value).removesuffix(".0")


def _write_single(value: float) -> str:
    return _write_float(float(str(np.float32(value))))


def _write_text(value: str | bytes) -> str:
    return _quote(base64.b64encode(value).decode() if isinstance(value, bytes) else value)


def _quote(text: str) -> str:
    return _ESCAPED.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(character: re.Match[str]) -> str:
    return json.dumps(character[0])[1:-1] if ord(character[0]) > 0x7F else f"\\u{ord(character[0]):04x}"


def _is_repeated(field: Any) -> bool:
    # `label` is deprecated in later versions, and `is_repeated` absent in earlier ones.
    return bool(field.is_repeated if hasattr(field, "is_repeated") else field.label == FieldDescriptor.LABEL_REPEATED)


def _quote_number(number: int) -> str:
    return f'"{number}"'


_WRITERS: Final[dict[int, Callable[[Any], str]]] = {
    # Numbers of JSON are float64 for many readers.
    FieldDescriptor.CPPTYPE_INT64: _quote_number,
    FieldDescriptor.CPPTYPE_UINT64: _quote_number,
    FieldDescriptor.CPPTYPE_BOOL: lambda value: "true" if value else "false",
    FieldDescriptor.CPPTYPE_DOUBLE: _write_float,
    FieldDescriptor.CPPTYPE_FLOAT: _write_single,
    FieldDescriptor.CPPTYPE_STRING: _write_text,
}
