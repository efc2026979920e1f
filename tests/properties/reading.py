"""TensorFlow's own reading of a TensorProto, to compare the codec with."""

import numpy as np
import tensorflow as tf

from servable.codec import dtypes


def _is_known(number):
    try:
        return tf.as_dtype(number) is not None
    except TypeError:
        return False


# The dtypes that this TensorFlow has as well: 2.16 lacks the latest of eight bits.
DTYPES = [dtype for number, dtype in sorted(dtypes.BY_NUMBER.items()) if _is_known(number)]
LESS_THAN_A_BYTE = [dtype.numpy for dtype in DTYPES if dtype.name in {"int2", "uint2", "int4", "uint4"}]


def tensorflow_reads(tensor):
    """The array that TensorFlow makes of a TensorProto; None if it refuses.

    tf.io.parse_tensor calls Tensor::FromProto, as TensorFlow Serving does.
    """
    # A number without a dtype is refused whatever type is asked for.
    kind = tf.as_dtype(tensor.dtype) if tensor.dtype in dtypes.BY_NUMBER else tf.float32
    try:
        read = tf.io.parse_tensor(tensor.SerializeToString(), kind)
    except tf.errors.InvalidArgumentError:
        return None
    return np.asarray(read.numpy(), object if kind == tf.string else None)


def plain(array):
    """An array as what can be compared: dtype, shape, and the bytes of all values, so that a NaN equals itself.

    A quantized array, which may come as integers or in a structured dtype, counts as its integers; numbers of
    two or four bits as theirs, since the other bits of their bytes may be anything.
    """
    if array.dtype == object:
        return "string", array.shape, array.ravel().tolist()
    if array.dtype in LESS_THAN_A_BYTE:
        return array.dtype, array.shape, array.astype(np.int8).tobytes()
    integers = array.view(array.dtype[0]) if array.dtype.names else array
    return integers.dtype, array.shape, integers.tobytes()
