"""Callers choose what is learnt, so there is an end to it: in lengths, in patterns, and in bytes."""

import gc
import tracemalloc

import numpy as np
import pytest

from servable import wire
from tests.codec.wire_bytes import CONTENT, FLOAT_VAL, entry, number_field, sized, spec, tensor
from tests.inference.asking import arrays_request, ask, floats_request, is_known, new_predict, outcome

F = wire.DT_FLOAT


def test_lengths_without_end_are_answered_and_not_all_kept():
    predict = new_predict()
    assert outcome(predict, floats_request(1, 2)) == outcome(predict, floats_request(1, 2))

    def ask_lengths(start, stop):
        for size in range(start, stop):
            run, _ = ask(predict, arrays_request({"x": (np.full(size, size, np.float32), F)}))
            assert run.arrays[0].sum() == size * size

    tracemalloc.start()
    try:
        ask_lengths(3, 1100)
        before, _ = tracemalloc.get_traced_memory()
        ask_lengths(1100, 2200)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after < 1.2 * before
    # The oldest went, and is learnt once more.
    assert not is_known(predict, floats_request(7, 8))
    ask(predict, floats_request(7, 8))
    assert is_known(predict, floats_request(7, 8))


def test_requests_from_which_nothing_is_learnt_do_not_keep_others_from_being_learnt():
    predict = new_predict()
    for size in range(1100):
        request = arrays_request({"x": (np.array([b"x" * size], object), wire.DT_STRING)})
        ask(predict, request)
        assert not is_known(predict, request)
    ask(predict, floats_request(1, 2))
    assert is_known(predict, floats_request(1, 2))


def test_patterns_without_end_of_one_length_are_answered_and_not_all_kept():
    predict = new_predict()

    def ask_patterns(start, stop):
        for number in range(start, stop):
            request = floats_request(number) + number_field(100, (1 << 20) + number)
            run, _ = ask(predict, request)
            assert run.arrays[0].tolist() == [number]

    ask_patterns(0, 20)
    assert kept_by(lambda: ask_patterns(20, 2000)) < 20_000
    # What was learnt first stays.
    assert is_known(predict, floats_request(5) + number_field(100, 1 << 20))
    assert not is_known(predict, floats_request(5) + number_field(100, (1 << 20) + 1999))


@pytest.mark.parametrize("size", [4000, 5000])
def test_long_fixed_parts_are_not_compared(size):
    request = floats_request(1) + sized(100, bytes(size))
    predict = new_predict()
    ask(predict, request)
    assert is_known(predict, request) is (size == 4000)
    assert outcome(predict, request) == outcome(new_predict(), request)


def test_a_large_request_is_not_kept():
    predict, sizes = new_predict(), (500_000, 500_001, 500_002)

    def ask_large():
        for size in sizes:
            values = np.ones(size, np.float32)
            assert not is_known(predict, arrays_request({"x": (values, F)}))
            assert is_known(predict, arrays_request({"x": (values, F)}))
            # Two million bytes that are the same in all.
            ask(predict, floats_request(size) + sized(100, bytes(4 * size)))

    assert kept_by(ask_large) < 50_000


def test_a_constant_that_is_filled_up_is_not_kept():
    """Two values are sent, and one of them stands for two million."""
    predict = new_predict()

    def ask_filled():
        for value in range(4):
            filled = tensor(F, [2_000_000], sized(FLOAT_VAL, np.float32(value).tobytes()))
            ask(
                predict,
                spec("m", signature="two") + entry("x", tensor(F, [1], sized(CONTENT, bytes(4)))) + entry("y", filled),
            )

    assert kept_by(ask_filled) < 50_000


# Other threads of the process allocate too; nothing that is learnt comes from elsewhere.
_OURS = [tracemalloc.Filter(inclusive=True, filename_pattern=f"*/{folder}/*") for folder in ("servable", "tests")]


def kept_by(act):
    """The bytes that are kept after something that was done, and were not before."""
    tracemalloc.start()
    try:
        before = _traced()
        act()
        return _traced() - before
    finally:
        tracemalloc.stop()


def _traced():
    gc.collect()
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(_OURS).traces)
