"""Section 2.1 of docs/conformance.md: how examples reach the graph, and the errors of those that do not."""

import re

import pytest

from servable.inference.classify import Classify
from tests.conformance import fakes
from tests.conformance.calls import INTERNAL, INVALID_ARGUMENT, RUNS, TIMEOUT_S, refused_predict
from tests.conformance.example_calls import (
    APIS,
    MODELS,
    classification,
    classify,
    delimited,
    example,
    input_pb2,
    labels_and_scores,
    multi_inference,
    plain,
    refused_by,
    refused_bytes,
    regression,
    request_of,
    task,
    value_of,
    with_context,
    xs,
)

NODE = "\n\t [[{{node ParseExample/ParseExample}}]]"
# Length-delimited field 1 of five bytes, of which three are there.
MALFORMED = b"\x0a\x05abc"


@pytest.fixture(params=RUNS)
def served(servers, request):
    return servers(*MODELS, runs=request.param)


@pytest.fixture(params=[(runs, check) for runs in RUNS for check in (False, True)], ids=str)
def either(servers, request):
    """A server with the check of method names off or on; what it answers must not depend on that."""
    runs, check = request.param
    return servers(*MODELS, runs=runs, **{"enable_signature_method_name_check": True} if check else {})


@pytest.fixture(params=APIS)
def api(request):
    return request.param


def signature_of(api):
    return "classify_x_to_y" if api == "Classify" else "regress_x_to_y"


def ask(served, api, given, model="half_plus_two"):
    call = getattr(served.prediction, api)
    return value_of(api, call(request_of(api, model, signature_of(api), given), timeout=TIMEOUT_S))


def refuse(served, api, given, model="half_plus_two"):
    return refused_by(served, api, request_of(api, model, signature_of(api), given))


@pytest.mark.behaviour("2.1", "examples are answered in their order")
def test_examples_are_answered_in_order(served):
    response = classify(served, "half_plus_two", "classify_x_to_y", xs(4.0, 2.0, 8.0))
    assert labels_and_scores(response.result) == [[("", 4.0)], [("", 3.0)], [("", 6.0)]]


@pytest.mark.behaviour("2.1", "an example is fed as one serialized string of a vector to the signature's only input")
@pytest.mark.parametrize("model", ["half_plus_two", "half_plus_two_tf2"])
def test_an_example_is_answered(served, api, model):
    assert ask(served, api, xs(2.0), model) == 3.0


@pytest.mark.behaviour("2.1", "a feature that only the context has is the example's")
@pytest.mark.behaviour("13.4", "56 ExampleListWithContext")
@pytest.mark.behaviour("13.5", "76 BasicExampleListWithContext")
def test_an_example_without_a_feature_inherits_the_contexts(either, api):
    assert ask(either, api, with_context(example(x=4.0), example())) == 4.0


@pytest.mark.behaviour("2.1", "a feature of both is the example's own")
@pytest.mark.behaviour("13.4", "57 ExampleListWithContext_DuplicateFeatures")
def test_an_examples_feature_wins_over_the_contexts(either, api):
    assert ask(either, api, with_context(example(x=4.0), example(x=10.0))) == 7.0


@pytest.mark.behaviour("2.1", "a feature that only the context has is the example's")
@pytest.mark.behaviour("2.1", "a feature of both is the example's own")
def test_every_example_has_the_context_and_only_its_own_features(either):
    given = with_context(example(x=4.0), example(), example(x=10.0), example(other=1.0))
    response = classify(either, "half_plus_two", "classify_x_to_y", given)
    assert labels_and_scores(response.result) == [[("", 4.0)], [("", 7.0)], [("", 4.0)]]


@pytest.mark.behaviour("2.1", "an absent context leaves the example as it is")
def test_without_a_context_an_example_stands_alone(either, api):
    assert ask(either, api, with_context(None, example(x=2.0))) == 3.0


HEAD = fakes.define("serving_default", {"inputs": "examples:0"}, {"scores": "scores:0"})


def feed_of(given):
    """What Classify feeds to a signature's only input."""
    servable = fakes.FakeServable(HEAD, outputs={"scores:0": fakes.floats([[1.0], [2.0]])})
    Classify(fakes.route(servable))(classification("fake", given=given).SerializeToString(), None)
    (run,) = servable.runs
    return run.feeds["examples:0"]


