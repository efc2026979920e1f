"""One lane: a thread that polls a completion queue of gRPC's core and answers unary calls itself.

The cost of a call is the Python around it, so little is done here. A call has three events: it has arrived; its message
has arrived; the reply is sent and the call over. Each event calls the function that its operation was started with. The
lane registers for a call's completion together with the reply, which saves one event a call. Only a call that is kept
for longer is registered by itself, so that the lane learns at once that the client has cancelled it; where the lane was
blocked, so is each call that may have waited, so that a cancelled one is not run. This module does not know what the
methods do.

One thread leads the lane: it polls the queue, and all state of the lane is its own, but for what is said below. A
method that it calls may take longer than estimated, and other calls must not wait for that. So the watchdog (see
`transport.watchdog`) can give the lane to a new thread while the leader is in a method. One token decides which of the
two leads. The leader adds it to the list of its term before it calls a method, and pops it afterwards; the watchdog's
thread pops it to depose the leader. `list.pop` is atomic under the GIL, so exactly one of the two gets the token. If
the leader gets it, the watchdog leaves the leader alone. If the watchdog gets it, the former leader answers its call,
ends, and touches nothing else of the lane.

At most 16 threads may be deposed at a time. After that the leader runs no model itself. Code that holds the interpreter
without a break is not covered: parsing or copying a message of 80 MB stops all threads for 0.1 s.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final

from servable.calls import CallContext
from servable.errors import HIDE_ERROR_TEXT, DeadlineExceeded, ServingError, Unimplemented
from servable.methods import DeferredRun, Gate, LaneMethod, reply_with_error
from servable.transport import core, status
from servable.transport.arrivals import Arrivals
from servable.transport.core import Core, Event
from servable.transport.identities import grpc_identities
from servable.transport.watchdog import LaneWatchdog

_log = logging.getLogger(__name__)

# Replies that are pending register for the completion of their calls when the lane is idle, or when there are so many.
_MOST_UNREGISTERED: Final = 256
# A method that takes longer has delayed the calls behind it.
_SLOW_S: Final = 1e-3
# How many calls of each method are requested in advance. The core can queue that many while the lane is in a method.
_OUTSTANDING: Final = 4
# For so long after a lane was blocked, the calls that it takes may have waited, and may have been cancelled meanwhile.
_BEHIND_AFTER_OVERRUN_S: Final = 2e-2
# A lane that is never without another call does a deferred run after so long.
_LONGEST_GATHERING_S: Final = 2e-3
# So many threads of a lane may be deposed at a time. A leader beyond them runs no model itself.
_MOST_DEPOSED: Final = 16
# A lane is given up after so many failed polls in a row.
_MOST_FAILURES: Final = 3


@dataclass(frozen=True, slots=True)
class LaneSetting:
    """What all lanes of a server share.

    Attributes:
        methods: By full path.
        arrivals: Where calls begin, and where a drain holds them.
        watchdog: Sees that no method blocks a lane for long.
        on_death: Called by a lane that ends because it cannot poll its queue, on its own thread.
        trailing_metadata: What is sent beside the message of an error.
        gate: Refuses calls as they arrive; None if none is refused.
    """

    methods: Mapping[str, LaneMethod]
    arrivals: Arrivals
    watchdog: LaneWatchdog
    on_death: Callable[[Lane], None]
    trailing_metadata: status.TrailingMetadata
    gate: Gate | None = None


class _Term:
    """The time for which one thread leads the lane.

    Attributes:
        token: Holds the token while the leader is in a method and has not been deposed.
        is_over: Whether another thread leads; set by the former leader when its method has returned.
        begins: Gets one item: whether the thread leads the lane at all.
    """

    __slots__ = ("begins", "is_over", "thread", "token")

    def __init__(self, lead: Callable[[_Term], None], name: str) -> None:
        self.token: list[None] = []
        self.is_over = False
        self.begins: SimpleQueue[bool] = SimpleQueue()
        self.thread = threading.Thread(target=lead, args=(self,), name=name, daemon=True)


class Lane:
    """Serves methods on a thread of its own. Only the leader uses it, but for what is said below.

    Attributes:
        name: The name of its threads, also in the log.
        begun: How many methods and deferred runs were begun; the watchdog's thread reads it.
        arrivals: Where calls begin; a drain holds them there.
        trailing_metadata: What is sent beside the message of an error.
        beyond_calls: With no more calls than this in flight none is refused as it arrives.
        expected: How many events are to come before the thread may end: one for each call that is requested, or that
            has arrived and not ended.
        open_calls: How many calls have arrived and not ended.
        received_calls: Of these, those whose message has arrived. Only they count for the limit of all calls: anybody
            may open calls and send nothing, and that must lock nobody out.
        others: The other lanes of the server that serve at the same time.
        busy_s: How long the lane was in methods and deferred runs, but for those that it lost its thread in.
        aborted_calls: How many calls ended before they were answered: cancelled, or too late.
    """

    def __init__(self, server: Core, shared: LaneSetting, name: str) -> None:
        """Make the queue; only before the server starts, and after the methods have been registered."""
        self.name = name
        self._queue = server.add_queue()
        self._listeners = [
            _MethodListener(self, server, self._queue, path, method) for path, method in shared.methods.items()
        ]
        self._watchdog, self._on_death = shared.watchdog, shared.on_death
        self._term = _Term(self._lead, name)
        self._deposed: set[threading.Thread] = set()
        self.arrivals, self.trailing_metadata = shared.arrivals, shared.trailing_metadata
        self._gate = shared.gate
        self.beyond_calls = sys.maxsize if shared.gate is None else shared.gate.beyond_calls
        self.others: Sequence[Lane] = ()
        self.begun = self.expected = self.open_calls = self.received_calls = self.aborted_calls = 0
        self.busy_s = 0.0
        # Pending replies that have not registered for the completion of their calls.
        self._unregistered: list[_CallReply] = []
        # The runs that methods gather calls for, and since when; the oldest first.
        self._deferred: dict[DeferredRun, float] = {}
        self._behind_until_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether the leader is in a method or a deferred run; other threads may ask."""
        return bool(self._term.token)

    def start(self) -> None:
        """Take calls. Only after the server has started."""
        for listener in self._listeners:
            for _ in range(_OUTSTANDING):
                listener.request_next_call()
        self._term.thread.start()
        self._term.begins.put(True)

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads, which end with the last call after the server's shutdown; False if one has not."""
        ends_at_s = time.monotonic() + timeout_s
        while True:
            term = self._term
            for thread in (term.thread, *tuple(self._deposed)):
                if thread.ident is not None:
                    thread.join(max(ends_at_s - time.monotonic(), 0))
                if thread.is_alive():
                    return False
            if term is self._term:
                return True

    def refuse(self, path: str, reply: _CallReply) -> ServingError | None:
        """The answer of a call that has just arrived and must not go on; None if it may. Only the leader calls this."""
        calls_in_flight = 1 + self.received_calls + sum([other.received_calls for other in self.others])
        if self._gate is None or calls_in_flight <= self.beyond_calls:
            return None
        return self._gate.refuse(path, reply.context, calls_in_flight)

    def take_over(self) -> int | None:
        """Give the lane to a new thread if its leader is in a method. Only the watchdog's thread calls this.

        Returns:
            The id of the thread that was deposed; None if the leader was not in a method, or if too many are deposed.

        Raises:
            RuntimeError: if no thread can be started. The lane stays as it is.
        """
        term, new = self._term, _Term(self._lead, self.name)
        if len(self._deposed) > _MOST_DEPOSED:
            return None
        new.thread.start()
        # Before the token is popped: the former leader discards itself from the set as soon as it misses the token.
        self._deposed.add(term.thread)
        try:
            term.token.pop()
        except IndexError:
            self._deposed.discard(term.thread)
            new.begins.put(False)
            return None
        self._behind_until_s = time.monotonic() + _BEHIND_AFTER_OVERRUN_S
        self._term = new
        new.begins.put(True)
        return term.thread.ident

    def may_run(self) -> bool:
        """Whether the leader may run models: if a run takes too long, it must be possible to depose the leader."""
        return len(self._deposed) < _MOST_DEPOSED

    def begin_run(self) -> _Term:
        """Before the leader calls a method or does a deferred run; `end_run` must follow with the term."""
        term = self._term
        self.begun += 1
        term.token.append(None)
        if self._watchdog.is_asleep:
            self._watchdog.wake()
        return term

    def end_run(self, term: _Term) -> bool:
        """After a method or a deferred run; whether the thread still leads the lane."""
        if self.arrivals.are_held:
            # A worker calls `note()` before it stops being busy.
            self.arrivals.note()
        try:
            term.token.pop()
        except IndexError:
            term.is_over = True
            return False
        return True

    def after_method(self, reply: _CallReply, called_at_s: float, deferred: DeferredRun | None) -> None:
        """Look after a reply that its method kept, and do a deferred run if it is time for one."""
        now_s = time.monotonic()
        self.busy_s += now_s - called_at_s
        if now_s - called_at_s > _SLOW_S:
            # The calls that arrived meanwhile may take as long to handle.
            self._behind_until_s = now_s + (now_s - called_at_s)
        if reply.is_pending():
            # Not at once: most are answered by a deferred run soon, and need no event of their own.
            self._unregistered.append(reply)
            if deferred is None or len(self._unregistered) >= _MOST_UNREGISTERED:
                self._register_pending()
        if deferred is not None and deferred not in self._deferred:
            self._deferred[deferred] = now_s
        if not self._deferred:
            return
        if deferred is not None and deferred.is_full():
            self._run_deferred(deferred, now_s)
        elif self.open_calls == 1 or now_s > next(iter(self._deferred.values())) + _LONGEST_GATHERING_S:
            # The lone call needs no poll to learn that there is no other: a poll would take a third of the call's time.
            self._run_deferred(next(iter(self._deferred)), now_s)

    def may_be_behind(self) -> bool:
        """Whether the calls that the lane takes now may have waited while it was blocked."""
        if self._behind_until_s and time.monotonic() > self._behind_until_s:
            self._behind_until_s = 0.0
        return self._behind_until_s > 0

    def _lead(self, term: _Term) -> None:
        """Poll and handle events, until no more can come or another thread leads."""
        if not term.begins.get():
            return
        failures = 0
        while self.expected and not term.is_over:
            try:
                event = self._queue.poll(core.NOW if self._deferred else None)
            except BaseException:
                failures += 1
                _log.exception("%s could not poll its completion queue", self.name)
                if failures >= _MOST_FAILURES:
                    self._give_up()
                    break
                continue
            failures = 0
            tag = event.tag
            try:
                if tag is not None:
                    tag(event)
                elif self._deferred:
                    self._run_deferred(next(iter(self._deferred)), time.monotonic())
            except BaseException:  # Go on: if the thread ended, no call of the lane would be answered.
                _log.exception("%s failed in an unforeseen way, and goes on", self.name, extra=HIDE_ERROR_TEXT)
            # These hold a request or a reply, and it may be long until the next event.
            del event, tag
        self._deposed.discard(threading.current_thread())

    def _run_deferred(self, deferred: DeferredRun, now_s: float) -> None:
        """Do a deferred run, and hand over to other threads the others that have waited for too long."""
        del self._deferred[deferred]
        for other in [other for other, since_s in self._deferred.items() if now_s > since_s + _LONGEST_GATHERING_S]:
            del self._deferred[other]
            other.hand_over()
        term, began_s = self.begin_run(), time.monotonic()
        try:
            deferred.run()
        finally:
            leads = self.end_run(term)
        if leads:
            self.busy_s += time.monotonic() - began_s
        if leads and not self._deferred:
            self._register_pending()

    def _register_pending(self) -> None:
        unregistered, self._unregistered = self._unregistered, []
        for reply in unregistered:
            reply.register_for_completion()

    def _give_up(self) -> None:
        deferred, self._deferred = self._deferred, {}
        for each in deferred:
            each.hand_over()
        self._on_death(self)


