"""A drain at full load, with TensorFlow: every call gets its reply or is refused before it ran, and the server ends.

Clients call as fast as they can, quick and slow signatures at once; some leave, some have deadlines that pass, and some
never read their replies.
"""

import contextlib
import signal

import numpy as np
import pytest

from tests import serving
from tests.batching.callers import PREDICT, request_bytes
from tests.process.launching import ServerProcess
from tests.process.raw_http2 import RawClient
from tests.transport.draining import draining, ended
from tests.transport.recorded_runs import MODEL, Crowd, RecordedModel, check

REPLIES = 150
GRACE_S = 20.0
BATCHING = {
    "unbatched": None,
    "batched": "",
    "timed": "max_batch_size { value: 8 } batch_timeout_micros { value: 2000 } max_enqueued_batches { value: 99 }",
    "split": "max_batch_size { value: 8 } max_execution_batch_size { value: 2 } max_enqueued_batches { value: 99 } "
    "enable_large_batch_splitting { value: true }",
}


@pytest.fixture
def model(tmp_path):
    return RecordedModel(tmp_path)


def batching_flags(name, folder):
    """The flags of one of BATCHING, by name."""
    text = BATCHING[name]
    if text is None:
        return {}
    if not text:
        return {"enable_batching": True}
    (folder / "batching.txt").write_text(text)
    return {"enable_batching": True, "batching_parameters_file": str(folder / "batching.txt")}


@pytest.mark.behaviour(
    "8.4", "ours: a drain at full load, batched or not, answers each call or refuses it before it ran"
)
@pytest.mark.parametrize("lanes", [0, 1, 2])
@pytest.mark.parametrize("batching", BATCHING)
def test_each_call_is_answered_or_refused_before_it_ran(model, tmp_path, lanes, batching):
    running = serving.start(model, MODEL, grpc_lanes=lanes, **batching_flags(batching, tmp_path))
    with contextlib.closing(running):
        crowd = Crowd(running.address)
        crowd.await_replies(REPLIES)
        assert ended(draining(running.server, GRACE_S))
        crowd.await_end()
    check(crowd, model)


@contextlib.contextmanager
def process(*flags):
    """Yields a ServerProcess that serves; it has ended after."""
    server = ServerProcess(*flags)
    try:
        yield server.wait_until_serving()
    finally:
        server.kill()


@pytest.mark.behaviour(
    "8.4", "ours: a drain at full load, batched or not, answers each call or refuses it before it ran"
)
@pytest.mark.parametrize(("lanes", "batching"), [(0, "batched"), (1, "batched"), (2, "unbatched")])
def test_a_process_ends_with_0_and_each_call_is_answered_or_refused_before_it_ran(model, tmp_path, lanes, batching):
    flags = {"model_name": MODEL, "model_base_path": model.base_path(MODEL), "grpc_lanes": lanes}
    flags |= batching_flags(batching, tmp_path)
    with process(*(f"--{name}={value}" for name, value in flags.items())) as server:
        crowd = Crowd(server.address)
        crowd.await_replies(REPLIES)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        crowd.await_end()
        assert "stopped" in server.stderr.text()
    check(crowd, model)


@pytest.mark.behaviour(
    "8.4", "ours: a drain at full load, batched or not, answers each call or refuses it before it ran"
)
@pytest.mark.parametrize("lanes", [0, 1])
def test_clients_that_do_not_read_cost_nobody_else_a_reply(model, tmp_path, lanes):
    """They hold up the drain until its grace is over; what the others have begun is answered before."""
    running = serving.start(model, MODEL, grpc_lanes=lanes, **batching_flags("batched", tmp_path))
    with contextlib.closing(running), contextlib.ExitStack() as ending:
        port = int(running.address.rpartition(":")[2])
        for key in ("quick", "slow"):
            client = RawClient(port, window_bytes=0)
            ending.callback(client.close)
            for number in range(10):
                client.call(PREDICT, request_bytes(MODEL, key, {"id": np.array([-1 - number])}))
        crowd = Crowd(running.address)
        crowd.await_replies(REPLIES)
        assert ended(draining(running.server, 3.0))
        crowd.await_end()
    check(crowd, model)
