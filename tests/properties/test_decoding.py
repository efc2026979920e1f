"""A TensorProto means to this server what it means to TensorFlow."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable import wire
from servable.codec import decoding, dtypes
from tests.properties.reading import DTYPES, plain, tensorflow_reads
from tests.properties.tensor_protos import CONTENT, NO_DTYPES, TYPED, tensor_protos, texts_content


def server_reads(tensor):
    try:
        return decoding.decode(tensor)
    except decoding.MalformedTensor:
        return None


def check(tensor):
    ours, theirs = server_reads(tensor), tensorflow_reads(tensor)
    assert (ours is None) == (theirs is None)
    assert ours is None or plain(ours) == plain(theirs)


# One dtype after another, or each would be tried a few times only.
@pytest.mark.parametrize("number", [*(dtype.number for dtype in DTYPES), *NO_DTYPES], ids=dtypes.name_of)
@pytest.mark.parametrize("fills", [TYPED, CONTENT], ids=["typed", "content"])
@settings(max_examples=settings().max_examples // 5)
@given(data=st.data())
def test_both_refuse_a_tensor_or_both_give_the_same_array(number, fills, data):
    check(data.draw(tensor_protos(st.just(number), fills)))


@given(st.integers(1, 5).flatmap(lambda count: st.tuples(st.just(count), texts_content(count))))
def test_both_refuse_texts_in_one_piece_or_both_part_them_alike(texts):
    count, content = texts
    tensor = wire.TensorProto(dtype=wire.DT_STRING, tensor_content=content)
    tensor.tensor_shape.dim.add(size=count)
    check(tensor)
