"""An inference that ends, however it ends, releases its version and what was sent, without garbage collection."""

import asyncio
import gc
import json
import threading
import weakref

import numpy as np
import pytest

from servable.errors import ServingError, Unavailable
from servable.http_exchange import HttpRequest
from servable.methods import reply_with_error
from servable.open_inference.grpc_api import GrpcInfer
from servable.open_inference.http_api import OpenInferenceApi
from servable.open_inference.http_infer import HttpInfer, InferMessage
from servable.open_inference.inference import Models
from servable.routing import Router, Routes
from servable.servables import Handle
from tests.open_inference.asking import EchoModel, echo, grpc_request, json_input

X = np.ones((1, 2), np.float32)
INPUTS = {
    "it is answered": json_input("x", X, data=[1, 1]),
    "an input": json_input("z", X, data=[1, 1]),
    "a tensor": json_input("x", X, data=[1]),
    "many numbers": json_input("x", np.ones(500, np.float32), data=[0.25] * 499),
}


@pytest.fixture(autouse=True)
def _without_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def watched():
    """Where a version is found, and an event that is set when it is freed."""
    handle, gone = Handle("m", 1, EchoModel()), threading.Event()
    weakref.finalize(handle, gone.set)
    return Models(Router(Routes([handle]))), gone


def remove(models):
    models.router.remove(models.router.routes.get("m", 1))


@pytest.mark.parametrize("inputs", [{"x": X}, {"z": X}, {"x": X.astype(np.float64)}])
def test_a_message_over_grpc(watched, inputs):
    models, gone = watched
    message = grpc_request(inputs)
    message.raw_input_contents[0] = X.tobytes()
    try:
        request = GrpcInfer(models).begin(message.SerializeToString())
        request.finish(echo(request))
        del request
    except ServingError:
        pass
    remove(models)
    assert gone.is_set()


def count_messages(body):
    """How many messages with this body are in memory."""
    return sum(isinstance(each, InferMessage) and each.body == body for each in gc.get_objects())


@pytest.mark.parametrize("case", INPUTS)
@pytest.mark.parametrize("fails_later", [False, True])
def test_a_request_over_http(watched, case, fails_later):
    models, gone = watched
    begin = HttpInfer(models).begin

    def infer(message, _time_left_s, reply):
        request = begin(message)
        if fails_later:
            reply_with_error(reply, Unavailable("busy"), infer)
        else:
            reply.send(request.finish(echo(request)))

    body = json.dumps({"id": "of this module", "inputs": [INPUTS[case]]}).encode()

    async def talk():
        api = OpenInferenceApi(infer, models.router, lambda: True)
        return (await api.handle(HttpRequest("POST", "/v2/models/m/infer", body))).status

    status = asyncio.run(talk())
    remove(models)
    assert status == (400 if case != "it is answered" else 503 if fails_later else 200)
    assert count_messages(body) == 0
    assert gone.is_set()
