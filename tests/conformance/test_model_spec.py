"""From a model spec to the version that answers: each step in its order, for each API that takes one.

Source of the behaviour: TensorFlow Serving, server_core.cc (ServableRequestFromModelSpec), basic_manager.cc.
"""

import contextlib

import numpy as np
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, inference_pb2

from servable import app
from servable.execution.loader import SavedModelLoader
from servable.options import ServerOptions
from servable.routing import Router, Routes
from servable.servables import Handle
from tests import serving
from tests.conformance.calls import (
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    RUNS,
    TIMEOUT_S,
    UNAVAILABLE,
    model_spec,
    predict,
    predict_request,
    refused,
    refused_predict,
    values,
)
from tests.conformance.example_calls import classification, multi_inference, regression, task, xs
from tests.conformance.fakes import FakeServable, define, floats
from tests.conformance.served import serve_router
from tests.conformance.versions import serve_versions

X = {"x": np.array([[2.0]], np.float32)}


def metadata(name, signature="", fields=("signature_def",), **version):
    spec = model_spec(name, signature, **version)
    return get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=fields)


def one_task(name, signature="regress_x_to_y", **version):
    return multi_inference(task(name, signature, **version), given=xs(2.0))


# The request of each API that answers for a model spec of half_plus_two.
REQUESTS = {
    "Predict": lambda name, **version: predict_request(name, X, **version),
    "Classify": lambda name, **version: classification(name, "classify_x_to_y", xs(2.0), **version),
    "Regress": lambda name, **version: regression(name, "regress_x_to_y", xs(2.0), **version),
    "MultiInference": one_task,
    "GetModelMetadata": metadata,
}
EVERY_API = pytest.mark.parametrize("api", REQUESTS)


@pytest.fixture
def running(servers):
    return servers("half_plus_two")


@pytest.fixture(params=RUNS)
def on_both_runs(servers, request):
    return servers("half_plus_two", runs=request.param)


def call(running, api, name, **version):
    return getattr(running.prediction, api)(REQUESTS[api](name, **version), timeout=TIMEOUT_S)


def refused_call(running, api, name, **version):
    return refused(getattr(running.prediction, api), REQUESTS[api](name, **version))


# MultiInference takes the spec of its first task, and an absent one for an empty one.
@pytest.mark.behaviour("1.3", "step 1: no model_spec")
@pytest.mark.behaviour("12", "Predict: no model_spec")
@pytest.mark.behaviour("13.2", "31 MissingOrEmptyModelSpec")
@pytest.mark.behaviour("13.3", "44 to 52, the rows of 13.2 through the service, and an unknown model")
@pytest.mark.parametrize("api", sorted(REQUESTS.keys() - {"MultiInference"}))
def test_a_request_without_a_model_spec(running, api):
    request = REQUESTS[api]("half_plus_two")
    request.ClearField("model_spec")
    assert refused(getattr(running.prediction, api), request) == (INVALID_ARGUMENT, "Missing ModelSpec")


@pytest.mark.behaviour("1.3", "step 1: no model_spec")
def test_a_missing_model_spec_is_reported_before_all_else(running):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["nonsense"])
    assert refused(running.prediction.GetModelMetadata, request) == (INVALID_ARGUMENT, "Missing ModelSpec")


@pytest.mark.behaviour("1.3", "step 1b: GetModelMetadata looks at its fields before the name")
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([], "GetModelMetadataRequest must specify at least one metadata_field"),
        (["nonsense"], "Metadata field nonsense is not supported"),
    ],
)
def test_metadata_fields_are_checked_before_the_name(running, fields, text):
    assert refused(running.prediction.GetModelMetadata, metadata("", fields=fields)) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.3", "step 2: an empty name, before version and label")
@pytest.mark.behaviour("12", "Predict: empty model name")
@pytest.mark.behaviour("13.2", "31 MissingOrEmptyModelSpec")
@pytest.mark.behaviour("13.3", "44 to 52, the rows of 13.2 through the service, and an unknown model")
@EVERY_API
@pytest.mark.parametrize("version", [{}, {"version": 1}, {"label": "canary"}], ids=["latest", "version", "label"])
def test_an_empty_name(running, api, version):
    reported = refused_call(running, api, "", **version)
    assert reported == (INVALID_ARGUMENT, "ModelSpec has no name specified.")


