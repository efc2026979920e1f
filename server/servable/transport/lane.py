"""One lane: a queue of gRPC's core and the thread that takes each of its calls from the socket to the reply.

The Python around a call is what it costs, so little is done here: three events for each call (it came, its message, the
reply is out and the call over), each of which calls the function that its operation was started with. A call that is
kept for a while has a fourth, which tells its end early if the client cancels it. Must not know what the methods do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from servable.errors import DeadlineExceeded, ServingError, Unimplemented
from servable.methods import LaneMethod, tell
from servable.transport import core, status
from servable.transport.core import Core, Event
from servable.transport.refusals import Refusals, shutting_down

_log = logging.getLogger(__name__)

# A call without a deadline has one some 290 years after 1970.
_NO_DEADLINE_S = 9e9
# Calls that are kept are watched when the lane is idle, which a lane that is busy may never be.
_MOST_UNWATCHED = 256
# A method that takes longer has held up the calls behind it.
_SLOW_S = 1e-3
# Calls of a method that the core may put in the queue before the lane has looked at the first of them.
_OUTSTANDING = 4


class Lane:
    """Serves methods on a thread of its own. Its attributes are the thread's, but for what is said below.

    Attributes:
        busy: Whether a method, or `on_idle`, is running; other threads read it.
        refusing: Whether calls are refused as they come; another thread sets it, once.
        refusals: Where refused calls are noted.
        expected: How many more events will decide whether the thread ends: calls asked for, calls not yet ended.
        open_calls: How many calls have come and not ended.
        has_kept: Whether a call was kept since the lane was last idle, so that `on_idle` is due.
    """

    def __init__(
        self,
        server: Core,
        methods: Mapping[str, LaneMethod],
        refusals: Refusals,
        on_idle: Callable[[], None] | None,
        name: str,
    ) -> None:
        """Make the queue; only before the server starts, and after the methods have been registered."""
        self._queue = server.add_queue()
        self._on_idle = on_idle
        self._doors = [_Door(self, server, self._queue, path, method) for path, method in methods.items()]
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self.refusals = refusals
        self.refusing = self.busy = self.has_kept = False
        self.expected = self.open_calls = 0
        self._unwatched: list[_CallReply] = []
        self._behind_until_s = 0.0

    def start(self) -> None:
        """Take calls; once the server has started."""
        for door in self._doors:
            for _ in range(_OUTSTANDING):
                door.open()
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread, which ends with the last call after the server's shutdown; False if it has not ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def is_behind(self) -> bool:
        """Whether the calls that come now may have waited for some time."""
        if self._behind_until_s and time.monotonic() > self._behind_until_s:
            self._behind_until_s = 0.0
        return self._behind_until_s > 0

    def called(self, reply: _CallReply, called_at_s: float) -> None:
        """Take note that a method has been called and has returned."""
        now_s = time.monotonic()
        if now_s - called_at_s > _SLOW_S:
            # It may take as long to see all that came meanwhile.
            self._behind_until_s = now_s + (now_s - called_at_s)
        if reply.is_kept():
            # Most of these are answered as soon as the lane is idle.
            self._unwatched.append(reply)
            self.has_kept = self._on_idle is not None
            if not self.has_kept or len(self._unwatched) >= _MOST_UNWATCHED:
                self._watch()
        # With no other call there, the queue need not be asked: that would cost a lone call a third of its time.
        if self.has_kept and self.open_calls == 1:
            self._idle()
        else:
            self.rest()

    def rest(self) -> None:
        """Take note that the thread is back at its queue."""
        if self.refusing:
            self.refusals.note()
        self.busy = False

    def _serve(self) -> None:
        poll = self._queue.poll
        while self.expected:
            event = poll(core.NOW if self.has_kept else None)
            tag = event.tag
            try:
                if tag is not None:
                    tag(event)
                else:
                    self._idle()
            except Exception:
                _log.exception("A lane failed in an unforeseen way, and goes on")
            # They hold a request or a reply, and the next one may come tomorrow.
            del event, tag

    def _idle(self) -> None:
        self.has_kept = False
        self.busy = True
        try:
            if self._on_idle is not None:
                self._on_idle()
        finally:
            self._watch()
            self.rest()

    def _watch(self) -> None:
        unwatched, self._unwatched = self._unwatched, []
        for reply in unwatched:
            reply.watch()


class _Door:
    """Where the calls of one method come in. Used by the lane's thread only."""

    def __init__(self, lane: Lane, server: Core, queue: object, path: str, method: LaneMethod) -> None:
        self._lane, self._server, self._queue = lane, server, queue
        self.path, self.method = path, method

    def open(self) -> None:
        """Ask for one more call."""
        if self._server.request_call(self._queue, self.path, self._enter):
            self._lane.expected += 1

    def _enter(self, event: Event) -> None:
        lane = self._lane
        if not event.success:  # The server has shut down.
            lane.expected -= 1
            return
        # This call is expected to end where it was expected to come, so the count stays.
        self.open()
        lane.open_calls += 1
        call = event.call
        reply = _CallReply(lane, self, call, core.deadline_s(event))
        if lane.is_behind():
            # Before the message, so that a call that was cancelled while it waited is known to be before it runs.
            reply.watch()
        if lane.refusing:
            lane.refusals.note()
            reply.fail(shutting_down())
        else:
            core.receive_message(call, reply.run)


class _CallReply:
    """The Reply of a call on a lane. Holds the core's call only while it can be answered."""

    __slots__ = ("_call", "_deadline_s", "_door", "_lane", "_unclosed")

    def __init__(self, lane: Lane, door: _Door, call: object, deadline_s: float) -> None:
        self._lane, self._door = lane, door
        self._call: object | None = call
        self._deadline_s = deadline_s
        # Whoever takes it asks for the call's end, be it with the answer or before it. They may be two threads, and to
        # pop is one step.
        self._unclosed = [True]

    def is_active(self) -> bool:
        return self._call is not None and time.time() < self._deadline_s

    def holds_up_others(self) -> bool:
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

    def is_kept(self) -> bool:
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
            self.fail(Unimplemented(f'"{self._door.path}" requires exactly one request message.'))
            return
        if self._call is None:
            return
        time_left_s = None
        if self._deadline_s < _NO_DEADLINE_S:
            time_left_s = self._deadline_s - time.time()
            if time_left_s <= 0:
                self.fail(DeadlineExceeded("Deadline Exceeded"))
                return
        lane = self._lane
        lane.busy = True
        called_at_s = time.monotonic()
        try:
            self._door.method(request, time_left_s, self)
        except Exception as error:
            tell(self, error, self._door.path)
        finally:
            lane.called(self, called_at_s)

    def end(self, _event: Event) -> None:
        """The call is over, answered or cancelled."""
        self._call = None
        self._lane.expected -= 1
        self._lane.open_calls -= 1


def _ignore(_event: Event) -> None:
    """What came of a reply matters to nobody: the call's end is told by itself."""
