"""A continuous recording is bounded: in what it keeps, and in how long it goes on unasked."""

import threading

import pytest
import tensorflow as tf

from servable.errors import NotFound
from servable.execution.recording import ContinuousRecording

PATIENCE_S = 60.0


@pytest.fixture
def ended_threads():
    """The threads of recordings have ended when a test has."""
    yield
    for thread in threading.enumerate():
        if thread.name == "profile":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def profile_thread():
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "profile"]
    return thread


def test_a_recording_that_nobody_asks_for_ends_by_itself(ended_threads, caplog):
    recording = ContinuousRecording(segment_s=0.05, unasked_s=0.0)
    recording.start()
    profile_thread().join(PATIENCE_S)
    with pytest.raises(NotFound, match="No continuous profiling session found"):
        recording.snapshot()
    assert "nobody asked for it" in caplog.text


def test_what_is_older_than_a_segment_is_dropped_and_the_recording_goes_on(ended_threads):
    recording = ContinuousRecording(segment_s=0.05)
    recording.start()
    first = recording._recording
    began = threading.Event()

    def wait_for_the_next():
        while recording._recording in {first, None}:
            began.wait(0.01)

    waiting = threading.Thread(target=wait_for_the_next)
    waiting.start()
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    assert recording.snapshot()
    recording.stop()


def test_a_recording_that_tensorflow_ends_meanwhile_is_over(ended_threads):
    recording = ContinuousRecording()
    recording.start()
    tf.profiler.experimental.stop(save=False)
    with pytest.raises(Exception, match="profiler"):
        recording.snapshot()
    with pytest.raises(NotFound):
        recording.stop()
