"""TLS and mutual TLS with real certificates, over TCP and unix sockets, and never clear text in their place."""

import contextlib
import dataclasses
import logging
import ssl
import threading

import grpc
import pytest

from servable import app
from servable.config.tls import pem_path
from servable.errors import InvalidArgument, Unavailable
from servable.options import ServerOptions
from servable.transport.server import GrpcServer, ServerSettings
from tests.process.certificates import Authority, ssl_config
from tests.process.launching import free_port, is_open
from tests.process.tls import server_credentials
from tests.process.transport import PATIENCE_S, UNARY, NoModel
from tests.transport.http.serving import Client, get

OURS, THEIRS = Authority("ours"), Authority("theirs")
SERVER = OURS.vouch_for("server")
CLIENT, STRANGER = OURS.vouch_for("client"), THEIRS.vouch_for("client")


@pytest.fixture(scope="module", params=["tcp", "unix"])
def find_address(request, tmp_path_factory):
    """Gives an address of its own to each server."""
    if request.param == "unix":
        return lambda: f"unix:{tmp_path_factory.mktemp('sockets') / 'servable.sock'}"
    return lambda: f"127.0.0.1:{free_port()}"


@contextlib.contextmanager
def listening(address, credentials):
    server = GrpcServer({UNARY: lambda request, *_: request}, ServerSettings([address], credentials))
    server.start()
    try:
        yield address
    finally:
        server.stop()


@pytest.fixture(scope="module")
def encrypted(find_address):
    with listening(find_address(), server_credentials(SERVER)) as address:
        yield address


@pytest.fixture(scope="module")
def verifying(find_address):
    with listening(find_address(), server_credentials(SERVER, OURS.certificate, client_verify=True)) as address:
        yield address


def call(address, credentials=None):
    """One call; a unix socket has no name that a certificate could bear."""
    options = [
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
    ]
    if credentials is None:
        channel = grpc.insecure_channel(address, options=options[1:])
    else:
        channel = grpc.secure_channel(address, credentials, options=options)
    with channel:
        return channel.unary_unary(UNARY)(b"a call", timeout=PATIENCE_S)


def trusting(authority, identity=None):
    if identity is None:
        return grpc.ssl_channel_credentials(authority.certificate)
    return grpc.ssl_channel_credentials(authority.certificate, identity.key, identity.certificate)


def refused(address, credentials=None):
    with pytest.raises(grpc.RpcError) as caught:
        call(address, credentials)
    return caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.behaviour("11.1", "TLS on TCP and on the unix socket, and never clear text")
def test_a_client_that_trusts_the_ca_is_answered(encrypted):
    assert call(encrypted, trusting(OURS)) == b"a call"


@pytest.mark.behaviour("11.1", "TLS on TCP and on the unix socket, and never clear text")
@pytest.mark.behaviour("12", "connection: clear text to a TLS port, another CA, or no certificate is UNAVAILABLE")
def test_a_client_in_clear_text_is_refused(encrypted):
    assert refused(encrypted)


@pytest.mark.behaviour("11.1", "TLS on TCP and on the unix socket, and never clear text")
@pytest.mark.behaviour("12", "connection: clear text to a TLS port, another CA, or no certificate is UNAVAILABLE")
def test_a_client_that_trusts_another_ca_refuses(encrypted):
    assert refused(encrypted, trusting(THEIRS))


@pytest.mark.behaviour("11.1", "client_verify requires and verifies a certificate; without it none is asked for")
def test_a_client_certificate_is_not_asked_for_unless_verified(encrypted):
    assert call(encrypted, trusting(OURS, STRANGER)) == b"a call"


@pytest.mark.behaviour("11.1", "client_verify requires and verifies a certificate; without it none is asked for")
def test_a_verified_client_is_answered(verifying):
    assert call(verifying, trusting(OURS, CLIENT)) == b"a call"


@pytest.mark.behaviour("11.1", "client_verify requires and verifies a certificate; without it none is asked for")
@pytest.mark.behaviour("12", "connection: clear text to a TLS port, another CA, or no certificate is UNAVAILABLE")
@pytest.mark.parametrize("identity", [None, STRANGER], ids=["none", "another CA's"])
def test_a_client_without_a_certificate_of_the_ca_is_refused(verifying, identity):
    assert refused(verifying, trusting(OURS, identity))


@pytest.mark.behaviour("11.1", "client_verify requires and verifies a certificate; without it none is asked for")
def test_a_verifying_server_refuses_clear_text(verifying):
    assert refused(verifying)


@pytest.mark.behaviour("11.1", "client_verify requires and verifies a certificate; without it none is asked for")
def test_a_ca_without_client_verify_asks_nobody(tmp_path):
    with listening(f"unix:{tmp_path}/s", server_credentials(SERVER, OURS.certificate)) as address:
        assert call(address, trusting(OURS)) == b"a call"


@pytest.mark.behaviour("11.1", "TLS on TCP and on the unix socket, and never clear text")
def test_credentials_that_grpc_cannot_use_open_no_port():
    port = free_port()
    broken = grpc.ssl_server_credentials([(SERVER.key, STRANGER.certificate)])
    server = GrpcServer({}, ServerSettings([f"127.0.0.1:{port}"], broken))
    with pytest.raises(Unavailable) as caught:
        server.start()
    assert caught.value.message == (
        f"Cannot listen on 127.0.0.1:{port}: the address is in use or not this machine's, "
        "or key and certificate do not fit."
    )
    assert not is_open(port)


