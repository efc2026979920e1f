"""Whether there is room for a call. What is over a limit is refused at once, and costs next to nothing.

A call takes room in steps, each as soon as what it needs is known: as it arrives, of all calls; with its message, of
the bytes in flight and for its caller; once it has been parsed, with its model. What it has taken hangs on its
`Ticket`, and is given back with its answer.

Who calls is what the caller says in a metadata key, so it is good for fairness between callers that mean well, not
against those that do not: an attacker can take a new name for each call, and then has what it would have without names.
What bounds all of these together is the limit of all calls, and a proxy that sets the key itself. How callers share is
said in `shares`.
"""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

from servable.admission.adaptive import AdaptiveLimit
from servable.admission.settings import AdmissionSettings
from servable.admission.shares import Shares
from servable.calls import CallContext, find_metadata
from servable.errors import Code, ResourceExhausted
from servable.observability.families import Family, Kind

RETRY_AFTER_S: Final = tuple(step / 32 for step in range(16, 33))
"""When a refused call may be tried again. gRPC's retries wait exactly so long, and must not come all at once."""

LARGE_BYTES: Final = 64 * 1024
"""Only larger messages count as bytes in flight: the number of calls bounds the others."""
_LONGEST_CALLER: Final = 200
_REASONS: Final = ("calls", "bytes", "caller", "model", "adaptive")


class Ticket:
    """The room that a call has taken. Used by one thread at a time."""

    __slots__ = ("_admission", "adaptive", "caller", "model", "size_bytes")

    def __init__(self, admission: Admission, size_bytes: int, caller: str | None) -> None:
        """Make one that has taken nothing of a model.

        Args:
            admission: Where it has been taken.
            size_bytes: The bytes of a large message; 0 of another.
            caller: Who calls; None if nobody asks.
        """
        self._admission, self.size_bytes, self.caller = admission, size_bytes, caller
        self.model: str | None = None
        self.adaptive: AdaptiveLimit | None = None

    def release(self, code: Code, seconds: float) -> None:
        """Give it back, once.

        Args:
            code: How the call ended.
            seconds: How long it took.
        """
        self._admission.take_back(self, code, seconds)


