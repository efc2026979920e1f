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
from contextlib import contextmanager
from typing import Protocol

from servable.admission.admission import LARGE_BYTES, Admission, Ticket
from servable.calls import Action, CallContext, CallRecord, EndableContext, Follower, MethodInfo
from servable.errors import HIDE_ERROR_TEXT, Code, ServingError, of_code
from servable.methods import DeferredRun, Gate, LaneMethodOf, Method, Reply, Tracker, reply_with_error
from servable.requests import Request, SizedT

_log = logging.getLogger(__name__)


class Principal(Protocol):
    """Who calls, as far as that is known."""

    @property
    def name(self) -> str:
        """For logs and traces."""

    @property
    def sees_all_models(self) -> bool:
        """Whether the caller may be told which models there are."""

    def check(self, action: Action, model: str | None = None) -> None:
        """Check that the caller may do something: with one model, or at all.

        Raises:
            Unauthenticated: if it may not, and shows nothing.
            PermissionDenied: if it may not. The text does not tell whether there is such a model.
        """


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
        on_managed: Callable[[CallRecord, Sequence[str]], None] | None = None,
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

    def gate(self, info_of: Callable[[str], MethodInfo | None]) -> Gate | None:
        """What refuses calls as they arrive; None if nothing does.

        Args:
            info_of: What a path is.
        """
        if self._authorizer is None and self._admission is None:
            return None

        def refuse(path: str, context: CallContext, calls_in_flight: int) -> ServingError | None:
            admission = self._admission
            refusal: ServingError | None = None if admission is None else admission.refusal(calls_in_flight)
            info = info_of(path)
            if refusal is None and self._authorizer is not None and info is not None:
                try:
                    self._identify(self._authorizer, context, info)
                except ServingError as error:
                    refusal = error.with_traceback(None)
            if refusal is not None and info is not None:
                self._tell_of_refusal(info, context, refusal)
            return refusal

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

        def guarded(message: bytes, time_left_s: float | None, context: EndableContext) -> bytes:
            # Nothing is parsed for who may not call at all.
            model = None if find_model is None or not self._may_call(info, context) else find_model(message)
            with self.follow(info, context, len(message), model) as record:
                reply = method(message, time_left_s, context)
                if record is not None:
                    record.reply_bytes = len(reply)
                return reply

        return guarded

    def managing_method(
        self, method: Method, info: MethodInfo, find_models: Callable[[bytes], Sequence[str]] = lambda _message: ()
    ) -> Method:
        """A method of management, with what this policy decides around it.

        Args:
            method: What answers.
            info: What it is.
            find_models: All models that a message is about, before it changes something.
        """

        def guarded(message: bytes, time_left_s: float | None, context: EndableContext) -> bytes:
            models = find_models(message) if self._may_call(info, context) else ()
            with self._managing(info, context, len(message), models) as record:
                reply = method(message, time_left_s, context)
                record.reply_bytes = len(reply)
                return reply

        return guarded

    @contextmanager
    def follow(
        self, method: MethodInfo, context: CallContext, request_bytes: int, model: str | None = None
    ) -> Iterator[CallRecord | None]:
        """See calls.Guard."""
        wanting = [follower for follower in self._followers if follower.wants(context)]
        if self._authorizer is None and not wanting:
            yield None
            return
        record = _make_record(method, context, request_bytes, None)
        record.model = model or ""
        with self._telling(record, wanting):
            principal = self._check(record, () if model is None else (model,))
            try:
                yield record
            except ServingError as error:
                if principal is None or principal.sees_all_models:
                    raise
                raise _without_hints(error) from None

    @contextmanager
    def _managing(
        self, info: MethodInfo, context: CallContext, request_bytes: int, models: Sequence[str]
    ) -> Iterator[CallRecord]:
        record = _make_record(info, context, request_bytes, None)
        wanting = [follower for follower in self._followers if follower.wants(context)]
        try:
            with self._telling(record, wanting):
                self._check(record, models)
                yield record
        finally:
            if self._on_managed is not None:
                self._on_managed(record, models)

    def _may_call(self, info: MethodInfo, context: CallContext) -> bool:
        """Whether who calls may do this at all. Who may not is refused by `_check`, with the reason."""
        if self._authorizer is None:
            return True
        try:
            self._identify(self._authorizer, context, info)
        except ServingError:
            return False
        return True

    def _check(self, record: CallRecord, models: Sequence[str]) -> Principal | None:
        """Refuse a call that its caller may not make, on one of these models or at all; who calls, if it matters."""
        action = record.method.action
        if self._authorizer is None or action is None:
            return None
        principal = self._authorizer.identify(record.context)
        record.principal = principal.name
        principal.check(action)
        for model in models:
            principal.check(action, model)
        return principal

    @contextmanager
    def _telling(self, record: CallRecord, followers: Sequence[Follower]) -> Iterator[None]:
        """Tell the followers of what happens in the context, which ends the call."""
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

    @property
    def _is_empty(self) -> bool:
        return self._authorizer is None and self._admission is None and not self._followers

    def _begin(self, tracked: _TrackedCall, wanting: Sequence[Follower]) -> None:
        record = tracked.record
        for follower in wanting:
            follower.begin(record)
        if self._authorizer is not None:
            tracked.principal = self._identify(self._authorizer, record.context, record.method)
            record.principal = tracked.principal.name
        if self._admission is not None:
            tracked.ticket = self._admission.begin(record.context, record.request_bytes)

    def _identify(self, authorizer: Authorizer, context: CallContext, info: MethodInfo) -> Principal:
        principal = authorizer.identify(context)
        if info.action is not None:
            principal.check(info.action)
        return principal

    def _tell_of_refusal(self, info: MethodInfo, context: CallContext, refusal: ServingError) -> None:
        for follower in self._followers:
            if follower.wants(context):
                record = _make_record(info, context, 0, None)
                follower.begin(record)
                record.code, record.message, record.ended_s = refusal.code, refusal.message, time.monotonic()
                follower.take(record)


def _make_record(info: MethodInfo, context: CallContext, size_bytes: int, request: object) -> CallRecord:
    return CallRecord(info, context, time.monotonic(), time.time_ns(), size_bytes, request)


def _without_hints(error: ServingError) -> ServingError:
    """The error without its advice, which may name models that the caller must not know of."""
    if not error.hints:
        return error
    bare = of_code(error.code, error.message)
    bare.retry_after_s = error.retry_after_s
    return bare


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
        self._judge(target.model)
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

    def _judge(self, model: str | None) -> None:
        action = self.record.method.action
        if self.principal is not None and action is not None:
            self.principal.check(action, model)

    def _refusal(self, error: ServingError) -> ServingError:
        """The error, unless the caller may not know what it tells of the model."""
        if self._is_admitted or self.principal is None:
            return error
        try:
            self._judge(self._find_model())
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
