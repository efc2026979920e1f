"""An HTTP server on a free loopback port with a handler of the test's, and a client that knows every byte it sends."""

import contextlib
import dataclasses
import json
import socket

from servable.config.tls import TlsConfig
from servable.http_exchange import HttpReply
from servable.transport.certificates import Certificates
from servable.transport.http.server import HttpServer
from servable.transport.http.settings import HttpLimits, HttpSettings

# No test waits longer for a byte.
PATIENCE_S = 30.0
# Times are looked at often, so that tests of them are short; the times themselves are long unless a test sets them.
LIMITS = HttpLimits(look_s=0.02, head_s=60, grace_s=60, idle_s=60, linger_s=0.5, drain_idle_s=0.1)


async def echo(request):
    """Tells what the handler was given."""
    about = {"verb": request.verb, "target": request.target, "body": request.body.decode("latin-1")}
    return HttpReply(200, json.dumps(about).encode())


@contextlib.contextmanager
def serving(handler=echo, tls=None, **limits):
    """Yields the port; the server has ended afterwards."""
    with serving_server(handler, tls, **limits) as (_, port):
        yield port


@contextlib.contextmanager
def serving_server(handler=echo, tls=None, **limits):
    """Yields the server and its port."""
    certificates = Certificates(tls) if isinstance(tls, TlsConfig) else tls
    settings = HttpSettings(0, "127.0.0.1", certificates, dataclasses.replace(LIMITS, **limits))
    server = HttpServer(settings, handler)
    (port,) = server.start()
    try:
        yield server, port
    finally:
        server.stop()


@dataclasses.dataclass(frozen=True)
class Answer:
    """One reply; header names in lower case."""

    status: int
    headers: list
    body: bytes

    def __getitem__(self, name):
        return dict(self.headers).get(name)

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, port, context=None, session=None):
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = plain
        if context is not None:
            self.socket = context.wrap_socket(plain, server_hostname="localhost", session=session)
        self._file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self, verb="GET"):
        """The next reply, which has a length, or comes in chunks."""
        status_line = self._file.readline()
        if not status_line:
            raise EOFError
        headers = [self._split(line) for line in iter(self._file.readline, b"\r\n")]
        status, named = int(status_line.split()[1]), dict(headers)
        if verb == "HEAD" or status == 100:
            body = b""
        elif named.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self._read_chunk, b""))
        else:
            body = self._file.read(int(named["content-length"]))
        return Answer(status, headers, body)

    def ask(self, data, verb="GET"):
        self.send(data)
        return self.read(verb)

    def is_closed(self):
        """Wait until the server has closed the connection; whether nothing came before that."""
        with contextlib.suppress(ConnectionResetError):
            return self._file.read(1) == b""
        return True

    def close(self):
        self._file.close()
        self.socket.close()

    def _read_chunk(self):
        size = int(self._file.readline(), 16)
        chunk = self._file.read(size)
        assert self._file.readline() == b"\r\n"
        return chunk

    @staticmethod
    def _split(line):
        name, _, value = line.decode("latin-1").partition(":")
        return name.lower(), value.strip()


def ask(port, data, verb="GET"):
    """One request on a connection of its own."""
    with Client(port) as client:
        return client.ask(data, verb)


def post(body, *headers, target="/v1/models/m:predict"):
    """The bytes of a POST with its length."""
    lines = [f"POST {target} HTTP/1.1", "Host: localhost", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def get(target="/v1/models/m", *headers, verb="GET", version="HTTP/1.1"):
    """The bytes of a request without a body."""
    return "\r\n".join([f"{verb} {target} {version}", *headers, "", ""]).encode("latin-1")
