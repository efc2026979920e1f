"""The log: one line an event on stderr.

On a terminal a line is its level, in colour, and its text, as uvicorn has it. Anywhere else it has time, level and the
module that speaks as well, for those who collect logs.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_GREEN, _YELLOW, _RED, _GREY, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[90m", "\x1b[0m"
_COLOURS: Final = {logging.DEBUG: _GREY, logging.INFO: _GREEN, logging.WARNING: _YELLOW}
_LEVEL_WIDTH: Final = 10


def configure(level: str) -> None:
    """Send the log to stderr.

    Args:
        level: From where on lines show: one of options.LOG_LEVELS.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_TerminalFormatter() if _is_terminal() else logging.Formatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in ("tensorflow", "absl", "h5py"):
        # Their Python sides greet at every import and load; what they warn of comes through.
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_terminal() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


class _TerminalFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        colour = _COLOURS.get(record.levelno, _RED)
        lead = f"{colour}{record.levelname}{_PLAIN}:".ljust(_LEVEL_WIDTH + len(colour) + len(_PLAIN))
        return lead + super().format(record)
