"""The data plane put together: the methods that run models, from the bytes of a request to those of its reply.

An API parses the bytes: that makes a `requests.Request`. The dispatcher decides where it runs. `Request.finish` makes
the bytes of the reply from what the run fetched.

A thread of the public path (grpcio's server) runs a request itself; a lane runs it at once if it is short and hands it
to the scheduler if it is not; batches are made of the requests of both. This module does not know gRPC.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Generic

from google.protobuf.message import DecodeError

from servable import wire
from servable.authorization.actions import describe_method
from servable.batching import timed_runs
from servable.batching.dispatch import Dispatcher, is_short, measure_hand_over
from servable.batching.queues import FifoQueue
from servable.batching.scheduler import Scheduler
from servable.batching.tasks import QueuedCall
from servable.call_policy import CallPolicy
from servable.calls import Action, CallContext, EndableContext, MethodInfo
from servable.config.batching import BatchingConfig
from servable.errors import ServingError
from servable.inference.classify import Classify
from servable.inference.metadata import GetModelMetadata
from servable.inference.multi_inference import MultiInference
from servable.inference.predict import Predict
from servable.inference.regress import Regress
from servable.methods import (
    AwaitedReply,
    DeferredRun,
    LaneMethod,
    LaneMethodOf,
    Method,
    Reply,
    Tracker,
    without_context,
)
from servable.observability.metrics import Metrics
from servable.observability.request_counts import Mark, MethodCounts, RequestCounts
from servable.open_inference import grpc_api
from servable.open_inference.grpc_api import GrpcInfer
from servable.open_inference.http_infer import HttpInfer, InferMessage
from servable.open_inference.inference import Models
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
        open_inference_http: Inferences of the Open Inference Protocol that came over HTTP.
        on_overrun: To be called with the id of a lane's thread that runs something for too long.
    """

    def __init__(
        self,
        options: ServerOptions,
        batching: BatchingConfig | None,
        router: Router,
        metrics: Metrics | None = None,
        policy: CallPolicy | None = None,
    ) -> None:
        """Put it together; nothing runs yet.

        Args:
            options: The flags.
            batching: How requests are batched; None if they are not.
            router: Finds versions.
            metrics: Counts requests and batches; None: nobody reads them.
            policy: What is decided about calls; None: nothing.
        """
        metrics, policy = metrics or Metrics(), policy or CallPolicy()
        self._scheduler = _make_scheduler(options, batching)
        # What is not parsed yet is of no model; all models together may have more of that than one may have queued.
        unparsed = options.max_calls_in_flight or sys.maxsize
        most_queued = options.max_queued_calls_per_model or max(unparsed // 2, 1)
        dispatcher = Dispatcher(self._scheduler, _worth_handing_over_s(), most_queued)
        metrics.add_source(dispatcher.counts.families)
        factory = MethodFactory(dispatcher, unparsed)
        check, as_content = options.enable_signature_method_name_check, options.enable_serialization_as_tensor_content
        apis: dict[str, Predict | Classify | Regress | MultiInference] = {
            "Predict": Predict(router, as_content, check),
            "Classify": Classify(router, check),
            "Regress": Regress(router, check),
            "MultiInference": MultiInference(router, check, metrics.note_examples),
        }
        # Not for lanes, since it need not be fast: the metadata of a large model takes milliseconds.
        metadata = GetModelMetadata(router)
        self.methods: dict[str, Method] = {
            _path("GetModelMetadata"): policy.method(
                without_context(metadata),
                describe_method(_path("GetModelMetadata")),
                find_model,
            )
        }
        self.lane_methods: dict[str, LaneMethod] = {}

        def add(path: str, begin: Begin, api: str, find: Callable[[bytes], str | None]) -> None:
            """Add a method that runs models over gRPC, for lanes and for threads that wait."""
            counts = metrics.method(api, "GRPC", find)
            info = describe_method(path)
            self.lane_methods[path] = policy.lane_method(factory.lane_method(begin, counts), info, find)
            make = factory.direct_method if batching is None else factory.waiting_method
            self.methods[path] = awaited(policy.lane_method(make(begin, counts), info, find))

        for name, api in apis.items():
            add(_path(name), api.begin, name, _FIND_MODEL.get(name, find_model))
        inferences = Models(router, check)
        add(grpc_api.INFER, GrpcInfer(inferences).begin, "ModelInfer", grpc_api.find_model)
        rest_apis: dict[str, RestPredict | RestClassify | RestRegress] = {
            "Predict": RestPredict(router, check),
            "Classify": RestClassify(router, check),
            "Regress": RestRegress(router, check),
        }
        self.rest_methods: dict[str, LaneMethodOf[RestMessage]] = {
            name.lower(): policy.lane_method(
                factory.lane_method(api.begin, metrics.method(name, "REST", _name_model), _SMALL_BODY_BYTES),
                MethodInfo(name, "REST", Action.PREDICT, f"/v1/models:{name.lower()}"),
                _name_model,
            )
            for name, api in rest_apis.items()
        }
        self.open_inference_http: LaneMethodOf[InferMessage] = policy.lane_method(
            factory.lane_method(
                HttpInfer(inferences).begin, metrics.method("ModelInfer", "REST", attrgetter("model_name"))
            ),
            MethodInfo("ModelInfer", "REST", Action.PREDICT, "/v2/models/infer"),
            attrgetter("model_name"),
        )
        self.on_overrun = timed_runs.suspend

    def start(self) -> None:
        """Start the threads."""
        self._scheduler.start()

    def stop(self) -> None:
        """Refuse what has not begun, and end the threads."""
        self._scheduler.stop()


class MethodFactory:
    """Composes methods: an API's `begin` parses, the dispatcher decides where to run, the reply gets the answer."""

    def __init__(self, dispatcher: Dispatcher, most_unparsed: int = sys.maxsize) -> None:
        """Compose with a dispatcher.

        Args:
            dispatcher: Decides where requests run. Its scheduler parses what may take long.
            most_unparsed: How many messages may wait for that.
        """
        self._dispatcher = dispatcher
        self._unparsed = FifoQueue(most_unparsed)

    def lane_method(
        self,
        begin: BeginOf[SizedT],
        counts: MethodCounts[SizedT] | None = None,
        small_bytes: int = _SMALL_MESSAGE_BYTES,
    ) -> LaneMethodOf[SizedT]:
        """A method for lanes, and for the HTTP thread, which runs nothing itself.

        On a lane a request that is short to parse and to run is answered before the method returns.

        Any other is answered later, by another thread. Where a message is parsed is decided by the same rule of cost as
        where a request runs; each API has its own estimates.

        Args:
            begin: Parses and checks.
            counts: Counts the requests.
            small_bytes: A message of no more bytes is always parsed on the calling thread.
        """
        parse_costs, begin_run, counted = RunCosts(), self._dispatcher.begin, counts or _uncounted()

        def answer(message: SizedT, time_left_s: float | None, reply: Reply) -> DeferredRun | None:
            began_s, mark = time.monotonic(), None
            try:
                if len(message) <= small_bytes:
                    request = begin(message)
                else:
                    cost = parse_costs.of(len(message))
                    if not is_short(cost, began_s):
                        call = _Call(message, time_left_s, reply, began_s)
                        self._parse_later(begin, call, cost, counted)
                        return None
                    request = _parse(begin, message, cost, began_s)
                tracker = reply.tracker
                mark = counted.mark(request.target, began_s, len(message), None if tracker is None else tracker.record)
                if tracker is not None:
                    tracker.note_parsed(request)
                return begin_run(request, time_left_s, reply, mark)
            except BaseException as error:
                counted.note_failure(message, error, mark)
                raise

        return answer

    def direct_method(self, begin: Begin, counts: MethodCounts[bytes] | None = None) -> LaneMethod:
        """A method for a thread that has nothing else to do, where nothing is batched: the run is on that thread."""

        def run(request: Request, time_left_s: float | None, reply: Reply, mark: Mark) -> None:
            reply.send(complete(request, time_left_s, mark))

        return _begin_and_run(begin, run, counts or _uncounted())

    def waiting_method(self, begin: Begin, counts: MethodCounts[bytes] | None = None) -> LaneMethod:
        """A method for a thread that has nothing else to do, and waits for the answer."""
        return _begin_and_run(begin, self._dispatcher.begin, counts or _uncounted())

    def _parse_later(
        self, begin: BeginOf[SizedT], call: _Call[SizedT], cost: RunCost, counts: MethodCounts[SizedT]
    ) -> None:
        """Parse a message on a thread of the scheduler; from there the request goes on as every other does."""

        def parse_and_begin(task: _Unparsed) -> None:
            request, tracker = _parse(begin, call.message, cost, time.monotonic()), task.reply.tracker
            mark = counts.mark(
                request.target, call.began_s, len(call.message), None if tracker is None else tracker.record
            )
            # What this raises is counted in `mark`, as it is the answer of `task`.
            task.mark = mark
            if tracker is not None:
                tracker.note_parsed(request)
            batch = self._dispatcher.begin(request, task.time_left_s(), task.reply, mark)
            if batch is not None:
                batch.hand_over()

        def note_failure(error: ServingError, mark: Mark | None) -> None:
            counts.note_failure(call.message, error, mark)

        ends_at_s = None if call.time_left_s is None else call.began_s + call.time_left_s
        task = _Unparsed(_SchedulerThreadReply(call.reply), ends_at_s, parse_and_begin, note_failure)
        self._dispatcher.scheduler.add(self._unparsed, task)


@dataclass(frozen=True, slots=True)
class _Call(Generic[SizedT]):
    """A call as it arrives.

    Attributes:
        began_s: When it arrived (time.monotonic).
    """

    message: SizedT
    time_left_s: float | None
    reply: Reply
    began_s: float


@dataclass(slots=True, eq=False)
class _Unparsed(QueuedCall):
    """A call whose message may take long to parse.

    Attributes:
        parse: Parses it and goes on; None once it has, or need not. It holds the message. What it raises is the answer.
        note_failure: Counts the call among those that failed. It holds the message, too.
    """

    parse: Callable[[_Unparsed], None] | None
    note_failure: Callable[[ServingError, Mark | None], None] | None

    def run(self) -> None:
        """Parse and go on. Raises a ServingError if that is the answer."""
        parse, self.parse = self.parse, None
        if parse is not None:
            parse(self)

    def _count_failure(self, error: ServingError) -> None:
        if self.note_failure is not None:
            self.note_failure(error, self.mark)

    def _release(self) -> None:
        self.parse = self.note_failure = None


@dataclass(frozen=True, slots=True)
class _SchedulerThreadReply:
    """A lane's Reply, for a request that is on a thread of the scheduler already."""

    _reply: Reply

    @property
    def context(self) -> CallContext:
        return self._reply.context

    @property
    def tracker(self) -> Tracker | None:
        return self._reply.tracker

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


def _begin_and_run(
    begin: Begin,
    run: Callable[[Request, float | None, Reply, Mark], DeferredRun | None],
    counts: MethodCounts[bytes],
) -> LaneMethod:
    def answer(message: bytes, time_left_s: float | None, reply: Reply) -> DeferredRun | None:
        began_s, mark = time.monotonic(), None
        try:
            request, tracker = begin(message), reply.tracker
            mark = counts.mark(request.target, began_s, len(message), None if tracker is None else tracker.record)
            if tracker is not None:
                tracker.note_parsed(request)
            return run(request, time_left_s, reply, mark)
        except BaseException as error:
            counts.note_failure(message, error, mark)
            raise

    return answer


def awaited(method: LaneMethod) -> Method:
    """A method whose thread waits for the answer, and runs what it has gathered itself."""

    def answer(message: bytes, time_left_s: float | None, context: EndableContext) -> bytes:
        awaited = AwaitedReply(context)
        deferred = method(message, time_left_s, awaited)
        if deferred is not None:
            deferred.run()
        return awaited.result()

    return answer


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


def find_model(message: bytes) -> str | None:
    """The model that a request over gRPC asks for, of an API whose first field is a ModelSpec; None if it is broken.

    All other fields are unknown to the message that this parses, so their values are not read.
    """
    try:
        return wire.GetModelStatusRequest.FromString(message).model_spec.name
    except DecodeError:
        return None


def _find_model_of_tasks(message: bytes) -> str | None:
    try:
        tasks = wire.MultiInferenceRequest.FromString(message).tasks
    except DecodeError:
        return None
    return tasks[0].model_spec.name if tasks else ""


_FIND_MODEL: Mapping[str, Callable[[bytes], str | None]] = {"MultiInference": _find_model_of_tasks}


def _uncounted() -> MethodCounts[Any]:
    """Counts that nobody reads."""
    return MethodCounts(RequestCounts(), "", "", lambda _message: None)


def _name_model(message: RestMessage) -> str:
    return message.url.name


def _path(name: str) -> str:
    return f"/{SERVICE}/{name}"
