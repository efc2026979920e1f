"""An array arrives as it was sent, in both forms, here and in TensorFlow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable import wire
from servable.codec import decoding, encoding
from tests.properties.arrays import arrays
from tests.properties.reading import DTYPES, plain, tensorflow_reads

BY_NAME = {dtype.name: dtype for dtype in DTYPES}
INTEGERS = {name: dtype for name, dtype in BY_NAME.items() if dtype.field == "int_val"}
# One dtype after another, or each would be tried a few times only.
SOME = settings(max_examples=settings().max_examples // 4)


def encode(array, dtype, as_content):
    tensor = wire.TensorProto()
    encoding.encode(array, dtype.number, tensor, as_content=as_content)
    # Over the wire, as the caller gets it.
    return wire.TensorProto.FromString(tensor.SerializeToString())


@pytest.mark.parametrize("dtype", BY_NAME.values(), ids=BY_NAME)
@SOME
@given(data=st.data(), as_content=st.booleans())
def test_what_is_encoded_is_read_as_the_same_array_here_and_by_tensorflow(dtype, data, as_content):
    array = data.draw(arrays(dtype))
    tensor = encode(array, dtype, as_content)
    decoded = decoding.decode(tensor)
    assert decoded.dtype == dtype.numpy
    assert plain(decoded) == plain(array)
    assert plain(tensorflow_reads(tensor)) == plain(array)


@pytest.mark.parametrize("dtype", INTEGERS.values(), ids=INTEGERS)
@SOME
@given(data=st.data(), as_integers=st.booleans())
def test_integers_travel_as_the_numbers_that_they_are(dtype, data, as_integers):
    """Quantized ones too, in their own dtype as TensorFlow's sessions take it or as the integers that these give."""
    array = data.draw(arrays(dtype))
    integers = array.view(array.dtype[0]) if array.dtype.names else array
    tensor = encode(integers if as_integers else array, dtype, as_content=False)
    assert list(tensor.int_val) == integers.astype(np.int32).ravel().tolist()
