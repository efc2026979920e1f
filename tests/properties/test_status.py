"""A status carries any message within its limit, and never so much that the caller's gRPC refuses the headers."""

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable import wire
from servable.errors import Code, of_code
from servable.transport import status
from tests.properties.seeds import PREDICTION

LIMIT_BYTES = 1024
MARK = b"...TRUNCATED"
# grpc.max_metadata_size: what a caller takes if it sets nothing.
MOST_HEADER_BYTES = 8 << 10

CODES = st.sampled_from([code for code in Code if code is not Code.OK])
# Repeated so that long texts are cheap to draw; in one, two, three and four bytes a character.
MESSAGES = st.builds(
    lambda start, unit, times: start + unit * times,
    st.text(max_size=3),
    st.sampled_from(["a", "ä", "€", "🙂", "\n", "%", "a🙂"]),
    st.integers(0, 1200),
)
HINTS = st.dictionaries(st.sampled_from(["known_signatures", "did_you_mean", "reason"]), MESSAGES, max_size=3)


@given(CODES, MESSAGES)
def test_a_message_is_cut_after_1024_bytes_and_marked(code, message):
    sent = status.message_bytes(of_code(code, message))
    whole = message.encode(errors="replace")
    assert sent == (whole if len(whole) <= LIMIT_BYTES else whole[:LIMIT_BYTES] + MARK)


@given(CODES, MESSAGES)
def test_a_code_is_the_same_number_in_grpc(code, message):
    assert status.grpc_code(of_code(code, message)).value[0] == code


@given(CODES, MESSAGES, HINTS)
def test_hints_arrive_each_in_full_or_cut_and_the_headers_stay_small(code, message, hints):
    error = of_code(code, message)
    error.hints = hints
    sent = status.trailing_metadata(error)
    arrived = {key: value for _, details in sent for key, value in read(details, code)}
    assert arrived.keys() == hints.keys()
    assert all(hints[key].startswith(value) for key, value in arrived.items())
    assert all(len(value) == len(hints[key]) or len(value.encode()) > 200 for key, value in arrived.items())
    assert header_bytes(status.message_bytes(error), sent) < MOST_HEADER_BYTES


@given(MESSAGES)
def test_a_caller_is_given_the_code_whatever_name_the_message_repeats(servers, name):
    request = wire.GetModelMetadataRequest(model_spec=wire.ModelSpec(name=name), metadata_field=["signature_def"])
    with pytest.raises(grpc.RpcError) as caught:
        servers("half_plus_two").call(f"{PREDICTION}/GetModelMetadata", request.SerializeToString())
    assert caught.value.code() is (grpc.StatusCode.NOT_FOUND if name else grpc.StatusCode.INVALID_ARGUMENT)
    assert caught.value.details().startswith("Servable not found for request: Latest(" if name else "ModelSpec has no")


def read(details, code):
    message = wire.Status.FromString(details)
    info = wire.ErrorInfo()
    assert message.code == code
    assert message.details[0].Unpack(info)
    return info.metadata.items()


def header_bytes(message, metadata):
    """As gRPC counts: three bytes for one that is not printable ASCII, four for three of a binary value."""
    escaped = sum(1 if 0x20 <= byte < 0x7F and byte != 0x25 else 3 for byte in message)
    return escaped + sum(len(key) + (len(value) + 2) // 3 * 4 for key, value in metadata)
