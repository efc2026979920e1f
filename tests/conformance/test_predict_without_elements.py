"""A few bytes with a huge shape must not end the server: kernels abort where a product of sizes overflows."""

import numpy as np
import pytest

from tests.conformance.calls import INVALID_ARGUMENT, RUNS, predict, predict_request, refusal, values
from tests.conformance.served import MADE, serve_graph
from tests.conformance.tensors import tensor
from tests.models.exporting import placeholder, signature, tf


def products():
    """The Gram matrix of x, by two kernels, nine times x side by side, and a layer that takes no features."""
    x = placeholder(tf.float32, [None, None], "x")
    results = {
        "matmul": tf.matmul(x, x, transpose_a=True),
        "einsum": tf.einsum("ij,ik->jk", x, x),
        "concat": tf.concat([x] * 9, 1),
        "dense": tf.matmul(x, tf.zeros([0, 1000])),
    }
    return {name: signature({"x": x}, {"y": y}) for name, y in results.items()}


@pytest.fixture(params=RUNS)
def running(tmp_path, request):
    with serve_graph(tmp_path, products, runs=request.param) as running:
        yield running


@pytest.mark.behaviour("1.4", "unlike the original, the sizes of a tensor without elements have a limit")
@pytest.mark.parametrize(
    ("name", "shape"),
    [("matmul", [0, 1 << 33]), ("einsum", [0, 1 << 33]), ("concat", [0, 1 << 60]), ("dense", [1 << 59, 0])],
)
def test_a_huge_shape_without_elements_is_refused_and_the_next_call_is_answered(running, name, shape):
    reported = refusal(running.prediction.Predict, predict_request(MADE, {"x": tensor("float", shape)}, name))
    assert reported.code_and_text == (INVALID_ARGUMENT, "tensor parsing error: x")
    assert reported.hints["reason"] == f"shape {shape} is too large even without elements"
    reply = predict(running, MADE, {"x": np.array([[1.0, 2.0]], np.float32)}, "matmul")
    assert values(reply.outputs["y"]) == [[1.0, 2.0], [2.0, 4.0]]
