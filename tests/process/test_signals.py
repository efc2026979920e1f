"""SIGTERM and SIGINT: an orderly end that is bounded, and a way to end at once."""

import signal

import grpc
import numpy as np
import pytest
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


@pytest.mark.behaviour("5", "--model_name")
@pytest.mark.behaviour("11.5", "ours: SIGTERM and SIGINT drain and end with 0")
def test_sigterm_notifies_the_watchers_and_waits_for_the_call_in_flight(serve, models):
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


@pytest.mark.behaviour("5", "ours: --drain_timeout_s")
@pytest.mark.behaviour("11.5", "ours: SIGTERM and SIGINT drain and end with 0")
def test_sigint_cuts_a_call_that_outlasts_the_drain_timeout(serve, models):
    process = serve(*single_model(models, "gate"), "--drain_timeout_s=0.5").wait_until_serving()
    with connect(process.address) as channel:
        call = enter_gate(prediction_service_pb2_grpc.PredictionServiceStub(channel))
        process.signal(signal.SIGINT)
        assert call.exception(TIMEOUT_S).code() is grpc.StatusCode.UNAVAILABLE
        assert process.wait() == 0
    assert "calls in flight have 0.5 s" in process.stderr.text()


@pytest.mark.behaviour("11.5", "ours: a signal in the delay of a drain skips it, one after it ends at once")
def test_without_a_delay_a_second_signal_ends_the_process_at_once(serve, models):
    process = serve(*single_model(models, "gate"), "--drain_timeout_s=3600").wait_until_serving()
    with connect(process.address) as channel:
        call = enter_gate(prediction_service_pb2_grpc.PredictionServiceStub(channel))
        process.signal(signal.SIGTERM)
        process.stderr.wait_for("draining: calls in flight have 3600 s; one more signal ends them")
        process.signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
        assert call.exception(TIMEOUT_S).code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.behaviour("5", "ours: --drain_delay_s")
@pytest.mark.behaviour("11.5", "ours: a signal in the delay of a drain skips it, one after it ends at once")
def test_it_serves_on_while_it_says_not_serving_until_a_second_signal_and_ends_at_once_with_a_third(serve, models):
    flags = "--drain_delay_s=3600", "--drain_timeout_s=3600"
    process = serve(*single_model(models, "gate"), *flags).wait_until_serving()
    with connect(process.address) as channel, connect(process.address) as later_channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        assert next(watch).status == SERVING
        call = enter_gate(stub)
        process.signal(signal.SIGTERM)
        assert next(watch).status == NOT_SERVING
        process.stderr.wait_for("NOT_SERVING; serving on for 3600 s")
        # A balancer that has not heard of it may still come, over the connection that it has or over another.
        later = [enter_gate(stub), enter_gate(prediction_service_pb2_grpc.PredictionServiceStub(later_channel))]
        process.signal(signal.SIGINT)
        process.stderr.wait_for("draining: calls in flight have 3600 s; one more signal ends them")
        assert list(watch) == []
        assert [one.done() for one in (call, *later)] == [False] * 3
        process.signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
        assert [one.exception(TIMEOUT_S).code() for one in (call, *later)] == [grpc.StatusCode.UNAVAILABLE] * 3


@pytest.mark.behaviour("5", "ours: --drain_delay_s")
def test_the_delay_ends_by_itself_and_then_calls_in_flight_end(serve, models):
    process = serve(*single_model(models, "slow"), "--drain_delay_s=2").wait_until_serving()
    with connect(process.address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        process.signal(signal.SIGTERM)
        process.stderr.wait_for("NOT_SERVING; serving on for 2 s")
        call = stub.Predict.future(predict_request("slow", {"iterations": np.array([STEPS])}), timeout=TIMEOUT_S)
        process.stderr.wait_for("draining")
        assert values(call.result(TIMEOUT_S).outputs["counted"]) == [STEPS]
    assert process.wait() == 0
    assert "servable.process: stopped" in process.stderr.text()


@pytest.mark.behaviour("11.5", "ours: a signal ends a load")
def test_sigterm_ends_a_load_that_never_ends(serve, endless_load):
    process = serve("--model_name=endless", f"--model_base_path={endless_load}", "--log_level=debug")
    process.stderr.wait_for(r"loading \{name: endless version: 1\}")
    assert not is_open(process.port)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    assert not is_open(process.port)
