"""Who logs never waits, whatever becomes of what is written to."""

import contextlib
import json
import logging
import os
import threading

import pytest

from servable.observability.line_formats import JsonFormatter
from servable.observability.line_writer import LineWriter, QueuedHandler

PATIENCE_S = 30.0


@pytest.fixture
def pipe():
    """The two ends of a pipe, of which the reading one may be closed by the test.

    The other one stays open: a thread may still be writing to it, and must not write to what gets its number next.
    """
    reader, writer = os.pipe()
    yield reader, writer
    with contextlib.suppress(OSError):
        os.close(reader)


def make(descriptor, *bound):
    handler = QueuedHandler(LineWriter(descriptor), *bound)
    handler.setFormatter(JsonFormatter())
    return handler


def record(text):
    return logging.LogRecord("servable.x", logging.INFO, __file__, 1, text, None, None)


def read_lines(reader, until):
    text = b""
    while until.encode() not in text or not text.endswith(b"\n"):
        text += os.read(reader, 1 << 20)
    return [json.loads(line) for line in text.splitlines()]


def in_time(call):
    """Whether a call returns."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return not thread.is_alive()


def test_a_pipe_that_nobody_reads_stops_nobody(pipe):
    handler = make(pipe[1], 1 << 20)

    def log():
        for _ in range(20_000):
            handler.handle(record("x" * 100))

    assert in_time(log)
    assert handler.left_out > 10_000


def test_once_it_is_read_again_a_line_says_how_many_are_missing(pipe):
    reader, writer = pipe
    handler = make(writer, 1 << 20)
    for _ in range(20_000):
        handler.handle(record("x" * 100))
    lines = []
    reading = threading.Thread(target=lambda: lines.extend(read_lines(reader, "again")))
    reading.start()
    assert handler.writer.flush(PATIENCE_S)
    handler.handle(record("again"))
    reading.join(PATIENCE_S)
    told = [line["left_out"] for line in lines if "were left out" in line["message"]]
    shown = sum(line["message"] == "x" * 100 for line in lines)
    assert sum(told) == handler.left_out > 0
    assert shown + sum(told) == 20_000
    assert "were left out, since stderr did not take them" in lines[-2]["message"]


def test_the_end_waits_for_a_blocked_pipe_for_a_bounded_time(pipe):
    handler = make(pipe[1])
    for _ in range(1_000):
        handler.handle(record("x" * 1_000))
    assert in_time(lambda: logging.shutdown([lambda: handler]))


def test_a_pipe_that_was_closed_stops_nobody_and_is_counted(pipe):
    reader, writer = pipe
    os.close(reader)
    handler = make(writer)
    handler.handle(record("lost"))
    handler.flush()
    assert handler.writer.failed == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
def test_a_full_disk_stops_nobody_and_is_counted():
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        handler = make(full)
        for _ in range(3):
            handler.handle(record("lost"))
        handler.flush()
        assert handler.writer.failed == 3
    finally:
        os.close(full)


def test_a_descriptor_that_is_not_to_be_waited_for_gets_every_line(pipe):
    reader, writer = pipe
    os.set_blocking(writer, False)
    handler = make(writer)
    for number in range(5_000):
        handler.handle(record(str(number)))
    handler.handle(record("last one"))
    lines = read_lines(reader, "last one")
    assert [line["message"] for line in lines] == [*map(str, range(5_000)), "last one"]


def test_lines_of_many_threads_are_whole(pipe):
    reader, writer = pipe
    handler = make(writer)

    def log():
        for _ in range(20):
            handler.handle(record("y" * 9_000))

    threads = [threading.Thread(target=log) for _ in "abcd"]
    for thread in threads:
        thread.start()
    lines = 0
    rest = b""
    while lines < 80:
        *whole, rest = (rest + os.read(reader, 1 << 20)).split(b"\n")
        assert all(json.loads(line)["message"] == "y" * 9_000 for line in whole)
        lines += len(whole)
    for thread in threads:
        thread.join(PATIENCE_S)
