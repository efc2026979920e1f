"""Any flags in any syntax come to the values that were written, the last of each."""

import dataclasses
import keyword

from hypothesis import given
from hypothesis import strategies as st

from servable.options import FLAGS, Kind, ServerOptions, parse

TEXTS = {
    Kind.INT32: st.integers(-(1 << 31), (1 << 31) - 1),
    Kind.INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    Kind.FLOAT: st.floats(allow_nan=False),
    Kind.STRING: st.text(max_size=8),
}
# What is no flag of ours, and cannot be the value of the bool before it.
UNKNOWN = st.sampled_from(["word", "-p", "--nothing", "--nothing=1", "--Port=1", "---port=1", ""])


@st.composite
def flags(draw):
    """(arguments, name, value) of one flag in one of its syntaxes."""
    name = draw(st.sampled_from(sorted(FLAGS)))
    kind = FLAGS[name].kind
    if kind is Kind.BOOL:
        return draw(_bools(name))
    value = draw(TEXTS[kind])
    text = draw(st.sampled_from([f"{value}", f" {value}", f"{value}\t"])) if kind is not Kind.STRING else value
    is_apart = draw(st.booleans()) and not text.startswith("--")
    return [f"--{name}", text] if is_apart else [f"--{name}={text}"], name, value


def _bools(name):
    written = [([f"--{name}"], True)]
    for text, value in [("true", True), ("TRUE", True), ("false", False), ("False", False)]:
        written += [([f"--{name}={text}"], value), ([f"--{name}", text], value)]
    return st.sampled_from([(arguments, name, value) for arguments, value in written])


def _field(name):
    return f"{name}_" if keyword.iskeyword(name) else name


@given(st.lists(flags() | UNKNOWN, max_size=8), st.none() | st.lists(st.text(max_size=8), max_size=3))
def test_the_last_value_of_each_flag_counts_and_the_rest_is_reported(items, left_alone):
    argv, values, unknown = [], {}, []
    for item in items:
        if isinstance(item, str):
            argv.append(item)
            unknown.append(item)
        else:
            arguments, name, value = item
            argv += arguments
            values[name] = value
    if left_alone is not None:
        argv += ["--", *left_alone]
        unknown += ["--", *left_alone]
    parsed = parse(argv)
    assert parsed.failure is None
    assert parsed.options == dataclasses.replace(
        ServerOptions(), **{_field(name): value for name, value in values.items()}
    )
    assert parsed.explicit == set(values)
    assert parsed.unknown == tuple(unknown)
