"""The client without I/O: what to send, and what to make of the answers. Sync and asyncio are shells around it.

A method is a flow: a generator that yields what it wants done (a call, a pause, a wait for another flow), is sent the
reply's bytes or thrown the error of the call, and returns what the user gets. The driver of a flow closes it in the
end, so that flows that wait for it go on. This module must not know gRPC.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

from servable_client import _reading, _requests, wire
from servable_client._requests import Target, model_spec
from servable_client.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InputError,
    InvalidArgument,
    NotFound,
    ServingError,
    Unimplemented,
)
from servable_client.examples import ExampleLike, make_input
from servable_client.models import ModelConfig, make_config
from servable_client.replies import Classifications, Health, Prediction, Regressions, State, VersionStatus
from servable_client.signatures import ModelMetadata, Signature

_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"
_HEALTH = "/grpc.health.v1.Health/Check"
DEFAULT_SIGNATURE = "serving_default"
_METHODS = {"classify": "tensorflow/serving/classify", "regress": "tensorflow/serving/regress"}
# While a server starts: soon enough for a test, rarely enough for a model that takes minutes.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
# A probe that gets no answer at all must not use up the whole time.
_PROBE_S = 5.0
# More versions of a target than are served at once, so that memory stays bounded over years of updates.
_KNOWN_VERSIONS = 16


@dataclass(frozen=True, slots=True)
class Call:
    """A unary call to make.

    Attributes:
        path: The full method path.
        request: The request's bytes.
        model: The model that it is about, for errors.
        at_most_s: How long it may take, besides the deadline of the whole flow.
    """

    path: str
    request: bytes
    model: str = ""
    at_most_s: float | None = None


class Pause(NamedTuple):
    """A wait to make; it may be cut short by the deadline."""

    delay_s: float


class Wait(NamedTuple):
    """A wait for an event of the kind that the driver has; it may be cut short by the deadline."""

    event: Any


T = TypeVar("T")
Flow = Generator[Call | Pause | Wait, bytes, T]


class Task(NamedTuple):
    """One task of `multi_inference`.

    Attributes:
        method: Which result to make of the signature's outputs.
        signature: The signature to run; None for `serving_default`.
    """

    method: Literal["classify", "regress"]
    signature: str | None = None


class Choice(NamedTuple):
    """What a call, or the client by default, says about the model to call. None says nothing."""

    model: str | None = None
    version: int | None = None
    label: str | None = None
    signature: str | None = None


class _CachedSignatures(NamedTuple):
    """The signatures of a served version. Without signatures if the server has no GetModelMetadata."""

    version: int | None
    signatures: Mapping[str, Signature] | None


class _CacheEntry(NamedTuple):
    """What is known of a target. Several versions answer it by turns while its servers are being updated.

    Attributes:
        fetched: What the last fetch brought.
        current: The signatures of the version that answered last; None if they are to be fetched.
        known: What fetches brought, by version; None for a version that answered when its fetch brought another.
    """

    fetched: _CachedSignatures
    current: _CachedSignatures | None
    known: Mapping[int | None, _CachedSignatures | None]

    def candidates(self) -> list[_CachedSignatures]:
        """The signatures to try, those of the last answer first; none if they are to be fetched."""
        if self.current is None:
            return []
        return [self.current, *(each for each in self.known.values() if each and each is not self.current)]

    def after_fetch(self, fetched: _CachedSignatures) -> _CacheEntry:
        """The entry that also knows what a fetch brought."""
        others = [(version, each) for version, each in self.known.items() if version != fetched.version]
        return _CacheEntry(fetched, fetched, dict([*others[1 - _KNOWN_VERSIONS :], (fetched.version, fetched)]))

    def after_answer(self, version: int | None) -> _CacheEntry:
        """The entry once a version has answered; this one if nothing is new."""
        if self.current is None or self.current.version == version:
            return self
        if version in self.known:
            return self._replace(current=self.known[version] or self.current)
        # Each version is fetched for once: a fetch may reach a server of another version again and again.
        return self._replace(current=None, known={**self.known, version: None})


class _Fetch:
    """A fetch of signatures that is under way."""

    __slots__ = ("ended", "found")

    def __init__(self, ended: Any) -> None:
        self.ended = ended
        self.found: _CachedSignatures | None = None


class Core:
    """The flows of all methods. Thread-safe: an entry of its cache is replaced whole."""

    def __init__(self, defaults: Choice, *, infer: bool, name: str, make_event: Callable[[], Any]) -> None:
        """Make the core of a client.

        Args:
            defaults: What calls ask for unless they say something else.
            infer: Whether `predict` asks for signatures.
            name: The target, for errors.
            make_event: Makes what a `Wait` waits for; its `set` ends the wait.
        """
        self._defaults = defaults
        self._name = name
        self._infer = infer
        self._make_event = make_event
        self._cache: dict[Target, _CacheEntry] = {}
        self._fetches: dict[Target, _Fetch] = {}

    def predict(self, inputs: Any, choice: Choice, outputs: Sequence[str]) -> Flow[Prediction]:
        """Runs a signature; a stale entry of the cache is never the cause of an error."""
        target = self._target(choice)
        if isinstance(outputs, str):
            outputs = (outputs,)
        if not self._infer:
            return (yield from self._send(target, _requests.bind(inputs, None), outputs))
        key = target._replace(signature=None)
        entry = self._cache.get(key)
        candidates = entry.candidates() if entry is not None else []
        if candidates:
            cached = candidates[0]
            try:
                cached, bound = _bind(target, inputs, candidates)
                return (yield from self._send(target, bound, outputs, key))
            except (InputError, InvalidArgument, FailedPrecondition):
                # Another version with other inputs may serve by now.
                newer = yield from self._fetch(key, entry)
                if newer == cached:
                    raise
        else:
            newer = yield from self._fetch(key, entry)
        _, bound = _bind(target, inputs, [newer])
        return (yield from self._send(target, bound, outputs, key))

    def _send(
        self, target: Target, bound: _requests.Bound, outputs: Sequence[str], key: Target | None = None
    ) -> Flow[Prediction]:
        request = _requests.predict(target, bound, outputs)
        prediction = _reading.prediction((yield Call(_PREDICTION + "Predict", request, target.model)), outputs)
        if key is not None:
            entry = self._cache[key]
            after = entry.after_answer(prediction.version)
            if after is not entry:
                self._cache[key] = after
        return prediction

    def _fetch(self, key: Target, seen: _CacheEntry | None) -> Flow[_CachedSignatures]:
        """Asks for the signatures, unless another flow is asking or has asked since `seen` was in the cache."""
        fetch = _Fetch(self._make_event())
        other = self._fetches.setdefault(key, fetch)
        if other is not fetch:
            yield Wait(other.ended)
            # A fetch that failed says nothing about this call, which has its own headers and deadline.
            return other.found or (yield from self._ask(key))
        try:
            entry = self._cache.get(key)
            is_newer = entry is not None and (seen is None or entry.fetched is not seen.fetched)
            fetch.found = entry.fetched if entry is not None and is_newer else (yield from self._ask(key))
            return fetch.found
        finally:
            del self._fetches[key]
            fetch.ended.set()

    def _ask(self, key: Target) -> Flow[_CachedSignatures]:
        try:
            metadata = yield from self._metadata(key)
            fetched = _CachedSignatures(metadata.version, metadata.signatures)
        except Unimplemented:
            fetched = _CachedSignatures(None, None)
        entry = self._cache.get(key) or _CacheEntry(fetched, fetched, {})
        self._cache[key] = entry.after_fetch(fetched)
        return fetched

    def classify(
        self, examples: ExampleLike | Iterable[ExampleLike], context: ExampleLike | None, choice: Choice
    ) -> Flow[Classifications]:
        """Runs a classification signature on examples."""
        target = self._target(choice)
        made = make_input(examples, context)
        request = wire.ClassificationRequest(model_spec=model_spec(target), input=made)
        reply = yield Call(_PREDICTION + "Classify", request.SerializeToString(), target.model)
        return _reading.classifications(reply, _count(made))

    def regress(
        self, examples: ExampleLike | Iterable[ExampleLike], context: ExampleLike | None, choice: Choice
    ) -> Flow[Regressions]:
        """Runs a regression signature on examples."""
        target = self._target(choice)
        made = make_input(examples, context)
        request = wire.RegressionRequest(model_spec=model_spec(target), input=made)
        reply = yield Call(_PREDICTION + "Regress", request.SerializeToString(), target.model)
        return _reading.regressions(reply, _count(made))

    def multi_inference(
        self,
        examples: ExampleLike | Iterable[ExampleLike],
        tasks: Iterable[Task | tuple[str, str | None]],
        context: ExampleLike | None,
        choice: Choice,
    ) -> Flow[list[Classifications | Regressions]]:
        """Runs several signatures on the same examples."""
        target = self._target(choice)
        request = wire.MultiInferenceRequest(input=make_input(examples, context))
        for method, signature in tasks:
            if not isinstance(method, str) or method not in _METHODS:
                raise InputError(f"tasks: expected classify or regress, got {method!r}")
            spec = model_spec(target._replace(signature=signature))
            request.tasks.add(model_spec=spec, method_name=_METHODS[method])
        if not request.tasks:
            raise InputError("tasks: expected one at least, got none")
        reply = yield Call(_PREDICTION + "MultiInference", request.SerializeToString(), target.model)
        return _reading.results(reply, len(request.tasks), _count(request.input))

    def metadata(self, choice: Choice) -> Flow[ModelMetadata]:
        """Asks for the signatures."""
        return (yield from self._metadata(self._target(choice)))

    def _metadata(self, target: Target) -> Flow[ModelMetadata]:
        spec = model_spec(target._replace(signature=None))
        request = wire.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
        reply = yield Call(_PREDICTION + "GetModelMetadata", request.SerializeToString(), target.model)
        return _reading.metadata(reply)

    def status(self, choice: Choice, at_most_s: float | None = None) -> Flow[list[VersionStatus]]:
        """Asks for the states of a model's versions."""
        target = self._target(choice)
        # No signature: the call is about versions.
        request = wire.GetModelStatusRequest(model_spec=model_spec(target._replace(signature=None)))
        reply = yield Call(_MODEL + "GetModelStatus", request.SerializeToString(), target.model, at_most_s)
        return _reading.statuses(reply)

    def reload_config(
        self, models: str | wire.ModelServerConfig | Mapping[str, str] | Iterable[ModelConfig], metrics: Sequence[str]
    ) -> Flow[dict[str, int]]:
        """Replaces what is served."""
        request = wire.ReloadConfigRequest(config=make_config(models), metric_names=metrics)
        return _reading.increases((yield Call(_MODEL + "HandleReloadConfigRequest", request.SerializeToString())))

    def health(self, service: str, at_most_s: float | None = None) -> Flow[Health]:
        """Asks for the health of the server, or of a service of it."""
        try:
            reply = yield Call(_HEALTH, _requests.health(service), at_most_s=at_most_s)
        except NotFound:
            return Health.SERVICE_UNKNOWN
        return _reading.health(reply)

    def wait_until_ready(self, choice: Choice, left_s: Callable[[], float]) -> Flow[None]:
        """Asks until the answer is yes; `left_s` returns the seconds until the deadline."""
        pause_s, answer = _FIRST_PAUSE_S, "it gave no answer"
        while True:
            try:
                answer = yield from self._probe(choice)
            except ServingError as error:
                if left_s() > 0 or not isinstance(error, DeadlineExceeded):
                    answer = str(error)
            if not answer:
                return
            if left_s() <= 0:
                model = choice.model or self._defaults.model or ""
                raise DeadlineExceeded(f"not ready when the time was over: {answer}", target=self._name, model=model)
            yield Pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _probe(self, choice: Choice) -> Flow[str]:
        """Empty if ready, or why not."""
        if choice.model or self._defaults.model:
            states = yield from self.status(choice, _PROBE_S)
            ready = any(each.state == State.AVAILABLE for each in states)
            return "" if ready else "no version is available: " + ", ".join(map(_describe_status, states))
        try:
            health = yield from self.health("", _PROBE_S)
        except Unimplemented:
            # TensorFlow Serving without its health flag: it opens its port when its models are loaded.
            return ""
        return "" if health == Health.SERVING else f"the server's health is {health.name}"

    def _target(self, choice: Choice) -> Target:
        defaults = self._defaults
        version, label = choice.version, choice.label
        if version is None and label is None:
            version, label = defaults.version, defaults.label
        target = Target(choice.model or defaults.model or "", version, label, choice.signature or defaults.signature)
        model_spec(target)  # raises if it is wrong, before anything is sent
        return target


