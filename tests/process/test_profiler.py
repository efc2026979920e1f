"""tensorflow.ProfilerService on the gRPC port, with TensorFlow's own client."""

import threading

import grpc
import pytest
import tensorflow as tf

from servable import wire
from tests.conformance.calls import (
    ALREADY_EXISTS,
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    UNIMPLEMENTED,
    predict_request,
    refused,
)

PROFILER = "/tensorflow.ProfilerService/"
PATIENCE_S = 60.0
# An op of half_plus_two, as events of a trace name it.
OP = b"AddV2"


class Caller(threading.Thread):
    """Predicts until it is stopped."""

    def __init__(self, running):
        super().__init__()
        self._running, self._is_stopped = running, threading.Event()
        self.answered, self.calling = 0, threading.Event()

    def run(self):
        request = predict_request("half_plus_two", {"x": [[2.0]]})
        while not self._is_stopped.is_set():
            self._running.prediction.Predict(request, timeout=PATIENCE_S)
            self.answered += 1
            self.calling.set()

    def stop(self):
        self._is_stopped.set()
        self.join(PATIENCE_S)


@pytest.fixture
def caller(profiled):
    caller = Caller(profiled)
    caller.start()
    assert caller.calling.wait(PATIENCE_S)
    yield caller
    caller.stop()


def profile(profiled, **request):
    """A recording that goes on; its reply comes as a ProfileResponse."""
    call = profiled.channel.unary_unary(PROFILER + "Profile", response_deserializer=wire.ProfileResponse.FromString)
    return call.future(wire.ProfileRequest(**request).SerializeToString(), timeout=PATIENCE_S)


def refused_profile(profiled, request):
    return refused(profiled.channel.unary_unary(PROFILER + "Profile"), request)


@pytest.mark.behaviour("1.1", "ProfilerService is there unless its flag is false")
@pytest.mark.behaviour("10.3", "the stock client traces while predictions run")
@pytest.mark.behaviour("13.1", "29 test_profiler_service_with_valid_trace_request")
def test_the_stock_client_traces_and_saves_what_it_got(profiled, caller, tmp_path):
    tf.profiler.experimental.client.trace(f"grpc://{profiled.address}", str(tmp_path), 200)
    (trace,) = tmp_path.rglob("*.xplane.pb")
    assert trace.name == profiled.address.replace(":", "_") + ".xplane.pb"
    assert OP in trace.read_bytes()
    assert caller.answered > 0


