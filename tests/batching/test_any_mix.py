"""Any mix of requests, from several callers at once: each gets its own rows, as if nobody else were there."""

import threading

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.batching.dispatch import Dispatcher
from servable.batching.scheduler import Scheduler
from servable.config.batching import QueueLimits
from servable.errors import InvalidArgument
from tests.batching.fakes import TIMEOUT_S, FakeReply, FakeRequest, FakeRunner, FakeServable, call

DTYPES = [np.float32, np.int64, np.object_, ml_dtypes.bfloat16]
CALLERS = 3
BAD_ROW = 99


class Request:
    """One request: what it is made of, and what may happen to it."""

    def __init__(self, number, model, rows, width, *, leaves, bad):
        self.number, self.model, self.rows, self.width = number, model, rows, width
        self.leaves, self.bad = leaves, bad
        self.reply = FakeReply()

    def array(self, dtype):
        """Rows that no other request has; a bad one among them if there is to be one."""
        numbers = np.arange(self.rows * self.width).reshape(self.rows, self.width) % 7 + self.number % 90
        if self.bad and self.rows:
            numbers[0] = BAD_ROW
        if dtype is np.object_:
            return np.array([b"%d" % n for n in numbers.flat], object).reshape(numbers.shape)
        return numbers.astype(dtype)


def compute(arrays):
    """By rows, but for its refusal of bad ones: each row turned round, and its first value."""
    (array,) = arrays
    if array.size and (array == (b"%d" % BAD_ROW if array.dtype == object else BAD_ROW)).any():
        raise InvalidArgument("bad")
    return [array[:, ::-1], array[:, 0]]


REQUESTS = st.lists(
    st.builds(
        lambda *drawn: drawn,
        st.integers(0, len(DTYPES) - 1),
        st.integers(0, 6),
        st.integers(1, 2),
        st.integers(0, 19).map(lambda number: number == 7),
        st.integers(0, 19).map(lambda number: number == 7),
    ),
    min_size=12,
    max_size=60,
)
LIMITS = st.builds(
    lambda most, splits, allowed, timeout_s, at_once: QueueLimits(
        max_task_rows=6,
        max_batch_rows=1 + most % 6 if splits else most,
        timeout_s=timeout_s,
        max_batches=1000,
        allowed_rows=(2, 4, 6, 20) if allowed else (),
        splits=splits,
        batches_at_once=at_once,
    ),
    st.integers(6, 20),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.0005]),
    st.sampled_from([1, 2, None]),
)


@pytest.mark.behaviour("8.2", "each caller gets its own rows, as unbatched, whatever happens to other calls")
@settings(deadline=None, max_examples=100)
@given(REQUESTS, LIMITS, st.lists(st.booleans(), min_size=len(DTYPES), max_size=len(DTYPES)), st.booleans())
def test_each_caller_gets_its_own_rows_as_if_it_were_alone(drawn, limits, quick, starts_late):
    made = [
        Request(number, model, rows, width, leaves=leaves, bad=bad)
        for number, (model, rows, width, leaves, bad) in enumerate(drawn)
    ]
    models = [FakeServable(limits, FakeRunner(compute, takes_s=5e-5 if is_quick else None)) for is_quick in quick]
    scheduler = Scheduler(3)
    dispatcher = Dispatcher(scheduler, 1e-4)
    if not starts_late:
        scheduler.start()

    def call_all(own):
        batches = set()
        for request in own:
            time_left_s, servable = 0.0 if request.leaves else None, models[request.model]
            parsed = FakeRequest(servable, request.array(DTYPES[request.model]))
            batches.add(call(dispatcher, lambda _, parsed=parsed: parsed, request.reply, time_left_s))
            if request.leaves:
                request.reply.active = False
        for batch in batches - {None}:
            batch.run()

    callers = [threading.Thread(target=call_all, args=[made[index::CALLERS]]) for index in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(TIMEOUT_S)
    # What all of them have left makes the largest batches.
    if starts_late:
        scheduler.start()
    for request in made:
        check(request, request.reply.wait())
    assert scheduler.stop(TIMEOUT_S)


def check(request, answer):
    """Compare with the unbatched result."""
    if request.leaves and getattr(answer, "message", "").startswith("Run() timeout exceeded"):
        return
    array = request.array(DTYPES[request.model])
    if request.bad and request.rows:
        assert answer.message == "bad"
    else:
        assert answer == [result.tolist() for result in compute([array])]
