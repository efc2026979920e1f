"""Over sockets, with TensorFlow: each reply goes to its own caller with its own rows, whatever is batched with it.

Dozens of calls at once from several connections, of two models, six dtypes, one and two inputs, any rows and shapes;
some callers leave and some deadlines pass. Each element of a request is its own, so that a swapped row is seen.
"""

import contextlib
import itertools
from collections import deque

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests import serving
from tests.batching.callers import CANCELS, HURRIES, WAITS, Asked
from tests.batching.row_models import BY_NAME, MODELS, NUMBERS, ROW_SIGNATURES, make_inputs, store
from tests.process.transport import connect

CONNECTIONS = 3
# By name: the parameters, and the rows of the largest request.
LIMITS = {
    "no file": (None, 1000),
    "waiting": (
        "max_batch_size { value: 20 } batch_timeout_micros { value: 1000 } max_enqueued_batches { value: 99 }",
        20,
    ),
    "sizes": (
        "max_batch_size { value: 20 } allowed_batch_sizes: [7, 20] num_batch_threads { value: 3 } "
        "max_enqueued_batches { value: 99 }",
        20,
    ),
    "padded": (
        "max_batch_size { value: 20 } pad_variable_length_inputs: true batch_timeout_micros { value: 500 } "
        "max_enqueued_batches { value: 99 }",
        20,
    ),
    "split": (
        "max_batch_size { value: 20 } enable_large_batch_splitting { value: true } "
        "max_execution_batch_size { value: 7 } allowed_batch_sizes: [3, 7, 20] max_enqueued_batches { value: 99 }",
        20,
    ),
    "narrow": ("max_batch_size { value: 20 } max_enqueued_batches { value: 1 }", 20),
}
# In place of a number of rows: the server's, and one more.
LARGEST = 1_000_000
NOTHING_MORE = "\0"
QUEUE_FULL = "The batch scheduling queue to which this task was submitted is full; "

_numbers = itertools.count()

# Few queues at a time, so that most requests meet others there.
QUEUES = st.lists(st.tuples(st.sampled_from(MODELS), st.sampled_from(ROW_SIGNATURES)), min_size=1, max_size=4)
REQUESTS = st.lists(
    st.builds(
        lambda *drawn: drawn,
        st.integers(0, 11),
        st.sampled_from([*range(9), *range(9), LARGEST, LARGEST + 1]),
        st.sampled_from([(), (), (2,), (3,)]),
        st.sampled_from([WAITS] * 6 + [CANCELS, HURRIES]),
        st.integers(0, CONNECTIONS - 1),
    ),
    min_size=24,
    max_size=80,
)


@pytest.fixture(scope="module")
def row_models(tmp_path_factory):
    return store(tmp_path_factory.mktemp("row_models"))


@pytest.fixture(
    scope="module", params=[(runs, limits) for limits in LIMITS for runs in ("private", "public")], ids="-".join
)
def batching(request, row_models, tmp_path_factory):
    """Channels to a server, and the name of its limits."""
    runs, name = request.param
    flags = {"enable_batching": True, "grpc_max_threads": 64}
    parameters, _ = LIMITS[name]
    if parameters:
        file = tmp_path_factory.mktemp("parameters") / "batching.txt"
        file.write_text(parameters)
        flags["batching_parameters_file"] = str(file)
    running = serving.start(row_models, *BY_NAME, runs=runs, **flags)
    with contextlib.ExitStack() as ending:
        ending.callback(running.close)
        yield [ending.enter_context(connect(running.address)) for _ in range(CONNECTIONS)], name


# Threads make no two runs alike, so there is nothing to be found by trying again.
@pytest.mark.behaviour(
    "8.2",
    "over a socket: any mix of models, dtypes, inputs and rows gives each caller its own rows; callers "
    "leave, deadlines pass",
)
@settings(deadline=None, max_examples=20, phases=[Phase.generate])
@given(QUEUES, REQUESTS, st.sampled_from([0.0005, 0.005, 0.02]), st.integers(0, 8))
def test_each_reply_goes_to_its_own_caller_with_its_own_rows(batching, queues, drawn, hurry_s, patience):
    channels, name = batching
    _, largest = LIMITS[name]
    calls = [make_call(queues[index % len(queues)], largest, others) for index, *others in drawn]
    leaving = deque()
    for index, (asked, connection) in enumerate(calls):
        asked.send(channels[connection], *([hurry_s] if asked.fate == HURRIES else []))
        if asked.fate == CANCELS:
            leaving.append((index + patience, asked))
        while leaving and leaving[0][0] <= index:
            leaving.popleft()[1].leave()
    for _, asked in leaving:
        asked.leave()
    faults = [asked.fault(refusals(asked, name), pads=name == "padded") for asked, _ in calls]
    assert [fault for fault in faults if fault] == []


def make_call(queue, largest, drawn):
    """A request, and over which connection it goes."""
    (model, key), (rows, shape, fate, connection) = queue, drawn
    rows = largest + rows - LARGEST if rows >= LARGEST else rows
    return Asked(model, key, make_inputs(key, next(_numbers) % NUMBERS, rows, shape), fate), connection


def refusals(asked, name):
    """How a text may begin that refuses a request."""
    _, largest = LIMITS[name]
    if asked.rows > largest:
        return f"Task size {asked.rows} is larger than maximum input batch size {largest}"
    return QUEUE_FULL if name == "narrow" else NOTHING_MORE
