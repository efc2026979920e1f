"""Requests of the APIs that take examples, for the stock stubs.

Knows the stock messages and nothing of the product.
"""

import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, inference_pb2, input_pb2, regression_pb2

from tests.conformance.calls import (
    INVALID_ARGUMENT,
    NOT_FOUND,
    PREDICTION_SERVICE,
    TIMEOUT_S,
    model_spec,
    refused,
)

CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"
PREDICT_METHOD = "tensorflow/serving/predict"

# The models of the tests of examples, on one server for each way to run graphs.
MODELS = ("half_plus_two", "half_plus_two_tf2", "example_heads", "dnn_classifier", "odd_heads")
# Every call that takes examples; the last asks one regression task.
APIS = ("Classify", "Regress", "MultiInference")

# Name, further fields, and the code and text that they are refused with, on a server of MODELS.
SPECS_THAT_FIND_NOTHING = [
    ("", {}, INVALID_ARGUMENT, "ModelSpec has no name specified."),
    ("nope", {}, NOT_FOUND, "Servable not found for request: Latest(nope)"),
    ("nope", {"version": 1}, NOT_FOUND, "Servable not found for request: Specific(nope, 1)"),
    ("odd_heads", {"version": 9}, NOT_FOUND, "Servable not found for request: Specific(odd_heads, 9)"),
    ("odd_heads", {"label": "canary"}, INVALID_ARGUMENT, "Unrecognized servable version label: canary"),
]


def example(**features):
    """A tf.Example; a float, an int or bytes, or a list of one of them, make the kind of the feature."""
    message = tf.train.Example()
    for name, given in features.items():
        values = given if isinstance(given, list) else [given]
        kind = {float: "float_list", int: "int64_list", bytes: "bytes_list"}[type(values[0])]
        getattr(message.features.feature[name], kind).value.extend(values)
    return message


def plain(*examples):
    """An Input with an ExampleList."""
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples))


def with_context(context, *examples):
    """An Input with an ExampleListWithContext; the context None is left out."""
    listed = input_pb2.ExampleListWithContext(examples=examples, context=context)
    return input_pb2.Input(example_list_with_context=listed)


def xs(*values):
    """An Input of one example for each value of the feature x."""
    return plain(*(example(x=value) for value in values))


def classification(name, signature="", given=None, **version):
    return classification_pb2.ClassificationRequest(model_spec=model_spec(name, signature, **version), input=given)


def regression(name, signature="", given=None, **version):
    return regression_pb2.RegressionRequest(model_spec=model_spec(name, signature, **version), input=given)


def task(name, signature="", method=REGRESS_METHOD, **version):
    return inference_pb2.InferenceTask(model_spec=model_spec(name, signature, **version), method_name=method)


def multi_inference(*tasks, given=None):
    return inference_pb2.MultiInferenceRequest(tasks=tasks, input=given)


def request_of(api, name, signature, given):
    """The request that puts an Input to a signature by one of APIS."""
    if api == "Classify":
        return classification(name, signature, given)
    if api == "Regress":
        return regression(name, signature, given)
    return multi_inference(task(name, signature), given=given)


def refused_by(running, api, request):
    """Make a call of PredictionService that must fail and give its code and text."""
    return refused(getattr(running.prediction, api), request)


def refused_bytes(running, api, request):
    """Send bytes, not a message, to a call of PredictionService that must fail and give its code and text."""
    return refused(running.channel.unary_unary(PREDICTION_SERVICE + api), request)


def classify(running, *arguments, **version):
    return running.prediction.Classify(classification(*arguments, **version), timeout=TIMEOUT_S)


def regress(running, *arguments, **version):
    return running.prediction.Regress(regression(*arguments, **version), timeout=TIMEOUT_S)


def infer(running, *tasks, given):
    return running.prediction.MultiInference(multi_inference(*tasks, given=given), timeout=TIMEOUT_S)


def labels_and_scores(result):
    """A ClassificationResult as a list of (label, score) for each example."""
    return [[(each.label, each.score) for each in row.classes] for row in result.classifications]


def values_of(result):
    """A RegressionResult as a list of floats."""
    return [each.value for each in result.regressions]


def value_of(api, response):
    """The number that one of APIS gave for the only example."""
    if api == "Classify":
        return response.result.classifications[0].classes[0].score
    if api == "Regress":
        return response.result.regressions[0].value
    return response.results[0].regression_result.regressions[0].value


def delimited(field, *payloads):
    """A length-delimited protobuf field as bytes, its payloads joined; short ones only."""
    payload = b"".join(payloads)
    assert field < 16
    assert len(payload) < 128
    return bytes([field << 3 | 2, len(payload)]) + payload