class _MethodListener:
    """Takes the calls of one method. Used by the lane's leader only."""

    def __init__(self, lane: Lane, server: Core, queue: object, path: str, method: LaneMethod) -> None:
        self._lane, self._server, self._queue = lane, server, queue
        self.path, self.method = path, method

    def request_next_call(self) -> None:
        """Request one more call from the core."""
        if self._server.request_call(self._queue, self.path, self._on_call):
            self._lane.expected += 1

    def _on_call(self, event: Event) -> None:
        lane = self._lane
        if not event.success:  # The server has shut down.
            lane.expected -= 1
            return
        # `expected` stays: this call was expected to arrive, and is expected to end from now on.
        self.request_next_call()
        lane.open_calls += 1
        call = event.call
        reply = _CallReply(lane, self, call, core.deadline_s(event), core.metadata(event))
        if lane.received_calls >= lane.beyond_calls or lane.others:
            # Before the message is received, so that a refused call takes no memory for it.
            refusal = lane.refuse(self.path, reply)
            if refusal is not None:
                reply.fail(refusal)
                return
        if lane.may_be_behind():
            # Before the message is received, so that a cancelled call is known to be cancelled before it runs.
            reply.register_for_completion()
        if lane.arrivals.are_held:
            lane.arrivals.begin_or_hold(lambda: core.receive_message(call, reply.run))
        else:
            core.receive_message(call, reply.run)


