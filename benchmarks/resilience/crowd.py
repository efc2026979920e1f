"""Connections that want nothing: four of five are idle, one of five sends a byte a second. A process of its own.

    python -m benchmarks.resilience.crowd KIND PORT COUNT

Kinds: `grpc` says the preface of HTTP/2 or nothing, `rest` has asked once or says nothing, `tls` begins a handshake and
never finishes it. One that the server closes is opened again. It writes a line once all were open, and one with how
often one had to be opened again when its input ends.
"""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

_IDLE_SHARE: Final = 5
_LOOK_PAUSE_S: Final = 0.1
# So few at a time that a backlog takes them.
_OPENED_AT_ONCE: Final = 100
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(505)
_ASKED: Final = b"GET /v1/models/echo HTTP/1.1\r\nHost: localhost\r\n\r\n"
_ASKING: Final = b"POST /v1/models/echo:predict HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 4000
# What idle ones say at first, by turns, and what the others say byte by byte.
_KINDS: Final = {
    "grpc": ((b"", _PREFACE), _PREFACE),
    "rest": ((b"", _ASKED), _ASKING),
    "tls": ((b"", _HELLO[:50]), _HELLO),
}


class Crowd:
    """Keeps so many connections open."""

    def __init__(self, kind: str, port: int, count: int) -> None:
        """Open none yet."""
        (self._idle, self._slow), self._port, self._count = _KINDS[kind], port, count
        self._members, self._selector, self._opened = dict[int, socket.socket](), selectors.DefaultSelector(), 0
        # When, who, and what is left to say; whoever has spoken is last in line, so that these are in order.
        self._speakers = deque[tuple[float, socket.socket, Iterator[int]]]()

    def stay(self) -> None:
        """Stay until the input ends."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        is_told = False
        while True:
            if len(self._members) < self._count:
                self._open()
            elif not is_told:
                is_told = True
                print("open", flush=True)
            for key, _ in self._selector.select(_LOOK_PAUSE_S):
                if key.fileobj is sys.stdin:
                    print(self._opened - self._count, flush=True)
                    return
                self._read(key.fd)
            self._speak()

    def _open(self) -> None:
        for _ in range(min(_OPENED_AT_ONCE, self._count - len(self._members))):
            connection = socket.socket()
            connection.settimeout(1)
            try:
                connection.connect(("127.0.0.1", self._port))
                connection.setblocking(False)
                is_idle = self._opened % _IDLE_SHARE > 0
                if is_idle:
                    connection.send(self._idle[self._opened // _IDLE_SHARE % 2])
            except OSError:
                connection.close()
                return
            self._opened += 1
            self._members[connection.fileno()] = connection
            if not is_idle:
                self._speakers.append((time.monotonic(), connection, iter(self._slow)))
            self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, number: int) -> None:
        try:
            is_open = bool(self._members[number].recv(1 << 16))
        except BlockingIOError:
            return
        except OSError:
            is_open = False
        if not is_open:
            self._close(number)

    def _speak(self) -> None:
        now_s = time.monotonic()
        while self._speakers and now_s > self._speakers[0][0]:
            _, connection, words = self._speakers.popleft()
            # One that was closed has been replaced.
            with contextlib.suppress(OSError):
                connection.send(bytes([next(words, 0)]))
                self._speakers.append((now_s + 1, connection, words))

    def _close(self, number: int) -> None:
        self._selector.unregister(number)
        self._members.pop(number).close()


def main(kind: str, port: str, count: str) -> None:
    """Raise the limit of open files as far as it goes, and be the crowd."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Crowd(kind, int(port), int(count)).stay()


if __name__ == "__main__":
    main(*sys.argv[1:])
