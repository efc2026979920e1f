"""tensorflow.ProfilerService: record a trace of TensorFlow, for `tf.profiler.experimental.client.trace`.

The reply holds the trace, and the client saves it; the original writes it on the server, to a path of the caller's
choice.
Source of the messages: TensorFlow, tsl/profiler/protobuf/profiler_service.proto.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from google.protobuf.message import DecodeError

from servable import wire
from servable.errors import Internal, InvalidArgument, Unimplemented
from servable.execution.recording import ContinuousRecording, Recording

# A recording takes memory as long as it runs, and a thread of the server, even if no caller waits for it any more.
_LONGEST_DURATION_MS = 10 * 60 * 1000
# The stock client saves a trace under this name, where TensorBoard finds it (tsl/profiler/rpc/client/save_profile.cc).
_XPLANE_TOOL = "xplane.pb"


# A session may be ended before it has begun, or one that never begins.
_MOST_TERMINATED = 1000


def methods() -> Mapping[str, Callable[[bytes, float | None], bytes]]:
    """The calls by name; each takes a serialized request and the seconds that are left, and gives a reply."""
    profiler, continuous = Profiler(), ContinuousProfiler()
    return {
        "Profile": profiler.profile,
        "Terminate": profiler.terminate,
        "Monitor": _monitor,
        "StartContinuousProfiling": continuous.start,
        "StopContinuousProfiling": continuous.stop,
        "GetSnapshot": continuous.snapshot,
    }


class Profiler:
    """One recording at a time, as TensorFlow has one profiler a process. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # The sessions that are to end, the latest last.
        self._terminated: OrderedDict[str, None] = OrderedDict()

    def profile(self, request: bytes, time_left_s: float | None) -> bytes:
        """Record for `duration_ms` and answer with the trace: as an XSpace if the request asks for one, else as a file.

        Raises:
            ServingError: ALREADY_EXISTS while another recording runs, INVALID_ARGUMENT for a duration that is too long.
        """
        message = _parse(request)
        duration_s = _duration_s(message)
        recording = Recording()
        try:
            self._wait(message.session_id, duration_s if time_left_s is None else min(duration_s, time_left_s))
        except BaseException:
            recording.discard()
            raise
        return _respond(recording.stop(), as_xspace=message.emit_xspace)

    def terminate(self, request: bytes, _time_left_s: float | None) -> bytes:
        """End the recording of a session, or the next one; its caller gets what was recorded so far."""
        try:
            session_id = wire.TerminateRequest.FromString(request).session_id
        except DecodeError as error:
            raise Internal("") from error
        with self._changed:
            self._terminated[session_id] = None
            if len(self._terminated) > _MOST_TERMINATED:
                self._terminated.popitem(last=False)
            self._changed.notify_all()
        return wire.TerminateResponse().SerializeToString()

    def _wait(self, session_id: str, duration_s: float) -> None:
        with self._changed:
            if self._changed.wait_for(lambda: session_id in self._terminated, duration_s):
                del self._terminated[session_id]


class ContinuousProfiler:
    """A recording that goes on while callers look at it. Requests say nothing that matters."""

    def __init__(self) -> None:
        self._recording = ContinuousRecording()

    def start(self, request: bytes, _time_left_s: float | None) -> bytes:
        """Begin to record; see ContinuousRecording.start."""
        _parse(request)
        self._recording.start()
        return wire.ContinuousProfilingResponse().SerializeToString()

    def stop(self, _request: bytes, _time_left_s: float | None) -> bytes:
        """Record no more; see ContinuousRecording.stop."""
        self._recording.stop()
        return wire.StopContinuousProfilingResponse().SerializeToString()

    def snapshot(self, _request: bytes, _time_left_s: float | None) -> bytes:
        """The trace since the last one, as an XSpace; see ContinuousRecording.snapshot."""
        return _respond(self._recording.snapshot(), as_xspace=True)


def _monitor(_request: bytes, _time_left_s: float | None) -> bytes:
    raise Unimplemented("unimplemented.")


def _respond(traces: Sequence[bytes], *, as_xspace: bool) -> bytes:
    response = wire.ProfileResponse(empty_trace=not traces)
    for trace in traces:
        if as_xspace:
            response.xspace.MergeFromString(trace)
        else:
            response.tool_data.add(name=_XPLANE_TOOL, data=trace)
    return response.SerializeToString()


def _parse(request: bytes) -> wire.ProfileRequest:
    try:
        return wire.ProfileRequest.FromString(request)
    except DecodeError as error:
        # As gRPC C++ answers bytes that do not parse.
        raise Internal("") from error


def _duration_s(request: wire.ProfileRequest) -> float:
    duration_ms = request.opts.duration_ms or request.duration_ms
    if duration_ms > _LONGEST_DURATION_MS:
        raise InvalidArgument(f"duration_ms must be at most {_LONGEST_DURATION_MS}; was {duration_ms}.")
    return duration_ms / 1000
