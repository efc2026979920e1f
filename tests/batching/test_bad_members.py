"""Over sockets, with TensorFlow: a bad request is answered with what is wrong with it, and affects no other request.

Once as a member of a batch that gathered behind a run, and once each among callers who never stop.
"""

import contextlib
import dataclasses
import itertools
import threading

import grpc
import numpy as np
import pytest

from tests import serving
from tests.batching.callers import PREDICT, Asked, Held, outputs_of, request_bytes
from tests.batching.row_models import MODELS, ROW_SIGNATURES, STRICT_SIGNATURES, make_inputs, store
from tests.conformance.calls import FAILED_PRECONDITION, INTERNAL, INVALID_ARGUMENT, TIMEOUT_S
from tests.conformance.tensors import tensor
from tests.process.transport import connect

LARGEST = 20
LIMITS = {
    "no file": "",
    "whole": f"max_batch_size {{ value: {LARGEST} }} max_enqueued_batches {{ value: 99 }}",
    "split": f"max_batch_size {{ value: {LARGEST} }} max_execution_batch_size {{ value: 7 }} "
    "enable_large_batch_splitting { value: true } max_enqueued_batches { value: 99 }",
}
MODEL, OTHER = MODELS
GOOD_CALLERS = 4
TIMES = 5


@dataclasses.dataclass(frozen=True)
class Bad:
    """A request that is refused, and how.

    Attributes:
        message: What is sent.
        code: What its caller gets.
        text: How the text begins.
    """

    message: bytes
    code: grpc.StatusCode
    text: str


def bad(key, code, text, **inputs):
    return Bad(request_bytes(MODEL.name, key, inputs), code, text)


def too_many(largest):
    text = f"Task size {largest + 1} is larger than maximum input batch size {largest}"
    return bad("held_float32", INVALID_ARGUMENT, text, x=np.zeros(largest + 1, np.float32))


NO_ROWS, UNEQUAL = "Batching Run() input tensors must have ", "equal 0th-dimension size"
F32, K = np.float32([[1.0], [2.0]]), np.arange(3)
OF_THE_GATE = {
    "bytes that are no message": Bad(b"\xff\xff", INTERNAL, ""),
    "a value that an op refuses": bad("held_float32", INVALID_ARGUMENT, "x : Tensor had NaN values", x=F32 * np.nan),
    "a wrong dtype": bad(
        "held_float32", INVALID_ARGUMENT, "Expects arg[0] to be float but int64 is provided", x=np.arange(2)
    ),
    "a scalar": bad("held_float32", INVALID_ARGUMENT, NO_ROWS + "at least one dimension", x=np.float32(1)),
    "a tensor with too few bytes": bad(
        "held_float32", INVALID_ARGUMENT, "tensor parsing error: x", x=tensor("float", [2], content=b"\0" * 7)
    ),
}
OF_OTHERS = {
    "a text that is no number": bad(
        "number_string", INVALID_ARGUMENT, "StringToNumberOp could not correctly convert string: x",
        x=np.array([b"1", b"x"], object),
    ),
    "a width that the graph does not take": bad(
        "matmul_float32", INVALID_ARGUMENT, "Matrix size-incompatible", x=np.ones((2, 3), np.float32)
    ),
    "inputs of different rows": bad("two_float32", INVALID_ARGUMENT, NO_ROWS + UNEQUAL, x=F32, k=K),
    "no rows in one input": bad("two_float32", INVALID_ARGUMENT, NO_ROWS + UNEQUAL, x=F32[:0], k=K),
    "a scalar beside rows": bad(
        "two_float32", INVALID_ARGUMENT, NO_ROWS + "at least one dimension", x=F32, k=np.int64(1)
    ),
    "an input too few": bad("two_float32", INVALID_ARGUMENT, "input size does not match signature: 1!=2", x=F32),
    "an output without dimensions": bad(
        "scalar_float32", FAILED_PRECONDITION, "Batched output tensor has 0 dimensions", x=F32
    ),
    "an output of other rows": bad(
        "constant_float32", FAILED_PRECONDITION, "Batched output tensor's 0th dimension does not equal", x=F32
    ),
}  # fmt: skip


@pytest.fixture(
    scope="module", params=[(runs, limits) for limits in LIMITS for runs in ("private", "public")], ids="-".join
)
def batching(request, tmp_path_factory):
    """The address of a server, and its largest request."""
    runs, name = request.param
    folder = tmp_path_factory.mktemp("bad_members")
    flags = {"enable_batching": True, "grpc_max_threads": 64}
    if LIMITS[name]:
        (folder / "batching.txt").write_text(LIMITS[name])
        flags["batching_parameters_file"] = str(folder / "batching.txt")
    running = serving.start(store(folder), *(model.name for model in MODELS), runs=runs, **flags)
    yield running.address, LARGEST if LIMITS[name] else 1000
    running.close()