@pytest.mark.behaviour("10.3", "ours: the trace goes to the caller, and to no path on the server")
def test_no_path_of_a_callers_choice_is_written_to(profiled, tmp_path):
    response = profile(profiled, duration_ms=1, repository_root=str(tmp_path), session_id="s", host_name="h")
    assert [tool.name for tool in response.result(PATIENCE_S).tool_data] == ["xplane.pb"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.behaviour("10.3", "ours: the trace goes to the caller, and to no path on the server")
def test_an_xspace_is_sent_if_it_is_asked_for(profiled):
    response = profile(profiled, duration_ms=1, emit_xspace=True).result(PATIENCE_S)
    assert response.HasField("xspace")
    assert not response.tool_data
    assert not response.empty_trace


@pytest.mark.behaviour("10.3", "one recording at a time, which Terminate ends")
def test_a_second_recording_is_refused_and_terminate_ends_the_first(profiled):
    first, refusal = profile(profiled, duration_ms=500_000, emit_xspace=True), None
    # Whether the first has begun can be seen by a second only, which may come too early, or even before it.
    while refusal is None or first.done():
        if first.done():
            first = profile(profiled, duration_ms=500_000, emit_xspace=True)
        refusal = profile(profiled, duration_ms=1).exception(PATIENCE_S)
    assert refusal.code().name == "ALREADY_EXISTS"
    assert refusal.details() == "Another profiler is running."
    assert profiled.call(PROFILER + "Terminate", b"") == b""
    assert first.result(PATIENCE_S).HasField("xspace")
    assert not profile(profiled, duration_ms=1).result(PATIENCE_S).empty_trace


@pytest.mark.behaviour("10.3", "ours: a recording ends with its caller's deadline and lasts ten minutes at most")
def test_a_recording_ends_with_the_deadline_of_its_caller(profiled):
    call = profiled.channel.unary_unary(PROFILER + "Profile")
    request = wire.ProfileRequest(duration_ms=500_000).SerializeToString()
    # At the deadline the recording ends and the caller gives up: either may be the first.
    failure = call.future(request, timeout=0.3).exception(PATIENCE_S)
    assert failure is None or failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    refusal = True
    while refusal:
        refusal = profile(profiled, duration_ms=1).exception(PATIENCE_S)


@pytest.mark.behaviour("10.3", "one recording at a time, which Terminate ends")
def test_terminate_without_a_recording_is_answered(profiled):
    assert profiled.call(PROFILER + "Terminate", b"") == b""
    assert not profile(profiled, duration_ms=1).result(PATIENCE_S).empty_trace


@pytest.mark.behaviour("10.3", "ours: a recording ends with its caller's deadline and lasts ten minutes at most")
@pytest.mark.parametrize("duration_ms", [600_001, 1 << 63, (1 << 64) - 1])
def test_a_recording_without_end_is_refused(profiled, duration_ms):
    request = wire.ProfileRequest(duration_ms=duration_ms).SerializeToString()
    assert refused_profile(profiled, request) == (
        INVALID_ARGUMENT,
        f"duration_ms must be at most 600000; was {duration_ms}.",
    )


def test_bytes_that_do_not_parse_are_internal_without_a_text(profiled):
    assert refused_profile(profiled, b"\xff") == (INTERNAL, "")


@pytest.mark.behaviour("1.1", "Monitor and continuous profiling")
@pytest.mark.behaviour("10.3", "Monitor is UNIMPLEMENTED")
def test_nothing_is_monitored(profiled):
    assert refused(profiled.channel.unary_unary(PROFILER + "Monitor"), b"") == (UNIMPLEMENTED, "unimplemented.")


@pytest.fixture
def continuous(profiled):
    profiled.call(PROFILER + "StartContinuousProfiling", b"")
    yield profiled
    # A test may have stopped it itself.
    profiled.channel.unary_unary(PROFILER + "StopContinuousProfiling").future(b"").exception(PATIENCE_S)


@pytest.mark.behaviour("10.3", "GetSnapshot answers with the trace since the last one")
def test_snapshots_hold_the_ops_that_ran_since_the_last_one(continuous, caller):
    for _ in range(2):
        seen, trace = caller.answered, b""
        while caller.answered < seen + 3 or OP not in trace:
            response = wire.ProfileResponse.FromString(continuous.call(PROFILER + "GetSnapshot", b""))
            assert response.HasField("xspace")
            trace = response.xspace.SerializeToString()


@pytest.mark.behaviour("10.3", "one continuous recording at a time")
def test_a_second_continuous_recording_is_refused(continuous):
    start = continuous.channel.unary_unary(PROFILER + "StartContinuousProfiling")
    assert refused(start, b"") == (ALREADY_EXISTS, "A profiling session is already running.")
    assert profile(continuous, duration_ms=1).exception(PATIENCE_S).details() == "Another profiler is running."
    assert continuous.call(PROFILER + "StopContinuousProfiling", b"") == b""
    assert not profile(continuous, duration_ms=1).result(PATIENCE_S).empty_trace


@pytest.mark.behaviour("10.3", "without a continuous recording there is none to stop or to look at")
@pytest.mark.parametrize("method", ["StopContinuousProfiling", "GetSnapshot"])
def test_what_is_not_recorded_cannot_be_asked_for(profiled, method):
    assert refused(profiled.channel.unary_unary(PROFILER + method), b"") == (
        NOT_FOUND,
        "No continuous profiling session found.",
    )


@pytest.mark.behaviour("10.3", "Terminate is remembered for a session that has not begun")
def test_a_session_that_was_terminated_before_it_began_ends_at_once(profiled):
    profiled.call(PROFILER + "Terminate", wire.TerminateRequest(session_id="early").SerializeToString())
    assert (
        profile(profiled, duration_ms=500_000, session_id="early", emit_xspace=True)
        .result(PATIENCE_S)
        .HasField("xspace")
    )


@pytest.mark.behaviour("1.1", "ProfilerService is there unless its flag is false")
@pytest.mark.behaviour("5", "--enable_profiler")
def test_without_its_flag_there_is_no_profiler(servers):
    running = servers("half_plus_two")
    assert refused(running.channel.unary_unary(PROFILER + "Profile"), b"") == (UNIMPLEMENTED, "")
