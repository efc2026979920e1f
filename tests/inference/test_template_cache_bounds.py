"""Callers choose what is cached, so it has limits: of lengths, of templates, and of bytes."""

import gc
import multiprocessing
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pytest

from servable import wire
from servable.inference import template_cache
from tests.codec.wire_bytes import CONTENT, FLOAT_VAL, entry, number_field, sized, spec, tensor
from tests.inference.asking import arrays_request, ask, floats_request, is_cached, new_predict, outcome, run_model

F = wire.DT_FLOAT
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def kept_by():
    """What `measure_kept` gives in a process of its own: in this one, servers of other tests take memory too."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        yield lambda *acts: process.submit(measure_kept, acts).result(PATIENCE_S)


def measure_kept(acts):
    """The bytes that are kept after each of some acts on one new Predict, in sum."""
    predict, kept = new_predict(), []
    tracemalloc.start()
    try:
        for act in acts:
            act(predict)
            gc.collect()
            kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return kept


def predict_after(acts):
    """A new Predict on which all this was done."""
    predict = new_predict()
    for act in acts:
        act(predict)
    return predict


def test_many_lengths_are_answered_and_not_all_cached(kept_by):
    acts = ask_twice, partial(ask_lengths, start=3, stop=1100), partial(ask_lengths, start=1100, stop=2200)
    _, before, after = kept_by(*acts)
    assert after < 1.2 * before
    predict = predict_after(acts)
    # The oldest was evicted, and is cached once more.
    assert not is_cached(predict, floats_request(7, 8))
    ask(predict, floats_request(7, 8))
    assert is_cached(predict, floats_request(7, 8))


def ask_twice(predict):
    assert outcome(predict, floats_request(1, 2)) == outcome(predict, floats_request(1, 2))


def ask_lengths(predict, start, stop):
    for size in range(start, stop):
        run, _ = ask(predict, arrays_request({"x": (np.full(size, size, np.float32), F)}))
        assert run.arrays[0].sum() == size * size


def test_requests_that_are_not_cached_do_not_keep_others_from_being_cached():
    predict = new_predict()
    for size in range(1100):
        request = arrays_request({"x": (np.array([b"x" * size], object), wire.DT_STRING)})
        ask(predict, request)
        assert not is_cached(predict, request)
    ask(predict, floats_request(1, 2))
    assert is_cached(predict, floats_request(1, 2))


def test_many_templates_of_one_length_are_answered_and_not_all_cached(kept_by):
    acts = partial(ask_patterns, start=0, stop=20), partial(ask_patterns, start=20, stop=2000)
    before, after = kept_by(*acts)
    assert after - before < 20_000
    predict = predict_after([acts[0], ask_first_pattern, acts[1]])
    # The template that was used again stays; the others are replaced now and then.
    assert is_cached(predict, floats_request(5) + number_field(100, 1 << 20))
    assert not is_cached(predict, floats_request(5) + number_field(100, (1 << 20) + 1999))


def ask_first_pattern(predict):
    assert is_cached(predict, floats_request(5) + number_field(100, 1 << 20))


def ask_patterns(predict, start, stop):
    for number in range(start, stop):
        request = floats_request(number) + number_field(100, (1 << 20) + number)
        run, _ = ask(predict, request)
        assert run.arrays[0].tolist() == [number]


def templates_of(predict, request):
    """How many templates there are for requests of such a length."""
    cache = predict._caches[predict._router.routes]
    length = cache._by_length.get(len(request))
    return 0 if length is None else len(length.templates)


def test_requests_that_come_first_at_the_same_time_leave_one_template():
    predict, request = new_predict(), floats_request(1, 2)
    begun = [predict.begin(request) for _ in range(8)]
    for each in begun:
        each.finish(run_model(each))
    assert templates_of(predict, request) == 1
    assert is_cached(predict, request)


def test_requests_that_fail_do_not_keep_others_of_their_length_from_being_cached():
    predict, request = new_predict(), floats_request(1, 2)
    for _ in range(8):
        predict.begin(request)  # Its run fails, so it is not finished.
    misses = 0
    while not is_cached(predict, request):
        misses += 1
        assert misses <= 64
    assert templates_of(predict, request) == 1


def test_a_length_that_is_full_takes_a_template_in_place_of_an_unused_one():
    predict = new_predict()
    ask_patterns(predict, 0, 20)
    ask_first_pattern(predict)
    wanted = floats_request(5) + number_field(100, (1 << 20) + 4711)
    misses = 0
    while not is_cached(predict, wanted):
        misses += 1
        assert misses <= 128
    ask_first_pattern(predict)
    assert templates_of(predict, wanted) == 8


def test_requests_that_fit_no_template_are_looked_at_now_and_then_only(monkeypatch):
    """To look for a template takes longer than to parse a request, and an attacker would have all pay for it."""
    looked, find = [], template_cache._find_layout
    monkeypatch.setattr(template_cache, "_find_layout", lambda *given: looked.append(1) or find(*given))
    predict = new_predict()
    ask_patterns(predict, 0, 1000)
    assert len(looked) <= 8 + 1000 // 64


def test_lengths_that_are_used_stay_whatever_lengths_come():
    predict, used = new_predict(), floats_request(1, 2)
    ask(predict, used)
    for size in range(3, 4000):
        ask(predict, arrays_request({"x": (np.zeros(size, np.float32), F)}))
        if size % 500 == 0:
            assert is_cached(predict, used)
    assert len(predict._caches[predict._router.routes]._by_length) <= 1024


@pytest.mark.parametrize("size", [4000, 5000])
def test_long_fixed_parts_are_not_compared(size):
    request = floats_request(1) + sized(100, bytes(size))
    predict = new_predict()
    ask(predict, request)
    assert is_cached(predict, request) is (size == 4000)
    assert outcome(predict, request) == outcome(new_predict(), request)


def test_a_large_request_is_not_kept(kept_by):
    (kept,) = kept_by(ask_large)
    assert kept < 50_000


def ask_large(predict):
    for size in (500_000, 500_001, 500_002):
        values = np.ones(size, np.float32)
        assert not is_cached(predict, arrays_request({"x": (values, F)}))
        assert is_cached(predict, arrays_request({"x": (values, F)}))
        # Two million bytes that are the same in all.
        ask(predict, floats_request(size) + sized(100, bytes(4 * size)))


def test_a_constant_that_is_filled_up_is_not_kept(kept_by):
    """Two values are sent, and one of them stands for two million."""
    (kept,) = kept_by(ask_filled)
    assert kept < 50_000


def ask_filled(predict):
    for value in range(4):
        x = tensor(F, [1], sized(CONTENT, bytes(4)))
        y = tensor(F, [2_000_000], sized(FLOAT_VAL, np.float32(value).tobytes()))
        ask(predict, spec("m", signature="two") + entry("x", x) + entry("y", y))