class Admission:
    """The limits of one server, and what is in flight. Thread-safe.

    Attributes:
        most_calls: How many calls may be in flight.
    """

    def __init__(self, settings: AdmissionSettings) -> None:
        """Begin with nothing in flight."""
        self._settings = settings
        self._lock = threading.Lock()
        self._bytes = 0
        self._callers = Shares()
        # Only of models that have calls.
        self._by_model: dict[str, Shares] = {}
        # Of models that exist: a request is parsed, and its model found, before it asks for room.
        self._adaptive: dict[str, AdaptiveLimit] = {}
        self._refusals: Counter[str] = Counter()
        self.most_calls = settings.calls or sys.maxsize

    @property
    def follows_all(self) -> bool:
        """Whether small calls take room, too, beside what `refusal` counts."""
        return self._is_limited_by_model or self._asks_who_calls

    @property
    def _by_key(self) -> str:
        return f"(by {self._settings.caller_key}: --caller_metadata_key)"

    @property
    def _is_limited_by_model(self) -> bool:
        return bool(self._settings.calls_per_model) or self._settings.is_adaptive

    @property
    def _asks_who_calls(self) -> bool:
        return bool(self._settings.caller_key)

    def refusal(self, calls_in_flight: int) -> ResourceExhausted | None:
        """The answer of a call that has just arrived and must not go on; None if it may.

        Args:
            calls_in_flight: How many calls have arrived and not ended, with this one.
        """
        if calls_in_flight > self.most_calls:
            return self._refuse("calls", f"{self.most_calls} calls are in flight (--max_calls_in_flight)")
        return None

    def begin(self, context: CallContext, size_bytes: int) -> Ticket | None:
        """Take room for a message, and for its caller.

        Args:
            context: Who calls.
            size_bytes: The size of the message.

        Returns:
            What has been taken; None if that is nothing.

        Raises:
            ResourceExhausted: if there is no room. Nothing has been taken then.
        """
        counted_bytes = size_bytes if size_bytes >= LARGE_BYTES and self._settings.request_bytes else 0
        caller = self._find_caller(context)
        if not counted_bytes and caller is None and not self._is_limited_by_model:
            return None
        with self._lock:
            reason = self._try_begin(counted_bytes, caller)
        if reason is not None:
            raise self._refuse(*reason)
        return Ticket(self, counted_bytes, caller)

    def admit(self, ticket: Ticket | None, model: str) -> None:
        """Take room with a model, which goes onto the ticket.

        Args:
            ticket: What the call has taken so far; None only if nothing is limited by model.
            model: The model that its request is for.

        Raises:
            ResourceExhausted: if there is no room. The ticket is still to be given back.
        """
        if ticket is None or not self._is_limited_by_model:
            return
        adaptive = self._adaptive_limit(model) if self._settings.is_adaptive else None
        with self._lock:
            shares = self._by_model.get(model) or Shares()
            reason = self._try_admit(shares, ticket.caller, adaptive)
            if reason is None:
                shares.take(ticket.caller)
                self._by_model[model], ticket.model, ticket.adaptive = shares, model, adaptive
        if reason is not None:
            raise self._refuse(*reason)

    def _try_admit(self, shares: Shares, caller: str | None, adaptive: AdaptiveLimit | None) -> tuple[str, str] | None:
        """Take room of a model's adaptive limit under the lock, if there is any; why not, if there is none."""
        most = self._settings.calls_per_model or sys.maxsize
        if shares.in_flight >= most:
            return "model", f"{most} calls of this model are in flight (--max_calls_in_flight_per_model)"
        limit = most if adaptive is None else min(most, adaptive.limit)
        if caller is not None and not shares.may_take(caller, limit):
            if adaptive is not None:
                adaptive.note_refused()
            return "caller", f"this caller has its share of the calls of this model {self._by_key}"
        if adaptive is not None and not adaptive.try_begin():
            return "adaptive", "this model manages no more calls at a time (--adaptive_concurrency)"
        return None

    def take_back(self, ticket: Ticket, code: Code, seconds: float) -> None:
        """Give back what a ticket has taken; see Ticket.release."""
        if ticket.adaptive is not None:
            ticket.adaptive.end(code, seconds)
        with self._lock:
            self._bytes -= ticket.size_bytes
            if ticket.caller is not None:
                self._callers.give_back(ticket.caller)
            if ticket.model is not None:
                shares = self._by_model[ticket.model]
                shares.give_back(ticket.caller)
                if not shares.in_flight:
                    del self._by_model[ticket.model]

    def families(self) -> list[Family]:
        """The metrics, as they are now."""
        with self._lock:
            refusals: Mapping[tuple[str, ...], float] = {(reason,): self._refusals[reason] for reason in _REASONS}
            size_bytes, adaptive = self._bytes, dict(self._adaptive)
        limits: Mapping[tuple[str, ...], float] = {(model,): limit.limit for model, limit in adaptive.items()}
        return [
            Family(
                "servable_refused_calls",
                Kind.COUNTER,
                ("limit",),
                refusals,
                "Calls that were refused since a limit was reached.",
            ),
            Family("servable_request_bytes_in_flight", Kind.GAUGE, (), {(): size_bytes}, "Bytes of large messages."),
            Family(
                "servable_adaptive_limit",
                Kind.GAUGE,
                ("model_name",),
                limits,
                "Calls of a model that may be in flight, as far as has been learnt.",
            ),
        ]

    def _adaptive_limit(self, model: str) -> AdaptiveLimit:
        limit = self._adaptive.get(model)
        if limit is None:
            with self._lock:
                limit = self._adaptive.setdefault(model, AdaptiveLimit())
        return limit

    def _find_caller(self, context: CallContext) -> str | None:
        if not self._asks_who_calls:
            return None
        # Those that do not say who they are share one name.
        return (find_metadata(context, self._settings.caller_key) or "")[:_LONGEST_CALLER]

    def _try_begin(self, counted_bytes: int, caller: str | None) -> tuple[str, str] | None:
        """Take room under the lock; why not, if there is none."""
        settings = self._settings
        # One message is always taken, or a larger one could never be answered.
        if counted_bytes and self._bytes and self._bytes + counted_bytes > settings.request_bytes:
            return "bytes", _BYTES_TEXT
        if caller is not None:
            most = settings.calls_per_caller or sys.maxsize
            if self._callers.held_by(caller) >= most:
                return "caller", f"{most} calls of this caller are in flight (--max_calls_in_flight_per_caller)"
            if not self._callers.may_take(caller, self.most_calls):
                return "caller", f"this caller has its share of all calls {self._by_key}"
            self._callers.take(caller)
        self._bytes += counted_bytes
        return None

    def _refuse(self, reason: str, text: str) -> ResourceExhausted:
        with self._lock:
            self._refusals[reason] += 1
        error = ResourceExhausted(f"Too much at once: {text}; try again later")
        error.retry_after_s = random.choice(RETRY_AFTER_S)  # noqa: S311  No secret.
        return error


_BYTES_TEXT: Final = "the messages of calls in flight have as many bytes as may be (--max_request_mb_in_flight)"
