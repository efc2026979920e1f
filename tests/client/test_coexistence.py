"""The client beside TensorFlow and the stock stubs, whichever comes first; and what it must not import."""

import subprocess
import sys

import pytest

STOCK = "import tensorflow; from tensorflow_serving.apis import prediction_service_pb2_grpc"
ROUND_TRIP = """
from servable_client import tensors, wire
import numpy as np
from tensorflow.core.framework import tensor_pb2
theirs = tensor_pb2.TensorProto.FromString(tensors.encode([1.5, 2.5]).SerializeToString())
assert tensorflow.make_ndarray(theirs).tolist() == [1.5, 2.5]
assert tensors.decode(tensorflow.make_tensor_proto([b"a"]).SerializeToString()).tolist() == [b"a"]
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("first", ["servable_client", "stock"])
def test_both_live_in_one_process_in_either_order(first):
    imports = ["import servable_client", STOCK]
    if first == "stock":
        imports.reverse()
    done = run("\n".join([*imports, ROUND_TRIP]))
    assert done.returncode == 0, done.stderr


def test_the_client_imports_no_tensorflow_and_no_server():
    done = run(
        "import sys, servable_client, servable_client.testing\n"
        "print([n for n in sys.modules if n.split('.')[0] in "
        "{'tensorflow', 'tensorflow_serving', 'servable', 'ml_dtypes'}])"
    )
    assert done.stdout.strip() == "[]", done.stderr
