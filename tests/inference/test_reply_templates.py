"""A reply that is made from the template of an earlier one is the reply that would have been encoded."""

import math
import threading

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from servable import wire
from servable.codec import dtypes, encoding
from servable.errors import ResourceExhausted
from servable.inference import template_cache
from servable.inference.template_cache import ReplyTemplates
from servable.requests import Fetched
from tests.inference.asking import Model, ask, floats_request, model_routes, new_predict, plain_reply, quiet
from tests.inference.together import run_together

PROPERTIES = settings(max_examples=250, deadline=None, derandomize=True, database=None)
TIMEOUT_S = 30.0
TABLE = list(dtypes.BY_NUMBER.values())
RAW_COPIES = [dtype for dtype in TABLE if encoding.is_raw_copy(dtype.number, as_content=False)]
FOUR_BITS = (wire.DT_INT4, wire.DT_UINT4)
ALIASES = st.lists(st.sampled_from(["y", "scores", "", "größe", "a", "x" * 130]), min_size=1, max_size=4, unique=True)


def reply_of(aliases, fetched, as_content):
    """The reply as it is encoded without a template."""
    response = wire.PredictResponse()
    response.model_spec.name, response.model_spec.version.value = "m", 7
    for alias, array, dtype in zip(aliases, fetched.arrays, fetched.dtypes, strict=True):
        encoding.encode(array, dtype, response.outputs[alias], as_content=as_content)
    return response.SerializeToString()


@st.composite
def arrays(draw, dtype):
    """An array in C order, as TensorFlow gives it, of few different values."""
    sizes = draw(st.lists(st.integers(1, 3), max_size=3) | st.lists(st.integers(0, 40), max_size=2))
    count = math.prod(sizes)
    if dtype.is_string:
        texts = draw(st.lists(st.binary(max_size=9), min_size=1, max_size=3))
        return np.array([texts[index % len(texts)] for index in range(count)], object).reshape(sizes)
    codes = np.resize(
        draw(st.lists(st.sampled_from([0, 1, 63, 127, 128, 255]), min_size=1)), count * dtype.numpy.itemsize
    )
    codes = codes.astype(np.uint8)
    if dtype.number == wire.DT_BOOL:
        codes %= 2
    elif dtype.number in FOUR_BITS:
        codes %= 8
    array = codes.view(dtype.numpy).reshape(sizes)
    return quiet(array) if array.size else array


@st.composite
def outputs(draw, chosen):
    """What a model gave, in the same dtypes and mostly in the shapes of the time before."""
    several, before = [], None
    for _ in range(draw(st.integers(1, 4))):
        if before is None or draw(st.integers(0, 3)) == 0:
            before = [draw(arrays(dtype)) for dtype in chosen]
        elif draw(st.booleans()):
            before = [changed(draw, array) for array in before]
        several.append(Fetched(before, [dtype.number for dtype in chosen]))
    return several


def changed(draw, array):
    """An array of the same shape and dtype."""
    if array.dtype == object or not array.size:
        return array
    if array.dtype == np.bool_:
        return ~array
    return np.roll(array.reshape(-1), draw(st.integers(0, 3))).reshape(array.shape)


