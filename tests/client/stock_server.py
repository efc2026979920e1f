"""A server made of the stock tensorflow-serving-api stubs and TensorFlow's own encoders, for four test models.

It shares nothing with the client: what it reads and writes, stock code reads and writes.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

VERSION = 1


def shout(text):
    return {
        "loud": np.array([each + b"!" for each in text], object),
        "bytes": np.array([len(each) for each in text], np.int32),
        "joined": np.array(b",".join(text), object),
    }


PREDICT = {
    "half_plus_two": lambda x: {"y": x * np.float32(0.5) + np.float32(2)},
    "strings": shout,
    "dtypes": lambda x: {"y": x},
}


def features(request):
    """The feature x of each example; the context's if an example has none."""
    kind = request.input.WhichOneof("kind")
    examples = getattr(request.input, kind)
    for example in examples.examples:
        merged = tf.train.Example()
        if kind == "example_list_with_context":
            merged.MergeFrom(examples.context)
        merged.MergeFrom(example)
        yield merged.features.feature["x"].float_list.value[0]


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models):
        self._models = models

    def _fill(self, spec, request_spec, context):
        if request_spec.name not in self._models:
            name = request_spec.name
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({name})")
        spec.name = request_spec.name
        spec.version.value = VERSION
        spec.signature_name = request_spec.signature_name or "serving_default"

    def Predict(self, request, context):  # noqa: N802
        reply = predict_pb2.PredictResponse()
        self._fill(reply.model_spec, request.model_spec, context)
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        for name, array in PREDICT[request.model_spec.name](**inputs).items():
            if not request.output_filter or name in request.output_filter:
                reply.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return reply

    def Classify(self, request, context):  # noqa: N802
        reply = classification_pb2.ClassificationResponse()
        self._fill(reply.model_spec, request.model_spec, context)
        self._classify(request, reply.result)
        return reply

    def _classify(self, request, result):
        for x in features(request):
            classes = result.classifications.add().classes
            classes.add(label="low", score=1 - x)
            classes.add(label="high", score=x)

    def Regress(self, request, context):  # noqa: N802
        reply = regression_pb2.RegressionResponse()
        self._fill(reply.model_spec, request.model_spec, context)
        self._regress(request, reply.result)
        return reply

    def _regress(self, request, result):
        for x in features(request):
            result.regressions.add(value=x * 10)

    def MultiInference(self, request, context):  # noqa: N802
        reply = inference_pb2.MultiInferenceResponse()
        for task in request.tasks:
            result = reply.results.add()
            self._fill(result.model_spec, task.model_spec, context)
            if task.method_name == "tensorflow/serving/classify":
                self._classify(request, result.classification_result)
            else:
                self._regress(request, result.regression_result)
        return reply

    def GetModelMetadata(self, request, context):  # noqa: N802
        reply = get_model_metadata_pb2.GetModelMetadataResponse()
        self._fill(reply.model_spec, request.model_spec, context)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in self._models[request.model_spec.name].items():
            signatures.signature_def[name].CopyFrom(definition)
        packed = any_pb2.Any()
        packed.Pack(signatures)
        reply.metadata["signature_def"].CopyFrom(packed)
        return reply


class Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models):
        self._models = models

    def GetModelStatus(self, request, context):  # noqa: N802
        name = request.model_spec.name
        if name not in self._models:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        reply = get_model_status_pb2.GetModelStatusResponse()
        status = reply.model_version_status.add(version=VERSION, state="AVAILABLE")
        status.status.SetInParent()
        return reply

    def HandleReloadConfigRequest(self, request, context):  # noqa: N802
        if request.config.WhichOneof("config") != "model_config_list":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "only ModelConfigList is supported")
        self.reloaded = [each.name for each in request.config.model_config_list.config]
        reply = model_management_pb2.ReloadConfigResponse()
        for name in request.metric_names:
            reply.metric.add(name=name)
        return reply


class StockServer:
    """Listens from the start until `stop`, at `address`."""

    def __init__(self, store, names):
        models = {name: read_signatures(store.base_path(name)) for name in names}
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._pool = ThreadPoolExecutor(4)
        self._server = grpc.server(self._pool, options=unlimited)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(models), self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(models), self._server)
        statuses = health.HealthServicer()
        statuses.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(statuses, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self):
        stopped: threading.Event = self._server.stop(None)
        stopped.wait(10)
        self._pool.shutdown()


def read_signatures(base_path):
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((base_path / str(VERSION) / "saved_model.pb").read_bytes())
    return saved.meta_graphs[0].signature_def
