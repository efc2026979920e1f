"""Cached requests run where their first one ran, and are refused as it was."""

import contextlib
import threading

import numpy as np
import pytest

from servable import wire
from servable.batching.dispatch import Dispatcher
from servable.batching.scheduler import Scheduler
from servable.calls import NO_CONTEXT
from servable.config.batching import QueueLimits
from servable.data_plane import MethodFactory, awaited
from servable.errors import InvalidArgument
from servable.methods import reply_with_error
from servable.routing import Routes
from servable.servables import Handle
from tests.inference.asking import arrays_request, floats_request, new_predict
from tests.inference.running_models import RunningModel
from tests.inference.together import run_together

TIMEOUT_S = 30.0
PLACES = {
    "alone": None,
    "batched": QueueLimits(max_task_rows=4, max_batch_rows=8),
    "padded": QueueLimits(max_task_rows=4, max_batch_rows=8, pads=True),
    "split": QueueLimits(max_task_rows=4, max_batch_rows=2, splits=True, batches_at_once=None),
}


@pytest.fixture
def scheduler():
    running = Scheduler(3)
    running.start()
    yield running
    assert running.stop(TIMEOUT_S)


@contextlib.contextmanager
def answering(answer):
    """Answers with what is raised, as a lane does."""
    try:
        yield
    except InvalidArgument as error:
        reply_with_error(answer, error, "Predict")


class Server:
    """Predict over models that only pretend, run where the dispatcher says."""

    def __init__(self, scheduler, **models):
        self.models = models
        self.predict = new_predict(Routes([Handle(name, 1, model) for name, model in models.items()]))
        self.methods = MethodFactory(Dispatcher(scheduler, 1e-4))
        self.call = awaited(self.methods.waiting_method(self.predict.begin))

    def ask(self, *values, shape=None, **asked):
        """The values of the first output."""
        return doubled(self.call(floats_request(*values, shape=shape, **asked), TIMEOUT_S, NO_CONTEXT))

    def call_on_lane(self, requests):
        """What each is answered, of requests that a lane gathers and runs when all have come."""
        method, answers, batches = self.methods.lane_method(self.predict.begin), [Answer() for _ in requests], []
        for request, answer in zip(requests, answers, strict=True):
            with answering(answer):
                batches.append(method(request, TIMEOUT_S, answer))
        for batch in {*batches} - {None}:
            # One at a time, as a lane does: requests of several kinds are several runs of one batch.
            batch.run()
        return [answer.wait() for answer in answers]


def doubled(reply):
    return list(wire.PredictResponse.FromString(reply).outputs["same"].float_val)


class Answer:
    """A Reply."""

    context, tracker = NO_CONTEXT, None

    def __init__(self):
        self.messages, self.errors = [], []
        self._arrived = threading.Event()

    def is_active(self):
        return True

    def may_run_here(self):
        return True

    def other_calls_waiting(self):
        return True

    def send(self, message):
        self.messages.append(message)
        self._arrived.set()

    def fail(self, error):
        self.errors.append(error)
        self._arrived.set()

    def wait(self):
        assert self._arrived.wait(TIMEOUT_S)
        assert len(self.messages) + len(self.errors) == 1
        return self.errors[0].message if self.errors else doubled(self.messages[0])


@pytest.fixture(params=PLACES)
def limits(request):
    return PLACES[request.param]


@pytest.fixture(params=[False, True], ids=["slow", "quick"])
def quick(request):
    return request.param


def test_requests_of_one_kind_and_of_others_are_answered_each_by_its_own_values(scheduler, limits, quick):
    server = Server(scheduler, m=RunningModel(limits, quick=quick))
    for value in range(5):
        assert server.ask(value, value + 1) == [2 * value, 2 * value + 2]
        assert server.ask(value, value + 1, shape=(1, 2)) == [2 * value, 2 * value + 2]
        assert server.ask(value) == [2 * value]


def test_another_dtype_is_refused_each_time(scheduler, limits, quick):
    server = Server(scheduler, m=RunningModel(limits, quick=quick))
    wrong = arrays_request({"x": (np.float64([1]), wire.DT_DOUBLE)})
    also_wrong = arrays_request({"x": (np.int32([1]), wire.DT_INT32)}, as_content=True)
    right = arrays_request({"x": (np.float32([1]), wire.DT_FLOAT)}, as_content=True)
    assert len(also_wrong) == len(right)
    for _ in range(3):
        with pytest.raises(InvalidArgument, match="to be float32 but float64 is provided"):
            server.call(wrong, TIMEOUT_S, NO_CONTEXT)
        with pytest.raises(InvalidArgument, match="to be float32 but int32 is provided"):
            server.call(also_wrong, TIMEOUT_S, NO_CONTEXT)
        assert doubled(server.call(right, TIMEOUT_S, NO_CONTEXT)) == [2]