@pytest.mark.behaviour("5", "--ssl_config_file")
@pytest.mark.behaviour("11.1", "TLS on TCP and on the unix socket, and never clear text")
def test_the_flag_makes_a_server_that_speaks_tls_only_on_every_address(tmp_path):
    config, socket_path = tmp_path / "ssl.config", tmp_path / "s.sock"
    config.write_text(ssl_config(SERVER))
    (tmp_path / "m" / "1").mkdir(parents=True)
    options = ServerOptions(
        model_base_path=f"{tmp_path}/m",
        ssl_config_file=str(config),
        grpc_socket_path=str(socket_path),
        port=free_port(),
        bind_address="127.0.0.1",
    )
    configuration = app.configure(options)
    server = app.Server(configuration, lambda directory: NoModel())
    server.start()
    assert configuration.settings.addresses == [f"127.0.0.1:{options.port}", f"unix:{socket_path}"]
    for address in configuration.settings.addresses:
        assert refused(address)
        with pytest.raises(grpc.RpcError) as caught:
            call(address, trusting(OURS))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    server.stop()


@dataclasses.dataclass
class Files:
    """Files with certificates, and the flags that name them."""

    folder: object

    def write(self, identity, clients_of):
        (self.folder / "tls.crt").write_bytes(identity.certificate)
        (self.folder / "tls.key").write_bytes(identity.key)
        (self.folder / "ca.crt").write_bytes(clients_of.certificate)

    @property
    def flags(self):
        names = {"tls_certificate_file": "tls.crt", "tls_key_file": "tls.key", "tls_client_ca_file": "ca.crt"}
        return {flag: str(self.folder / name) for flag, name in names.items()}


class Awaited(logging.Handler):
    """Sees the line of the log that says that new certificates were taken up."""

    def __init__(self):
        super().__init__()
        self.seen = threading.Event()

    def emit(self, record):
        if record.getMessage().startswith("new certificates from tls_certificate_file"):
            self.seen.set()


@pytest.fixture
def taken_up(caplog):
    caplog.set_level(logging.INFO, "servable")
    handler = Awaited()
    logging.getLogger("servable").addHandler(handler)
    yield handler.seen
    logging.getLogger("servable").removeHandler(handler)


def metrics_over(port, authority, identity):
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    with pem_path(identity.certificate) as certificate, pem_path(identity.key) as key:
        context.load_cert_chain(certificate, key)
    with Client(port, context) as client:
        return client.ask(get("/metrics")).body.decode()


def test_files_with_certificates_that_change_are_taken_up_on_every_port(tmp_path, taken_up):
    (tmp_path / "m" / "1").mkdir(parents=True)
    files = Files(tmp_path)
    files.write(OURS.vouch_for("server"), OURS)
    grpc_port, admin_port, metrics_port = free_port(), free_port(), free_port()
    options = ServerOptions(
        model_base_path=f"{tmp_path}/m",
        port=grpc_port,
        admin_port=admin_port,
        metrics_port=metrics_port,
        bind_address="127.0.0.1",
        **files.flags,
    )
    server = app.Server(app.configure(options), lambda directory: NoModel())
    server.start()
    try:
        addresses = [f"127.0.0.1:{port}" for port in (grpc_port, admin_port)]
        assert all(map(refused, addresses))
        assert all(refused(address, trusting(OURS)) for address in addresses)
        assert answered(addresses, trusting(OURS, CLIENT))
        files.write(THEIRS.vouch_for("server"), THEIRS)
        assert taken_up.wait(PATIENCE_S)
        assert answered(addresses, trusting(THEIRS, STRANGER))
        assert all(refused(address, trusting(THEIRS, CLIENT)) for address in addresses)
        page = metrics_over(metrics_port, THEIRS, STRANGER)
        assert 'servable_tls_reloads_total{outcome="taken"} 1' in page
        assert "servable_tls_certificate_expiry_timestamp_seconds 2.8" in page
    finally:
        server.stop()


def answered(addresses, credentials):
    """Whether each knows the caller, if not the method."""
    for address in addresses:
        with pytest.raises(grpc.RpcError) as caught:
            call(address, credentials)
        if caught.value.code() is not grpc.StatusCode.UNIMPLEMENTED:
            return False
    return True


def test_trusted_proxies_need_verified_clients_as_the_error_says(tmp_path):
    files = Files(tmp_path)
    files.write(SERVER, OURS)
    flags = {"model_base_path": f"{tmp_path}/m", "trusted_proxies": "spiffe://example.org/envoy"}
    without_ca = {**files.flags, "tls_client_ca_file": ""}
    plain, verifying = tmp_path / "plain", tmp_path / "verifying"
    plain.write_text(ssl_config(SERVER, OURS.certificate))
    verifying.write_text(ssl_config(SERVER, OURS.certificate, client_verify=True))
    for wrong in ({}, without_ca, {"ssl_config_file": str(plain)}):
        with pytest.raises(InvalidArgument, match="trusted_proxies needs verified certificates of clients"):
            app.configure(ServerOptions(**flags, **wrong))
    for right in (files.flags, {"ssl_config_file": str(verifying)}):
        configuration = app.configure(ServerOptions(**flags, **right))
        assert configuration.trusted_proxies == {"spiffe://example.org/envoy"}