class _LaneContext:
    """The context of a call on a lane: a calls.CallContext."""

    __slots__ = ("_call", "_metadata")

    def __init__(self, call: object | None, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        self._call, self._metadata = call, metadata

    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return self._metadata

    def peer(self) -> str:
        return "" if self._call is None else core.peer(self._call)

    def identities(self) -> Sequence[str]:
        return () if self._call is None else grpc_identities(core.auth_context(self._call))


class _CallReply:
    """The Reply of a call on a lane. Refers to the core's call only while that can be answered."""

    __slots__ = (
        "_call",
        "_completion",
        "_deadline_s",
        "_is_answered",
        "_is_received",
        "_lane",
        "_listener",
        "_metadata",
    )

    # A lane follows no call itself; see methods.Reply.
    tracker = None

    def __init__(
        self,
        lane: Lane,
        listener: _MethodListener,
        call: object,
        deadline_s: float,
        metadata: Sequence[tuple[str, str | bytes]] = (),
    ) -> None:
        self._lane, self._listener = lane, listener
        self._call: object | None = call
        self._deadline_s, self._metadata = deadline_s, metadata
        self._is_answered = self._is_received = False
        # Exactly one thread may register for the call's completion: the leader before the answer, or the thread that
        # answers. `list.pop` is atomic under the GIL, and the one that gets the item registers.
        self._completion = [True]

    @property
    def context(self) -> CallContext:
        return _LaneContext(self._call, self._metadata)

    def is_active(self) -> bool:
        return self._call is not None and time.monotonic() < self._deadline_s

    def may_run_here(self) -> bool:
        return self._lane.may_run()

    def other_calls_waiting(self) -> bool:
        return self._lane.open_calls > 1

    def send(self, message: bytes) -> None:
        self._answer(core.send_message, message)

    def fail(self, error: ServingError) -> None:
        metadata = self._lane.trailing_metadata(error)
        self._answer(core.send_status, core.Status(error.code, status.message_bytes(error), metadata))

    def _answer(self, send: Callable[..., None], answer: object) -> None:
        call = self._call
        if call is None:
            return
        and_close = self._claim_completion()
        # Before the answer is sent: the leader may learn of the call's end before this thread goes on.
        self._is_answered = True
        try:
            send(call, answer, self.end if and_close else _ignore, and_close=and_close)
        except BaseException:
            self._is_answered = False
            if and_close:
                self._completion.append(True)
            raise
        self._call = None

    def is_pending(self) -> bool:
        """Whether the call is neither answered nor over."""
        return self._call is not None

    def register_for_completion(self) -> None:
        """Learn of the call's end as soon as it is over, even before it is answered."""
        call = self._call
        if call is not None and self._claim_completion():
            core.receive_close(call, self.end)

    def _claim_completion(self) -> bool:
        try:
            return self._completion.pop()
        except IndexError:
            return False

    def run(self, event: Event) -> None:
        """Call the method with the message that has arrived, unless the call is over.

        A call that is not registered for its completion may have been cancelled unnoticed. So a method that hands the
        call to another thread keeps the reply, and that thread asks `is_active` before it runs anything.
        """
        request = core.message(event)
        if request is None:
            # Most of these clients have disconnected. The others get the answer of grpcio's server.
            self.fail(Unimplemented(f'"{self._listener.path}" requires exactly one request message.'))
            return
        if self._call is None:
            return
        self._is_received = True
        self._lane.received_calls += 1
        time_left_s = None
        if self._deadline_s < math.inf:
            time_left_s = self._deadline_s - time.monotonic()
            if time_left_s <= 0:
                self._lane.aborted_calls += 1
                self.fail(DeadlineExceeded("Deadline Exceeded"))
                return
        self._call_method(request, time_left_s)

    def _call_method(self, request: bytes, time_left_s: float | None) -> None:
        lane, deferred = self._lane, None
        term, called_at_s = lane.begin_run(), time.monotonic()
        try:
            deferred = self._listener.method(request, time_left_s, self)
        except BaseException as error:
            reply_with_error(self, error, self._listener.path)
        finally:
            leads = lane.end_run(term)
        if leads:
            lane.after_method(self, called_at_s, deferred)
            return
        # The thread has been deposed, so the lane's state is not its own any more.
        self.register_for_completion()
        if deferred is not None:
            deferred.hand_over()

    def end(self, _event: Event) -> None:
        """Note that the call is over, answered or cancelled."""
        if self._call is not None and not self._is_answered:
            self._lane.aborted_calls += 1
        self._call = None
        self._lane.expected -= 1
        self._lane.open_calls -= 1
        self._lane.received_calls -= self._is_received


def _ignore(_event: Event) -> None:
    """The event of a reply whose call is registered for its completion separately."""
