"""The data plane put together: the methods of PredictionService, from the bytes of a request to those of its reply.

An API parses the bytes: that makes a `requests.Request`. The dispatcher decides where it runs. `Request.finish` makes
the bytes of the reply from what the run fetched.

A thread of the public path (grpcio's server) runs a request itself; a lane runs it at once if it is short and hands it
to the scheduler if it is not; batches are made of the requests of both. This module does not know gRPC.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from servable.batching import timed_runs
from servable.batching.dispatch import Dispatcher, is_short, measure_hand_over
from servable.batching.queues import FifoQueue
from servable.batching.scheduler import Scheduler
from servable.batching.tasks import QueuedCall
from servable.config.batching import BatchingConfig
from servable.errors import ServingError
from servable.inference.classify import Classify
from servable.inference.metadata import GetModelMetadata
from servable.inference.multi_inference import MultiInference
from servable.inference.predict import Predict
from servable.inference.regress import Regress
from servable.methods import AwaitedReply, DeferredRun, LaneMethod, LaneMethodOf, Method, Reply
from servable.options import ServerOptions, schedulable_cpus
from servable.requests import Begin, BeginOf, Request, SizedT, complete
from servable.rest.examples import RestClassify, RestRegress
from servable.rest.message import RestMessage
from servable.rest.predict import RestPredict
from servable.routing import Router
from servable.run_costs import RunCost, RunCosts

SERVICE = "tensorflow.serving.PredictionService"

# A message of no more bytes is always parsed on the lane: the worst of them takes less time than a run there may.
_SMALL_MESSAGE_BYTES: Final = 4096
# The same of a body over REST: 4 KiB of JSON that is refused at its end may take 10 ms.
_SMALL_BODY_BYTES: Final = 512


class DataPlane:
    """Start it before calls come, stop it after.

    Attributes:
        methods: All methods by full path, for threads that wait for the answer.
        lane_methods: The methods for lanes, by full path.
        rest_methods: The same over REST, by the last word of their URLs.
        on_overrun: To be called with the id of a lane's thread that runs something for too long.
    """

    def __init__(self, options: ServerOptions, batching: BatchingConfig | None, router: Router) -> None:
        """Put it together; nothing runs yet.

        Args:
            options: The flags.
            batching: How requests are batched; None if they are not.
            router: Finds versions.
        """
        self._scheduler = _make_scheduler(options, batching)
        factory = MethodFactory(Dispatcher(self._scheduler, _worth_handing_over_s()))
        check, as_content = options.enable_signature_method_name_check, options.enable_serialization_as_tensor_content
        apis: dict[str, Predict | Classify | Regress | MultiInference] = {
            "Predict": Predict(router, as_content, check),
            "Classify": Classify(router, check),
            "Regress": Regress(router, check),
            "MultiInference": MultiInference(router, check),
        }
        # Not for lanes, since it need not be fast: the metadata of a large model takes milliseconds.
        self.methods: dict[str, Method] = {_path("GetModelMetadata"): GetModelMetadata(router)}
        self.lane_methods: dict[str, LaneMethod] = {}
        for name, api in apis.items():
            make_method = factory.direct_method if batching is None else factory.waiting_method
            self.methods[_path(name)] = make_method(api.begin)
            self.lane_methods[_path(name)] = factory.lane_method(api.begin)
        self.rest_methods: dict[str, LaneMethodOf[RestMessage]] = {
            "predict": factory.lane_method(RestPredict(router, check).begin, _SMALL_BODY_BYTES),
            "classify": factory.lane_method(RestClassify(router, check).begin, _SMALL_BODY_BYTES),
            "regress": factory.lane_method(RestRegress(router, check).begin, _SMALL_BODY_BYTES),
        }
        self.on_overrun = timed_runs.suspend

    def start(self) -> None:
        """Start the threads."""
        self._scheduler.start()

    def stop(self) -> None:
        """Refuse what has not begun, and end the threads."""
        self._scheduler.stop()


class MethodFactory:
    """Composes methods: an API's `begin` parses, the dispatcher decides where to run, the reply gets the answer."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Compose with a dispatcher.

        Args:
            dispatcher: Decides where requests run. Its scheduler parses what may take long.
        """
        self._dispatcher = dispatcher
        self._unparsed = FifoQueue()

    def lane_method(self, begin: BeginOf[SizedT], small_bytes: int = _SMALL_MESSAGE_BYTES) -> LaneMethodOf[SizedT]:
        """A method for lanes, and for the HTTP thread, which runs nothing itself.

        On a lane a request that is short to parse and to run is answered before the method returns.

        Any other is answered later, by another thread. Where a message is parsed is decided by the same rule of cost as
        where a request runs; each API has its own estimates.

        Args:
            begin: Parses a message.
            small_bytes: A message of no more bytes is always parsed on the calling thread.
        """
        parse_costs, begin_run = RunCosts(), self._dispatcher.begin

        def answer(message: SizedT, time_left_s: float | None, reply: Reply) -> DeferredRun | None:
            if len(message) <= small_bytes:
                return begin_run(begin(message), time_left_s, reply)
            cost, began_s = parse_costs.of(len(message)), time.monotonic()
            if not is_short(cost, began_s):
                self._parse_later(begin, message, time_left_s, reply, cost)
                return None
            request = _parse(begin, message, cost, began_s)
            return begin_run(request, time_left_s, reply)

        return answer

    def direct_method(self, begin: Begin) -> Method:
        """A method for a thread that has nothing else to do, where nothing is batched: the run is on that thread."""

        def answer(message: bytes, time_left_s: float | None) -> bytes:
            return complete(begin(message), time_left_s)

        return answer

    def waiting_method(self, begin: Begin) -> Method:
        """A method for a thread that has nothing else to do: it waits for the answer."""
        begin_run = self._dispatcher.begin

        def answer(message: bytes, time_left_s: float | None) -> bytes:
            awaited = AwaitedReply()
            batch = begin_run(begin(message), time_left_s, awaited)
            if batch is not None:
                batch.run()
            return awaited.result()

        return answer

    def _parse_later(
        self, begin: BeginOf[SizedT], message: SizedT, time_left_s: float | None, reply: Reply, cost: RunCost
    ) -> None:
        """Parse a message on a thread of the scheduler; from there the request goes on as every other does."""

        def parse() -> Request:
            return _parse(begin, message, cost, time.monotonic())

        def begin_parsed(request: Request, call: _Unparsed) -> None:
            batch = self._dispatcher.begin(request, call.time_left_s(), call.reply)
            if batch is not None:
                batch.hand_over()

        ends_at_s = None if time_left_s is None else time.monotonic() + time_left_s
        task = _Unparsed(_SchedulerThreadReply(reply), ends_at_s, parse, begin_parsed)
        self._dispatcher.scheduler.add(self._unparsed, task)


@dataclass(slots=True, eq=False)
class _Unparsed(QueuedCall):
    """A call whose message may take long to parse.

    Attributes:
        parse: Parses it; None once it has, or need not. It holds the message.
        on_parsed: Takes the parsed request. What it raises is the answer.
    """

    parse: Callable[[], Request] | None
    on_parsed: Callable[[Request, _Unparsed], None]

    def run(self) -> None:
        """Parse and go on. Raises a ServingError if that is the answer."""
        parse, self.parse = self.parse, None
        if parse is not None:
            self.on_parsed(parse(), self)

    def _release(self) -> None:
        self.parse = None


@dataclass(frozen=True, slots=True)
class _SchedulerThreadReply:
    """A lane's Reply, for a request that is on a thread of the scheduler already."""

    _reply: Reply

    def is_active(self) -> bool:
        return self._reply.is_active()

    def may_run_here(self) -> bool:
        # The thread runs jobs of one queue only; the model's own queue says how many threads the model may have.
        return False

    def other_calls_waiting(self) -> bool:
        return True

    def send(self, message: bytes) -> None:
        self._reply.send(message)

    def fail(self, error: ServingError) -> None:
        self._reply.fail(error)


def _parse(begin: BeginOf[SizedT], message: SizedT, cost: RunCost, began_s: float) -> Request:
    """Parse a message and note what that took."""
    try:
        request = begin(message)
    except BaseException:
        cost.note_failure(time.monotonic() - began_s, was_overdue=True)
        raise
    ended_s = time.monotonic()
    # Always as an overdue run: parsing holds the interpreter, so no watchdog could have found out.
    cost.note(ended_s - began_s, ended_s, was_overdue=True)
    return request


def _make_scheduler(options: ServerOptions, batching: BatchingConfig | None) -> Scheduler:
    # The scheduler keeps one thread free for other models: so two at least, and one more than batches may run at once.
    if batching is None:
        return Scheduler(max(options.grpc_max_threads, 2))
    return Scheduler((batching.threads or schedulable_cpus()) + 1, batching.thread_name)


def _worth_handing_over_s() -> float:
    # Under load a hand-over takes several times what it takes in an idle process: both threads, and those of gRPC, wait
    # for the interpreter in turn.
    return 3 * measure_hand_over() if schedulable_cpus() > 1 else math.inf


def _path(name: str) -> str:
    return f"/{SERVICE}/{name}"
