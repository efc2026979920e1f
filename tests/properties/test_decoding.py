"""A TensorProto means to this server what it means to TensorFlow."""

from hypothesis import given

from servable.codec import decoding
from tests.properties.reading import plain, tensorflow_reads
from tests.properties.tensor_protos import tensor_protos


def server_reads(tensor):
    try:
        return decoding.decode(tensor)
    except decoding.MalformedTensor:
        return None


@given(tensor_protos())
def test_both_refuse_a_tensor_or_both_give_the_same_array(tensor):
    ours, theirs = server_reads(tensor), tensorflow_reads(tensor)
    assert (ours is None) == (theirs is None)
    assert ours is None or plain(ours) == plain(theirs)