@pytest.mark.behaviour("2.1", "an example is fed as one serialized string of a vector to the signature's only input")
def test_the_graph_is_fed_one_serialized_example_for_each():
    first, second = example(x=1.0), example(y=b"two")
    feed = feed_of(plain(first, second))
    assert feed.dtype == object
    assert feed.shape == (2,)
    assert feed.tolist() == [first.SerializeToString(), second.SerializeToString()]


@pytest.mark.behaviour("2.1", "a context is put before each example, as bytes")
def test_a_context_is_put_before_each_example_as_it_stands():
    context, first, second = example(x=1.0), example(x=2.0), example()
    assert feed_of(with_context(context, first, second)).tolist() == [
        context.SerializeToString() + first.SerializeToString(),
        context.SerializeToString(),
    ]


@pytest.mark.behaviour("2.1", "an unset kind, an empty list and an empty list with a context are empty input")
@pytest.mark.behaviour("12", "empty Input")
@pytest.mark.behaviour("13.4", "65 EmptyInput, 66 EmptyExampleList, 67 EmptyExampleListWithContext")
@pytest.mark.behaviour("13.5", "80 EmptyInput, 81 EmptyExampleList, 82 EmptyExampleListWithContext")
@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="no input"),
        pytest.param(input_pb2.Input(), id="no kind"),
        pytest.param(plain(), id="empty list"),
        pytest.param(with_context(None), id="empty list with no context"),
        pytest.param(with_context(example()), id="empty list with an empty context"),
        pytest.param(with_context(example(x=2.0)), id="empty list with a context"),
    ],
)
def test_an_input_without_examples_is_refused(either, api, given):
    assert refuse(either, api, given) == (INVALID_ARGUMENT, "Input is empty.")


@pytest.mark.behaviour("2.3", "signature, then examples, then the run, then outputs")
@pytest.mark.parametrize(
    ("api", "request_"),
    [
        ("Classify", classification("half_plus_two", "serving_default")),
        ("Regress", regression("half_plus_two", "serving_default")),
        ("MultiInference", multi_inference(task("half_plus_two", "serving_default"))),
    ],
)
def test_a_signature_is_judged_before_the_examples_are(served, api, request_):
    code, details = refused_by(served, api, request_)
    assert code == INVALID_ARGUMENT
    assert re.match(r"No (classification|regression) inputs found in SignatureDef: ", details)


@pytest.mark.behaviour("2.3", "signature, then examples, then the run, then outputs")
def test_examples_are_looked_at_before_the_graph_runs(served, api):
    # The graph would say that a string is no float.
    signature = "classify_x2_to_y3" if api == "Classify" else "regress_x2_to_y3"
    request = request_of(api, "half_plus_two", signature, plain())
    assert refused_by(served, api, request) == (INVALID_ARGUMENT, "Input is empty.")


@pytest.mark.behaviour("2.1", "malformed Example bytes in a request are INTERNAL without a text")
@pytest.mark.behaviour("12", "undecodable Example bytes")
@pytest.mark.parametrize(
    "given",
    [
        pytest.param(delimited(1, delimited(1, MALFORMED)), id="in the list"),
        pytest.param(delimited(2, delimited(1, MALFORMED)), id="in the list with context"),
        pytest.param(
            delimited(2, delimited(1, example(x=1.0).SerializeToString()), delimited(2, MALFORMED)), id="in the context"
        ),
        pytest.param(
            delimited(1, delimited(1, delimited(1, delimited(1, delimited(1, b"\xff"))))), id="a name not in UTF-8"
        ),
    ],
)
def test_a_malformed_example_is_internal_without_a_text(served, api, given):
    request = request_of(api, "half_plus_two", signature_of(api), None).SerializeToString() + delimited(2, given)
    assert refused_bytes(served, api, request) == (INTERNAL, "")


@pytest.mark.behaviour("2.1", "malformed Example bytes in a request are INTERNAL without a text")
def test_the_hand_made_bytes_are_a_request_if_the_example_is_well_formed(served):
    given = delimited(2, delimited(1, delimited(1, example(x=2.0).SerializeToString())))
    request = classification("half_plus_two", "classify_x_to_y").SerializeToString() + given
    assert served.call("/tensorflow.serving.PredictionService/Classify", request)


