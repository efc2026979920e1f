"""Limits of a real server, met by gRPC and by HTTP."""

import dataclasses
import json
import time
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests import serving
from tests.models.notation import tf
from tests.process.launching import free_port

PATIENCE_S = 30.0
ENDLESS = 10**12
# Its deadline stops the endless call, in case that no test has.
LONG_S = 15.0


def predict(model, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(np.array(value)))
    return request


@dataclasses.dataclass
class Busy:
    """A server, and a call of it that does not end before it is cancelled."""

    running: serving.Running
    call: grpc.Future

    def ask(self, model="half_plus_two", channel=None, **asked):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel or self.running.channel)
        return stub.Predict(predict(model, x=np.float32([2.0])), timeout=PATIENCE_S, **asked)

    def await_refusal(self, **asked):
        """The error of the first call that finds the other one in flight."""
        return await_error(grpc.RpcError, lambda: self.ask(**asked))


def await_error(kind, call):
    """What a call raises, once it does."""
    ends_at_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends_at_s:
        try:
            call()
        except kind as error:  # noqa: PERF203
            return error
    raise AssertionError("no call was refused")


def calls_in_flight(running):
    (family,) = [family for family in running.server._grpc.families() if family.name == "servable_requests_in_flight"]
    return sum(family.values.values())


@pytest.fixture
def busy(request, models):
    flags = {"rest_api_port": free_port(), **request.param}
    running = serving.start(models, "half_plus_two", "slow", **flags)
    call = running.prediction.Predict.future(predict("slow", iterations=np.int64([ENDLESS])), LONG_S, [("who", "me")])
    wait_until(lambda: calls_in_flight(running) == 1)
    yield Busy(running, call)
    call.cancel()
    running.close()


def trailers(error):
    return dict(error.trailing_metadata())


@pytest.mark.parametrize("busy", [{"max_calls_in_flight": 1}], indirect=True)
def test_a_call_over_the_limit_is_refused_with_a_push_back_and_the_next_one_is_not(busy):
    error = busy.await_refusal()
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "--max_calls_in_flight" in error.details()
    assert 500 <= int(trailers(error)["grpc-retry-pushback-ms"]) <= 1000
    busy.call.cancel()
    wait_until(lambda: answers(busy))


def wait_until(holds):
    ends_at_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ends_at_s


def answers(busy):
    try:
        return busy.ask().outputs["y"].float_val == [3.0]
    except grpc.RpcError:
        return False


@pytest.mark.parametrize("busy", [{"max_calls_in_flight_per_caller": 1, "caller_metadata_key": "who"}], indirect=True)
def test_a_caller_at_its_limit_is_refused_and_others_are_answered(busy):
    error = busy.await_refusal(metadata=[("who", "me")])
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert busy.ask(metadata=[("who", "you")]).outputs["y"].float_val == [3.0]


@pytest.mark.parametrize("busy", [{"max_calls_in_flight_per_model": 1}], indirect=True)
def test_over_http_a_refusal_says_when_to_try_again(busy):
    url = f"http://127.0.0.1:{busy.running.server.http_ports[0]}/v1/models"
    body = json.dumps({"inputs": {"iterations": [1]}}).encode()
    ask = f"{url}/slow:predict", body, PATIENCE_S
    error = await_error(urllib.error.HTTPError, lambda: urllib.request.urlopen(*ask).close())
    with error:
        assert (error.code, error.headers["retry-after"]) == (429, "1")
    with urllib.request.urlopen(f"{url}/half_plus_two:predict", b'{"instances": [2.0]}', timeout=PATIENCE_S) as reply:
        assert json.loads(reply.read()) == {"predictions": [3.0]}


@pytest.mark.parametrize("busy", [{"max_calls_in_flight": 1}], indirect=True)
def test_a_client_that_retries_waits_as_long_as_it_is_told(busy):
    """gRPC's own retries, by a service config whose first pause would be far shorter than the push-back."""
    policy = {
        "maxAttempts": 2,
        "initialBackoff": "0.001s",
        "maxBackoff": "0.001s",
        "backoffMultiplier": 1,
        "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
    }
    config = {"methodConfig": [{"name": [{"service": "tensorflow.serving.PredictionService"}], "retryPolicy": policy}]}
    busy.await_refusal()
    options = [("grpc.service_config", json.dumps(config)), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(busy.running.address, options=options) as channel:
        began_s = time.monotonic()
        with pytest.raises(grpc.RpcError):
            busy.ask(channel=channel)
        assert time.monotonic() - began_s >= 0.45