def status_of(call):
    """The code and text of the error of a call."""
    error = call.exception(TIMEOUT_S)
    return error.code(), error.details()


def check(answer, request):
    code, text = answer
    assert (code, text[: len(request.text)]) == (request.code, request.text)


@pytest.mark.behaviour(
    "8.4", "over a socket, ours: a bad member of a batch fails alone, also under load, with splitting and without"
)
@pytest.mark.parametrize("kind", [*OF_THE_GATE, "too many rows"])
def test_a_bad_member_of_a_batch_fails_alone(batching, kind):
    address, largest = batching
    request = OF_THE_GATE[kind] if kind in OF_THE_GATE else too_many(largest)
    good = [
        Asked(MODEL, "held_float32", make_inputs("held_float32", number, number % 4, shape))
        for number, shape in enumerate([(), (1,), ()] * 4)
    ]
    with connect(address) as channel:
        held = Held(address, MODEL)
        for asked in good[:6]:
            asked.send(channel)
        call = channel.unary_unary(PREDICT).future(request.message, timeout=TIMEOUT_S)
        for asked in good[6:]:
            asked.send(channel)
        held.open()
        check(status_of(call), request)
        assert [asked.fault() for asked in good] == [None] * len(good)


class GoodCaller(threading.Thread):
    """Sends good requests to the queues of the bad ones, some at once, until it is stopped."""

    def __init__(self, address, number):
        super().__init__(daemon=True)
        self._address, self._numbers = address, itertools.count(100 * number)
        self._stopped = threading.Event()
        self.faults, self.answered = [], 0

    def run(self):
        with connect(self._address) as channel:
            while not self._stopped.is_set() and not self.faults:
                calls = list(self._requests())
                for asked in calls:
                    asked.send(channel)
                self.faults += [fault for asked in calls if (fault := asked.fault())]
                self.answered += len(calls)

    def _requests(self):
        for model, key in itertools.product(MODELS, ("one_float32", "two_float32", *STRICT_SIGNATURES)):
            number = next(self._numbers) % 4000
            yield Asked(model, key, make_inputs(key, number, number % 5, (1,)))

    def stop(self):
        self._stopped.set()
        self.join(TIMEOUT_S)


@contextlib.contextmanager
def good_callers(address):
    """Callers who must not notice anything."""
    threads = [GoodCaller(address, number) for number in range(GOOD_CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.stop()
    assert [thread.faults for thread in threads] == [[]] * GOOD_CALLERS
    assert all(thread.answered for thread in threads)


@pytest.mark.behaviour(
    "8.4", "over a socket, ours: a bad member of a batch fails alone, also under load, with splitting and without"
)
def test_under_load_each_bad_request_fails_and_no_other(batching):
    address, largest = batching
    requests = [*OF_THE_GATE.values(), *OF_OTHERS.values(), too_many(largest)]
    with good_callers(address), connect(address) as channel:
        for _ in range(TIMES):
            calls = [channel.unary_unary(PREDICT).future(request.message, timeout=TIMEOUT_S) for request in requests]
            for request, call in zip(requests, calls, strict=True):
                check(status_of(call), request)


@pytest.mark.behaviour("8.2", "over a socket, under load: requests without rows and of the largest size")
def test_under_load_requests_without_rows_and_the_largest_are_answered(batching):
    address, largest = batching
    with good_callers(address), connect(address) as channel:
        for number, rows in enumerate([0, largest] * TIMES):
            calls = [Asked(MODEL, key, make_inputs(key, number, rows)) for key in ROW_SIGNATURES]
            for asked in calls:
                asked.send(channel)
            assert [asked.fault() for asked in calls] == [None] * len(calls)


@pytest.mark.behaviour("8.4", "an output whose rows fit by chance is answered to a lone request")
def test_an_output_whose_rows_fit_by_chance_is_answered_to_a_lone_request(batching):
    address, _ = batching
    with connect(address) as channel:
        reply = channel.unary_unary(PREDICT)(
            request_bytes(OTHER.name, "constant_float32", {"x": np.zeros(3, np.float32)}), timeout=TIMEOUT_S
        )
    assert outputs_of(reply)["y"].tolist() == [1.0, 2.0, 3.0]
