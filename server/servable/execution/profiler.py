"""tensorflow.ProfilerService: record what TensorFlow does for a while, for `tf.profiler.experimental.client.trace`.

The trace goes back to the caller and to no path of the caller's choice. Source of the messages: TensorFlow,
tsl/profiler/protobuf/profiler_service.proto.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from servable import wire
from servable.execution.graph_session import translate

_DEFAULT_DURATION_MS = 1000


def methods() -> Mapping[str, Callable[[bytes, float | None], bytes]]:
    """The calls by name; each takes a serialized request and the seconds that are left, and gives a reply."""
    profiler = Profiler()
    return {"Profile": profiler.profile, "Terminate": profiler.terminate}


class Profiler:
    """One recording at a time, as TensorFlow has one profiler a process. Thread-safe."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    def profile(self, request: bytes, time_left_s: float | None) -> bytes:
        """Record for `duration_ms` and answer with the trace as an XSpace.

        Raises:
            ServingError: ALREADY_EXISTS while another recording runs.
        """
        message = wire.ProfileRequest.FromString(request)
        duration_s = (message.duration_ms or _DEFAULT_DURATION_MS) / 1000
        with tempfile.TemporaryDirectory() as directory:
            self._record(directory, min(duration_s, time_left_s or duration_s))
            traces = [path.read_bytes() for path in Path(directory).rglob("*.xplane.pb")]
        response = wire.ProfileResponse(empty_trace=not traces)
        for trace in traces:
            response.xspace.MergeFromString(trace)
        return response.SerializeToString()

    def terminate(self, _request: bytes, _time_left_s: float | None) -> bytes:
        """End the recording that runs, if one does; its caller gets what was recorded."""
        self._ended.set()
        return wire.TerminateResponse().SerializeToString()

    def _record(self, directory: str, duration_s: float) -> None:
        try:
            tf.profiler.experimental.start(directory)
        except tf.errors.OpError as error:
            raise translate(error) from error
        self._ended.clear()
        try:
            self._ended.wait(duration_s)
        finally:
            tf.profiler.experimental.stop()
