"""Strings of as many dimensions as NumPy holds come back, as numbers do; more of them must not end the server."""

import numpy as np
import pytest

from tests.conformance.calls import INVALID_ARGUMENT, RUNS, predict, predict_request, refusal, values
from tests.conformance.served import MADE, serve_graph
from tests.conformance.tensors import tensor
from tests.models.exporting import placeholder, signature, tf


def strings_of_any_rank():
    """Strings in a shape that is fed, and with two dimensions more than they had."""
    text, shape = placeholder(tf.string, None, "text"), placeholder(tf.int32, [None], "shape")
    deeper = tf.expand_dims(tf.expand_dims(text, 0), 0)
    return {
        "reshaped": signature({"x": text, "shape": shape}, {"y": tf.reshape(text, shape)}),
        "deeper": signature({"x": text}, {"y": deeper}),
    }


@pytest.fixture(params=RUNS)
def running(tmp_path, request):
    with serve_graph(tmp_path, strings_of_any_rank, runs=request.param) as running:
        yield running


def reshape_to(rank):
    return {"x": tensor("string", [1], string_val=[b"a"]), "shape": np.ones(rank, np.int32)}


@pytest.mark.behaviour("1.4", "outputs may have any rank, there is no rule for a batch")
@pytest.mark.parametrize("rank", [0, 1, 32, 33, 64])
def test_strings_come_back_in_the_shape_that_is_fed(running, rank):
    reply = predict(running, MADE, reshape_to(rank), "reshaped").outputs["y"]
    assert [dim.size for dim in reply.tensor_shape.dim] == [1] * rank
    assert list(reply.string_val) == [b"a"]


@pytest.mark.behaviour("1.4", "outputs may have any rank, there is no rule for a batch")
def test_strings_come_back_with_more_dimensions_than_are_fed(running):
    fed = tensor("string", [1] * 31 + [2], string_val=[b"a", b"b"])
    reply = predict(running, MADE, {"x": fed}, "deeper").outputs["y"]
    assert [dim.size for dim in reply.tensor_shape.dim] == [1] * 33 + [2]
    assert list(reply.string_val) == [b"a", b"b"]


@pytest.mark.behaviour("1.4", "unlike the original, outputs have no more dimensions than NumPy holds")
@pytest.mark.parametrize("rank", [65, 254])
def test_strings_that_numpy_cannot_hold_are_refused_and_the_next_call_is_answered(running, rank):
    reported = refusal(running.prediction.Predict, predict_request(MADE, reshape_to(rank), "reshaped"))
    assert reported.code == INVALID_ARGUMENT
    assert values(predict(running, MADE, reshape_to(1), "reshaped").outputs["y"]) == [b"a"]
