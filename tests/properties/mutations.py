"""Bytes that are almost a valid message.

Some changes are blind: bits flipped, parts cut out, put in, doubled or exchanged. Most of what they make does not
parse. Others know the wire format: a field, at any depth, is dropped, doubled, renumbered or given another value, and
the lengths around it are put right.
"""

from hypothesis import strategies as st

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED_64: 8, FIXED_32: 4}

# What makes a parser go another way: tags, lengths, the longest varints, groups, bytes that are no UTF-8.
TELLING = st.sampled_from(
    [
        *(bytes([byte]) for byte in (0x00, 0x01, 0x08, 0x0A, 0x12, 0x1A, 0x22, 0x7F, 0x80, 0xFF)),
        *(b"\xff" * 9 + b"\x01", b"\x80" * 9 + b"\x01", b"\x08" + b"\xff" * 9 + b"\x01", b"\xff\xff\xff\xff\x07"),
        *(b"\x0b\x0c", b"\xc3\x28"),
    ]
)
TELLING_NUMBERS = st.sampled_from([0, 1, 2, 9, 24, 127, 128, 1 << 31, (1 << 32) - 1, 1 << 62, 1 << 63, (1 << 64) - 1])


@st.composite
def mutated(draw, seeds):
    """One of the seeds, up to four times changed."""
    data = draw(st.sampled_from(seeds))
    changes = draw(st.sampled_from((BLIND, KNOWING)))
    for _ in range(draw(st.integers(1, 4))):
        data = draw(st.sampled_from(changes))(draw, data, seeds)
    return data


def _place(draw, data):
    return draw(st.integers(0, len(data)))


def _slice(draw, data):
    start = _place(draw, data)
    return start, draw(st.integers(start, min(len(data), start + 24)))


def _flip(draw, data, _seeds):
    changed = bytearray(data or b"\0")
    changed[draw(st.integers(0, len(changed) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(changed)


def _cut(draw, data, _seeds):
    start, end = _slice(draw, data)
    return data[:start] + data[end:] if draw(st.booleans()) else data[:end]


def _insert(draw, data, _seeds):
    place = _place(draw, data)
    return data[:place] + draw(TELLING | st.binary(max_size=6)) + data[place:]


def _replace(draw, data, _seeds):
    start, end = _slice(draw, data)
    return data[:start] + draw(st.binary(min_size=end - start, max_size=end - start)) + data[end:]


def _double(draw, data, _seeds):
    start, end = _slice(draw, data)
    place = _place(draw, data)
    return data[:place] + data[start:end] + data[place:]


def _splice(draw, data, seeds):
    other = draw(st.sampled_from(seeds))
    return data[: _place(draw, data)] + other[_place(draw, other) :]


BLIND = (_flip, _cut, _insert, _replace, _double, _splice)


def _change_field(draw, data, seeds):
    """Change one field, or one inside it."""
    fields = split_fields(data)
    if not fields:
        return draw(st.sampled_from(BLIND))(draw, data, seeds)
    index = draw(st.integers(0, len(fields) - 1))
    number, kind, value = fields[index]
    if kind == VARINT:
        value = draw(TELLING_NUMBERS)
    elif kind == LENGTH_DELIMITED:
        value = _change_field(draw, value, [value])
    else:
        value = draw(st.binary(min_size=len(value), max_size=len(value)))
    fields[index] = number, kind, value
    return join_fields(fields)


def _move_field(draw, data, seeds):
    """Drop, double or renumber one field, or put one of another message beside it."""
    fields = split_fields(data) or []
    others = split_fields(draw(st.sampled_from(seeds))) or []
    if not fields or not others:
        return data
    index = draw(st.integers(0, len(fields) - 1))
    number, kind, value = fields[index]
    inner = _move_field(draw, value, [value]) if kind == LENGTH_DELIMITED else value
    fields[index : index + 1] = draw(
        st.sampled_from(
            [
                [],
                [fields[index]] * 2,
                [(number % 18 + 1, kind, value)],
                [(number, kind, inner)],
                [fields[index], others[-1]],
            ]
        )
    )
    return join_fields(fields)


KNOWING = (_change_field, _move_field)


def split_fields(data):
    """The fields of a message as (number, wire type, value); None if the bytes are no message."""
    fields, start = [], 0
    while start < len(data):
        tag, start = _read_varint(data, start)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, start = _read_varint(data, start)
        elif kind == LENGTH_DELIMITED or kind in FIXED_BYTES:
            size, start = _read_varint(data, start) if kind == LENGTH_DELIMITED else (FIXED_BYTES[kind], start)
            value, start = data[start : start + size], start + size
        else:
            return None
        if start > len(data) or number == 0:
            return None
        fields.append((number, kind, value))
    return fields


def join_fields(fields):
    return b"".join(_varint(number << 3 | kind) + _payload(kind, value) for number, kind, value in fields)


def _payload(kind, value):
    if kind == VARINT:
        return _varint(value)
    return _varint(len(value)) + value if kind == LENGTH_DELIMITED else value


def _read_varint(data, start):
    """The number and where the next byte is: behind the end, if the number does not end."""
    value = 0
    for index, byte in enumerate(data[start : start + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, start + index + 1
    return 0, len(data) + 1


def _varint(value):
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + _varint(value >> 7)
