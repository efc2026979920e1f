"""The log: one line an event on stderr, with time, level and the module that speaks."""

from __future__ import annotations

import logging

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure() -> None:
    """Send the log to stderr from INFO on."""
    logging.basicConfig(level=logging.INFO, format=_FORMAT)
    # TensorFlow's Python side greets at every import and load; what it warns of comes through.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
