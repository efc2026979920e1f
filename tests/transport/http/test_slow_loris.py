"""Many connections that hold the server up, and the requests of others meanwhile.

benchmarks/rest/slow_loris.py has the figures of 1,000 of them.
"""

import itertools
import time

import pytest

from tests.transport.http.serving import PATIENCE_S, Client, get, post, serving

COUNT = 300
HALVES = [get()[:-2], b"G", post(b"abc")[:-1], get() * 20]


@pytest.mark.behaviour("9.1", "ours: silent, half-sent and idle connections end")
def test_others_are_answered_beside_slow_clients_and_those_are_cut_off():
    with serving(head_s=1.0, grace_s=1.0, idle_s=1.0) as port:
        slow = [Client(port) for _ in range(COUNT)]
        for client, half in zip(slow, itertools.cycle(HALVES), strict=False):
            client.send(half)
        with Client(port) as client:
            for _ in range(100):
                began_s = time.monotonic()
                assert client.ask(post(b"abc")).status == 200
                assert time.monotonic() - began_s < PATIENCE_S / 10
        for client in slow:
            while not is_over(client):
                pass
            client.close()


def is_over(client):
    """Whether the connection has ended; takes one reply if it has not."""
    try:
        client.read()
    except (EOFError, ConnectionError):
        return True
    return False