@PROPERTIES
@given(aliases=ALIASES, as_content=st.booleans(), data=st.data())
def test_any_outputs_of_any_shapes_make_the_same_reply(aliases, as_content, data):
    """Of any dtypes, with repeats, scalars and arrays without elements."""
    kinds = st.sampled_from(RAW_COPIES) if data.draw(st.booleans()) else st.sampled_from(TABLE)
    chosen = [data.draw(kinds) for _ in aliases]
    templates = ReplyTemplates(tuple(aliases))
    for fetched in data.draw(outputs(chosen)):
        expected = reply_of(aliases, fetched, as_content)
        made = templates.fill(fetched.arrays)
        event("encoded" if made is None else "made from a template")
        if made is None:
            templates.store(expected, fetched, as_content=as_content)
            made = templates.fill(fetched.arrays)
        assert made is None or plain_reply(made) == plain_reply(expected)


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("dtype", [dtype for dtype in TABLE if not dtype.is_string], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (200,)])
def test_every_byte_of_every_dtype_comes_through(dtype, shape, as_content):
    """A varint is not a byte: what is above 127 would break the message."""
    templates = ReplyTemplates(("y",))
    count, size = int(np.prod(shape)), dtype.numpy.itemsize
    for start in (0, 100, 200):
        codes = np.resize((np.arange(256) + start) % 256, count * size).astype(np.uint8)
        if dtype.number == wire.DT_BOOL:
            codes %= 2
        elif dtype.number in FOUR_BITS:
            codes %= 8
        elif dtype.number in (wire.DT_FLOAT, wire.DT_COMPLEX64):
            codes[3::4] = 0x3F  # No NaN, whose bits may change on their way through Python.
        fetched = Fetched([codes.view(dtype.numpy).reshape(shape)], [dtype.number])
        expected = reply_of(["y"], fetched, as_content)
        made = templates.fill(fetched.arrays)
        assert made in (None, expected)
        assert (made is not None) is (bool(start) and encoding.is_raw_copy(dtype.number, as_content=as_content))
        templates.store(expected, fetched, as_content=as_content)


def fetched_floats(*several):
    return Fetched([np.array(values, np.float32) for values in several], [wire.DT_FLOAT] * len(several))


def test_each_array_keeps_its_alias_whatever_the_order_of_the_reply():
    """The order of a map on the wire is not specified."""
    first, second = fetched_floats([1], [2]), fetched_floats([3], [4])
    forth, back = (ordered_reply(first, order) for order in ("ab", "ba"))
    assert plain_reply(forth) == plain_reply(back)
    assert forth != back
    for reply in (forth, back):
        templates = ReplyTemplates(("a", "b"))
        templates.store(reply, first, as_content=False)
        assert plain_reply(templates.fill(second.arrays)) == plain_reply(reply_of(["a", "b"], second, False))


def ordered_reply(fetched, order):
    """The reply of outputs a and b, written in this order."""
    parts = []
    for alias in order:
        index = "ab".index(alias)
        one = Fetched(fetched.arrays[index : index + 1], fetched.dtypes[:1])
        parts.append(reply_of(alias, one, False))
    # The model spec, which is there twice, is merged.
    return b"".join(parts)


def test_equal_shapes_of_different_outputs_are_not_mixed_up():
    templates = ReplyTemplates(("a", "b"))
    for several in (([1], [[2]]), ([[1]], [2]), ([1, 2], [3]), ([1], [2, 3])):
        fetched = fetched_floats(*several)
        assert templates.fill(fetched.arrays) is None
        templates.store(reply_of("ab", fetched, False), fetched, as_content=False)
        assert plain_reply(templates.fill(fetched.arrays)) == plain_reply(reply_of("ab", fetched, False))


def test_of_many_shapes_not_all_make_templates():
    templates = ReplyTemplates(("y",))
    for size in range(1, 1000):
        fetched = fetched_floats([size] * size)
        templates.store(reply_of("y", fetched, False), fetched, as_content=False)
    found = [size for size in range(1, 1000) if templates.fill(fetched_floats([1] * size).arrays) is not None]
    assert 8 <= len(found) <= 100
    # What came first stays.
    assert found == list(range(1, len(found) + 1))


@pytest.mark.parametrize("kind", ["uint8", "int32"])
def test_a_reply_whose_values_are_no_raw_copies_is_never_made_from_a_template(kind):
    """Small numbers of one byte are their own varints, until a large one comes."""
    templates, number = ReplyTemplates(("y", "n")), {"uint8": wire.DT_UINT8, "int32": wire.DT_INT32}[kind]
    for value in (1, 2, 200):
        fetched = Fetched([np.float32([value]), np.array([value], kind)], [wire.DT_FLOAT, number])
        assert templates.fill(fetched.arrays) is None
        templates.store(reply_of(["y", "n"], fetched, False), fetched, as_content=False)


@pytest.mark.parametrize("shapes", [[(2, 3), (3, 2), (6,), (1, 6)], [(1,), ()]])
def test_one_output_of_as_many_values_in_another_shape_is_another_reply(shapes):
    templates = ReplyTemplates(("y",))
    for shape in shapes:
        fetched = Fetched([np.ones(shape, np.float32)], [wire.DT_FLOAT])
        expected = reply_of("y", fetched, False)
        assert templates.fill(fetched.arrays) is None
        templates.store(expected, fetched, as_content=False)
        assert templates.fill(fetched.arrays) == expected


