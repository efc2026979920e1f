"""What is decided about calls, and who is told of them: put around every method, whatever carried its call.

Three parts meet here, each of which may be absent: an `Authorizer` says who calls and what they may do, an `Admission`
says whether there is room, and `Follower`s are told of a call after its reply. A call that concerns none of them goes
to its method as it is. Another gets a `_TrackedCall` in place of its reply, on which all that is decided and learnt
about it hangs.

The order is that of what it costs: who calls, and whether there is room, before anything is parsed; which model, as
soon as the request has been parsed. Who may not use a model learns nothing of it: an error of such a call becomes the
refusal, so that a model that does not exist looks like one that is forbidden.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol, TypeAlias

from servable.admission.admission import LARGE_BYTES, Admission, Ticket
from servable.authorization.principal import Principal
from servable.calls import CallContext, CallRecord, EndableContext, Follower, MethodInfo
from servable.errors import HIDE_ERROR_TEXT, Code, ServingError, of_code
from servable.methods import DeferredRun, Gate, LaneMethodOf, Method, Reply, Tracker, reply_with_error
from servable.requests import Request, SizedT

_log = logging.getLogger(__name__)

OnManaged: TypeAlias = Callable[[CallRecord, Sequence[str]], None]
"""Is told of a call of management that has ended, and of the models that it concerned."""


class Authorizer(Protocol):
    """Says who calls. Thread-safe."""

    def identify(self, context: CallContext) -> Principal:
        """Who calls.

        Raises:
            Unauthenticated: if the caller shows nothing, or something wrong.
            ResourceExhausted: if the peer has shown too much that is wrong.
        """


class CallPolicy:
    """The parts, and what is put around methods. Thread-safe."""

    def __init__(
        self,
        authorizer: Authorizer | None = None,
        admission: Admission | None = None,
        followers: Sequence[Follower] = (),
        on_managed: OnManaged | None = None,
    ) -> None:
        """Put the parts together; without any, methods stay as they are.

        Args:
            authorizer: Says who calls; None: everyone may do everything.
            admission: Says whether there is room; None: there always is.
            followers: Are told of calls.
            on_managed: Is told of each call of management, and of the models that it concerned.
        """
        self._on_managed = on_managed
        self._authorizer, self._admission, self._followers = authorizer, admission, tuple(followers)
        self._decides_always = authorizer is not None or (admission is not None and admission.follows_all)

    def gate(self, info_of: Callable[[str], MethodInfo]) -> Gate | None:
        """What refuses calls as they arrive; None if nothing does.

        Args:
            info_of: What a path is.
        """
        if self._authorizer is None and self._admission is None:
            return None

        def refuse(path: str, context: CallContext, calls_in_flight: int) -> ServingError | None:
            info, admission = info_of(path), self._admission
            refusal: ServingError | None = None if admission is None else admission.refusal(calls_in_flight)
            if refusal is None:
                try:
                    _check(self._identify(context, info), info, None)
                except ServingError as error:
                    refusal = error
            if refusal is None:
                return None
            self._tell_of_refusal(info, context, refusal)
            # Its frames hold the call.
            return refusal.with_traceback(None)

        # Without rules only a call beyond the limit concerns anybody.
        return Gate(self._admission.most_calls if self._authorizer is None and self._admission else 0, refuse)

    def lane_method(
        self,
        method: LaneMethodOf[SizedT],
        info: MethodInfo,
        find_model: Callable[[SizedT], str | None] = lambda _message: None,
    ) -> LaneMethodOf[SizedT]:
        """The method with what this policy decides around it.

        Args:
            method: Tells `reply.tracker` of the request that it has parsed.
            info: What it is.
            find_model: The model that a message asks for, as far as that can be told; called for failures only.
        """
        if self._is_empty:
            return method
        followers = self._followers
        # A message of no more bytes concerns nobody but followers.
        small_bytes = -1 if self._decides_always else sys.maxsize if self._admission is None else LARGE_BYTES - 1

        def answer(message: SizedT, time_left_s: float | None, reply: Reply) -> DeferredRun | None:
            if len(message) <= small_bytes and not followers:
                return method(message, time_left_s, reply)
            context = reply.context
            wanting = [follower for follower in followers if follower.wants(context)]
            if len(message) <= small_bytes and not wanting:
                return method(message, time_left_s, reply)
            record = _make_record(info, context, len(message), message)
            tracked = _TrackedCall(reply, record, wanting, self._admission, lambda: find_model(message))
            try:
                self._begin(tracked, wanting)
                return method(message, time_left_s, tracked)
            except BaseException as error:
                # As the transport would, but by way of the call, which ends with it.
                reply_with_error(tracked, error, info.path)
                return None

        return answer

    def method(
        self, method: Method, info: MethodInfo, find_model: Callable[[bytes], str | None] | None = None
    ) -> Method:
        """A method that runs no model, with what this policy decides around it.

        Args:
            method: What answers.
            info: What it is.
            find_model: The model that a message is about; None if it is about none.
        """
        if self._is_empty:
            return method

        def find_models(message: bytes) -> Sequence[str]:
            model = None if find_model is None else find_model(message)
            return () if model is None else (model,)

        return self._guarded(method, info, find_models)

    def managing_method(
        self, method: Method, info: MethodInfo, find_models: Callable[[bytes], Sequence[str]] = lambda _message: ()
    ) -> Method:
        """A method of management, with what this policy decides around it.

        Args:
            method: What answers.
            info: What it is.
            find_models: All models that a message is about, before it changes something.
        """
        return self._guarded(method, info, find_models, self._on_managed)

    def _guarded(
        self,
        method: Method,
        info: MethodInfo,
        find_models: Callable[[bytes], Sequence[str]],
        on_managed: OnManaged | None = None,
    ) -> Method:
        def answer(message: bytes, time_left_s: float | None, context: EndableContext) -> bytes:
            record = _make_record(info, context, len(message), None)
            with self._following(record, lambda: find_models(message), on_managed):
                reply = method(message, time_left_s, context)
                record.reply_bytes = len(reply)
                return reply

        return answer

    @contextmanager
    def follow(
        self, method: MethodInfo, context: CallContext, request_bytes: int, model: str | None = None
    ) -> Iterator[None]:
        """See calls.Guard."""
        record = _make_record(method, context, request_bytes, None)
        record.model = model or ""
        with self._following(record, lambda: () if model is None else (model,)):
            yield

    @contextmanager
    def _following(
        self, record: CallRecord, find_models: Callable[[], Sequence[str]], on_managed: OnManaged | None = None
    ) -> Iterator[None]:
        """Refuse a call that its caller may not make, and tell of it.

        Args:
            record: The call, as it begins.
            find_models: The models that it is about. Not called for who may not call at all, nor if nobody asks.
            on_managed: Is told of the call as one of management.
        """
        followers = [follower for follower in self._followers if follower.wants(record.context)]
        if self._authorizer is None and not followers and on_managed is None:
            yield
            return
        models: Sequence[str] = ()
        try:
            with _telling(followers, record):
                principal = self._identify(record.context, record.method)
                record.principal = "" if principal is None else principal.name
                _check(principal, record.method, None)
                models = find_models()
                if on_managed is None and models:
                    record.model = models[0]
                for model in models:
                    _check(principal, record.method, model)
                try:
                    yield
                except ServingError as error:
                    if principal is None or principal.sees_all_models:
                        raise
                    raise _without_hints(error) from None
        finally:
            if on_managed is not None:
                on_managed(record, models)

    @property
    def _is_empty(self) -> bool:
        return self._authorizer is None and self._admission is None and not self._followers

    def _begin(self, tracked: _TrackedCall, wanting: Sequence[Follower]) -> None:
        record = tracked.record
        for follower in wanting:
            follower.begin(record)
        principal = self._identify(record.context, record.method)
        _check(principal, record.method, None)
        tracked.principal, record.principal = principal, "" if principal is None else principal.name
        if self._admission is not None:
            tracked.ticket = self._admission.begin(record.context, record.request_bytes)

    def _identify(self, context: CallContext, info: MethodInfo) -> Principal | None:
        """Who calls; None if nobody asks."""
        return None if self._authorizer is None or info.action is None else self._authorizer.identify(context)

    def _tell_of_refusal(self, info: MethodInfo, context: CallContext, refusal: ServingError) -> None:
        followers = [follower for follower in self._followers if follower.wants(context)]
        if not followers:
            return
        record = _make_record(info, context, 0, None)
        with suppress(ServingError), _telling(followers, record):
            raise refusal


def _make_record(info: MethodInfo, context: CallContext, size_bytes: int, request: object) -> CallRecord:
    return CallRecord(info, context, time.monotonic(), time.time_ns(), size_bytes, request)


def _without_hints(error: ServingError) -> ServingError:
    """The error without its advice, which may name models that the caller must not know of."""
    if not error.hints:
        return error
    bare = of_code(error.code, error.message)
    bare.retry_after_s = error.retry_after_s
    return bare


def _check(principal: Principal | None, info: MethodInfo, model: str | None) -> None:
    """Refuse a call that its caller may not make: on a model, or at all."""
    if principal is not None and info.action is not None:
        principal.check(info.action, model)


@contextmanager
def _telling(followers: Sequence[Follower], record: CallRecord) -> Iterator[None]:
    """Tell followers of what happens in the context, which is the call."""
    for follower in followers:
        follower.begin(record)
    try:
        yield
    except ServingError as error:
        record.code, record.message = error.code, error.message
        raise
    except BaseException:
        record.code = Code.INTERNAL
        raise
    finally:
        record.ended_s = time.monotonic()
        _tell(followers, record)


def _tell(followers: Sequence[Follower], record: CallRecord) -> None:
    """Tell followers of a call that has ended; one that fails costs neither the call nor the others."""
    for follower in followers:
        try:
            follower.take(record)
        except Exception:  # noqa: PERF203
            _log.exception("a call could not be followed", extra=HIDE_ERROR_TEXT)


class _TrackedCall:
    """A call that something is decided about, or that somebody follows: its methods.Reply and methods.Tracker.

    Used by one thread at a time, as a reply is.

    Attributes:
        record: See methods.Tracker.
        principal: Who calls; None if nobody asks.
        ticket: The room that it takes, if it has to be given back.
    """

    __slots__ = (
        "_admission",
        "_find_model",
        "_followers",
        "_is_admitted",
        "_is_open",
        "_reply",
        "principal",
        "record",
        "ticket",
    )

    def __init__(
        self,
        reply: Reply,
        record: CallRecord,
        followers: Sequence[Follower],
        admission: Admission | None,
        find_model: Callable[[], str | None],
    ) -> None:
        self._reply, self.record, self._followers = reply, record, followers
        self._admission, self._find_model = admission, find_model
        self.principal: Principal | None = None
        self.ticket: Ticket | None = None
        self._is_admitted = False
        # The thread that pops the item ends the call; `list.pop` is atomic under the GIL.
        self._is_open = [True]

    @property
    def context(self) -> CallContext:
        return self._reply.context

    @property
    def tracker(self) -> Tracker:
        return self

    def is_active(self) -> bool:
        return self._reply.is_active()

    def may_run_here(self) -> bool:
        return self._reply.may_run_here()

    def other_calls_waiting(self) -> bool:
        return self._reply.other_calls_waiting()

    def note_parsed(self, request: Request) -> None:
        record, target = self.record, request.target
        record.model, record.version, record.signature = target.model, target.version, target.signature
        _check(self.principal, record.method, target.model)
        self._is_admitted = True
        if self._admission is not None:
            self._admission.admit(self.ticket, target.model)
        for follower in self._followers:
            follower.note_parsed(record, request)

    def send(self, message: bytes) -> None:
        try:
            self._reply.send(message)
        finally:
            self.record.reply, self.record.reply_bytes = message, len(message)
            self._end()

    def fail(self, error: ServingError) -> None:
        refusal = self._refusal(error)
        try:
            self._reply.fail(refusal)
        finally:
            self.record.code, self.record.message = refusal.code, refusal.message
            self._end()

    def _refusal(self, error: ServingError) -> ServingError:
        """The error, unless the caller may not know what it tells of the model."""
        if self._is_admitted or self.principal is None:
            return error
        try:
            _check(self.principal, self.record.method, self._find_model())
        except ServingError as refusal:
            return refusal.with_traceback(None)
        return error if self.principal.sees_all_models else _without_hints(error)

    def _end(self) -> None:
        if not self._is_open:
            return
        try:
            self._is_open.pop()
        except IndexError:
            return
        record = self.record
        record.ended_s = time.monotonic()
        ticket, self.ticket = self.ticket, None
        if ticket is not None:
            ticket.release(record.code, record.ended_s - record.began_s)
        _tell(self._followers, record)
        record.request = record.reply = None
