"""The examples of Classify and Regress requests become tf.Examples, or the original's error."""

import json

import pytest

from servable.codec.json import reading
from servable.errors import InvalidArgument


def features(*examples, **more):
    body = json.dumps({"examples": [*examples], **more}).encode()
    return [example.features.feature for example in reading.read_examples(body).input.example_list.examples]


def test_each_kind_of_value_has_its_list():
    (read,) = features({"f": 1.0, "i": [1, True, False], "s": ["a", {"b64": "/w=="}], "big": 2**65, "none": []})
    assert read["f"].float_list.value == [1.0]
    assert read["i"].int64_list.value == [1, 1, 0]
    assert read["s"].bytes_list.value == [b"a", b"\xff"]
    assert read["big"].float_list.value == [2.0**65]
    assert read["none"].WhichOneof("kind") is None


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5, 1e39], "float_list"),
        ([2**63 - 1, -(2**63)], "int64_list"),
        ([1, True], "int64_list"),
        (["a"], "bytes_list"),
    ],
)
def test_many_values_of_one_kind_are_added_as_one_by_one(values, kind):
    (together,) = features({"x": values})
    each = [example["x"] for example in features(*({"x": value} for value in values))]
    assert [*getattr(together["x"], kind).value] == [getattr(feature, kind).value[0] for feature in each]


def test_a_context_makes_a_list_with_context():
    body = b'{"context": {"c": 1}, "examples": [{"x": NaN}, {}], "signature_name": "s"}'
    read = reading.read_examples(body)
    assert read.signature_name == "s"
    given = read.input.example_list_with_context
    assert given.context.features.feature["c"].int64_list.value == [1]
    assert len(given.examples) == 2


def test_the_last_feature_of_a_name_wins():
    read = reading.read_examples(b'{"examples": [{"x": [1.0, 2.0], "x": [3.0]}]}')
    assert read.input.example_list.examples[0].features.feature["x"].float_list.value == [3.0]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{}", "JSON Value: {} When method is classify, key 'examples' is expected and was not found"),
        ('{"examples": 1}', "Expecting 'examples' value to be an list/array"),
        ('{"examples": []}', "'examples' value is an empty array"),
        ('{"examples": [1]}', "Example must be JSON object but got JSON Number"),
        ('{"context": 1}', "Example must be JSON object but got JSON Number"),
        ('{"examples": [{"x": null}]}', "Feature: x has element with unexpected JSON type: Null"),
        ('{"examples": [{"x": [[1]]}]}', "Feature: x has element with unexpected JSON type: Array"),
        ('{"examples": [{"x": {"a": 1}}]}', "Feature: x has element with unexpected JSON type: Object"),
        ('{"examples": [{"x": [1, 2.0]}]}', "Unexpected element type in feature: x expecting type: int64"),
        ('{"examples": [{"x": [2.0, "a"]}]}', "Unexpected element type in feature: x expecting type: float"),
        ('{"examples": [{"x": ["a", 1]}]}', "Unexpected element type in feature: x expecting type: bytes"),
        ('{"examples": [{"x": 9223372036854775808}]}', "Feature: x has uint64_t element. Only int64_t is supported."),
        ('{"examples": [{"x": {"b64": "!"}}]}', "Unable to base64 decode"),
        (r'{"examples": [{"\udc00": 1}]}', "The name of a feature is no UTF-8"),
        ('{"signature_name": 1}', "'signature_name' key must be a string value."),
    ],
)
def test_an_error_has_the_text_of_the_original(body, text):
    with pytest.raises(InvalidArgument) as raised:
        reading.read_examples(body.encode())
    assert text in raised.value.message
