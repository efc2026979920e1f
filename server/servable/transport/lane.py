"""One lane: a completion queue of gRPC's core, and the thread that takes its calls from the socket to the reply.

The Python around a call is what it costs, so little is done here: three events for each call (it came, its message, the
reply is out and the call over), each of which calls the function that its operation was started with. A call that is
kept for a while has a fourth, which tells its end early if the client cancels it. Must not know what the methods do.

One thread leads the lane: it polls the queue, and all that a lane knows is its own, but for what is said below. A
method that it calls may take longer than was thought, and then other calls must not wait for that. So the watchdog
can give the lane to a new thread while the leader is in a method. Which of the two leads is decided by one token. The
leader puts it into the list of its term before it calls a method and takes it out afterwards; the watchdog takes it
out to depose the leader; `list.pop` is atomic. Who finds the list empty has lost: the watchdog leaves the leader
alone, or the former leader answers its call and ends, and touches nothing else of the lane.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final

from servable.errors import DeadlineExceeded, ServingError, Unimplemented
from servable.methods import DeferredRun, LaneMethod, reply_with_error
from servable.transport import core, status
from servable.transport.arrivals import Arrivals
from servable.transport.core import Core, Event
from servable.transport.watchdog import LaneWatchdog

_log = logging.getLogger(__name__)

# gRPC reports no deadline as a time in the far future.
_NO_DEADLINE_S: Final = 9e9
# Pending replies are watched when the lane is idle, which a busy lane may never be.
_MOST_UNWATCHED: Final = 256
# A method that takes longer has held up the calls behind it.
_SLOW_S: Final = 1e-3
# Calls of a method that the core may put in the queue before the lane has looked at the first of them.
_OUTSTANDING: Final = 4
# Calls that came while a lane was blocked by one may have been cancelled meanwhile.
_BEHIND_AFTER_OVERRUN_S: Final = 2e-2
# A lane that always has another call runs what its methods gathered after so long.
_LONGEST_GATHERING_S: Final = 2e-3
# So many threads may be away in methods that take too long. The last one that leads runs no model itself.
_MOST_AWAY: Final = 16
# Polls that fail one after the other, after which the lane is given up.
_MOST_FAILURES: Final = 3


@dataclass(frozen=True, slots=True)
class LaneSetting:
    """What all lanes of a server share.

    Attributes:
        methods: By full path.
        arrivals: Where calls begin, and where a drain holds them.
        watchdog: Sees that no method blocks a lane for long.
        on_death: Called by a lane that ends for good, on its own thread.
    """

    methods: Mapping[str, LaneMethod]
    arrivals: Arrivals
    watchdog: LaneWatchdog
    on_death: Callable[[Lane], None]


class _Term:
    """The time in which one thread leads the lane.

    Attributes:
        token: Not empty while the leader is in a method and leads.
        is_over: Whether another thread leads; known to the leader when its method returns.
        begins: Told once whether the thread is to lead at all.
    """

    __slots__ = ("begins", "is_over", "thread", "token")

    def __init__(self, lead: Callable[[_Term], None], name: str) -> None:
        self.token: list[None] = []
        self.is_over = False
        self.begins: SimpleQueue[bool] = SimpleQueue()
        self.thread = threading.Thread(target=lead, args=(self,), name=name, daemon=True)


class Lane:
    """Serves methods on a thread of its own. Its attributes are the leader's, but for what is said below.

    Attributes:
        name: What the log and its threads call it.
        begun: How many methods and deferred runs were begun; the watchdog reads it.
        arrivals: Where calls begin; a drain holds them there.
        expected: How many more events will decide whether the thread ends: calls asked for, calls not yet ended.
        open_calls: How many calls have come and not ended.
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
        self.arrivals = shared.arrivals
        self.begun = self.expected = self.open_calls = 0
        self._unwatched: list[_CallReply] = []
        # What methods gathered, and since when; the oldest first.
        self._deferred: dict[DeferredRun, float] = {}
        self._behind_until_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether a method or a deferred run is running; other threads read it."""
        return bool(self._term.token)

    def start(self) -> None:
        """Take calls; once the server has started."""
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

    def take_over(self) -> int | None:
        """Give the lane to a new thread if its leader is in a method; for the watchdog's thread only.

        Returns:
            The id of the thread that led it; None if that was not in a method, or if too many are away already.

        Raises:
            RuntimeError: if no thread can be started. The lane stays as it is.
        """
        term, new = self._term, _Term(self._lead, self.name)
        if len(self._deposed) > _MOST_AWAY:
            return None
        new.thread.start()
        # Before the former leader can see that it is one, and forget itself.
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
        """Whether the leader may run models: another thread must be left to lead the lane when that takes long."""
        return len(self._deposed) < _MOST_AWAY

    def begin_run(self) -> _Term:
        """The leader calls a method, or does a deferred run; `end_run` it."""
        term = self._term
        self.begun += 1
        term.token.append(None)
        if self._watchdog.is_asleep:
            self._watchdog.wake()
        return term

    def end_run(self, term: _Term) -> bool:
        """What `begin_run` began is over; whether the thread still leads the lane."""
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
        """Look after a call whose method has returned."""
        now_s = time.monotonic()
        if now_s - called_at_s > _SLOW_S:
            # It may take as long to see all that came meanwhile.
            self._behind_until_s = now_s + (now_s - called_at_s)
        if reply.is_pending():
            # Most of these are answered as soon as the lane is idle.
            self._unwatched.append(reply)
            if deferred is None or len(self._unwatched) >= _MOST_UNWATCHED:
                self._watch_pending()
        if deferred is not None and deferred not in self._deferred:
            self._deferred[deferred] = now_s
        if not self._deferred:
            return
        if deferred is not None and deferred.is_full():
            self._run_deferred(deferred, now_s)
        elif self.open_calls == 1 or now_s > next(iter(self._deferred.values())) + _LONGEST_GATHERING_S:
            # With no other call there, the queue need not be asked: that would cost a lone call a third of its time.
            self._run_deferred(next(iter(self._deferred)), now_s)

    def is_behind(self) -> bool:
        """Whether the calls that come now may have waited for some time."""
        if self._behind_until_s and time.monotonic() > self._behind_until_s:
            self._behind_until_s = 0.0
        return self._behind_until_s > 0

    def _lead(self, term: _Term) -> None:
        """Poll and do what the events say, until no more can come or another thread leads."""
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
            except BaseException:  # A thread that ended would leave all calls of the lane unanswered.
                _log.exception("%s failed in an unforeseen way, and goes on", self.name)
            # They hold a request or a reply, and the next one may come tomorrow.
            del event, tag
        self._deposed.discard(threading.current_thread())

    def _run_deferred(self, deferred: DeferredRun, now_s: float) -> None:
        """Run what was gathered, and leave to other threads what else has waited for too long."""
        del self._deferred[deferred]
        for other in [other for other, since_s in self._deferred.items() if now_s > since_s + _LONGEST_GATHERING_S]:
            del self._deferred[other]
            other.hand_over()
        term = self.begin_run()
        try:
            deferred.run()
        finally:
            leads = self.end_run(term)
        if leads and not self._deferred:
            self._watch_pending()

    def _watch_pending(self) -> None:
        unwatched, self._unwatched = self._unwatched, []
        for reply in unwatched:
            reply.watch()

    def _give_up(self) -> None:
        deferred, self._deferred = self._deferred, {}
        for each in deferred:
            each.hand_over()
        self._on_death(self)


class _MethodListener:
    """Where the calls of one method come in. Used by the lane's leader only."""

    def __init__(self, lane: Lane, server: Core, queue: object, path: str, method: LaneMethod) -> None:
        self._lane, self._server, self._queue = lane, server, queue
        self.path, self.method = path, method

    def request_next_call(self) -> None:
        """Ask for one more call."""
        if self._server.request_call(self._queue, self.path, self._on_call):
            self._lane.expected += 1

    def _on_call(self, event: Event) -> None:
        lane = self._lane
        if not event.success:  # The server has shut down.
            lane.expected -= 1
            return
        # This call is expected to end where it was expected to come, so the count stays.
        self.request_next_call()
        lane.open_calls += 1
        call = event.call
        reply = _CallReply(lane, self, call, core.deadline_s(event))
        if lane.is_behind():
            # Before the message, so that a call that was cancelled while it waited is known to be before it runs.
            reply.watch()
        if lane.arrivals.are_held:
            lane.arrivals.begin_or_hold(lambda: core.receive_message(call, reply.run))
        else:
            core.receive_message(call, reply.run)


