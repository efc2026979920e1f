"""Interpreters are lent to one thread each, as few as will do, and thrown away when they might be broken or large."""

import threading

import numpy as np
import pytest

from servable.errors import DeadlineExceeded, Internal, InvalidArgument
from servable.execution.tflite import runner as runners
from servable.execution.tflite.pool import SessionPool
from servable.execution.tflite.runner import TfliteRunner
from servable.tflite_model.signatures import Endpoint
from servable.tflite_model.stored import StoredTensor, Subgraph

PATIENCE_S = 60.0
FLOAT, STRING = 0, 5


class FakeSession:
    """Gives back what it is fed."""

    def __init__(self):
        self.runs, self.failure = [], None

    def run(self, feeds, fetches):
        if self.failure:
            raise self.failure
        self.runs.append(feeds)
        return [next(iter(feeds.values())) for _ in fetches]


class Pool(SessionPool):
    """A pool that remembers what it has made."""

    def __init__(self, size):
        self.made = []
        super().__init__(self._add, size)

    def _add(self):
        self.made.append(FakeSession())
        return self.made[-1]


def tensor(index, shape, type_=FLOAT):
    return StoredTensor(index, f"t{index}", type_, shape, shape, False)


def make_runner(pool, shape=(1, 2), type_=FLOAT, unfed=()):
    fed, out = tensor(0, shape, type_), tensor(1, shape, type_)
    subgraph = Subgraph([fed, out, *unfed], [fed, *unfed], [out])
    return TfliteRunner(pool, subgraph, [("t0", Endpoint(fed))], [Endpoint(out)], may_not_end=False)


def test_the_session_that_came_back_last_goes_out_first():
    pool = Pool(3)
    with pool.borrow(None) as first, pool.borrow(None) as second:
        assert first is not second
    with pool.borrow(None) as again:
        assert again is first
    assert len(pool.made) == 2


def test_a_request_waits_for_a_free_session_until_its_deadline():
    pool = Pool(1)
    with pool.borrow(None):
        with pytest.raises(DeadlineExceeded), pool.borrow(0.01):
            pass
        with pytest.raises(DeadlineExceeded), pool.borrow(-1.0):
            pass
    with pool.borrow(0.01):
        pass


def test_one_that_waits_gets_what_another_gives_back():
    pool, got = Pool(1), []
    with pool.borrow(None) as session:
        waiting = threading.Thread(target=lambda: got.append(pool.borrow(PATIENCE_S).__enter__()))
        waiting.start()
    waiting.join(PATIENCE_S)
    assert got == [session]


def test_a_session_whose_run_failed_is_thrown_away_and_another_made():
    pool = Pool(1)
    run = make_runner(pool).run
    run([np.zeros((1, 2), np.float32)], None)
    pool.made[0].failure = Internal("Failed to invoke TfLite interpreter")
    with pytest.raises(Internal):
        run([np.zeros((1, 2), np.float32)], None)
    run([np.zeros((1, 2), np.float32)], None)
    assert len(pool.made) == 2


def test_a_session_that_a_large_run_has_swollen_is_thrown_away():
    pool = Pool(1)
    run = make_runner(pool, shape=(1, 1000)).run
    for rows in (1, 1000, 1):
        run([np.zeros((rows, 1000), np.float32)], None)
    assert len(pool.made) == 1
    run([np.broadcast_to(np.float32(0), (20_000, 1000))], None)
    run([np.zeros((1, 1000), np.float32)], None)
    assert len(pool.made) == 2


def test_after_a_close_no_session_is_kept():
    pool = Pool(2)
    with pool.borrow(None):
        pool.close()
    with pool.borrow(None):
        pass
    assert len(pool.made) == 2


def test_inputs_that_a_signature_lacks_are_zeros_in_each_run():
    pool = Pool(1)
    make_runner(pool, unfed=[tensor(2, (3,)), tensor(3, (1,), STRING)]).run([np.ones((1, 2), np.float32)], None)
    (fed,) = pool.made[0].runs
    assert fed[2].tolist() == [0.0] * 3
    assert fed[3].tolist() == [b""]


def test_what_no_kernel_can_count_is_refused_before_memory_is_taken():
    runner = make_runner(Pool(1))
    rows = 2**31 // 2
    with pytest.raises(InvalidArgument, match="too large for this TensorFlow Lite model"):
        runner.check([np.broadcast_to(np.float32(0), (rows, 2))])


def test_strings_beyond_an_int32_are_refused_in_the_words_of_the_original(monkeypatch):
    monkeypatch.setattr(runners, "_MOST_STRING_BYTES", 100)
    runner = make_runner(Pool(1), (1,), STRING)
    runner.check([np.array([b"a" * 50], object)])
    with pytest.raises(Internal, match="Invalid size, string input too large:112"):
        runner.check([np.array([b"a" * 100], object)])
