"""Reads the config file again and again, and applies it like a reload.

Source of the behaviour: TensorFlow Serving, model_servers/server.cc (PollFilesystemAndReloadConfig).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from servable.config import models, text_proto
from servable.config.models import ModelConfig
from servable.errors import ServingError
from servable.management.served_models import ServedModels

_log = logging.getLogger(__name__)

_UNREADABLE = "Failed to read ModelServerConfig file"


class ConfigFile:
    """A text file with a ModelServerConfig. Not thread-safe: one thread takes its turns."""

    def __init__(self, path: str, interval_s: float, served_models: ServedModels) -> None:
        """Watch a file.

        Args:
            path: The file.
            interval_s: Seconds between two readings.
            served_models: Takes what is read.
        """
        self._path, self._interval_s, self._served_models = path, interval_s, served_models
        self._due_s: float | None = None
        self._last_complaint = ""
        # What was read last, and what it says: models, or what is wrong with it, or neither.
        self._text = b""
        self._configs: Sequence[ModelConfig] | None = None
        self._fault = ""

    def turn(self, now_s: float) -> float:
        """Read the file and apply it, if it is time. What is wrong with it is logged, and changes nothing.

        Returns:
            When it is time again.
        """
        if self._due_s is None or now_s >= self._due_s:
            self._complain(self._reload())
            self._due_s = now_s + self._interval_s
        return self._due_s

    def _reload(self) -> str:
        """Returns what is wrong, or nothing."""
        try:
            text = text_proto.content(self._path)
        except ServingError as error:
            return f"{_UNREADABLE}: {error}"
        if text != self._text:
            # Once for each text: parsing tells the log what it meets.
            self._text, self._configs, self._fault = text, *self._parse(text)
        if self._configs is None:
            return self._fault
        try:
            # Nobody waits for the models: the log and GetModelStatus tell what becomes of them.
            self._served_models.apply(self._configs).arrivals.stop()
        except ServingError as error:
            return f"PollFilesystemAndReloadConfig failed to ReloadConfig: {error}"
        return ""

    def _parse(self, text: bytes) -> tuple[Sequence[ModelConfig] | None, str]:
        try:
            return models.parse(self._path, text, self._served_models.names), ""
        except ServingError as error:
            return None, f"{_UNREADABLE}: {error}"

    def _complain(self, complaint: str) -> None:
        """Say what is wrong once, not at each reading."""
        if complaint and complaint != self._last_complaint:
            _log.error("%s", complaint)
        self._last_complaint = complaint
