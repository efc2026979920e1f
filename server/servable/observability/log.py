"""The log: one line an event on stderr.

On a terminal a line is its level, in colour, and its text, as uvicorn has it. Anywhere else it has time, level and the
module that speaks as well, for those who collect logs; with `--log_format=json` it is a JSON object (`line_formats`).

Lines are written by a thread of their own (`line_writer`), so that a stderr that blocks stops nobody. The end of the
process waits for them for a moment: `logging.shutdown`, which Python calls at its end, and who ends by os._exit calls.
Warnings of Python's, and exceptions that nobody has caught, are lines of the log, too.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Final

from servable.errors import HIDE_ERROR_TEXT
from servable.observability import native_log
from servable.observability.families import Family, Kind, Labels
from servable.observability.histograms import Histogram
from servable.observability.line_formats import JsonFormatter, TerminalFormatter, TextFormatter
from servable.observability.line_writer import LineWriter, QueuedHandler

_log = logging.getLogger(__name__)

ACCESS_LOGGER: Final = "servable.access"
"""The logger of the access log: its lines show at every level, and wait in a bound of their own."""

_ACCESS_WAITING_BYTES: Final = 1 << 20
_STDERR: Final = 2


def configure(level: str, format_: str = "text") -> None:
    """Send the log to stderr. Once in a process.

    Args:
        level: From where on lines show: one of options.LOG_LEVELS.
        format_: One of options.LOG_FORMATS.
    """
    is_json = format_ == "json"
    formatter: logging.Formatter = JsonFormatter() if is_json else TextFormatter()
    if not is_json and _is_terminal():
        formatter = TerminalFormatter()
    # Of our own, since stderr is a file while TensorFlow starts, and a pipe afterwards where all is to be JSON.
    writer = LineWriter(os.dup(_STDERR))
    logging.basicConfig(level=level.upper(), handlers=[_handler(writer, formatter)])
    access = logging.getLogger(ACCESS_LOGGER)
    access.setLevel(logging.INFO)
    access.propagate = False
    access.addHandler(_handler(writer, formatter, _ACCESS_WAITING_BYTES))
    for name in ("tensorflow", "absl", "h5py"):
        # Their Python sides greet at every import and load; what they warn of comes through.
        logging.getLogger(name).setLevel(logging.WARNING)
    # It logs what callbacks of connections raise.
    logging.getLogger("asyncio").addFilter(_hide_error_text)
    if is_json:
        native_log.follow()
    _catch_all()


def families() -> Iterable[Family]:
    """How many lines did not reach stderr, by log and by why."""
    handlers = {"server": logging.getLogger(), "access": logging.getLogger(ACCESS_LOGGER)}
    queued = [(name, each) for name, logger in handlers.items() for each in _queued(logger)]
    lost: dict[Labels, float | Histogram] = {(name, "blocked"): float(each.left_out) for name, each in queued}
    lost["all", "failed"] = float(sum(writer.failed for writer in {each.writer for _name, each in queued}))
    yield Family("servable_log_lines_lost", Kind.COUNTER, ("log", "reason"), lost, "Lines that stderr did not take.")


def _queued(logger: logging.Logger) -> Iterator[QueuedHandler]:
    return (handler for handler in logger.handlers if isinstance(handler, QueuedHandler))


def _handler(writer: LineWriter, formatter: logging.Formatter, *bound: int) -> QueuedHandler:
    handler = QueuedHandler(writer, *bound)
    handler.setFormatter(formatter)
    return handler


def _catch_all() -> None:
    """Make lines of what Python would print to stderr: a write there may block, and is no JSON."""
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_exception("the process ends, for it failed in an unforeseen way")
    threading.excepthook = _log_thread
    sys.unraisablehook = lambda failed: _log.error(
        "an exception could not be raised", exc_info=failed.exc_value or True, extra=HIDE_ERROR_TEXT
    )
    # What it writes goes to stderr itself, since nothing else can be trusted by then.
    faulthandler.enable(_STDERR)


def _log_exception(text: str) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    def log(_kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
        _log.critical(text, exc_info=error)

    return log


def _hide_error_text(record: logging.LogRecord) -> bool:
    record.__dict__.update(HIDE_ERROR_TEXT)
    return True


def _log_thread(failed: Any) -> None:
    if failed.exc_type is not SystemExit:
        name = failed.thread.name if failed.thread is not None else "a thread"
        _log.critical(
            "%s ended, for it failed in an unforeseen way", name, exc_info=failed.exc_value, extra=HIDE_ERROR_TEXT
        )


def _is_terminal() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
