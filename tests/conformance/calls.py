"""Requests for the stock stubs, and what a refused call told its caller: all that conformance tests share.

Knows the stock messages and gRPC, and nothing of the product but the messages of google.rpc that carry hints.
"""

import dataclasses

import grpc
import tensorflow as tf
from google.protobuf.message import Message
from tensorflow_serving.apis import model_pb2, predict_pb2

from servable import wire

RUNS = ("private", "public")
TIMEOUT_S = 60.0
PREDICTION_SERVICE = "/tensorflow.serving.PredictionService/"
MODEL_SERVICE = "/tensorflow.serving.ModelService/"

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED
ALREADY_EXISTS = grpc.StatusCode.ALREADY_EXISTS
NOT_FOUND = grpc.StatusCode.NOT_FOUND
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
INTERNAL = grpc.StatusCode.INTERNAL


@dataclasses.dataclass(frozen=True)
class Refusal:
    """The error that a caller gets: a code, a text, and hints beside them."""

    code: grpc.StatusCode
    details: str
    hints: dict

    @property
    def code_and_text(self):
        """To compare with the original's."""
        return self.code, self.details


def refusal(call, request, timeout_s=TIMEOUT_S, **options):
    """Make a call that must fail and give its Refusal; `call` is a stub's method or a multi-callable."""
    try:
        reply = call(request, timeout=timeout_s, **options)
        reply = reply if isinstance(reply, (bytes, Message)) else list(reply)
    except grpc.RpcError as error:
        return Refusal(error.code(), error.details(), hints_of(error))
    raise AssertionError(f"the call was answered: {reply!r}")


def refused(call, request, **options):
    """Make a call that must fail and give its code and text."""
    return refusal(call, request, **options).code_and_text


def hints_of(error):
    """The metadata of the google.rpc.ErrorInfo that came with an error, {} if none came."""
    hints = {}
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in wire.Status.FromString(value).details:
                info = wire.ErrorInfo()
                assert detail.Unpack(info)
                hints.update(info.metadata)
    return hints


def model_spec(name="", signature="", version=None, label=None):
    """A ModelSpec; a version of 0 and an empty label are set as such, None leaves them out."""
    spec = model_pb2.ModelSpec(name=name, signature_name=signature)
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label
    return spec


def predict_request(name, inputs=(), signature="", outputs=(), **version):
    """A PredictRequest; inputs are TensorProtos as they are, or what tf.make_tensor_proto takes."""
    request = predict_pb2.PredictRequest(model_spec=model_spec(name, signature, **version), output_filter=outputs)
    for alias, value in dict(inputs).items():
        request.inputs[alias].CopyFrom(value if isinstance(value, Message) else tf.make_tensor_proto(value))
    return request


def predict(running, name, inputs=(), signature="", **options):
    """Predict, and give the response."""
    return running.prediction.Predict(predict_request(name, inputs, signature, **options), timeout=TIMEOUT_S)


def refused_predict(running, name, inputs=(), signature="", **options):
    """Predict what must be refused, and give the code and text."""
    return refused(running.prediction.Predict, predict_request(name, inputs, signature, **options))


def values(tensor):
    """A TensorProto of a response as nested lists."""
    return tf.make_ndarray(tensor).tolist()
