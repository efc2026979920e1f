"""The Python server that most people write: TensorFlow's eager signature behind grpc.server. Nothing in it is tuned.

python naive_server.py PORT VERSION_DIRECTORY
"""

from __future__ import annotations

import sys
from concurrent import futures
from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, predict_pb2, prediction_service_pb2_grpc  # type: ignore[import-untyped]

_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Answers Predict and Classify."""

    def __init__(self, directory: str) -> None:
        self._model = tf.saved_model.load(directory)
        self._signature = self._model.signatures["serving_default"]

    def Predict(self, request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Tensors in, tensors out."""
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for name, value in self._signature(**inputs).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response

    def Classify(self, request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        """tf.Examples in, classes out."""
        examples = [example.SerializeToString() for example in request.input.example_list.examples]
        outputs = self._signature(inputs=tf.constant(examples))
        response = classification_pb2.ClassificationResponse(model_spec=request.model_spec)
        for labels, scores in zip(outputs["classes"].numpy(), outputs["scores"].numpy(), strict=True):
            row = response.result.classifications.add()
            for label, score in zip(labels, scores, strict=True):
                row.classes.add(label=label, score=score)
        return response


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=10), options=_UNLIMITED)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(sys.argv[2]), server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()
