"""GetModelMetadata over a socket, with the stock stubs: section 3 of docs/conformance.md."""

import pytest
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2

from servable.inference.metadata import GetModelMetadata
from tests.conformance import fakes
from tests.conformance.calls import INTERNAL, INVALID_ARGUMENT, NOT_FOUND, TIMEOUT_S, model_spec, refusal
from tests.conformance.example_calls import MODELS, refused_by, refused_bytes
from tests.conformance.versions import serve_versions

# One for each way to write a model, and those whose signatures are odd.
DESCRIBED = (
    *("half_plus_two", "half_plus_two_tf2", "half_plus_two_text", "default_values", "keras_two_inputs"),
    *("no_signatures", "no_signature_at_all", "odd_wiring", "counter", "custom_method", "dtypes"),
)


@pytest.fixture
def served(servers):
    return servers(*MODELS, runs="private")


@pytest.fixture(scope="module")
def two_versions(models, tmp_path_factory):
    """The model `two`: half_plus_two as 3, example_heads as 5."""
    versions = {"3": models.version_path("half_plus_two"), "005": models.version_path("example_heads")}
    with serve_versions(tmp_path_factory.mktemp("two"), "two", versions) as running:
        yield running


def request_for(name, *fields, **spec):
    return get_model_metadata_pb2.GetModelMetadataRequest(model_spec=model_spec(name, **spec), metadata_field=fields)


def describe(running, name, **spec):
    """Ask for the signatures of a model."""
    request = request_for(name, "signature_def", **spec)
    return running.prediction.GetModelMetadata(request, timeout=TIMEOUT_S)


def signatures_of(response):
    """The SignatureDefMap that a response carries, as a dict."""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    return dict(signatures.signature_def)


def stored_signatures(models, name):
    """What TensorFlow's own message reads in saved_model.pb."""
    stored = saved_model_pb2.SavedModel.FromString((models.version_path(name) / "saved_model.pb").read_bytes())
    return dict(stored.meta_graphs[0].signature_def)


def refused(running, request):
    return refused_by(running, "GetModelMetadata", request)


# The reply.


@pytest.mark.behaviour("3", "the reply names model and version, and no signature")
@pytest.mark.behaviour("13.1", "2 testGetModelMetadata")
@pytest.mark.behaviour("13.8", "119 ReturnsSignaturesForValidModel")
def test_the_reply_names_model_and_version_and_no_signature(served):
    response = describe(served, "half_plus_two", signature="regress_x_to_y")
    assert response.model_spec == model_spec("half_plus_two", version=1)


@pytest.mark.behaviour("3", "the reply names model and version, and no signature")
def test_a_signature_name_in_the_request_is_not_looked_at(served):
    assert describe(served, "half_plus_two", signature="nope") == describe(served, "half_plus_two")


@pytest.mark.behaviour("3", "the signatures are an Any of the original's type under the one key signature_def")
@pytest.mark.behaviour("13.1", "2 testGetModelMetadata")
def test_the_reply_carries_signature_def_alone_as_an_any_of_the_original_type(served):
    response = describe(served, "half_plus_two")
    assert list(response.metadata) == ["signature_def"]
    type_url = response.metadata["signature_def"].type_url
    assert type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"


@pytest.mark.behaviour("3", "every signature as stored")
@pytest.mark.behaviour("13.8", "119 ReturnsSignaturesForValidModel")
@pytest.mark.parametrize("name", [name for name in DESCRIBED if name != "half_plus_two_text"])
def test_the_signatures_are_those_of_saved_model_pb(servers, models, name):
    running = servers(*DESCRIBED, runs="private")
    assert signatures_of(describe(running, name)) == stored_signatures(models, name)


@pytest.mark.behaviour("3", "every signature as stored")
def test_the_signatures_of_a_text_model_are_those_of_its_binary_twin(servers, models):
    running = servers(*DESCRIBED, runs="private")
    assert signatures_of(describe(running, "half_plus_two_text")) == stored_signatures(models, "half_plus_two")


