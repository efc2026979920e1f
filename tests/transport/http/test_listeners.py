"""Where a server listens, in clear text and with TLS."""

import pathlib
import socket
import ssl
import tempfile

import pytest

from servable.config import ssl_config as config
from servable.config import tls
from servable.errors import Unavailable
from servable.transport.http.server import HttpServer
from servable.transport.http.settings import HttpSettings
from tests.process.certificates import Authority, ssl_config
from tests.transport.http.serving import LIMITS, PATIENCE_S, Client, echo, get, post, serving


def started(host):
    server = HttpServer(HttpSettings(0, host, None, LIMITS), echo)
    return server, *server.start()


@pytest.mark.behaviour("9.1", "all addresses of IPv6 and IPv4 are listened on")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_all_addresses_are_listened_on_by_default(host):
    server, port = started("")
    try:
        with socket.create_connection((host, port), PATIENCE_S) as connection:
            connection.sendall(get())
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
    except OSError:
        assert not socket.has_dualstack_ipv6() or host == "::1"
    finally:
        server.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_or_a_name_is_listened_on(host):
    server, port = started(host)
    try:
        with Client(port) as client:
            assert client.ask(get()).status == 200
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "Address already in use."),
        ("192.0.2.1", "Cannot assign requested address."),
        ("no-such-host.invalid", ""),
    ],
)
def test_an_address_that_cannot_be_bound_is_told(host, why):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = HttpServer(HttpSettings(port, host), echo)
        with pytest.raises(Unavailable) as caught:
            server.start()
        assert caught.value.message.startswith(f"Cannot listen on {host}:{port}: {why}")
        server.stop()


@pytest.fixture(scope="module")
def authority():
    return Authority("test CA")


@pytest.fixture(scope="module")
def identity(authority):
    return authority.vouch_for("server")


def tls_of(*arguments):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "ssl.config")
        path.write_text(ssl_config(*arguments))
        return config.read(str(path))


def context(authority, identity=None):
    made = ssl.create_default_context(cadata=authority.certificate.decode())
    made.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    if identity is not None:
        with tls.pem_path(identity.certificate) as certificate, tls.pem_path(identity.key) as key:
            made.load_cert_chain(certificate, key)
    return made


@pytest.mark.behaviour("11.1", "ours: HTTP speaks TLS with the certificates of gRPC")
def test_requests_are_answered_over_tls(authority, identity):
    with serving(tls=tls_of(identity)) as port, Client(port, context(authority)) as client:
        assert client.socket.version() in {"TLSv1.2", "TLSv1.3"}
        assert client.ask(post(b"a" * 1_000_000)).json["body"] == "a" * 1_000_000
        assert client.ask(get()).status == 200


@pytest.mark.behaviour("11.1", "ours: HTTP speaks TLS with the certificates of gRPC")
def test_a_client_must_show_a_certificate_if_the_file_says_so(authority, identity):
    with serving(tls=tls_of(identity, authority.certificate, True)) as port:
        with Client(port, context(authority, authority.vouch_for("client"))) as client:
            assert client.ask(get()).status == 200
        stranger = Authority("another CA").vouch_for("stranger")
        for other in (None, stranger):
            with (
                pytest.raises((ssl.SSLError, ConnectionError, EOFError)),
                Client(port, context(authority, other)) as client,
            ):
                client.ask(get())


def test_old_versions_of_tls_are_refused(authority, identity):
    old = context(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(tls=tls_of(identity)) as port, pytest.raises((ssl.SSLError, ConnectionError)):
        Client(port, old)


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01", get()], ids=["silent", "half", "clear text"])
def test_a_handshake_that_fails_or_takes_too_long_is_given_up(hello, authority, identity):
    with serving(tls=tls_of(identity), head_s=0.2) as port:
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
            connection.sendall(hello)
            while connection.recv(1000):
                pass
        with Client(port, context(authority)) as client:
            assert client.ask(get()).status == 200


def test_connections_in_a_handshake_are_bounded_too(authority, identity):
    with serving(tls=tls_of(identity), connections=2) as port:
        silent = [socket.create_connection(("127.0.0.1", port), PATIENCE_S) for _ in range(2)]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Client(port, context(authority))
        for connection in silent:
            connection.close()
