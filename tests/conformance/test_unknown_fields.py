"""Requests of a newer .proto: an entry of a map with a field that this server does not know is answered all the same.

What the original makes of them: its C++ drops an unknown field of an entry, and keeps any other.
"""

import struct

import pytest
from tensorflow_serving.apis import regression_pb2

from servable import wire
from servable.inference.examples import serialize_examples
from tests.codec.wire_bytes import (
    FIXED_32,
    FLOAT_VAL,
    INPUTS,
    KEY,
    VALUE,
    group,
    number_field,
    sized,
    spec,
    tag,
    tensor,
)
from tests.conformance.calls import MODEL_SERVICE, PREDICTION_SERVICE, RUNS
from tests.conformance.example_calls import (
    APIS,
    INVALID_ARGUMENT,
    MODELS,
    example,
    refused_bytes,
    request_of,
    values_of,
)
from tests.conformance.operating import model, operate, put

UNKNOWN = {
    "a number": number_field(9, 1),
    "bytes": sized(9, b"new"),
    "a group": group(9, number_field(1, 1)),
    "a key of another wire type": number_field(KEY, 1),
    "a value of another wire type": tag(VALUE, FIXED_32) + b"1234",
}
EVERY_UNKNOWN_FIELD = pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
FEATURE = sized(2, sized(1, struct.pack("<f", 3.0)))


@pytest.fixture(params=RUNS)
def served(servers, request):
    return servers(*MODELS, runs=request.param)


def make_example(entry):
    """An Example of the feature x, which is this entry of its map."""
    return sized(1, sized(1, entry))


@pytest.mark.behaviour("1.4", "an input whose entry of the map has an unknown field counts")
@EVERY_UNKNOWN_FIELD
def test_an_input_with_an_unknown_field_is_fed(served, unknown):
    value = tensor(1, [1], sized(FLOAT_VAL, struct.pack("<f", 3.0)))
    request = spec("half_plus_two") + sized(INPUTS, sized(KEY, b"x") + unknown + sized(VALUE, value))
    for _ in range(3):  # The same bytes again may be answered by a template.
        reply = wire.PredictResponse.FromString(served.call(PREDICTION_SERVICE + "Predict", request))
        assert list(reply.outputs["y"].float_val) == [3.5]


@pytest.mark.behaviour("2.1", "an unknown field of a feature's entry of the map is dropped")
@EVERY_UNKNOWN_FIELD
@pytest.mark.parametrize("kind", [1, 2], ids=["in the list", "in the list with context"])
def test_a_feature_with_an_unknown_field_is_fed(served, unknown, kind):
    given = make_example(sized(KEY, b"x") + sized(VALUE, FEATURE) + unknown)
    request = request_of("Regress", "half_plus_two", "regress_x_to_y", None).SerializeToString()
    reply = served.call(PREDICTION_SERVICE + "Regress", request + sized(2, sized(kind, sized(1, given))))
    assert values_of(regression_pb2.RegressionResponse.FromString(reply).result) == [3.5]


@pytest.mark.behaviour("2.1", "an unknown field of a feature's entry of the map is dropped")
def test_a_context_with_an_unknown_field_is_fed(served):
    context = make_example(sized(KEY, b"x") + UNKNOWN["a group"] + sized(VALUE, FEATURE))
    request = request_of("Regress", "half_plus_two", "regress_x_to_y", None).SerializeToString()
    listed = sized(2, sized(1, b"") + sized(2, context))
    reply = served.call(PREDICTION_SERVICE + "Regress", request + sized(2, listed))
    assert values_of(regression_pb2.RegressionResponse.FromString(reply).result) == [3.5]


@pytest.mark.behaviour("2.1", "an unknown group of an Example beside its features stays, and no graph parses it")
@pytest.mark.parametrize("api", APIS)
def test_a_group_beside_the_features_is_left_to_the_graph(served, api):
    signature = "classify_x_to_y" if api == "Classify" else "regress_x_to_y"
    given = example(x=1.0).SerializeToString() + UNKNOWN["a group"]
    request = request_of(api, "half_plus_two", signature, None).SerializeToString() + sized(
        2, sized(1, sized(1, given))
    )
    code, text = refused_bytes(served, api, request)
    assert code == INVALID_ARGUMENT
    assert text.startswith("Could not parse example input, value: '")


@pytest.mark.behaviour("2.1", "an unknown group of an Example beside its features stays, and no graph parses it")
def test_another_unknown_field_beside_a_feature_reaches_the_graph_which_refuses_it():
    given = sized(1, sized(1, sized(KEY, b"x") + sized(VALUE, FEATURE) + UNKNOWN["bytes"]) + sized(8, b"kept"))
    (serialized,) = serialize_examples(wire.Input.FromString(sized(1, sized(1, given))))
    assert sized(8, b"kept") in serialized


@pytest.mark.behaviour("2.1", "an unknown field of a feature's entry of the map is dropped")
def test_a_feature_whose_entry_alone_is_unknown_leaves_what_is_known_of_it():
    entry = sized(KEY, b"x") + sized(VALUE, FEATURE + number_field(9, 7))
    given = sized(1, sized(1, entry + UNKNOWN["bytes"])) + sized(9, b"kept")
    (serialized,) = serialize_examples(wire.Input.FromString(sized(1, sized(1, given))))
    assert serialized == sized(1, sized(1, entry)) + sized(9, b"kept")


@pytest.mark.behaviour("6.3", "a label whose entry of the map has an unknown field is set")
def test_a_label_with_an_unknown_field_is_set(tmp_path):
    put(tmp_path / "m", 1)
    with operate(tmp_path, model("m", tmp_path / "m")) as server:
        label = sized(8, sized(KEY, b"stable") + number_field(VALUE, 1) + UNKNOWN["bytes"])
        config = sized(1, sized(1, model("m", tmp_path / "m").SerializeToString() + label))
        server.running.call(MODEL_SERVICE + "HandleReloadConfigRequest", sized(1, config))
        assert server.version("m", label="stable") == 1