@pytest.mark.behaviour("1.3", "MultiInference resolves its first task alone")
@pytest.mark.behaviour("12", "Predict: empty model name")
@pytest.mark.parametrize(
    "request_of",
    [inference_pb2.MultiInferenceRequest(), multi_inference(inference_pb2.InferenceTask(), given=xs(2.0))],
    ids=["no_tasks", "no_spec"],
)
def test_multi_inference_without_a_first_model_spec(running, request_of):
    reported = refused(running.prediction.MultiInference, request_of)
    assert reported == (INVALID_ARGUMENT, "ModelSpec has no name specified.")


@pytest.mark.behaviour("1.3", "step 3: an unknown label, before the model's existence")
@pytest.mark.behaviour("12", "Predict: unknown label, also on an unknown model")
@EVERY_API
@pytest.mark.parametrize("name", ["half_plus_two", "nobody"])
@pytest.mark.parametrize("label", ["canary", ""])
def test_an_unknown_label_even_of_an_unknown_model(running, api, name, label):
    reported = refused_call(running, api, name, label=label)
    assert reported == (INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")


@pytest.mark.behaviour("1.3", "step 4: a version by its number, 0 and below 0 too")
@pytest.mark.behaviour("12", "Predict: unknown, unloaded version")
@EVERY_API
@pytest.mark.parametrize("version", [0, 9, -1, -(1 << 63), (1 << 63) - 1])
def test_a_version_that_is_not_loaded(running, api, version):
    reported = refused_call(running, api, "half_plus_two", version=version)
    assert reported == (NOT_FOUND, f"Servable not found for request: Specific(half_plus_two, {version})")


@pytest.mark.behaviour("1.3", "step 4: a version by its number, 0 and below 0 too")
@EVERY_API
def test_a_version_of_an_unknown_model(running, api):
    reported = refused_call(running, api, "nobody", version=1)
    assert reported == (NOT_FOUND, "Servable not found for request: Specific(nobody, 1)")


@pytest.mark.behaviour("1.3", "step 6: nothing is found, under a label the error has its number")
@pytest.mark.behaviour("12", "Predict: unknown model")
@pytest.mark.behaviour("13.3", "44 to 52, the rows of 13.2 through the service, and an unknown model")
@EVERY_API
@pytest.mark.parametrize("name", ["nobody", "Half_plus_two", "half_plus_two/1", "half_plus_two "])
def test_an_unknown_model(running, api, name):
    reported = refused_call(running, api, name)
    assert reported == (NOT_FOUND, f"Servable not found for request: Latest({name})")


@pytest.mark.behaviour("1.3", "version and label are one oneof")
def test_the_last_of_version_and_label_that_was_sent_counts(running):
    """They are one oneof: on the wire the later wins."""
    version, label = b"\x12\x02\x08\x09", b"\x22\x06canary"
    for sent, reported in (
        (version + label, (INVALID_ARGUMENT, "Unrecognized servable version label: canary")),
        (label + version, (NOT_FOUND, "Servable not found for request: Specific(m, 9)")),
    ):
        spec = b"\x0a\x01m" + sent
        request = b"\x0a" + bytes([len(spec)]) + spec
        assert (
            refused(running.channel.unary_unary("/tensorflow.serving.PredictionService/Predict"), request) == reported
        )


@pytest.mark.behaviour("1.3", "step 5: neither means the highest ready number")
@pytest.mark.parametrize("runs", RUNS)
def test_the_highest_number_answers_and_each_version_by_its_own(tmp_path, models, runs):
    two, three = models.version_path("half_plus_two"), models.version_path("half_plus_three")
    with serve_versions(tmp_path, "half", {"9": two, "10": three}, runs=runs) as running:
        for wanted, answers, y in (({}, 10, 4.0), ({"version": 9}, 9, 3.0), ({"version": 10}, 10, 4.0)):
            response = predict(running, "half", X, **wanted)
            assert response.model_spec.version.value == answers
            assert values(response.outputs["y"]) == [[y]]


@pytest.mark.behaviour("1.3", "step 4: a version by its number, 0 and below 0 too")
def test_version_0_is_a_version(tmp_path, models):
    with serve_versions(tmp_path, "half", {"0": models.version_path("half_plus_two")}) as running:
        for wanted in ({}, {"version": 0}):
            spec = predict(running, "half", X, **wanted).model_spec
            assert spec.HasField("version")
            assert spec.version.value == 0


def answering(y):
    return FakeServable(define("serving_default", {}, {"y": "y:0"}), outputs={"y:0": floats(y)})


@pytest.mark.behaviour("1.3", "a version that is unloading is not found, one that is still loaded answers")
@pytest.mark.behaviour("12", "Predict: unknown, unloaded version")
def test_a_version_that_is_unloaded_is_not_found_and_the_next_answers():
    versions = [Handle("m", number, answering(number)) for number in (1, 2)]
    router = Router(Routes(versions, {}))
    with serve_router(router) as running:
        assert predict(running, "m").model_spec.version.value == 2
        router.routes = Routes(versions[:1], {})
        assert predict(running, "m").model_spec.version.value == 1
        assert refused_predict(running, "m", version=2) == (
            NOT_FOUND,
            "Servable not found for request: Specific(m, 2)",
        )
        router.routes = Routes([], {})
        assert refused_predict(running, "m") == (NOT_FOUND, "Servable not found for request: Latest(m)")


@pytest.mark.behaviour("1.3", "step 6: nothing is found, under a label the error has its number")
@pytest.mark.behaviour("1.3", "a known label answers with its version")
@pytest.mark.behaviour(
    "1.3", "replies of Predict, Classify, Regress and MultiInference name model, version and signature, never a label"
)
def test_a_label_answers_with_the_version_that_it_stands_for():
    versions = [Handle("m", number, answering(number)) for number in (1, 2)]
    labels = {"m": {"stable": 1, "canary": 2, "gone": 7}}
    with serve_router(Router(Routes(versions, labels))) as running:
        for label, version in (("stable", 1), ("canary", 2)):
            response = predict(running, "m", label=label)
            assert response.model_spec == model_spec("m", "serving_default", version=version)
            assert values(response.outputs["y"]) == version
        assert refused_predict(running, "m", label="gone") == (
            NOT_FOUND,
            "Servable not found for request: Specific(m, 7)",
        )
        assert refused_predict(running, "m", label="Stable") == (
            INVALID_ARGUMENT,
            "Unrecognized servable version label: Stable",
        )


@contextlib.contextmanager
def serve_config(folder, text):
    """Yields a server of a model config file."""
    config_file = folder / "models.config"
    config_file.write_text(text)
    options = ServerOptions(model_config_file=str(config_file), port=0, grpc_socket_path=str(folder / "socket"))
    server = app.Server(app.configure(options), SavedModelLoader())
    server.start()
    running = serving.connect(server, f"unix:{folder / 'socket'}")
    try:
        yield running
    finally:
        running.close()


@pytest.mark.behaviour("1.3", "step 3b: a label before any config was applied")
def test_before_any_config_there_are_no_labels_at_all(tmp_path):
    with serve_config(tmp_path, "# nothing yet\n") as running:
        reported = refused_predict(running, "m", label="canary")
        assert refused_predict(running, "m") == (NOT_FOUND, "Servable not found for request: Latest(m)")
    assert reported == (UNAVAILABLE, "Model labels does not init yet.canary")


@pytest.mark.behaviour("1.3", "a missing signature under Predict, Classify, Regress and MultiInference")
@pytest.mark.behaviour("1.4", "only the first mistake counts: model, signature, number of inputs, tensors, filter, run")
@pytest.mark.behaviour("12", "Predict: unknown signature")
@pytest.mark.parametrize(
    ("api", "request_of", "reported"),
    [
        (
            "Predict",
            predict_request("half_plus_two", X, "nope"),
            (FAILED_PRECONDITION, 'Serving signature key "nope" not found.'),
        ),
        (
            "Classify",
            classification("half_plus_two", "nope", xs(2.0)),
            (INVALID_ARGUMENT, "No signature was found with the name: nope"),
        ),
        (
            "Regress",
            regression("half_plus_two", "nope", xs(2.0)),
            (INVALID_ARGUMENT, "No signature was found with the name: nope"),
        ),
        (
            "MultiInference",
            one_task("half_plus_two", "nope"),
            (INVALID_ARGUMENT, "Requested signature not found in model graph: nope"),
        ),
    ],
)
def test_a_missing_signature_is_reported_by_each_api_in_its_own_way(running, api, request_of, reported):
    assert refused(getattr(running.prediction, api), request_of) == reported


@pytest.mark.behaviour("1.3", "an empty signature name is serving_default")
@pytest.mark.behaviour("13.2", "37 ModelMissingSignatures")
@pytest.mark.parametrize("name", ["two_signatures", "no_signatures", "no_signature_at_all"])
def test_an_empty_signature_name_means_serving_default_even_where_there_is_none(servers, name):
    assert refused_predict(servers(name), name) == (
        FAILED_PRECONDITION,
        'Serving signature key "serving_default" not found.',
    )


@pytest.mark.behaviour("1.3", "an empty signature name is serving_default")
@pytest.mark.behaviour(
    "1.3", "replies of Predict, Classify, Regress and MultiInference name model, version and signature, never a label"
)
@pytest.mark.parametrize(
    ("sent", "resolved"), [("", "serving_default"), ("serving_default",) * 2, ("regress_x2_to_y3",) * 2]
)
@pytest.mark.parametrize("version", [{}, {"version": 1}], ids=["latest", "version"])
def test_a_reply_names_model_version_and_signature(on_both_runs, sent, resolved, version):
    inputs = {"inputs": X["x"]} if sent == "regress_x2_to_y3" else X
    response = predict(on_both_runs, "half_plus_two", inputs, sent, **version)
    assert response.model_spec == model_spec("half_plus_two", resolved, version=1)


@pytest.mark.behaviour(
    "1.3", "replies of Predict, Classify, Regress and MultiInference name model, version and signature, never a label"
)
@pytest.mark.parametrize(("api", "signature"), [("Classify", "classify_x_to_y"), ("Regress", "regress_x_to_y")])
def test_a_reply_of_classify_and_regress_names_them_too(on_both_runs, api, signature):
    response = call(on_both_runs, api, "half_plus_two")
    assert response.model_spec == model_spec("half_plus_two", signature, version=1)


@pytest.mark.behaviour(
    "1.3", "replies of Predict, Classify, Regress and MultiInference name model, version and signature, never a label"
)
def test_each_result_of_multi_inference_names_them(on_both_runs):
    tasks = [task("half_plus_two", key) for key in ("regress_x_to_y", "regress_x_to_y2")]
    response = on_both_runs.prediction.MultiInference(multi_inference(*tasks, given=xs(2.0)), timeout=TIMEOUT_S)
    assert [result.model_spec for result in response.results] == [
        model_spec("half_plus_two", "regress_x_to_y", version=1),
        model_spec("half_plus_two", "regress_x_to_y2", version=1),
    ]


@pytest.mark.behaviour("1.3", "MultiInference resolves its first task alone")
def test_only_the_first_task_of_multi_inference_chooses_the_version(running):
    tasks = [task("half_plus_two", "regress_x_to_y", version=1), task("half_plus_two", "regress_x_to_y2", version=9)]
    labelled = task("half_plus_two", "regress_x2_to_y3", label="canary")
    response = running.prediction.MultiInference(multi_inference(*tasks, given=xs(2.0)), timeout=TIMEOUT_S)
    assert [result.model_spec.version.value for result in response.results] == [1, 1]
    reported = refused(running.prediction.MultiInference, multi_inference(labelled, given=xs(2.0)))
    assert reported == (INVALID_ARGUMENT, "Unrecognized servable version label: canary")


@pytest.mark.behaviour("1.3", "replies of GetModelMetadata name no signature")
@pytest.mark.parametrize("signature", ["", "nonsense"])
def test_a_reply_of_get_model_metadata_names_no_signature(running, signature):
    response = running.prediction.GetModelMetadata(metadata("half_plus_two", signature), timeout=TIMEOUT_S)
    assert response.model_spec == model_spec("half_plus_two", version=1)
