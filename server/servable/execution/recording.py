"""A recording of what TensorFlow does, and one that goes on until it is stopped.

TensorFlow has one profiler a process, and what it records takes memory until it is collected: 33 MB a second were
measured for 4,000 runs a second. So a continuous recording starts anew every `LONGEST_SEGMENT_S`, and what was recorded
before is lost; and it ends by itself when nobody has asked for it for `LONGEST_UNASKED_S`.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import tensorflow as tf

from servable.errors import AlreadyExists, Internal, NotFound, ServingError
from servable.execution.graph_session import translate

_log = logging.getLogger(__name__)

LONGEST_SEGMENT_S: Final = 10.0
LONGEST_UNASKED_S: Final = 600.0


class Recording:
    """One recording, which begins when it is made. End it by `stop` or `discard`."""

    def __init__(self) -> None:
        """Begin.

        Raises:
            ServingError: ALREADY_EXISTS while another one runs.
        """
        # Not cleaned up by a finalizer, which would warn: `stop` and `discard` do it.
        self._folder = tempfile.TemporaryDirectory()
        try:
            tf.profiler.experimental.start(self._folder.name)
        except tf.errors.OpError as error:
            self._folder.cleanup()
            raise translate(error) from error

    def stop(self) -> Sequence[bytes]:
        """End it; what was recorded, as serialized XSpaces.

        Raises:
            ServingError: if TensorFlow cannot collect it.
        """
        with self._folder:
            try:
                tf.profiler.experimental.stop()
            except tf.errors.OpError as error:
                raise translate(error) from error
            return [path.read_bytes() for path in Path(self._folder.name).rglob("*.xplane.pb")]

    def discard(self) -> None:
        """End it, and drop what was recorded. Raises nothing of TensorFlow's."""
        with self._folder:
            try:
                tf.profiler.experimental.stop(save=False)
            except tf.errors.OpError:
                _log.warning("a recording could not be ended", exc_info=True)


class ContinuousRecording:
    """A recording that callers start, look at and stop. Thread-safe.

    Source of the behaviour: TensorFlow, tsl/profiler/rpc/profiler_service_impl.cc.
    """

    def __init__(self, segment_s: float = LONGEST_SEGMENT_S, unasked_s: float = LONGEST_UNASKED_S) -> None:
        """Record nothing yet.

        Args:
            segment_s: What lies further back is lost.
            unasked_s: After so long without `start` or `snapshot` it ends.
        """
        self._segment_s, self._unasked_s = segment_s, unasked_s
        self._lock = threading.Lock()
        self._recording: Recording | None = None
        self._asked_s = self._began_s = 0.0
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to record.

        Raises:
            AlreadyExists: if it records already.
            Internal: if TensorFlow refuses.
        """
        with self._lock:
            if self._recording is not None:
                raise AlreadyExists("A profiling session is already running.")
            try:
                self._begin()
            except ServingError as error:
                raise Internal(f"Failed to create profiler session: {error.message}") from error
            self._asked_s = time.monotonic()
            self._ended = threading.Event()
            threading.Thread(target=self._bound, args=(self._ended,), name="profile", daemon=True).start()

    def stop(self) -> None:
        """Record no more, and drop what was recorded.

        Raises:
            NotFound: if it does not record.
        """
        with self._lock:
            recording = self._require()
            self._end()
            recording.discard()

    def snapshot(self) -> Sequence[bytes]:
        """What was recorded since the last one, as serialized XSpaces; the recording begins anew.

        Raises:
            NotFound: if it does not record.
            Internal: if it could not be collected. It then records no more.
        """
        with self._lock:
            recording = self._require()
            try:
                spaces = recording.stop()
                self._begin()
            except ServingError as error:
                self._end()
                raise Internal(error.message) from error
            self._asked_s = time.monotonic()
            return spaces

    def _require(self) -> Recording:
        if self._recording is None:
            raise NotFound("No continuous profiling session found.")
        return self._recording

    def _begin(self) -> None:
        self._recording = None
        self._recording, self._began_s = Recording(), time.monotonic()

    def _end(self) -> None:
        self._recording = None
        self._ended.set()

    def _bound(self, ended: threading.Event) -> None:
        """Drop what has become too old, on a thread of its own, until the recording has ended."""
        left_s = self._segment_s
        while not ended.wait(left_s):
            with self._lock:
                if ended.is_set() or self._recording is None:
                    return
                now_s = time.monotonic()
                left_s = self._began_s + self._segment_s - now_s
                if left_s > 0:
                    continue
                self._recording.discard()
                if now_s - self._asked_s >= self._unasked_s:
                    _log.warning("continuous profiling has ended, as nobody asked for it for %g s", self._unasked_s)
                    self._end()
                    return
                try:
                    self._begin()
                except ServingError as error:
                    _log.warning("continuous profiling has ended: %s", error)
                    self._end()
                    return
                left_s = self._segment_s