class _CallReply:
    """The Reply of a call on a lane. Holds the core's call only while it can be answered."""

    __slots__ = ("_call", "_deadline_s", "_lane", "_listener", "_unclosed")

    def __init__(self, lane: Lane, listener: _MethodListener, call: object, deadline_s: float) -> None:
        self._lane, self._listener = lane, listener
        self._call: object | None = call
        self._deadline_s = deadline_s
        # Exactly one thread may register for the call's completion, be it with the answer or before it. They may be
        # two threads, and `list.pop` is atomic.
        self._unclosed = [True]

    def is_active(self) -> bool:
        return self._call is not None and time.time() < self._deadline_s

    def may_run_here(self) -> bool:
        return self._lane.may_run()

    def other_calls_waiting(self) -> bool:
        return self._lane.open_calls > 1

    def send(self, message: bytes) -> None:
        self._answer(core.send_message, message)

    def fail(self, error: ServingError) -> None:
        self._answer(
            core.send_status, core.Status(error.code, status.message_bytes(error), status.trailing_metadata(error))
        )

    def _answer(self, send: Callable[..., None], answer: object) -> None:
        call = self._call
        if call is None:
            return
        and_close = self._takes_close()
        try:
            send(call, answer, self.end if and_close else _ignore, and_close=and_close)
        except BaseException:
            if and_close:
                self._unclosed.append(True)
            raise
        self._call = None

    def is_pending(self) -> bool:
        """Whether it is not answered yet."""
        return self._call is not None

    def watch(self) -> None:
        """Hear of the call's end as soon as it is over, even if that is before the answer."""
        call = self._call
        if call is not None and self._takes_close():
            core.receive_close(call, self.end)

    def _takes_close(self) -> bool:
        try:
            return self._unclosed.pop()
        except IndexError:
            return False

    def run(self, event: Event) -> None:
        """The message has come: call the method, unless nobody waits.

        A call that is not watched yet may have been cancelled, so what is slow keeps its reply and asks it before it
        begins.
        """
        request = core.message(event)
        if request is None:
            # Most such clients have gone. grpcio's server tells the others the same.
            self.fail(Unimplemented(f'"{self._listener.path}" requires exactly one request message.'))
            return
        if self._call is None:
            return
        time_left_s = None
        if self._deadline_s < _NO_DEADLINE_S:
            time_left_s = self._deadline_s - time.time()
            if time_left_s <= 0:
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
        # Another thread leads the lane by now.
        self.watch()
        if deferred is not None:
            deferred.hand_over()

    def end(self, _event: Event) -> None:
        """The call is over, answered or cancelled."""
        self._call = None
        self._lane.expected -= 1
        self._lane.open_calls -= 1


def _ignore(_event: Event) -> None:
    """What came of a reply matters to nobody: the call's end is told by itself."""
