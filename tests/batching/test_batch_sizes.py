"""How many rows a batch gets, on models whose runs take a fixed time and a time for each row; without a clock."""

import random

import pytest

from servable.batching.queues import BatchSizer

LIMIT, LONG_S = 1000, 0.03
FIXED_S = [1e-4, 0.005, 0.02, 0.1]
ROW_S = [1e-5, 1e-4, 1e-3, 0.01, 0.025]
CALLERS = [8, 32, 256]
BATCHES, STARTING = 2000, 200


def rows_a_second(fixed_s, row_s, callers, seed, sizer=None):
    """With so many callers of one row each, once it has found its size. Runs differ by chance; the first is slow."""
    chance, sizer = random.Random(seed), sizer or BatchSizer(LIMIT, LONG_S)
    total_s = total_rows = 0.0
    for number in range(BATCHES):
        rows = min(callers, sizer.most_rows)
        seconds = (fixed_s + row_s * rows) * (1 + 0.1 * chance.random()) * (2 if chance.random() < 0.02 else 1)
        sizer.note(rows, seconds + (0.5 if number == 0 else 0.0))
        if number >= STARTING:
            total_s, total_rows = total_s + seconds, total_rows + rows
    return total_rows / total_s


def mean_rows(fixed_s, row_s, callers, sizer):
    """Of the batches, once it has found its size: it tries larger ones now and then."""
    rows_a_second(fixed_s, row_s, callers, 1, sizer)
    chance, rows = random.Random(2), []
    for _ in range(1000):
        rows.append(min(callers, sizer.most_rows))
        sizer.note(rows[-1], (fixed_s + row_s * rows[-1]) * (1 + 0.1 * chance.random()))
    return sum(rows) / len(rows)


class Unlimited:
    """As the original does it: all that wait are one batch."""

    most_rows = LIMIT

    def note(self, rows, seconds):
        pass


@pytest.mark.parametrize("callers", CALLERS)
@pytest.mark.parametrize("row_s", ROW_S)
@pytest.mark.parametrize("fixed_s", FIXED_S)
def test_a_tenth_of_the_rows_a_second_at_most_is_given_for_short_batches(fixed_s, row_s, callers):
    for seed in range(3):
        unlimited = rows_a_second(fixed_s, row_s, callers, seed, Unlimited())
        assert rows_a_second(fixed_s, row_s, callers, seed) >= 0.9 * unlimited


@pytest.mark.parametrize("callers", CALLERS)
def test_where_a_row_costs_the_same_in_any_batch_batches_are_short(callers):
    assert mean_rows(1e-4, 0.025, callers, BatchSizer(LIMIT, LONG_S)) < 4


def test_short_batches_grow_to_the_limit():
    sizer, seen = BatchSizer(100, LONG_S), []
    for _ in range(6):
        seen.append(sizer.most_rows)
        sizer.note(sizer.most_rows, 0.001)
    assert seen == [16, 32, 64, 100, 100, 100]


def test_a_model_whose_costs_change_gets_other_batches():
    """At first a row costs the same in any company, later the run does."""
    sizer = BatchSizer(LIMIT, LONG_S)
    assert mean_rows(1e-4, 0.025, 64, sizer) < 4
    for _ in range(9000):
        rows = min(64, sizer.most_rows)
        sizer.note(rows, 0.1)
    assert sizer.most_rows >= 64


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_it_is_never_more_than_the_limit_nor_less_than_one(limit):
    chance, sizer = random.Random(limit), BatchSizer(limit, LONG_S)
    for _ in range(3000):
        assert 1 <= sizer.most_rows <= limit
        sizer.note(chance.randint(0, limit), chance.choice([0.0, 1e-3, 0.1, 10.0]))
