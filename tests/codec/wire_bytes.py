"""Messages written byte by byte, as no encoder would: for what must not trust how messages are usually written."""

VARINT, FIXED_64, LENGTH_DELIMITED, GROUP, GROUP_END, FIXED_32 = range(6)
# Of a PredictRequest, a map's entry, a TensorProto.
MODEL_SPEC, INPUTS, OUTPUT_FILTER = 1, 2, 3
KEY, VALUE = 1, 2
DTYPE, SHAPE, VERSION, CONTENT, FLOAT_VAL, DOUBLE_VAL, INT_VAL = 1, 2, 3, 4, 5, 6, 7


def varint(value, padding=0):
    """A varint; with padding it takes more bytes than it needs."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    for _ in range(padding):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def tag(number, kind):
    return varint(number << 3 | kind)


def number_field(number, value):
    return tag(number, VARINT) + varint(value)


def sized(number, content, padding=0):
    """A length-delimited field."""
    return tag(number, LENGTH_DELIMITED) + varint(len(content), padding) + content


def group(number, content=b""):
    return tag(number, GROUP) + content + tag(number, GROUP_END)


def shape(*sizes):
    return sized(SHAPE, b"".join(sized(2, number_field(1, size)) for size in sizes))


def tensor(number, sizes, *values):
    return number_field(DTYPE, number) + shape(*sizes) + b"".join(values)


def entry(alias, proto):
    return sized(INPUTS, sized(KEY, alias.encode()) + sized(VALUE, proto))


def spec(name, **fields):
    """A model spec; fields: version, label, signature."""
    content = sized(1, name.encode())
    if "version" in fields:
        content += sized(2, number_field(1, fields["version"]))
    if "signature" in fields:
        content += sized(3, fields["signature"].encode())
    if "label" in fields:
        content += sized(4, fields["label"].encode())
    return sized(MODEL_SPEC, content)