@pytest.mark.behaviour("3", "__saved_model_init_op is included")
def test_the_init_op_is_among_the_signatures(servers):
    running = servers(*DESCRIBED, runs="private")
    assert "__saved_model_init_op" in signatures_of(describe(running, "half_plus_two_tf2"))


@pytest.mark.behaviour("3", "defaults are included")
def test_the_default_values_of_inputs_are_in_the_signatures(servers):
    running = servers(*DESCRIBED, runs="private")
    signatures = signatures_of(describe(running, "default_values"))
    assert sorted(signatures["serving_default"].defaults) == ["offset", "scale"]
    assert list(signatures["all_default"].defaults["x"].float_val) == [5.0]


@pytest.mark.behaviour("3", "every signature as stored")
def test_a_model_without_signatures_answers_with_an_empty_map(servers):
    running = servers(*DESCRIBED, runs="private")
    assert signatures_of(describe(running, "no_signature_at_all")) == {}


ENCODINGS = """
inputs { key: "sparse" value {
  coo_sparse { values_tensor_name: "v:0" indices_tensor_name: "i:0" dense_shape_tensor_name: "s:0" } dtype: DT_INT64
} }
inputs { key: "ragged" value {
  composite_tensor {
    type_spec { type_spec_class: RAGGED_TENSOR_SPEC type_spec_class_name: "RaggedTensorSpec" num_flat_components: 2 }
    components { name: "r:0" dtype: DT_FLOAT tensor_shape { dim { size: -1 name: "rows" } } }
    components { name: "r:1" dtype: DT_INT64 tensor_shape { unknown_rank: true } }
  }
} }
outputs { key: "y" value { name: "y:0" dtype: DT_FLOAT_REF tensor_shape { } } }
method_name: "tensorflow/serving/predict"
"""
# Field 1000, a varint: what a TensorFlow of the future might write.
UNHEARD_OF = b"\xc0\x3e\x01"


@pytest.mark.behaviour("3", "every signature as stored")
def test_encodings_that_no_request_can_use_are_described_as_stored(models, tmp_path):
    stored = saved_model_pb2.SavedModel.FromString((models.version_path("matmul") / "saved_model.pb").read_bytes())
    written = text_format.Parse(ENCODINGS, meta_graph_pb2.SignatureDef())
    written.MergeFromString(UNHEARD_OF)
    stored.meta_graphs[0].signature_def["sparse"].CopyFrom(written)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(stored.SerializeToString())
    with serve_versions(tmp_path, "sparse", {"1": tmp_path / "model"}) as running:
        described = signatures_of(describe(running, "sparse"))
    assert described["sparse"] == written
    assert UNHEARD_OF in described["sparse"].SerializeToString()


# What is asked for.


@pytest.mark.behaviour("3", "no model spec")
@pytest.mark.behaviour("12", "no model_spec")
@pytest.mark.behaviour("13.8", "118 MissingOrEmptyModelSpec")
def test_a_request_without_a_model_spec_is_refused_first(served):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    assert refused(served, request) == (INVALID_ARGUMENT, "Missing ModelSpec")
    request.metadata_field.append("nope")
    assert refused(served, request) == (INVALID_ARGUMENT, "Missing ModelSpec")


@pytest.mark.behaviour("3", "no metadata field, before the model is looked up")
@pytest.mark.behaviour("12", "metadata_field empty or another")
@pytest.mark.behaviour("13.8", "117 EmptyOrInvalidMetadataFieldList")
@pytest.mark.parametrize("name", ["half_plus_two", "nope", ""])
def test_a_request_without_a_field_is_refused_before_the_model_is_looked_up(served, name):
    assert refused(served, request_for(name)) == (
        INVALID_ARGUMENT,
        "GetModelMetadataRequest must specify at least one metadata_field",
    )


