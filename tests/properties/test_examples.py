"""The examples of a request reach the model in order, each merged with the context."""

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from servable import wire
from servable.inference.examples import EmptyInput, serialize_examples

# A feature is the name of its list and the values in it; an example is its features by name.
FLOATS = st.lists(st.integers(-1000, 1000).map(float), max_size=3)
FEATURES = st.one_of(
    st.tuples(st.just("float_list"), FLOATS),
    st.tuples(st.just("int64_list"), st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=3)),
    st.tuples(st.just("bytes_list"), st.lists(st.binary(max_size=8), max_size=3)),
)
EXAMPLES = st.dictionaries(st.sampled_from(("", "x", "x2", "größe")), FEATURES, max_size=3)


def write(features):
    example = tf.train.Example()
    for name, (kind, values) in features.items():
        getattr(example.features.feature[name], kind).SetInParent()
        getattr(example.features.feature[name], kind).value.extend(values)
    return example.SerializeToString()


def read(serialized):
    stored = tf.train.Example.FromString(serialized).features.feature
    kinds = {name: feature.WhichOneof("kind") for name, feature in stored.items()}
    return {name: (kind, list(getattr(stored[name], kind).value)) for name, kind in kinds.items()}


@given(st.lists(EXAMPLES, min_size=1, max_size=5))
def test_examples_are_read_one_by_one_in_order(examples):
    message = wire.Input()
    message.example_list.examples.extend(wire.Example.FromString(write(each)) for each in examples)
    serialized = serialize_examples(message)
    assert (serialized.dtype, serialized.shape) == (object, (len(examples),))
    assert [read(each) for each in serialized] == examples


@given(st.lists(EXAMPLES, min_size=1, max_size=5), EXAMPLES)
def test_a_context_gives_the_features_that_an_example_lacks(examples, context):
    message = wire.Input()
    message.example_list_with_context.context.MergeFromString(write(context))
    message.example_list_with_context.examples.extend(wire.Example.FromString(write(each)) for each in examples)
    assert [read(each) for each in serialize_examples(message)] == [context | each for each in examples]


@given(EXAMPLES, st.sampled_from((None, "example_list", "example_list_with_context")))
def test_an_input_without_examples_is_empty_whatever_its_context(context, kind):
    message = wire.Input()
    if kind is not None:
        getattr(message, kind).SetInParent()
    if kind == "example_list_with_context":
        message.example_list_with_context.context.MergeFromString(write(context))
    with pytest.raises(EmptyInput, match=r"^Input is empty\.$"):
        serialize_examples(message)
