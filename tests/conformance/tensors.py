"""How each dtype travels in a TensorProto, written down by hand: two values in its own field and as raw bytes.

The numbers are bit patterns or numbers that every binary format holds exactly, so that equal means equal.
"""

import dataclasses
import struct

from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2


@dataclasses.dataclass(frozen=True)
class Kind:
    """One dtype. `first`, `second` and `zero` are what its field holds for one element; `content` is both values."""

    field: str
    first: object
    second: object
    zero: object
    content: bytes


_FLOATS = ([1.5], [-2.0], [0.0])
_SIGNED = ([7], [-2], [0])
_UNSIGNED = ([7], [3], [0])

KINDS = {
    "half": Kind("half_val", [0x3E00], [0xC000], [0], struct.pack("<2e", 1.5, -2.0)),
    "bfloat16": Kind("half_val", [0x3FC0], [0xC000], [0], b"\xc0\x3f\x00\xc0"),
    "float": Kind("float_val", *_FLOATS, struct.pack("<2f", 1.5, -2.0)),
    "double": Kind("double_val", *_FLOATS, struct.pack("<2d", 1.5, -2.0)),
    "complex64": Kind("scomplex_val", [1.5, -2.0], [0.0, 3.0], [0.0, 0.0], struct.pack("<4f", 1.5, -2.0, 0.0, 3.0)),
    "complex128": Kind("dcomplex_val", [1.5, -2.0], [0.0, 3.0], [0.0, 0.0], struct.pack("<4d", 1.5, -2.0, 0.0, 3.0)),
    "string": Kind("string_val", [b"one"], [b""], [b""], b"\x03\x00one"),
    "bool": Kind("bool_val", [False], [True], [False], b"\x00\x01"),
    "int4": Kind("int_val", *_SIGNED, b"\x07\xfe"),
    "int8": Kind("int_val", *_SIGNED, struct.pack("<2b", 7, -2)),
    "int16": Kind("int_val", *_SIGNED, struct.pack("<2h", 7, -2)),
    "int32": Kind("int_val", *_SIGNED, struct.pack("<2i", 7, -2)),
    "int64": Kind("int64_val", [1 << 62], [-2], [0], struct.pack("<2q", 1 << 62, -2)),
    "uint4": Kind("int_val", *_UNSIGNED, b"\x07\x03"),
    "uint8": Kind("int_val", *_UNSIGNED, struct.pack("<2B", 7, 3)),
    "uint16": Kind("int_val", *_UNSIGNED, struct.pack("<2H", 7, 3)),
    "uint32": Kind("uint32_val", [(1 << 32) - 1], [3], [0], struct.pack("<2I", (1 << 32) - 1, 3)),
    "uint64": Kind("uint64_val", [(1 << 64) - 1], [3], [0], struct.pack("<2Q", (1 << 64) - 1, 3)),
    "float8_e5m2": Kind("float8_val", b"\x3e", b"\xc0", b"\x00", b"\x3e\xc0"),
    "float8_e4m3fn": Kind("float8_val", b"\x3c", b"\xc0", b"\x00", b"\x3c\xc0"),
    "qint8": Kind("int_val", *_SIGNED, struct.pack("<2b", 7, -2)),
    "quint8": Kind("int_val", *_UNSIGNED, struct.pack("<2B", 7, 3)),
    "qint16": Kind("int_val", *_SIGNED, struct.pack("<2h", 7, -2)),
    "quint16": Kind("int_val", *_UNSIGNED, struct.pack("<2H", 7, 3)),
    "qint32": Kind("int_val", *_SIGNED, struct.pack("<2i", 7, -2)),
}

# One field for each way to write values, to send them where they do not belong.
FIELDS = sorted({kind.field for kind in KINDS.values()})


def number(dtype):
    """The dtype's number in tensorflow.DataType."""
    return types_pb2.DataType.Value(f"DT_{dtype.upper()}")


def tensor(dtype, shape, content=b"", **fields):
    """A TensorProto; `fields` are `*_val` fields by name."""
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in shape]
    return tensor_pb2.TensorProto(
        dtype=dtype if isinstance(dtype, int) else number(dtype),
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=dims),
        tensor_content=content,
        **fields,
    )


def entries(tensor_proto, field):
    """What a field holds, to compare with a Kind: a list, or the bytes of float8_val."""
    value = getattr(tensor_proto, field)
    return value if isinstance(value, bytes) else list(value)
