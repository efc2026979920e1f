"""Predict over a socket, with the stock stubs."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2


@pytest.fixture(params=["private", "public"])
def half_plus_two(servers, request):
    return servers("half_plus_two", runs=request.param)


def predict(running, model, inputs, signature="", **spec):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for alias, value in inputs.items():
        request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return running.prediction.Predict(request, timeout=30)


def test_half_plus_two_answers_as_the_original_does(half_plus_two):
    response = predict(half_plus_two, "half_plus_two", {"x": np.array([[2.0], [4.0]], np.float32)})
    assert list(response.outputs["y"].float_val) == [3.0, 4.0]
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"
