"""SIGTERM and SIGINT: an orderly end that is bounded, and a way to end at once."""

import signal

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.conformance.calls import TIMEOUT_S, predict_request, values
from tests.process.launching import is_open
from tests.process.transport import connect

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
# About two seconds.
STEPS = 700_000


def single_model(models, name):
    return f"--model_name={name}", f"--model_base_path={models.base_path(name)}"


def enter_gate(stub):
    """A call that is inside its run, where nothing but the end of the server frees it."""
    call = stub.Predict.future(predict_request("gate", {"x": [1.0]}, "pass"), timeout=TIMEOUT_S)
    stub.Predict(predict_request("gate", signature="await_arrival"), timeout=TIMEOUT_S)
    return call


def test_sigterm_tells_the_watchers_and_waits_for_the_call_in_flight(serve, models):
    process = serve(*single_model(models, "slow")).wait_until_serving()
    with connect(process.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        assert next(watch).status == SERVING
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        call = stub.Predict.future(predict_request("slow", {"iterations": np.array([STEPS])}), timeout=TIMEOUT_S)
        # What comes later over the same connection is answered, so the call has arrived.
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S).status == SERVING
        process.signal(signal.SIGTERM)
        assert next(watch).status == NOT_SERVING
        assert not call.done()
        assert values(call.result(TIMEOUT_S).outputs["counted"]) == [STEPS]
        assert list(watch) == []
    assert process.wait() == 0
    assert not is_open(process.port)
    assert "servable.process: stopped" in process.stderr.text()


def test_sigint_cuts_a_call_that_outlasts_the_drain_timeout(serve, models):
    process = serve(*single_model(models, "gate"), "--drain_timeout_s=0.5").wait_until_serving()
    with connect(process.address) as channel:
        call = enter_gate(prediction_service_pb2_grpc.PredictionServiceStub(channel))
        process.signal(signal.SIGINT)
        assert call.exception(TIMEOUT_S).code() is grpc.StatusCode.UNAVAILABLE
        assert process.wait() == 0
    assert "calls in flight have 0.5 s" in process.stderr.text()


def test_a_second_signal_ends_the_process_at_once(serve, models):
    process = serve(*single_model(models, "gate"), "--drain_timeout_s=3600").wait_until_serving()
    with connect(process.address) as channel:
        call = enter_gate(prediction_service_pb2_grpc.PredictionServiceStub(channel))
        process.signal(signal.SIGTERM)
        process.stderr.wait_for("draining: calls in flight have 3600 s; a second signal ends them")
        process.signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
        assert call.exception(TIMEOUT_S).code() is grpc.StatusCode.UNAVAILABLE


def test_sigterm_ends_a_load_that_never_ends(serve, endless_load):
    process = serve("--model_name=endless", f"--model_base_path={endless_load}")
    process.stderr.wait_for(r"loading \{name: endless version: 1\}")
    assert not is_open(process.port)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    assert not is_open(process.port)
