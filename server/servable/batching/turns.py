"""Requests as they come in: from lanes, which come back when they are idle, and from threads that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from servable.batching.dispatcher import Dispatcher
from servable.batching.lines import BatchLine
from servable.errors import ServingError
from servable.methods import LaneMethod, Method, Reply
from servable.requests import Steps

Begin: TypeAlias = Callable[[bytes], Steps]
"""Begins a request of one API: `Predict.steps` and its like."""


class Turns(threading.local):
    """The lines that a lane's requests wait in until the lane is idle. Each thread sees its own."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._lines: dict[BatchLine, None] = {}

    def method(self, begin: Begin) -> LaneMethod:
        """A method of a lane: what is quick is answered before it returns, or when the lane is idle."""

        def answer(request: bytes, time_left_s: float | None, reply: Reply) -> None:
            line = self._dispatcher.begin(begin(request), time_left_s, reply)
            if line is not None:
                self._lines[line] = None

        return answer

    def run_all(self) -> None:
        """Run what has gathered on this thread; for a lane that is idle."""
        lines, self._lines = self._lines, {}
        for line in lines:
            self._dispatcher.run_here(line)


def waiting_method(dispatcher: Dispatcher, begin: Begin) -> Method:
    """A method for a thread of the caller's own, which waits for the answer."""

    def answer(request: bytes, time_left_s: float | None) -> bytes:
        awaited = _Awaited()
        line = dispatcher.begin(begin(request), time_left_s, awaited)
        if line is not None:
            dispatcher.run_here(line)
        return awaited.result()

    return answer


class _Awaited:
    """A Reply that a thread waits for."""

    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._message = b""
        self._error: ServingError | None = None

    def is_active(self) -> bool:
        return True

    def holds_up_others(self) -> bool:
        return False

    def send(self, message: bytes) -> None:
        self._message = message
        self._arrived.set()

    def fail(self, error: ServingError) -> None:
        self._error = error
        self._arrived.set()

    def result(self) -> bytes:
        """The answer, once it is there; the scheduler sees to it that it comes."""
        self._arrived.wait()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                # Its traceback holds this frame.
                del error
        return self._message