def _count(made: wire.Input) -> int:
    """How many examples there are; one of the two lists is empty."""
    return len(made.example_list.examples) or len(made.example_list_with_context.examples)


def _bind(
    target: Target, inputs: Any, candidates: Sequence[_CachedSignatures]
) -> tuple[_CachedSignatures, _requests.Bound]:
    """The inputs as the first of some versions takes them that does; the error is that of the first version."""
    failure: InputError | None = None
    for cached in candidates:
        try:
            return cached, _requests.bind(inputs, _find_signature(target, cached))
        except InputError as error:  # noqa: PERF203  (another version may take them)
            failure = failure or error
    try:
        raise failure or InputError("there is no signature to bind to")
    finally:
        # Its traceback holds this frame and with it the inputs, which a cycle would keep.
        failure = None


def _find_signature(target: Target, cached: _CachedSignatures) -> Signature | None:
    if cached.signatures is None:
        return None
    name = target.signature or DEFAULT_SIGNATURE
    if name == _reading.INIT_SIGNATURE:
        return None
    if name not in cached.signatures:
        has = ", ".join(cached.signatures) or "none"
        raise InputError(f"model {target.model!r} has no signature {name!r}; it has: {has}", given=name, expected=has)
    return cached.signatures[name]


def _describe_status(status: VersionStatus) -> str:
    return f"{status.version} is {status.state.name}" + (f" ({status.message})" if status.message else "")
