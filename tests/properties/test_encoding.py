"""An array arrives as it was sent, in both forms, here and in TensorFlow."""

import pytest
from hypothesis import given

from servable import wire
from servable.codec import decoding, encoding
from tests.properties.arrays import arrays
from tests.properties.reading import plain, tensorflow_reads

FORMS = pytest.mark.parametrize("as_content", [False, True], ids=["typed", "content"])


def encode(array, dtype, as_content):
    tensor = wire.TensorProto()
    encoding.encode(array, dtype.number, tensor, as_content=as_content)
    # Over the wire, as the caller gets it.
    return wire.TensorProto.FromString(tensor.SerializeToString())


@FORMS
@given(made=arrays())
def test_what_is_encoded_decodes_to_the_same_array(made, as_content):
    array, dtype = made
    decoded = decoding.decode(encode(array, dtype, as_content))
    assert decoded.dtype == dtype.numpy
    assert plain(decoded) == plain(array)


@FORMS
@given(made=arrays())
def test_tensorflow_reads_the_same_array_from_what_is_encoded(made, as_content):
    array, dtype = made
    assert plain(tensorflow_reads(encode(array, dtype, as_content))) == plain(array)


@FORMS
@given(made=arrays())
def test_a_quantized_array_may_come_as_integers(made, as_content):
    array, dtype = made
    integers = array.view(array.dtype[0]) if array.dtype.names else array
    assert encode(integers, dtype, as_content) == encode(array, dtype, as_content)
