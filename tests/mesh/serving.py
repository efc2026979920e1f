"""Two servers in the test's own process that stand in for each other."""

import contextlib
import itertools

from servable.methods import without_context
from servable.transport.server import GrpcServer, HotMethods, ServerSettings
from tests.process.transport import UNARY
from tests.transport.serving import inline


def reverse(request, time_left_s):
    return request[::-1]


class Counted:
    """A method that counts its calls."""

    def __init__(self, method=reverse):
        self.count, self._numbers, self._method = 0, itertools.count(1), method

    def __call__(self, *arguments):
        self.count = next(self._numbers)
        return self._method(*arguments)


@contextlib.contextmanager
def listening(address, *, lanes, credentials=None, method=reverse):
    """Yields a GrpcServer that says SERVING, and its port; it reverses what UNARY is sent, on lanes or past them."""
    settings = ServerSettings([address], credentials, lanes=lanes)
    server = GrpcServer({UNARY: without_context(method)}, settings, hot_methods=HotMethods({UNARY: inline(method)}))
    (port,) = server.start()
    server.health.set_serving("", serving=True)
    try:
        yield server, port
    finally:
        server.stop()


@contextlib.contextmanager
def pair(**settings):
    """Yields two of them, each with its port."""
    with listening("127.0.0.1:0", **settings) as one, listening("127.0.0.1:0", **settings) as other:
        yield one, other
