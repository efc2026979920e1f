"""Drains while clients call: all that tests of a drain share, whatever it is that drains."""

import threading

import grpc

from tests.process.transport import PATIENCE_S, UNARY, connect

CLIENTS = 8


def draining(server, grace_s=PATIENCE_S):
    """A thread that drains what has a method `drain`."""
    thread = threading.Thread(target=server.drain, args=(grace_s,))
    thread.start()
    return thread


def ended(thread):
    """Whether a thread ends."""
    thread.join(PATIENCE_S)
    return not thread.is_alive()


class Client(threading.Thread):
    """Calls one after the other, until one of them is refused."""

    def __init__(self, number, address, busy):
        super().__init__()
        self._number, self._address, self._busy = number, address, busy
        self.answered, self.wrong, self.refusal = [], [], None

    def run(self):
        with connect(self._address) as channel:
            call = channel.unary_unary(UNARY)
            while self.refusal is None:
                request = b"%d/%d" % (self._number, len(self.answered))
                try:
                    reply = call(request, timeout=PATIENCE_S)
                except grpc.RpcError as error:
                    self.refusal = error.code()
                    return
                (self.answered if reply == request[::-1] else self.wrong).append(request)
                self._busy.release()


def drain_while_many_call(server, address, calls_before):
    """Drain after so many replies. Each client must get all its replies, reversed, and then UNAVAILABLE.

    Returns:
        The requests that were answered.
    """
    busy = threading.Semaphore(0)
    clients = [Client(number, address, busy) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for _ in range(calls_before):
        assert busy.acquire(timeout=PATIENCE_S)
    assert ended(draining(server))
    for client in clients:
        assert ended(client)
    assert [client.wrong for client in clients] == [[]] * CLIENTS
    assert {client.refusal for client in clients} == {grpc.StatusCode.UNAVAILABLE}
    return [request for client in clients for request in client.answered]
