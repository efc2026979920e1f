"""One call as a fault sees it: it can be waited on and its connection cut. The only module that knows sockets."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

# Linux and macOS list the open files of a process here.
_OPEN_FILES = Path("/dev/fd")


class Call:
    """A call that is being answered."""

    def __init__(self, context: Any) -> None:
        """Follow a call by its grpc.ServicerContext."""
        self._context = context
        self._ended = threading.Event()
        # add_callback refuses when the call is over already.
        if not context.add_callback(self._ended.set):
            self._ended.set()

    def wait(self, seconds: float | None) -> bool:
        """Wait so long, or until the call is over: cancelled, past its deadline, or the server stopped.

        Args:
            seconds: None waits for the end of the call.

        Returns:
            Whether the call still goes on.
        """
        return not self._ended.wait(seconds)

    def cut(self) -> None:
        """Break the connection that the call came by, and with it all other calls on it."""
        peer_port = int(self._context.peer().rsplit(":", 1)[1])
        for connection in _list_sockets():
            with closing(connection):
                if _peer_port(connection) == peer_port:
                    connection.shutdown(socket.SHUT_RDWR)


def _list_sockets() -> Iterator[socket.socket]:
    """Duplicates of all TCP sockets of this process; grpc does not hand out its own."""
    for name in os.listdir(_OPEN_FILES):
        with suppress(OSError):
            yield socket.socket(fileno=os.dup(int(name)))


def _peer_port(connection: socket.socket) -> int | None:
    """The port at the other end; None for what is not an IPv4 or IPv6 connection."""
    try:
        name = connection.getpeername()
    except OSError:
        return None
    return int(name[1]) if isinstance(name, tuple) and len(name) > 1 else None
