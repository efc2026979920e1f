"""Whatever is logged, it is one line, bounded, and what JSON or a terminal takes."""

import json
import logging
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from servable.errors import HIDE_ERROR_TEXT
from servable.observability.line_formats import (
    MAX_FIELD_CHARS,
    MAX_FIELDS,
    MAX_MESSAGE_CHARS,
    JsonFormatter,
    TerminalFormatter,
    TextFormatter,
)

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


class Odd:
    """A value that cannot be written."""

    def __str__(self):
        raise ZeroDivisionError

    __repr__ = __str__


def make(text="text", *arguments, error=None, level=logging.INFO, **extra):
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("servable.x", level, __file__, 1, text, arguments, exc_info)
    record.__dict__.update(extra)
    return record


def raised(kind, *arguments):
    try:
        raise kind(*arguments)  # noqa: TRY301  It needs a traceback.
    except kind as error:
        return error


def as_json(*arguments, **extra):
    return json.loads(JsonFormatter().format(make(*arguments, **extra)))


# Every character there is, halves of surrogate pairs among them.
anything = some.text(some.characters(), max_size=50)
values = some.one_of(anything, some.integers(), some.floats(), some.binary(max_size=9), some.none(), some.just(Odd()))


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


@given(
    anything,
    some.lists(values, max_size=3),
    some.dictionaries(some.one_of(anything, some.integers()), values, max_size=4),
    some.one_of(some.none(), values.map(lambda value: raised(ValueError, value))),
    some.tuples(some.one_of(values, some.just(TRACEPARENT)), some.floats()),
)
def test_any_record_is_one_line_of_json(text, arguments, fields, error, extra):
    traceparent, created = extra
    record = make(text, *arguments, error=error, fields=fields, traceparent=traceparent, created=created)
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    written = json.loads(line, parse_constant=refuse)
    assert {"time", "level", "logger", "message", "thread"} <= written.keys()
    # Halves of pairs are refused by some parsers.
    json.dumps(written, ensure_ascii=False).encode()


@given(anything, some.dictionaries(anything, values, max_size=4))
def test_any_record_is_one_line_of_text(text, fields):
    line = TextFormatter().format(make(text, fields=fields, shows_fields=True))
    line.encode()
    assert len(line.splitlines()) == 1
    assert line.isprintable() or not any(ord(character) < 32 for character in line)


def test_a_line_has_time_level_logger_message_and_thread():
    assert as_json("loaded %s", "digits", created=0.0625, threadName="manager") == {
        "time": "1970-01-01T00:00:00.062Z",
        "level": "INFO",
        "logger": "servable.x",
        "message": "loaded digits",
        "thread": "manager",
    }


def test_fields_are_keys_of_the_line_and_replace_none():
    line = as_json(fields={"model": "digits", "version": 3, "seconds": math.inf, "time": "noon", "gone": None})
    assert {key: line[key] for key in ("model", "version", "seconds", "time_", "gone")} == {
        "model": "digits",
        "version": 3,
        "seconds": "inf",
        "time_": "noon",
        "gone": None,
    }


def test_an_exception_is_its_type_and_its_traceback_as_one_text():
    exception = as_json(error=raised(KeyError, "what was sent"))["exception"]
    assert exception["type"] == "KeyError"
    assert exception["traceback"].startswith("Traceback (most recent call last):\n")
    assert exception["traceback"].endswith("KeyError: 'what was sent'")


def raise_chained():
    try:
        {}["canary one"]
    except KeyError as error:
        raise ValueError("canary two") from error


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter(), TerminalFormatter()])
def test_the_text_of_an_exception_that_may_quote_a_request_is_left_out_and_its_places_are_not(formatter):
    try:
        raise_chained()
    except ValueError as error:
        line = formatter.format(make("failed", error=error, **HIDE_ERROR_TEXT))
    assert "raise_chained" in line
    assert "ValueError (its text is left out" in line
    assert "KeyError (its text is left out" in line
    # The line of the source is shown, the text of the exception is not: here they are the same, so count.
    assert line.count("canary one") == line.count("canary two") == 1


def test_a_record_of_a_call_has_the_ids_of_its_trace():
    line = as_json(traceparent=TRACEPARENT)
    assert (line["trace_id"], line["span_id"]) == ("a" * 32, "b" * 16)


@pytest.mark.parametrize("traceparent", ["", "00-x-y-01", f"00-{'0' * 32}-{'b' * 16}-01", 3, TRACEPARENT + "\n"])
def test_what_is_no_trace_context_gives_no_ids(traceparent):
    assert "trace_id" not in as_json(traceparent=traceparent)


def test_what_is_huge_is_cut_and_says_so():
    line = as_json("x" * 10_000_000, fields={str(number): "y" * 5_000 for number in range(1_000)})
    assert len(line["message"]) < MAX_MESSAGE_CHARS + 100
    assert f"({10_000_000 - MAX_MESSAGE_CHARS} characters left out)" in line["message"]
    assert len(line["0"]) < MAX_FIELD_CHARS + 100
    assert len(line) == 5 + MAX_FIELDS


def test_arguments_that_do_not_fit_lose_no_line():
    assert as_json("%d items", "no number")["message"] == "%d items (its arguments do not fit: TypeError)"


def test_what_strangers_name_begins_no_line_of_its_own():
    line = TextFormatter().format(make("loading %s", "a\n2026-01-01 00:00:00,000 ERROR servable: all is lost\x1b[2J"))
    assert line.endswith("loading a\\n2026-01-01 00:00:00,000 ERROR servable: all is lost\\x1b[2J")


def test_a_terminal_shows_several_lines_and_takes_no_commands():
    line = TerminalFormatter().format(make("two\nlines\x1b[2J"))
    assert line == "\x1b[32mINFO\x1b[0m:     two\nlines\\x1b[2J"


def test_values_with_blanks_are_quoted_in_text():
    line = TextFormatter().format(make("Predict OK", fields={"model": 'a "b" c=d', "peer": "unix:"}, shows_fields=True))
    assert line.endswith('Predict OK model="a \\"b\\" c=d" peer=unix:')


def test_the_surrogates_of_a_file_name_are_no_surrogates_in_text():
    assert "\udcff" not in TextFormatter().format(make("no file %s", "\udcff", error=raised(OSError, "\udcff")))
    assert sys.getfilesystemencoding() == "utf-8"
