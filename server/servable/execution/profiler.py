"""tensorflow.ProfilerService: record a trace of TensorFlow, for `tf.profiler.experimental.client.trace`.

The reply holds the trace, and the client saves it; the original writes it on the server, to a path of the caller's
choice.
Source of the messages: TensorFlow, tsl/profiler/protobuf/profiler_service.proto.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError

from servable import wire
from servable.errors import Internal, InvalidArgument
from servable.execution.graph_session import translate

_DEFAULT_DURATION_MS = 1000
# A recording takes memory as long as it runs, and a thread of the server, even if no caller waits for it any more.
_LONGEST_DURATION_MS = 10 * 60 * 1000
# The stock client saves a trace under this name, where TensorBoard finds it (tsl/profiler/rpc/client/save_profile.cc).
_XPLANE_TOOL = "xplane.pb"


def methods() -> Mapping[str, Callable[[bytes, float | None], bytes]]:
    """The calls by name; each takes a serialized request and the seconds that are left, and gives a reply."""
    profiler = Profiler()
    return {"Profile": profiler.profile, "Terminate": profiler.terminate}


class Profiler:
    """One recording at a time, as TensorFlow has one profiler a process. Thread-safe."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    def profile(self, request: bytes, time_left_s: float | None) -> bytes:
        """Record for `duration_ms` and answer with the trace: as an XSpace if the request asks for one, else as a file.

        Raises:
            ServingError: ALREADY_EXISTS while another recording runs, INVALID_ARGUMENT for a duration that is too long.
        """
        message = _parse(request)
        duration_s = _duration_s(message)
        with tempfile.TemporaryDirectory() as directory:
            self._record(directory, duration_s if time_left_s is None else min(duration_s, time_left_s))
            traces = [path.read_bytes() for path in Path(directory).rglob("*.xplane.pb")]
        response = wire.ProfileResponse(empty_trace=not traces)
        for trace in traces:
            if message.emit_xspace:
                response.xspace.MergeFromString(trace)
            else:
                response.tool_data.add(name=_XPLANE_TOOL, data=trace)
        return response.SerializeToString()

    def terminate(self, _request: bytes, _time_left_s: float | None) -> bytes:
        """End the recording that runs, if one does; its caller gets what was recorded so far."""
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


def _parse(request: bytes) -> wire.ProfileRequest:
    try:
        return wire.ProfileRequest.FromString(request)
    except DecodeError as error:
        # As gRPC C++ answers bytes that do not parse.
        raise Internal("") from error


def _duration_s(request: wire.ProfileRequest) -> float:
    duration_ms = request.duration_ms or _DEFAULT_DURATION_MS
    if duration_ms > _LONGEST_DURATION_MS:
        raise InvalidArgument(f"duration_ms must be at most {_LONGEST_DURATION_MS}; was {duration_ms}.")
    return duration_ms / 1000
