"""Valid requests of each method, as bytes, to the models half_plus_two, dtypes and example_heads."""

import numpy as np
import tensorflow as tf

from servable import wire

MODELS = ("half_plus_two", "dtypes", "example_heads")
PREDICTION = "/tensorflow.serving.PredictionService"
MODEL = "/tensorflow.serving.ModelService"

# The dtypes model has one signature for each; these travel in different fields.
ARRAYS = {
    "float": np.array([[1.5, -2.0]], np.float32),
    "half": np.array([1.0], np.float16),
    "complex64": np.array([1 + 2j], np.complex64),
    "string": np.array([b"a", b"\xff"], object),
    "bool": np.array([True, False]),
    "int8": np.array([-1, 2], np.int8),
    "int64": np.array(7, np.int64),
    "uint64": np.array([[[1 << 63]]], np.uint64),
}


def model_spec(name, signature="", version=None, label=None):
    spec = wire.ModelSpec(name=name, signature_name=signature)
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label
    return spec


def example_list(*values):
    message = wire.Input()
    message.example_list.examples.extend(_example(value) for value in values)
    return message


def with_context(*values):
    message = wire.Input()
    message.example_list_with_context.context.MergeFrom(_example(0.5))
    message.example_list_with_context.examples.extend(_example(value) for value in values)
    return message


def _example(value):
    example = wire.Example()
    tensorflow_example = tf.train.Example()
    tensorflow_example.features.feature["x"].float_list.value.append(value)
    example.MergeFromString(tensorflow_example.SerializeToString())
    return example


def _predict(spec, inputs, outputs=()):
    request = wire.PredictRequest(model_spec=spec, output_filter=outputs)
    for alias, array in inputs.items():
        request.inputs[alias].MergeFromString(tf.make_tensor_proto(array).SerializeToString())
    return request


HALF_PLUS_TWO = _predict(model_spec("half_plus_two"), {"x": np.array([[2.0], [4.0]], np.float32)})


def _inference_task(signature, method):
    return wire.InferenceTask(
        model_spec=model_spec("example_heads", signature), method_name=f"tensorflow/serving/{method}"
    )


def _requests():
    classify, regress, both = wire.ClassificationRequest, wire.RegressionRequest, wire.MultiInferenceRequest
    tasks = [_inference_task("", "classify"), _inference_task("regression", "regress")]
    return {
        f"{PREDICTION}/Predict": [
            HALF_PLUS_TWO,
            _predict(model_spec("half_plus_two", version=1), {"x": np.ones([3, 1], np.float32)}, ["y"]),
            _predict(model_spec("half_plus_two", label="stable"), {}),
            *(_predict(model_spec("dtypes", f"identity_{name}"), {"x": array}) for name, array in ARRAYS.items()),
            _predict(model_spec("example_heads"), {"inputs": np.array([_example(0.5).SerializeToString()], object)}),
        ],
        f"{PREDICTION}/Classify": [
            classify(model_spec=model_spec("example_heads"), input=example_list(0.25, 0.5)),
            classify(model_spec=model_spec("half_plus_two", "classify_x_to_y"), input=with_context(1.0)),
        ],
        f"{PREDICTION}/Regress": [
            regress(model_spec=model_spec("example_heads", "regression"), input=example_list(0.25)),
            regress(model_spec=model_spec("half_plus_two", "regress_x_to_y2"), input=with_context(1.0, 2.0)),
        ],
        f"{PREDICTION}/MultiInference": [
            both(tasks=tasks, input=example_list(0.25)),
            both(tasks=tasks[:1], input=with_context(1.0)),
        ],
        f"{PREDICTION}/GetModelMetadata": [
            wire.GetModelMetadataRequest(model_spec=model_spec("dtypes"), metadata_field=["signature_def"])
        ],
        f"{MODEL}/GetModelStatus": [
            wire.GetModelStatusRequest(model_spec=model_spec("half_plus_two")),
            wire.GetModelStatusRequest(model_spec=model_spec("half_plus_two", version=1)),
        ],
    }


SEEDS = {method: [request.SerializeToString() for request in each] for method, each in _requests().items()}
