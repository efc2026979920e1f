"""Which calls are logged: decided as a call begins and once its model is known, before anything is copied."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from servable.calls import CallContext, CallRecord
from servable.codec import dtypes
from servable.config.models import Collector, ModelConfig, RequestLogging
from servable.errors import Code
from servable.observability.families import Family, Kind
from servable.options import ServerOptions
from servable.request_log import uploads
from servable.request_log.entries import Entry, EntryQueue, Sample
from servable.request_log.files import Limits
from servable.request_log.messages import LOG_FIELDS
from servable.request_log.uploads import FsspecStore, Store
from servable.request_log.writer import Counts, Settings, Writer
from servable.requests import Request

_MB: Final = 1 << 20
LONGEST_STOP_S: Final = 5.0


class RequestLog:
    """A calls.Follower that writes requests and replies down. Thread-safe.

    A call is looked at twice: `wants` draws a share that is as large as the largest of all models, and once the model
    is known, another draw leaves the share of that model.
    """

    def __init__(
        self,
        settings: Settings,
        default: RequestLogging | None = None,
        *,
        draw: Callable[[], float] = random.random,
        make_store: Callable[[str], Store] = FsspecStore,
    ) -> None:
        """Log nothing yet. The thread that writes is started when the first model is logged.

        Args:
            settings: Bound what waits, and the files.
            default: How models are logged whose config does not say.
            draw: A number from 0 to 1, exclusive; different at each call.
            make_store: Connects to the folder of a URI.
        """
        self._default, self._draw, self._make_store = default, draw, make_store
        self._counts = Counts()
        self._waiting = EntryQueue(settings.most_entries, settings.most_bytes)
        self._writer = Writer(self._waiting, settings, self._counts, make_store)
        self._by_model: Mapping[str, RequestLogging] = MappingProxyType({})
        # The largest sampling rate of all models.
        self._share = 0.0
        # What is known of calls under way that are logged. An entry goes when its call has ended.
        self._chosen: dict[CallRecord, Sample | None] = {}

    def apply(self, models: Sequence[ModelConfig]) -> None:
        """Log the requests of these models, and of no others.

        Raises:
            InvalidArgument: if there is nothing that writes to a store. Nothing has changed then.
        """
        logged = {model.name: model.logging or self._default for model in models}
        by_model = {name: each for name, each in logged.items() if each is not None}
        for collector in {each.collector for each in by_model.values()}:
            if uploads.is_remote(collector.prefix):
                self._make_store(uploads.split(collector.prefix)[0])
        if by_model:
            self._writer.start()
        self._by_model = by_model
        self._share = max((each.sampling_rate for each in by_model.values()), default=0.0)
        self._writer.keep({each.collector for each in by_model.values()})

    def stop(self, longest_wait_s: float = LONGEST_STOP_S) -> None:
        """Write what waits, and finish all files; what takes longer is dropped and counted."""
        self._share = 0.0
        self._writer.stop(longest_wait_s)

    def families(self) -> Iterable[Family]:
        """What was logged and what was dropped."""
        return (
            Family(
                "/tensorflow/serving/request_log_count",
                Kind.COUNTER,
                ("model_name", "status_code"),
                self._counts.statuses(),
                "Requests that were sampled for request logs.",
            ),
            Family(
                "servable_request_log_dropped",
                Kind.COUNTER,
                ("model_name", "reason"),
                self._counts.dropped(),
                "Requests that were sampled and are not in a request log.",
            ),
            Family(
                "servable_request_log_queue_bytes",
                Kind.GAUGE,
                (),
                {(): float(self._waiting.size_bytes)},
                "What waits to be written to request logs.",
            ),
        )

    def wants(self, _context: CallContext, /) -> bool:
        """See calls.Follower."""
        return self._share > 0 and self._draw() < self._share

    def begin(self, record: CallRecord) -> None:
        """See calls.Follower. Nothing is known yet."""

    def note_parsed(self, record: CallRecord, request: Request) -> None:
        """See calls.Follower."""
        if record.method.api not in LOG_FIELDS or not self._chooses(record.model):
            return
        if not _needs_arrays(record):
            self._chosen[record] = None
        elif self._waiting.has_room(request.size_bytes):
            self._chosen[record] = _sample(request)
        else:
            self._counts.note_dropped(record.model, "queue")

    def take(self, record: CallRecord) -> None:
        """See calls.Follower."""
        is_chosen = record in self._chosen
        sample = self._chosen.pop(record, None)
        if not is_chosen and not self._chooses_unparsed(record):
            return
        logging = self._by_model.get(record.model)
        if logging is None or (record.code is not Code.OK and logging.collector.type == "tfrecord"):
            return
        if not self._waiting.put(_entry(record, logging, sample)):
            self._counts.note_dropped(record.model, "queue")

    def _chooses_unparsed(self, record: CallRecord) -> bool:
        """Of calls that failed before they were understood as many are logged as of others."""
        return (
            record.method.api in LOG_FIELDS
            and not record.version
            and record.code is not Code.OK
            and self._chooses(record.model)
        )

    def _chooses(self, model: str) -> bool:
        logging, share = self._by_model.get(model), self._share
        if logging is None:
            return False
        return logging.sampling_rate >= share or self._draw() * share < logging.sampling_rate


def make_request_log(options: ServerOptions) -> RequestLog:
    """The request log that the flags ask for; it logs nothing before a config is applied."""
    default = None
    if options.request_log:
        collector = Collector(options.request_log_format, options.request_log)
        default = RequestLogging(collector, options.request_log_sampling_rate)
    limits = Limits(options.request_log_rotate_mb * _MB, options.request_log_rotate_s, options.request_log_max_mb * _MB)
    return RequestLog(Settings(limits, tuple(filter(None, options.saved_model_tags.split(",")))), default)


def _needs_arrays(record: CallRecord) -> bool:
    """Whether the arrays say what the message is; of others the bytes that were sent do."""
    return record.method.api == "ModelInfer" or (record.method.api == "Predict" and record.method.entrypoint != "GRPC")


def _sample(request: Request) -> Sample:
    target = request.target
    signature = target.servable.signatures[target.signature]
    inputs = {alias: array.copy() for alias, array in zip(signature.inputs, request.arrays, strict=True)}
    fetched = set(target.fetches)
    outputs = {
        alias: int(signature.definition.outputs[alias].dtype)
        for alias, name in signature.outputs.items()
        if name in fetched
    }
    return Sample(inputs, {alias: number for alias, number in outputs.items() if number in dtypes.BY_NUMBER})


def _entry(record: CallRecord, logging: RequestLogging, sample: Sample | None) -> Entry:
    batch = record.batch
    return Entry(
        collector=logging.collector,
        sampling_rate=logging.sampling_rate,
        api=record.method.api,
        entrypoint=record.method.entrypoint,
        model=record.model,
        version=record.version,
        signature=record.signature,
        code=record.code,
        began_ns=record.began_ns,
        total_s=record.ended_s - record.began_s,
        queue_s=max(record.run_began_s - record.dispatched_s, 0.0) if record.run_began_s else 0.0,
        run_s=max(record.run_ended_s - record.run_began_s, 0.0),
        batch_rows=0 if batch is None else batch.rows,
        trace_id=_trace_id(record.traceparent),
        request=None if sample is not None else _message(record.request),
        reply=record.reply,
        sample=sample,
    )


def _message(request: Any) -> bytes | None:
    """The bytes of a message, or the body of one over HTTP; None of one whose arrays are kept."""
    if isinstance(request, bytes):
        return request
    body = getattr(request, "body", None)
    return body if isinstance(body, bytes) else None


def _trace_id(traceparent: str | None) -> str:
    # The second field of W3C's header: version-trace-parent-flags.
    return "" if traceparent is None else traceparent.split("-")[1]