@pytest.mark.behaviour("2.1", "malformed Example bytes that reach the graph are INVALID_ARGUMENT in its words")
@pytest.mark.behaviour("12", "bad Example bytes inside a string tensor")
@pytest.mark.parametrize("signature", ["classify_x_to_y", "regress_x_to_y"])
def test_predict_reports_which_example_the_graph_could_not_parse(served, signature):
    assert refused_predict(served, "half_plus_two", {"inputs": [MALFORMED]}, signature) == (
        INVALID_ARGUMENT,
        "Could not parse example input, value: '\n\x05abc'\n\t [[{{node ParseExample/ParseExample}}]]",
    )


@pytest.mark.behaviour("2.1", "malformed Example bytes that reach the graph are INVALID_ARGUMENT in its words")
def test_predict_reports_an_example_that_is_no_text(served):
    # The bytes are sent as they were. In a text that is no UTF-8, each byte is to gRPC's Python client one character.
    assert refused_predict(served, "half_plus_two", {"inputs": [b"\xff\xfe"]}, "classify_x_to_y") == (
        INVALID_ARGUMENT,
        "Could not parse example input, value: '\xff\xfe'\n\t [[{{node ParseExample/ParseExample}}]]",
    )


@pytest.mark.behaviour("2.1", "ours: the text of a graph's error ends at its first zero byte")
@pytest.mark.parametrize("after", [b"", b"\xff"], ids=["text", "no text"])
def test_a_text_ends_at_its_first_zero_byte(served, after):
    """TensorFlow's Python reads a text from its C API, which tells no length. If this fails, all of it can be sent."""
    assert refused_predict(served, "half_plus_two", {"inputs": [b"a\x00b" + after]}, "classify_x_to_y") == (
        INVALID_ARGUMENT,
        "Could not parse example input, value: 'a",
    )


@pytest.mark.behaviour("2.1", "malformed Example bytes that reach the graph are INVALID_ARGUMENT in its words")
def test_a_malformed_example_to_a_function_names_function_and_node(served):
    code, details = refused_predict(served, "half_plus_two_tf2", {"inputs": [MALFORMED]}, "classify_x_to_y")
    assert code == INVALID_ARGUMENT
    assert re.fullmatch(
        r"Could not parse example input, value: '\n\x05abc'\n\t "
        r"\[\[\{\{function_node __inference_classify_x_to_y_\d+\}\}\{\{node ParseExample/ParseExampleV2\}\}\]\]",
        details,
    )


MISFITS = [
    pytest.param(
        example(other=1.0),
        "Name: <unknown>, Feature: x (data type: float) is required but could not be found.",
        id="missing feature",
    ),
    pytest.param(
        example(x=1),
        "Name: <unknown>, Key: x, Index: 0.  Data types don't match. Data type: int64 but expected type: float",
        id="wrong kind",
    ),
    pytest.param(
        example(x=[1.0, 2.0]),
        "Name: <unknown>, Key: x, Index: 0.  Number of float values != expected.  Values size: 2 but output shape: [1]",
        id="wrong length",
    ),
]


@pytest.mark.behaviour(
    "2.1", "a missing feature, a wrong kind and a wrong length are reported in the graph's words with the node"
)
@pytest.mark.parametrize(("misfit", "text"), MISFITS)
def test_an_example_that_does_not_fit_is_reported_in_the_graphs_words(served, api, misfit, text):
    assert refuse(served, api, plain(misfit)) == (INVALID_ARGUMENT, text + NODE)


@pytest.mark.behaviour(
    "2.1", "a missing feature, a wrong kind and a wrong length are reported in the graph's words with the node"
)
@pytest.mark.parametrize(("misfit", "text"), MISFITS)
def test_a_function_reports_the_same_and_names_itself(served, api, misfit, text):
    code, details = refuse(served, api, plain(misfit), "half_plus_two_tf2")
    assert code == INVALID_ARGUMENT
    suffix = rf"\n\t \[\[\{{\{{function_node __inference_{signature_of(api)}_\d+\}}\}}\{{\{{node .*\}}\}}\]\]"
    assert re.fullmatch(re.escape(text) + suffix, details)


@pytest.mark.behaviour(
    "2.1", "a missing feature, a wrong kind and a wrong length are reported in the graph's words with the node"
)
def test_the_index_is_the_examples_place_in_the_request(served, api):
    assert refuse(served, api, plain(example(x=1.0), example(x=1))) == (
        INVALID_ARGUMENT,
        "Name: <unknown>, Key: x, Index: 1.  Data types don't match. Data type: int64 but expected type: float" + NODE,
    )
