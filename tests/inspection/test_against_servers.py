"""A report and a server agree: every signature of these models is called by every RPC."""

import grpc
import pytest
from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, regression_pb2

from tests.inspection.making import CLASSIFY, REGRESS, look
from tests.models.exporting import tf
from tests.serving import TIMEOUT_S

MODELS = ["half_plus_two", "half_plus_two_tf2", "half_plus_two_text", "odd_heads", "odd_wiring", "dnn_classifier",
          "image_and_text", "keras_lstm"]  # fmt: skip
# Their outputs have a row too many, which only a run shows.
FAIL_IN_A_RUN = {"classify_classes_batch_plus_one", "classify_scores_batch_plus_one", "regress_batch_plus_one"}

EXAMPLE = tf.train.Example()
EXAMPLE.features.feature["x"].float_list.value.append(1.0)


def predict(server, name, signature):
    request = predict_pb2.PredictRequest(model_spec={"name": name, "signature_name": signature.key})
    for each in signature.inputs:
        shape = [1] if each.shape is None else [size or 1 for size in each.shape]
        value = EXAMPLE.SerializeToString() if each.dtype == "string" else 0
        request.inputs[each.name].CopyFrom(tf.make_tensor_proto(value, each.dtype, shape))
    server.prediction.Predict(request, timeout=TIMEOUT_S)


def classify(server, name, signature):
    request = classification_pb2.ClassificationRequest(model_spec={"name": name, "signature_name": signature.key})
    request.input.example_list.examples.append(EXAMPLE)
    server.prediction.Classify(request, timeout=TIMEOUT_S)


def regress(server, name, signature):
    request = regression_pb2.RegressionRequest(model_spec={"name": name, "signature_name": signature.key})
    request.input.example_list.examples.append(EXAMPLE)
    server.prediction.Regress(request, timeout=TIMEOUT_S)


def multi_infer(server, name, signature):
    method = CLASSIFY if signature.rpcs["Classify"].callable else REGRESS
    request = inference_pb2.MultiInferenceRequest()
    request.tasks.add(model_spec={"name": name, "signature_name": signature.key}, method_name=method)
    request.input.example_list.examples.append(EXAMPLE)
    server.prediction.MultiInference(request, timeout=TIMEOUT_S)


CALLS = {"Predict": predict, "Classify": classify, "Regress": regress, "MultiInference": multi_infer}


def failure(call, *arguments):
    """The code of the answer; None if it is a reply."""
    try:
        call(*arguments)
    except grpc.RpcError as error:
        return error.code()
    return None


@pytest.mark.parametrize("runs", ["private", "public"])
@pytest.mark.parametrize("name", MODELS)
def test_the_server_answers_what_the_report_says_it_can(models, servers, name, runs):
    server = servers(name, runs=runs)
    described = [each for each in look(models.base_path(name)).signatures if each.key not in FAIL_IN_A_RUN]
    for signature in described:
        failures = {rpc: failure(call, server, name, signature) for rpc, call in CALLS.items()}
        assert failures == {
            rpc: None if verdict.callable else grpc.StatusCode.INVALID_ARGUMENT
            for rpc, verdict in signature.rpcs.items()
        }, signature.key
