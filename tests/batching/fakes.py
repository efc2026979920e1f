"""Requests, replies and runners behind the real protocols, for batches without sockets and TensorFlow."""

import pickle
import threading

import numpy as np

from servable.batching import merging
from servable.batching.tasks import Task
from servable.calls import NO_CONTEXT
from servable.data_plane import MethodFactory
from servable.errors import InvalidArgument
from servable.methods import reply_with_error
from servable.requests import Target
from servable.run_costs import RunCosts

# No test waits longer for an answer.
TIMEOUT_S = 30.0


class FakeReply:
    """Takes one answer. A second answer is an error, raised where it is given and by `wait`."""

    context, tracker = NO_CONTEXT, None

    def __init__(self, active=True, others_waiting=False, may_run=True):
        self.others_waiting, self.may_run = others_waiting, may_run
        self.active, self.answers, self._answered = active, [], threading.Event()

    def is_active(self):
        return self.active

    def may_run_here(self):
        return self.may_run

    def other_calls_waiting(self):
        return self.others_waiting

    def send(self, message):
        self._answer(pickle.loads(message))

    def fail(self, error):
        self._answer(error)

    def _answer(self, answer):
        self.answers.append(answer)
        self._answered.set()
        assert len(self.answers) == 1, self.answers

    def wait(self):
        """The answer, once it is there: the arrays that were fetched as lists, or the error."""
        assert self._answered.wait(TIMEOUT_S), "no answer"
        assert len(self.answers) == 1, self.answers
        return self.answers[0]

    @property
    def answer(self):
        """The answer that is there already."""
        assert len(self.answers) == 1, self.answers
        return self.answers[0]

    @property
    def error(self):
        """The code and text of the error that is there already."""
        return self.answer.code.name, self.answer.message


class FakeRunner:
    """Gives what `function` makes of the arrays (twice the first, if none is given), and remembers what it was fed."""

    fetch_dtypes = (1,)

    def __init__(self, function=None, *, takes_s=None, may_not_end=False, batches_itself=False, dtype=None):
        """What it is fed decides nothing: `takes_s` is what runs of any size are known to take, None if nothing is."""
        self.costs, self.may_not_end, self.dtype = RunCosts(), may_not_end, dtype
        self.batches_itself = batches_itself
        for exponent in range(32) if takes_s is not None else ():
            self.costs.assume(2**exponent - 1, takes_s)
        self.function = function or (lambda arrays: [arrays[0] * 2])
        self.runs, self.timeouts_s = [], []

    def check(self, feeds):
        if self.dtype is not None and any(array.dtype != self.dtype for array in feeds):
            raise InvalidArgument("wrong dtype")

    def run(self, feeds, timeout_s):
        self.runs.append([array.tolist() for array in feeds])
        self.timeouts_s.append(timeout_s)
        return self.function(feeds)


class FakeServable:
    """A model with one runner, ready or not."""

    signatures = {}  # noqa: RUF012

    def __init__(self, limits, runner=None, *, ready=True):
        self.queue_limits, self.its_runner, self.ready = limits, runner or FakeRunner(), ready

    def ready_runner(self, feeds, fetches):
        return self.its_runner if self.ready else None

    def runner(self, feeds, fetches):
        self.ready = True
        return self.its_runner


class FakeRequest:
    """A request that needs one run of the arrays, and answers with lists."""

    def __init__(self, servable, *arrays):
        self.target = Target(servable, ("x",), ("y",))
        self.arrays = [np.asarray(array) for array in arrays]
        self.size_bytes = sum(array.nbytes for array in self.arrays)

    def finish(self, fetched):
        return pickle.dumps([array.tolist() for array in fetched.arrays])


def task(runner, *arrays, active=True, ends_at_s=None, pads=False):
    """A request that waits for its run, and its reply."""
    reply, request = FakeReply(active), FakeRequest(None, *arrays)
    waiting = Task.of(request, runner, reply, ends_at_s)
    waiting.rows, waiting.kind = len(request.arrays[0]), merging.kind(request.arrays, pads=pads)
    return waiting, reply


def call(dispatcher, begin, reply, time_left_s=None, message=b""):
    """Call as a lane does: answer with what the method raises; the batch that the caller is to run, if there is one."""
    try:
        return MethodFactory(dispatcher).lane_method(begin)(message, time_left_s, reply)
    except Exception as error:  # noqa: BLE001
        reply_with_error(reply, error, "the method")
