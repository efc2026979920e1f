"""A wall clock that jumps while calls wait expires none of them."""

import time

import grpc
import numpy as np
import pytest

from benchmarks.resilience import clocks
from benchmarks.resilience.servers import Server
from servable_client import wire
from servable_client.tensors import encode

PREDICT = "/tensorflow.serving.PredictionService/Predict"
HOUR_S = 3600
TIMEOUT_S = 60
# About a second and a half, during which the clock jumps.
STEPS = 500_000
ONE_AT_A_TIME = "num_batch_threads { value: 1 } max_batch_size { value: 1 }"


def request(steps):
    message = wire.PredictRequest()
    message.model_spec.name = "slow"
    message.inputs["iterations"].CopyFrom(encode(np.array([steps])))
    return message.SerializeToString()


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_call_with_a_deadline_that_waits_while_the_wall_clock_jumps_is_answered(models, tmp_path, jump_s):
    library = clocks.build_library(tmp_path)
    if library is None:
        pytest.skip("there is no C compiler")
    clock = clocks.WallClock(tmp_path / "offset")
    (tmp_path / "batching").write_text(ONE_AT_A_TIME)
    flags = "--model_name=slow", f"--model_base_path={models.base_path('slow')}", "--enable_batching"
    flags += (f"--batching_parameters_file={tmp_path / 'batching'}",)
    environment = {"LD_PRELOAD": str(library), "WALL_CLOCK_OFFSET": str(clock.path)}
    with Server(tmp_path / "log", *flags, environment=environment) as server:  # noqa: SIM117
        with grpc.insecure_channel(server.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            predict = channel.unary_unary(PREDICT)
            predict(request(1), timeout=TIMEOUT_S)
            begun_s = time.monotonic()
            running = predict.future(request(STEPS), timeout=TIMEOUT_S)
            waiting = [predict.future(request(steps), timeout=TIMEOUT_S) for steps in (2, 3)]
            # What comes later over the same connection is answered, so these have arrived.
            channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=TIMEOUT_S)
            assert not running.done()
            clock.set(jump_s)
            replies = [wire.PredictResponse.FromString(call.result(TIMEOUT_S)) for call in (running, *waiting)]
            assert [list(reply.outputs["counted"].int64_val) for reply in replies] == [[STEPS], [2], [3]]
            assert time.monotonic() - begun_s < TIMEOUT_S