def test_a_reply_that_is_not_made_of_these_arrays_makes_no_template():
    """Whatever made it, for example in another byte order."""
    templates, fetched = ReplyTemplates(("y",)), fetched_floats([1, 2])
    templates.store(reply_of("y", fetched_floats([2, 1]), False), fetched, as_content=False)
    assert templates.fill(fetched.arrays) is None


@pytest.mark.parametrize("layout", [np.transpose, np.asfortranarray, lambda array: array[::-1], lambda a: a[:, ::2]])
def test_an_array_in_another_order_makes_its_reply(layout):
    templates, values = ReplyTemplates(("y",)), np.arange(16, dtype=np.float32).reshape(4, 4)
    plain = Fetched([np.ascontiguousarray(layout(values))], [wire.DT_FLOAT])
    expected = reply_of("y", plain, False)
    templates.store(expected, plain, as_content=False)
    assert templates.fill([layout(values)]) in (None, expected)


@pytest.mark.parametrize("as_content", [False, True])
def test_replies_of_a_model_are_the_same_from_the_second_one_on(as_content):
    """Through Predict, with shapes that the values choose, two versions, and filters that are in no order."""
    predict = new_predict(as_content=as_content)
    for number in range(40):
        for spec in ({"version": 1}, {"label": "old"}, {}, {"signature": "empty", "alias": ""}):
            request = floats_request(number % 7, number % 3, number, **spec)
            assert plain_reply(ask(predict, request)[1]) == plain_reply(
                ask(new_predict(as_content=as_content), request)[1]
            )


def test_replies_name_the_version_that_answered():
    """Requests of equal bytes but for the version, and outputs of equal shapes."""
    predict = new_predict(model_routes(1, 2, 3, n=Model()))
    answered_right = set()
    for _ in range(3):
        for name, version in (("m", 1), ("m", 2), ("m", 3), ("n", 1)):
            reply = wire.PredictResponse.FromString(ask(predict, floats_request(1, name=name, version=version))[1])
            answered_right.add((name, version) == (reply.model_spec.name, reply.model_spec.version.value))
    assert answered_right == {True}


def test_many_threads_store_and_fill_at_once():
    templates, wrong, barrier = ReplyTemplates(("a", "b")), [], threading.Barrier(8)

    def make_all(offset):
        barrier.wait(TIMEOUT_S)
        for step in range(300):
            size = (step * 7 + offset) % 90 + 1
            fetched = fetched_floats([offset] * size, [step])
            expected = reply_of(["a", "b"], fetched, False)
            made = templates.fill(fetched.arrays)
            if made is None:
                templates.store(expected, fetched, as_content=False)
            elif plain_reply(made) != plain_reply(expected):
                wrong.append((offset, step))

    run_together(make_all, [(index,) for index in range(8)])
    assert not wrong


def test_replies_that_no_template_can_make_are_looked_at_a_bounded_number_of_times(monkeypatch):
    """As those of an array that is not in C order: to look takes longer than to encode."""
    looked, find = [], template_cache.find_value_spans
    monkeypatch.setattr(template_cache, "find_value_spans", lambda *given: looked.append(1) or find(*given))
    templates, fetched = ReplyTemplates(("y",)), Fetched([np.ones((2, 3), np.float32).T], [wire.DT_FLOAT])
    for _ in range(1000):
        assert templates.fill(fetched.arrays) is None
        templates.store(reply_of(("y",), fetched, as_content=False), fetched, as_content=False)
    assert 0 < len(looked) <= 64


def test_outputs_larger_than_a_message_are_refused_before_they_are_copied():
    """They need no memory here: all their rows are one."""
    rows = np.broadcast_to(np.float32([1.5]), (600_000_000,))
    predict = new_predict()
    request = predict.begin(floats_request(1.0, outputs=["same"]))
    with pytest.raises(ResourceExhausted, match="The outputs take 2400000000 bytes, more than the 2147483647"):
        request.finish(Fetched([rows], [wire.DT_FLOAT]))