@pytest.mark.behaviour("3", "a field other than signature_def, before the model is looked up")
@pytest.mark.behaviour("12", "metadata_field empty or another")
@pytest.mark.behaviour("13.8", "117 EmptyOrInvalidMetadataFieldList")
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (["nope"], "nope"),
        (["signature_def", "nope"], "nope"),
        (["nope", "signature_def"], "nope"),
        (["first", "second"], "first"),
        (["Signature_Def"], "Signature_Def"),
        ([""], ""),
    ],
)
@pytest.mark.parametrize("name", ["half_plus_two", "nope", ""])
def test_the_first_field_that_is_not_known_is_refused_before_the_model_is_looked_up(served, name, fields, named):
    assert refused(served, request_for(name, *fields)) == (
        INVALID_ARGUMENT,
        f"Metadata field {named} is not supported",
    )


@pytest.mark.behaviour("3", "a field other than signature_def, before the model is looked up")
def test_the_supported_field_is_named_beside_the_text(served):
    reported = refusal(served.prediction.GetModelMetadata, request_for("half_plus_two", "nope"))
    assert reported.hints == {"supported": "signature_def"}


@pytest.mark.behaviour("3", "a repeated signature_def is harmless")
def test_a_repeated_field_changes_nothing(served):
    request = request_for("half_plus_two", "signature_def", "signature_def")
    repeated = served.prediction.GetModelMetadata(request, timeout=TIMEOUT_S)
    assert repeated == describe(served, "half_plus_two")


@pytest.mark.behaviour("3", "the model lookup is that of the other calls")
@pytest.mark.behaviour("12", "empty model name, and MultiInference without tasks")
@pytest.mark.behaviour("12", "unknown model, version and label under the calls that take examples and GetModelMetadata")
@pytest.mark.behaviour("13.8", "118 MissingOrEmptyModelSpec")
@pytest.mark.parametrize(
    ("name", "spec", "code", "text"),
    [
        ("", {}, INVALID_ARGUMENT, "ModelSpec has no name specified."),
        ("nope", {}, NOT_FOUND, "Servable not found for request: Latest(nope)"),
        ("nope", {"version": 1}, NOT_FOUND, "Servable not found for request: Specific(nope, 1)"),
        ("odd_heads", {"version": 9}, NOT_FOUND, "Servable not found for request: Specific(odd_heads, 9)"),
        ("odd_heads", {"version": 0}, NOT_FOUND, "Servable not found for request: Specific(odd_heads, 0)"),
        ("odd_heads", {"version": -1}, NOT_FOUND, "Servable not found for request: Specific(odd_heads, -1)"),
        ("odd_heads", {"label": "canary"}, INVALID_ARGUMENT, "Unrecognized servable version label: canary"),
        ("odd_heads", {"label": ""}, INVALID_ARGUMENT, "Unrecognized servable version label: "),
        ("nope", {"label": "canary"}, INVALID_ARGUMENT, "Unrecognized servable version label: canary"),
    ],
)
def test_a_model_spec_that_finds_nothing_is_refused(served, name, spec, code, text):
    assert refused(served, request_for(name, "signature_def", **spec)) == (code, text)


@pytest.mark.behaviour("12", "undecodable request bytes")
def test_bytes_that_are_no_request_are_internal_without_a_text(served):
    assert refused_bytes(served, "GetModelMetadata", b"\xff") == (INTERNAL, "")


@pytest.mark.behaviour("3", "works by version and label")
@pytest.mark.parametrize(
    ("version", "answers", "stored"),
    [(3, 3, "half_plus_two"), (5, 5, "example_heads"), (None, 5, "example_heads")],
)
def test_a_version_is_described_by_its_number_and_the_highest_without(two_versions, models, version, answers, stored):
    response = describe(two_versions, "two", version=version)
    assert response.model_spec == model_spec("two", version=answers)
    assert signatures_of(response) == stored_signatures(models, stored)


@pytest.mark.behaviour("3", "works by version and label")
def test_a_version_is_described_by_its_label_and_reported_by_its_number():
    router = fakes.route(fakes.FakeServable(fakes.define("s", {"x": "x:0"}, {"y": "y:0"})), labels={"stable": 7})
    request = request_for("fake", "signature_def", label="stable")
    reply = GetModelMetadata(router)(request.SerializeToString(), None)
    response = get_model_metadata_pb2.GetModelMetadataResponse.FromString(reply)
    assert response.model_spec == model_spec("fake", version=7)
    assert list(signatures_of(response)) == ["s"]
