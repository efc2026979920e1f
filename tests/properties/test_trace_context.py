"""W3C Trace Context, whatever is sent."""

from hypothesis import given
from hypothesis import strategies as st

from servable.tracing import traceparent
from servable.tracing.traceparent import RANDOM, SAMPLED, TraceParent

KEYS = st.from_regex(r"[a-z][a-z0-9_\-*/]{0,20}|[a-z0-9][a-z0-9_\-*/]{0,20}@[a-z][a-z0-9_\-*/]{0,13}", fullmatch=True)
VALUES = st.from_regex(r"[ -+\--<>-~]{0,30}[!-+\--<>-~]", fullmatch=True).map(lambda value: value.lstrip())
STATES = st.dictionaries(KEYS, VALUES.filter(bool), max_size=8)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.sampled_from([0, SAMPLED, RANDOM, SAMPLED | RANDOM]))
def test_what_is_written_is_read_again(trace_id, span_id, flags):
    written = TraceParent(trace_id, span_id, flags)
    assert len(str(written)) == 55
    assert traceparent.parse(str(written)) == written
    assert written.is_sampled is bool(flags & SAMPLED)


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*", fullmatch=True))
def test_whatever_is_sent_is_read_or_refused(text):
    found = traceparent.parse(text)
    assert found is None or text[2:].startswith(str(found)[2:53])


@given(STATES)
def test_state_is_passed_on_as_it_was_sent(state):
    written = ",".join(f"{key}={value}" for key, value in state.items())
    assert traceparent.parse_state([written]) == tuple(state.items())
    several = [f"{key}={value}" for key, value in state.items()]
    assert traceparent.parse_state(several) == tuple(state.items())


@given(st.lists(st.text(max_size=100), max_size=5))
def test_whatever_state_is_sent_what_is_kept_is_bounded(headers):
    kept = traceparent.parse_state(headers)
    assert len(",".join(f"{key}={value}" for key, value in kept)) <= 512
