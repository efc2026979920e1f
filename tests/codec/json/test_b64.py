"""`{"b64": "..."}` stands for bytes, as absl decodes them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable.codec.json import b64
from servable.codec.json.values import JsonObject


def encoded(text):
    return JsonObject([("b64", text)])


@pytest.mark.parametrize(
    ("text", "data"),
    [("", b""), ("YWI", b"ab"), ("YWI=", b"ab"), ("YWJj\n", b"abc"), (" Y Q = = ", b"a"), ("YQ", b"a")],
)
def test_white_space_and_missing_padding_are_taken(text, data):
    assert b64.decode(encoded(text)) == data


@pytest.mark.parametrize("text", ["YQ=", "Y", "YQ==x", "-_", "!!", "=", "YWJj=", "é"])
def test_what_is_no_base64_is_refused(text):
    with pytest.raises(b64.MalformedBase64):
        b64.decode(encoded(text))


@pytest.mark.parametrize("value", ["YQ==", JsonObject([]), encoded(1), JsonObject([("b64", "a"), ("x", 1)]), [], None])
def test_only_an_object_of_one_string_is_encoded(value):
    assert not b64.is_encoded(value)


@given(st.binary())
def test_any_bytes_come_back(data):
    assert b64.decode(encoded(base64.b64encode(data).decode())) == data