@pytest.mark.parametrize("kind", ["batched", "padded", "split"])
def test_too_many_rows_are_refused_each_time(scheduler, kind, quick):
    server = Server(scheduler, m=RunningModel(PLACES[kind], quick=quick))
    for _ in range(3):
        with pytest.raises(InvalidArgument, match="Task size 5 is larger than maximum input batch size 4"):
            server.ask(1, 2, 3, 4, 5)
        with pytest.raises(InvalidArgument, match="must have at least one dimension"):
            server.ask(1, shape=())
        assert server.ask(1, 2, 3, 4) == [2, 4, 6, 8]


def test_inputs_of_different_rows_are_refused_each_time(scheduler):
    server = Server(scheduler, m=RunningModel(PLACES["batched"]))
    x, y = np.float32([1]), np.float32([1, 2])
    request = arrays_request({"x": (x, wire.DT_FLOAT), "y": (y, wire.DT_FLOAT)}, signature="two")
    for _ in range(3):
        with pytest.raises(InvalidArgument, match="equal 0th-dimension size"):
            server.call(request, TIMEOUT_S, NO_CONTEXT)


def test_requests_without_rows_are_answered_and_merged_with_none(scheduler, limits):
    server = Server(scheduler, m=RunningModel(limits, quick=True))
    for _ in range(3):
        assert server.ask(shape=(0, 2)) == []
        assert server.ask(1) == [2]


def test_a_runner_that_was_dropped_is_made_again(scheduler, limits, quick):
    model = RunningModel(limits, quick=quick)
    server = Server(scheduler, m=model)
    for made in (1, 2, 3):
        for value in range(3):
            assert server.ask(value) == [2 * value]
        assert model.made == made
        model.ready.clear()


def test_a_runner_that_cannot_be_made_again_is_an_error_each_time(scheduler, limits):
    model = RunningModel(limits, quick=True)
    server = Server(scheduler, m=model)
    server.ask(1), server.ask(1)
    model.ready.clear()

    def refuse(feeds, fetches):
        raise InvalidArgument("no more")

    model.runner = refuse
    for _ in range(2):
        with pytest.raises(InvalidArgument, match="no more"):
            server.ask(1)
    del model.runner
    assert server.ask(1) == [2]


def test_cached_requests_of_several_models_share_no_batch(scheduler):
    limits = QueueLimits(max_task_rows=4, max_batch_rows=100)
    server = Server(scheduler, m=RunningModel(limits, quick=True), n=RunningModel(limits, quick=True))
    names = ("m", "n", "n")
    for name in server.models:
        server.ask(0, name=name), server.ask(0, name=name)
    for model in server.models.values():
        model.only_runner.rows.clear()
    answers = server.call_on_lane([floats_request(value, name=names[value % 3]) for value in range(9)])
    assert answers == [[2 * value] for value in range(9)]
    assert [model.only_runner.rows for model in server.models.values()] == [[3], [6]]


def test_refused_requests_spoil_no_batch_of_cached_requests(scheduler):
    limits = QueueLimits(max_task_rows=4, max_batch_rows=100)
    server = Server(scheduler, m=RunningModel(limits, quick=True))
    asked = [
        floats_request(1),
        arrays_request({"x": (np.float64([1]), wire.DT_DOUBLE)}),
        floats_request(2, 3),
        floats_request(1, 2, 3, 4, 5),
        floats_request(4, 5, shape=(1, 2)),
        floats_request(shape=(0,)),
    ]
    server.ask(1)
    for _ in range(3):
        server.models["m"].only_runner.rows.clear()
        answers = server.call_on_lane(asked)
        assert (answers[0], answers[2], answers[4], answers[5]) == ([2], [4, 6], [8, 10], [])
        assert answers[1].endswith("float64 is provided")
        assert answers[3].startswith("Task size 5")
        assert server.models["m"].only_runner.rows == [3, 1, 0]


def test_threads_that_send_cached_requests_to_several_models_get_their_own_answers(scheduler, limits, quick):
    server = Server(scheduler, m=RunningModel(limits, quick=quick), n=RunningModel(limits, quick=quick))
    wrong, barrier = [], threading.Barrier(6)

    def ask_on(thread):
        barrier.wait(TIMEOUT_S)
        for step in range(40):
            value, rows = 100 * thread + step, step % 3 + 1
            if server.ask(*[value] * rows, name="mn"[(thread + step) % 2]) != [2 * value] * rows:
                wrong.append((thread, step))
            if step % 10 == 9:
                server.models["m"].ready.clear()

    run_together(ask_on, [(index,) for index in range(6)])
    assert not wrong
