"""Certificates that change under connections, over gRPC (with lanes and without) and HTTPS: who gets which; no loss."""

import contextlib
import ssl
import threading

import grpc
import pytest

from servable.config.tls import TlsConfig, pem_path
from servable.transport.certificates import Certificates
from servable.transport.server import GrpcServer, HotMethods, ServerSettings
from tests.process.certificates import Authority
from tests.process.transport import PATIENCE_S, UNARY
from tests.transport.http.serving import Client, get, serving

OLD, NEW = Authority("old"), Authority("new")
BOTH = OLD.certificate + NEW.certificate


def tls(server, authority):
    """A set whose clients are of an authority."""
    return TlsConfig(server.key, server.certificate, authority, client_verify=True)


FIRST, SECOND = tls(OLD.vouch_for("first"), OLD.certificate), tls(NEW.vouch_for("second"), NEW.certificate)
OLD_CLIENT, NEW_CLIENT = OLD.vouch_for("client"), NEW.vouch_for("client")


class GrpcCaller:
    """One connection over gRPC."""

    def __init__(self, port, identity, trusted=BOTH):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        shown = grpc.ssl_channel_credentials(trusted, identity.key, identity.certificate)
        self._channel = grpc.secure_channel(f"localhost:{port}", shown, options)

    def call(self):
        try:
            return self._channel.unary_unary(UNARY)(b"x", timeout=PATIENCE_S) == b"x"
        except grpc.RpcError as error:
            raise ConnectionError(error.details()) from None

    def close(self):
        self._channel.close()


class HttpCaller:
    """One connection over HTTPS."""

    def __init__(self, port, identity, trusted=BOTH):
        context = ssl.create_default_context(cadata=trusted.decode())
        with pem_path(identity.certificate) as certificate, pem_path(identity.key) as key:
            context.load_cert_chain(certificate, key)
        self._client = Client(port, context)

    def call(self):
        return self._client.ask(get()).status == 200

    def close(self):
        self._client.close()


@contextlib.contextmanager
def serving_grpc(certificates, *, lanes, count=1):
    methods = {UNARY: lambda request, time_left_s, *_: request}
    hot = HotMethods({UNARY: lambda request, _time_left_s, reply: reply.send(request)}) if lanes else None
    addresses = ["127.0.0.1:0"] * count
    server = GrpcServer(methods, ServerSettings(addresses, lanes=lanes, certificates=certificates), hot_methods=hot)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def certificates():
    return Certificates(FIRST)


@pytest.fixture(params=["gRPC on a lane", "gRPC", "HTTPS"])
def connect(request, certificates):
    """Opens connections to a server with the certificates."""
    with contextlib.ExitStack() as stack:
        if request.param == "HTTPS":
            caller, port = HttpCaller, stack.enter_context(serving(tls=certificates))
        else:
            lanes = int("lane" in request.param)
            caller, (port,) = GrpcCaller, stack.enter_context(serving_grpc(certificates, lanes=lanes))

        @contextlib.contextmanager
        def connect(identity, trusted=BOTH):
            made = caller(port, identity, trusted)
            try:
                yield made
            finally:
                made.close()

        yield connect


def is_refused(connect, *arguments):
    try:
        with connect(*arguments) as caller:
            caller.call()
    except (ssl.SSLError, ConnectionError, EOFError):
        return True
    return False


def test_new_connections_get_the_new_certificate_and_old_ones_live_on(connect, certificates):
    with connect(OLD_CLIENT, OLD.certificate) as early:
        assert early.call()
        certificates.current = SECOND
        with connect(NEW_CLIENT, NEW.certificate) as late:
            assert late.call()
        assert is_refused(connect, NEW_CLIENT, OLD.certificate)
        assert early.call()


def test_new_connections_need_a_certificate_of_the_new_ca(connect, certificates):
    assert is_refused(connect, NEW_CLIENT)
    with connect(OLD_CLIENT) as early:
        assert early.call()
        certificates.current = SECOND
        assert is_refused(connect, OLD_CLIENT)
        assert early.call()


def test_every_address_of_a_server_gets_the_new_certificate(certificates):
    with serving_grpc(certificates, lanes=0, count=2) as ports:
        certificates.current = SECOND
        for port in ports:
            caller = GrpcCaller(port, NEW_CLIENT, NEW.certificate)
            assert caller.call()
            caller.close()


def test_a_session_that_an_old_ca_vouched_for_is_not_resumed(certificates):
    context = ssl.create_default_context(cadata=BOTH.decode())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pem_path(OLD_CLIENT.certificate) as certificate, pem_path(OLD_CLIENT.key) as key:
        context.load_cert_chain(certificate, key)
    with serving(tls=certificates) as port:
        with Client(port, context) as client:
            assert client.ask(get()).status == 200
            session = client.socket.session
        with Client(port, context, session) as client:
            assert client.socket.session_reused
        certificates.current = SECOND
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)), Client(port, context, session) as client:
            client.ask(get())


class Load:
    """Threads that call without a pause: half on one connection each, half on a new one for each call."""

    def __init__(self, connect):
        self.failures, self._replied = [], threading.Semaphore(0)
        self._connect, self._over = connect, threading.Event()
        runs = [self._run_on_one, self._run_on_many] * 2
        self._threads = [threading.Thread(target=self._watch, args=[run], daemon=True) for run in runs]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def await_replies(self, count):
        for _ in range(count):
            assert self._replied.acquire(timeout=PATIENCE_S), self.failures

    def _watch(self, run):
        try:
            run()
        except (AssertionError, OSError, EOFError) as error:
            self.failures.append(error)

    def _run_on_one(self):
        with self._connect(OLD_CLIENT) as caller:
            while not self._over.is_set():
                self._call(caller)

    def _run_on_many(self):
        while not self._over.is_set():
            with self._connect(OLD_CLIENT) as caller:
                self._call(caller)

    def _call(self, caller):
        assert caller.call()
        self._replied.release()


def test_twenty_rotations_under_load_lose_no_call(connect, certificates):
    certificates.current = tls(OLD.vouch_for("server"), BOTH)
    with Load(connect) as load:
        for authority in [NEW, OLD] * 10:
            load.await_replies(20)
            certificates.current = tls(authority.vouch_for("server"), BOTH)
        load.await_replies(20)
    assert load.failures == []
