"""Calls of the row models over sockets, many at once, and whether each got what it should."""

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tests.batching.row_models import HOLD, expected
from tests.conformance.calls import PREDICTION_SERVICE, TIMEOUT_S, predict_request
from tests.process.transport import connect

PREDICT = PREDICTION_SERVICE + "Predict"
# Of some 10,000 calls that meet their deadline, grpcio 1.66 to 1.72 gives one as OK without a message, if client and
# server share a process. Across processes it was not seen, nor with 1.85.
_LOSES_LATE_MESSAGES = tuple(map(int, grpc.__version__.split(".")[:2])) < (1, 73)
LATE_CODES = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
WAITS, CANCELS, HURRIES = "waits", "cancels", "hurries"


class Asked:
    """One request of a row signature, and the call that it became.

    Attributes:
        fate: WAITS; CANCELS: its caller leaves; HURRIES: its deadline may pass.
    """

    def __init__(self, model, key, inputs, fate=WAITS):
        self.model, self.key, self.inputs, self.fate = model, key, inputs, fate
        self.rows = len(inputs["x"])
        self.message = request_bytes(model.name, key, inputs)
        self._call = None

    def __repr__(self):
        return f"{self.model.name}/{self.key} of {self.rows} rows, {self.inputs['x'].flat[:1]}, {self.fate}"

    def send(self, channel, timeout_s=TIMEOUT_S):
        """Call, and do not wait."""
        self._call = channel.unary_unary(PREDICT).future(self.message, timeout=timeout_s)

    def leave(self):
        """Cancel the call."""
        self._call.cancel()

    def fault(self, refusal="\0", *, pads=False):
        """What is wrong with the answer, once it is there; None if nothing.

        Args:
            refusal: How a text begins that may refuse it.
            pads: Whether outputs may have kept what was padded.
        """
        try:
            reply = self._call.result(TIMEOUT_S)
        except grpc.FutureCancelledError:
            return None if self.fate == CANCELS else f"{self}: cancelled"
        except grpc.RpcError as error:
            may_be = error.details().startswith(refusal) or (self.fate == HURRIES and error.code() in LATE_CODES)
            return None if may_be else f"{self}: {error.code().name} {error.details()}"
        if reply is None and self.fate == HURRIES and _LOSES_LATE_MESSAGES:
            return None
        return self._fault_of_reply(reply, pads)

    def _fault_of_reply(self, reply, pads):
        got = outputs_of(reply)
        wanted = expected(self.model, self.key, self.inputs)
        if got.keys() != wanted.keys():
            return f"{self}: outputs {sorted(got)}"
        for alias, answer in wanted.items():
            array = padded(answer, got[alias].shape) if pads and answer.size else answer
            if got[alias].dtype != array.dtype or not np.array_equal(got[alias], array):
                return f"{self}: {alias} is {got[alias].tolist()}, not {array.tolist()}"
        return None


def padded(array, shape):
    """An array that was padded with what came of its own first element; dimension 0 never is."""
    if len(shape) != array.ndim or any(wide < own for wide, own in zip(shape, array.shape, strict=True)):
        return array
    result = np.full((len(array), *shape[1:]), array.flat[0], array.dtype)
    result[tuple(map(slice, array.shape))] = array
    return result


def request_bytes(model, key, inputs):
    """A PredictRequest on the wire."""
    return predict_request(model, inputs, key).SerializeToString()


def outputs_of(reply):
    """The arrays of a PredictResponse, by alias."""
    outputs = predict_pb2.PredictResponse.FromString(reply).outputs
    return {alias: tf.make_ndarray(tensor) for alias, tensor in outputs.items()}


class Held:
    """A run that waits until it is released, so that requests of the same queue gather behind it."""

    def __init__(self, address, model):
        """Begin such a run; it has begun when this returns."""
        self._model = model
        self._channel = connect(address)
        self._held = self._begin("held_float32", HOLD)
        self._ask("arrived")

    def open(self):
        """Let it go on, and see that it gets its own answer."""
        self._ask("open")
        assert outputs_of(self._held.result(TIMEOUT_S))["y"].tolist() == [self._model.a * HOLD + self._model.b]
        self._channel.close()

    def _begin(self, key, value=0.0):
        message = request_bytes(self._model.name, key, {"x": np.float32([value])})
        return self._channel.unary_unary(PREDICT).future(message, timeout=TIMEOUT_S)

    def _ask(self, key):
        self._begin(key).result(TIMEOUT_S)
