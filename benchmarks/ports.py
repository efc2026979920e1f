"""Ports of 127.0.0.1, for the servers that benchmarks start."""

from __future__ import annotations

import random
import socket


def find_free() -> int:
    """A free port outside the ephemeral range, since the server binds it only seconds later."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def is_open(port: int) -> bool:
    """Whether a process listens on it."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
