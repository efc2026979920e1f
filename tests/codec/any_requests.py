"""PredictRequests of any shape on the wire: each part written in one of the ways that a parser takes, in any order.

Most are answered, and most of these can be cached: what is odd comes one or two at a time.
"""

import numpy as np
from hypothesis import strategies as st

from servable import wire
from servable.codec import dtypes
from tests.codec.wire_bytes import (
    CONTENT,
    DTYPE,
    FIXED_32,
    FIXED_64,
    INPUTS,
    KEY,
    OUTPUT_FILTER,
    SHAPE,
    VALUE,
    VERSION,
    group,
    number_field,
    shape,
    sized,
    spec,
    tag,
    varint,
)

FIELDS = {"float_val": 5, "double_val": 6, "int_val": 7, "string_val": 8, "scomplex_val": 9, "int64_val": 10}
FIELDS |= {"bool_val": 11, "dcomplex_val": 12, "half_val": 13, "uint32_val": 16, "uint64_val": 17, "float8_val": 18}
FIXED = {5: 4, 6: 8, 9: 4, 12: 8}
AS_BYTES = {8, 18}
TABLE = sorted(dtypes.BY_NUMBER)
OFTEN = [wire.DT_FLOAT] * 6 + [wire.DT_DOUBLE, wire.DT_INT32, wire.DT_INT64, wire.DT_BOOL, wire.DT_UINT8] * 2
NUMBERS = st.sampled_from([*OFTEN * 3, *TABLE, 0, 99, wire.DT_RESOURCE])
SIZES = st.lists(st.integers(1, 3), max_size=3) | st.lists(st.integers(0, 3), max_size=3)
# Values are of many kinds, and few of each: -0.0, NaN, and bools above 1 among them.
BYTES = st.sampled_from([0x00, 0x00, 0x01, 0x01, 0x02, 0x3F, 0x7F, 0x80, 0xC0, 0xFF])
UNKNOWN = st.sampled_from(
    [
        number_field(100, 7),
        sized(100, b""),
        sized(101, b"\x12\x03abc"),
        tag(102, FIXED_32) + b"\x0a\x01x\x00",
        tag(102, FIXED_64) + bytes(8),
        group(103),
        group(103, number_field(4, 1) + group(1)),
        number_field(4, 1),
    ]
)
SELDOM = st.integers(0, 19).map(lambda number: number == 13)


@st.composite
def requests(draw, signatures):
    """The bytes of a request.

    Args:
        signatures: The aliases of the inputs by the signature's key.
    """
    key = draw(st.sampled_from(sorted(signatures)))
    aliases = draw(st.permutations(signatures[key]))
    entries = [draw(entries_of(alias)) for alias in aliases]
    if draw(SELDOM):
        entries = entries[:-1] + draw(st.sampled_from(["x", "y", "z", "", "q"]).flatmap(entries_of).map(lambda e: [e]))
    if draw(SELDOM):
        entries.append(draw(entries_of(draw(st.sampled_from(aliases or ["x"])))))
    parts = [*draw(_specs(key)), *entries]
    parts += [sized(OUTPUT_FILTER, name) for name in draw(st.sampled_from(FILTERS))]
    return b"".join(_disordered(draw, parts))


FILTERS = [[]] * 12 + [[b"same"], [b"turned", b"same"]] * 3 + [[b"same", b"same"], [b"nope"]]


@st.composite
def _specs(draw, key):
    fields = draw(st.sampled_from([{}] * 5 + [{"version": 1}, {"version": 2}, {"version": 3}, {"label": "old"}]))
    whole = spec("m", signature=key, **fields)
    # Two that are merged.
    return draw(st.sampled_from([[whole]] * 20 + [[spec("m"), whole], [spec("n"), whole], [spec("nope")], []]))


@st.composite
def entries_of(draw, alias):
    """An entry of the map of inputs."""
    key, value = sized(KEY, alias.encode()), sized(VALUE, draw(tensors()), draw(SELDOM) * 2)
    parts = [key, value]
    if draw(SELDOM):
        other = sized(VALUE, draw(tensors()))
        twists = [[value, key], [key], [value], [key, key, value], [sized(KEY, b"y"), key, value]]
        parts = draw(st.sampled_from([*twists, [key, value, other], [key, other, value], [key, value, value]]))
    return sized(INPUTS, b"".join(_disordered(draw, parts)), draw(SELDOM))


@st.composite
def tensors(draw):
    """A TensorProto."""
    number, sizes = draw(NUMBERS), draw(SIZES)
    dtype = dtypes.BY_NUMBER.get(number, dtypes.BY_NUMBER[wire.DT_FLOAT])
    count = int(np.prod(sizes, dtype=int))
    count = max(0, count + draw(st.sampled_from([0] * 20 + [1, -1])))
    values = draw(_contents(dtype, count) if draw(st.booleans()) else _typed(dtype, count))
    if draw(SELDOM):
        values += draw(_contents(dtype, count) | _typed(dtype, count))
    shapes = [shape(*sizes)]
    if draw(SELDOM):
        shapes = draw(st.sampled_from([[shape(*sizes[:1]), shape(*sizes[1:])], [], [tag(SHAPE, FIXED_32) + bytes(4)]]))
    parts = [number_field(DTYPE, number), *shapes, *values]
    if draw(SELDOM):
        parts.append(draw(st.sampled_from([number_field(VERSION, 5), number_field(DTYPE, wire.DT_FLOAT)])))
    return b"".join(_disordered(draw, parts))


@st.composite
def _contents(draw, dtype, count):
    if dtype.is_string:
        texts = [draw(st.binary(max_size=3)) for _ in range(count)]
        return [sized(CONTENT, b"".join(varint(len(text)) for text in texts) + b"".join(texts))]
    return [sized(CONTENT, draw(_codes(count * dtype.numpy.itemsize)), draw(SELDOM))] if count else []


@st.composite
def _typed(draw, dtype, count):
    number = FIELDS[dtype.field]
    if number in AS_BYTES:
        texts = [draw(st.binary(max_size=3)) for _ in range(count)] if number == 8 else [draw(_codes(count))]
        return [sized(number, text) for text in texts]
    count *= 2 if number in {9, 12} else 1
    if number in FIXED:
        content = draw(_codes(count * FIXED[number]))
        values = [content[start : start + FIXED[number]] for start in range(0, len(content), FIXED[number])]
    else:
        most = 1 if number == 11 else 300
        values = [varint(draw(st.integers(0, most)), draw(SELDOM)) for _ in range(count)]
    return draw(_written(number, values))


@st.composite
def _written(draw, number, values):
    """Packed, one by one, or packed in several pieces."""
    if draw(SELDOM):
        kind = {4: FIXED_32, 8: FIXED_64}.get(FIXED.get(number, 0), 0)
        return [tag(number, kind) + value for value in values]
    if draw(SELDOM):
        cut = draw(st.integers(0, len(values)))
        return [sized(number, b"".join(part)) for part in (values[:cut], values[cut:])]
    return [sized(number, b"".join(values))] if values else []


def _codes(count):
    return st.lists(BYTES, min_size=min(count, 1), max_size=min(count, 9)).map(
        lambda few: bytes(few[index % len(few)] for index in range(count))
    )


def _disordered(draw, parts):
    """The parts of a message; now and then in another order, or with an unknown field."""
    if draw(SELDOM):
        parts = draw(st.permutations(parts))
    if draw(SELDOM):
        place = draw(st.integers(0, len(parts)))
        parts = [*parts[:place], draw(UNKNOWN), *parts[place:]]
    return parts
