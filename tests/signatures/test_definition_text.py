"""How a SignatureDef is written into an error."""

from servable import wire
from servable.signatures import format_definition


def test_entries_are_in_the_order_of_their_keys():
    definition = wire.SignatureDef()
    for alias in ("m", "z", "a", "é", "B"):
        definition.inputs[alias].name = "x:0"
    keys = [line for line in format_definition(definition).splitlines() if "key" in line]
    assert keys == ['  key: "B"', '  key: "a"', '  key: "m"', '  key: "z"', r'  key: "\303\251"']


def test_strings_and_floats_are_written_as_cpp_writes_them():
    definition = wire.SignatureDef(method_name="é'\n")
    definition.defaults["a"].float_val.extend([1, 1e6, 0.1, 1 / 3])
    assert format_definition(definition) == (
        'method_name: "\\303\\251\\\'\\n"\ndefaults {\n  key: "a"\n  value {\n'
        "    float_val: 1\n    float_val: 1e+06\n    float_val: 0.1\n    float_val: 0.333333343\n  }\n}\n"
    )
