"""How a record of the log becomes a line: as text for people, as a JSON object for those who collect logs.

Whatever is logged, a line of JSON is one object, and its length is bounded. What strangers send (names of models,
peers) can neither begin a line of its own nor reach a terminal as a control sequence.

Beside what every record has, two things are taken from a record's `extra`:

    fields: a mapping of names to values, for those who query the log: {"model": "digits", "version": 3}.
    traceparent: the W3C trace context of the call that the record is about.
    hides_error_text: True if the text of an exception may quote what a caller sent; only types and places are shown
        (errors.HIDE_ERROR_TEXT).
"""

from __future__ import annotations

import datetime
import json
import logging
import math
import re
import traceback
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

MAX_MESSAGE_CHARS: Final = 16_384
MAX_TRACEBACK_CHARS: Final = 32_768
MAX_FIELDS: Final = 32
MAX_FIELD_CHARS: Final = 1_024

_GREEN, _YELLOW, _RED, _GREY, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[90m", "\x1b[0m"
_COLOURS: Final = {logging.DEBUG: _GREY, logging.INFO: _GREEN, logging.WARNING: _YELLOW}
_LEVEL_WIDTH: Final = 10
_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_OWN_KEYS: Final = frozenset({"time", "level", "logger", "message", "thread", "exception", "trace_id", "span_id"})
# C0 and C1 controls, and what some readers take for the end of a line.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_NEWLINE: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NEEDS_QUOTES: Final = re.compile(r'[\s"=]|^$')
_TRACEPARENT: Final = re.compile("[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")


class JsonFormatter(logging.Formatter):
    """One JSON object a record, in ASCII. Raises nothing."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end.

        Keys: time (RFC 3339, UTC, ms), level, logger, message, thread; exception (type, traceback) and trace_id and
        span_id where the record has them; then its fields.
        """
        line: dict[str, Any] = {
            "time": _rfc3339(record.created),
            "level": _clean(record.levelname, MAX_FIELD_CHARS),
            "logger": _clean(record.name, MAX_FIELD_CHARS),
            "message": _clean(_message(record), MAX_MESSAGE_CHARS),
            "thread": _clean(record.threadName or "", MAX_FIELD_CHARS),
        }
        exception = _exception(record)
        if exception:
            line["exception"] = exception
        line.update(_trace_ids(record))
        line.update(_fields(record))
        return json.dumps(line, separators=(", ", ": "))


class TextFormatter(logging.Formatter):
    """Time, level, logger and message in one line; a traceback follows it. A record of calls has its fields, too."""

    def __init__(self) -> None:
        """Make one."""
        super().__init__(_TEXT)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        lead = self.lead(record) + self.escape(_cut(_message(record), MAX_MESSAGE_CHARS))
        if getattr(record, "shows_fields", False):
            lead += "".join(f" {_quoted(key)}={_quoted(value)}" for key, value in _fields(record).items())
            lead += "".join(f" {key}={value}" for key, value in _trace_ids(record).items())
        text = _traceback(record)
        return _SURROGATE.sub("\ufffd", f"{lead}\n{_CONTROL_BUT_NEWLINE.sub(_escape, text)}" if text else lead)

    def lead(self, record: logging.LogRecord) -> str:
        """What stands before the message."""
        return f"{self.formatTime(record)} {record.levelname} {record.name}: "

    def escape(self, message: str) -> str:
        """The message as one line."""
        return _CONTROL.sub(_escape, message)


class TerminalFormatter(TextFormatter):
    """The level, in colour, and the message, which may have several lines."""

    def lead(self, record: logging.LogRecord) -> str:
        """See TextFormatter."""
        colour = _COLOURS.get(record.levelno, _RED)
        return f"{colour}{record.levelname}{_PLAIN}:".ljust(_LEVEL_WIDTH + len(colour) + len(_PLAIN))

    def escape(self, message: str) -> str:
        """See TextFormatter."""
        return _CONTROL_BUT_NEWLINE.sub(_escape, message)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage().rstrip("\n")
    except Exception as error:  # noqa: BLE001  Whoever logs badly must not lose the line, nor raise.
        return f"{_text(record.msg)} (its arguments do not fit: {type(error).__name__})"


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001  As above.
        return f"({type(value).__name__} without a text: {type(error).__name__})"


def _exception(record: logging.LogRecord) -> dict[str, str]:
    text = _traceback(record)
    if not text:
        return {}
    kind = record.exc_info[0] if isinstance(record.exc_info, tuple) else None
    name = "" if kind is None else kind.__qualname__
    return {"type": _clean(name, MAX_FIELD_CHARS), "traceback": _clean(text, MAX_TRACEBACK_CHARS)}


def _traceback(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    try:
        if error is None:
            text = record.exc_text or record.stack_info or ""
        elif getattr(record, "hides_error_text", False):
            text = "".join(_places(error))
        else:
            text = "".join(traceback.format_exception(error))
    except Exception as failure:  # noqa: BLE001  The text of an exception is code of anybody's.
        text = f"{type(error).__name__} (without a traceback: {type(failure).__name__})"
    return _cut(str(text).rstrip("\n"), MAX_TRACEBACK_CHARS)


def _places(error: BaseException) -> Iterator[str]:
    """Where an exception and those before it were raised, and their types, without their texts."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(current.__traceback__)
        yield f"{type(current).__qualname__} (its text is left out, since it may quote the request)\n"
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
        if current is not None:
            yield "which came after:\n"


def _trace_ids(record: logging.LogRecord) -> dict[str, str]:
    traceparent = getattr(record, "traceparent", None)
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    return {} if found is None else {"trace_id": found[1], "span_id": found[2]}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    if not isinstance(fields, Mapping):
        return {}
    names = ((_clean(_text(name), MAX_FIELD_CHARS), value) for name, value in islice(fields.items(), MAX_FIELDS))
    return {f"{name}_" if name in _OWN_KEYS else name: _plain(value) for name, value in names}


def _plain(value: object) -> str | int | float | bool | None:
    """A value as JSON has it: numbers that JSON does not know, and anything else, as a text."""
    if value is None or isinstance(value, bool):
        return value
    if type(value) is int and abs(value) < 2**63:
        return value
    if type(value) is float and math.isfinite(value):
        return value
    return _clean(_text(value), MAX_FIELD_CHARS)


def _clean(text: str, limit: int) -> str:
    """A text that every JSON parser takes (half a surrogate pair is refused by some), cut at a limit."""
    return _SURROGATE.sub("\ufffd", _cut(text, limit))


def _cut(text: str, limit: int) -> str:
    """The text, or its begin and its end, and how many characters are left out between them."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} ... ({len(text) - 2 * half} characters left out) ... {text[-half:]}"


def _quoted(value: object) -> str:
    text = _CONTROL.sub(_escape, _text(value))
    return json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.search(text) else text


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code, f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def _rfc3339(created_s: float) -> str:
    try:
        moment = datetime.datetime.fromtimestamp(created_s, datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):
        moment = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
