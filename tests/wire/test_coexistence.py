"""The wire beside TensorFlow and the stock stubs, which put the same names into the default pool."""

import os
import subprocess
import sys

import pytest

STOCK = "tensorflow_serving.apis.prediction_service_pb2_grpc"
ORDERS = [
    ("servable.wire", "tensorflow", STOCK),
    ("tensorflow", "servable.wire", STOCK),
    (STOCK, "tensorflow", "servable.wire"),
]
USE_BOTH = """
from servable import wire
from tensorflow_serving.apis import predict_pb2
stock = predict_pb2.PredictRequest()
stock.model_spec.version.value = 3
stock.inputs["x"].float_val.append(0.5)
ours = wire.PredictRequest.FromString(stock.SerializeToString())
assert predict_pb2.PredictRequest.FromString(ours.SerializeToString()) == stock
"""
USE_NESTED = """
from google.protobuf.internal import api_implementation
from servable import wire
assert api_implementation.Type() == "python"
wire.PredictRequest(request_options=wire.PredictRequest.RequestOptions(client_id=b"c"))
assert wire.PredictRequest.RequestOptions.DeterministicMode.Name(1) == "FIXED_DECODER_SLOT"
"""


def run(code, **environment):
    """Run Python code in a process of its own, in which nothing has been imported yet."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
def test_the_wire_loads_beside_tensorflow_and_the_stock_stubs(order):
    imports = "".join(f"import {name}\n" for name in order)
    run(imports + USE_BOTH)


def test_nested_messages_are_found_without_protobufs_c_runtime():
    run(USE_NESTED, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="python")
