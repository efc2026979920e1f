"""The names of peers by their certificates, over real TLS: gRPC's and HTTP's give the same, and forgeries give none."""

import contextlib
import ssl
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from cryptography.x509 import DNSName, RFC822Name, UniformResourceIdentifier
from hypothesis import given
from hypothesis import strategies as st

from servable.config.tls import TlsConfig, pem_path
from servable.transport.certificates import Certificates
from servable.transport.credentials import make_tls_credentials
from servable.transport.http.tls import make_context
from servable.transport.identities import grpc_identities, http_identities, is_dns_name, is_uri, make_names
from tests.process.certificates import HERE, Authority
from tests.process.transport import PATIENCE_S

OURS = Authority("ours")
SERVER = OURS.vouch_for("server")
SPIFFE = "spiffe://example.org/ns/prod/sa/web"


def tls(*, verify=True):
    return TlsConfig(SERVER.key, SERVER.certificate, OURS.certificate, verify)


class Naming(grpc.GenericRpcHandler):
    """Answers each call with the caller's names, and keeps what gRPC says of the connection."""

    def __init__(self):
        self.auth_context = {}

    def service(self, call):
        def name(_request, context):
            self.auth_context = dict(context.auth_context())
            return "\n".join(grpc_identities(self.auth_context)).encode()

        return grpc.unary_unary_rpc_method_handler(name)


@contextlib.contextmanager
def naming(credentials):
    with ThreadPoolExecutor(1) as pool:
        handlers = Naming()
        server = grpc.server(pool, handlers=[handlers])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        yield handlers, f"localhost:{port}"
        server.stop(None).wait()


@pytest.fixture(scope="module")
def verifying():
    with naming(make_tls_credentials(Certificates(tls()))) as server:
        yield server


def ask(address, identity=None):
    shown = (identity.key, identity.certificate) if identity else ()
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(OURS.certificate, *shown), options) as channel:
        return tuple(filter(None, channel.unary_unary("/names/Tell")(b"", timeout=PATIENCE_S).decode().split("\n")))


def names_over_http(identity, *, verify=True):
    """A handshake in memory, as asyncio makes it."""
    here, there = make_context(tls(verify=verify)), ssl.create_default_context(cadata=OURS.certificate.decode())
    if identity is not None:
        with pem_path(identity.certificate) as certificate, pem_path(identity.key) as key:
            there.load_cert_chain(certificate, key)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = here.wrap_bio(up, down, server_side=True)
    client = there.wrap_bio(down, up, server_hostname="localhost")
    done = set()
    while len(done) < 2:
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
                done.add(side)
    return http_identities(server)


CASES = {
    "a workload": ([UniformResourceIdentifier(SPIFFE)], [SPIFFE, "cn"]),
    "URIs, then DNS names, then the common name": (
        [DNSName("b.example"), UniformResourceIdentifier("https://a.example/x"), DNSName("a.example")],
        ["https://a.example/x", "b.example", "a.example", "cn"],
    ),
    "only a common name": ([], ["cn"]),
    "any case of DNS": ([DNSName("A.Example")], ["a.example", "cn"]),
    "a wildcard": ([DNSName("*.example.com"), DNSName("*")], ["cn"]),
    "mail and addresses": ([RFC822Name("root@example.org"), HERE[1]], ["cn"]),
    "mail as DNS name": ([DNSName("root@example.org")], ["cn"]),
    "NUL in a DNS name": ([DNSName("admin.example\0.evil.example")], ["cn"]),
    "NUL in a URI": ([UniformResourceIdentifier(SPIFFE + "\0.evil")], ["cn"]),
    "two SPIFFE IDs": ([UniformResourceIdentifier(SPIFFE), UniformResourceIdentifier(SPIFFE + "2")], ["cn"]),
    "a SPIFFE ID and another URI": (
        [UniformResourceIdentifier(SPIFFE), UniformResourceIdentifier("urn:a")],
        ["urn:a", "cn"],
    ),
    "a URI as DNS name": ([DNSName(SPIFFE)], ["cn"]),
    "a list in one name": ([DNSName("a.example,admin.example")], ["cn"]),
}


@pytest.mark.parametrize("case", CASES)
def test_both_protocols_give_the_names_that_may_be_compared_with_rules(case, verifying):
    alternative_names, expected = CASES[case]
    identity = OURS.vouch_for("cn", alternative_names=alternative_names)
    assert ask(verifying[1], identity) == tuple(expected)
    assert names_over_http(identity) == tuple(expected)


@pytest.mark.parametrize(
    "common_names",
    [(SPIFFE,), ("one", "two"), ("*",), ("a\0b",), ("urn:admin",), ("a\nb",)],
    ids=["a SPIFFE ID", "two", "a wildcard", "NUL", "a URI", "two lines"],
)
def test_a_common_name_is_taken_for_nothing_else(common_names, verifying):
    name, *more = common_names
    identity = OURS.vouch_for(name, more_names=more, alternative_names=())
    assert ask(verifying[1], identity) == ()
    assert names_over_http(identity) == ()


def test_who_is_not_asked_for_a_certificate_has_no_names():
    identity = OURS.vouch_for("cn")
    with naming(make_tls_credentials(Certificates(tls(verify=False)))) as (_, address):
        assert ask(address, identity) == ()
    assert names_over_http(identity, verify=False) == ()
    assert http_identities(None) == ()


def test_who_shows_no_certificate_where_it_is_asked_for_and_not_verified_has_no_names():
    context = make_context(tls())
    context.verify_mode = ssl.CERT_OPTIONAL
    assert http_identities(context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"security_level": [b"TSI_SECURITY_NONE"]},
        {"security_level": []},
        {"transport_security_type": [b"insecure"]},
        {"transport_security_type": [b"ssl", b"ssl"]},
        {"x509_pem_cert": []},
        {"x509_pem_cert": [SERVER.certificate, SERVER.certificate]},
        {"x509_pem_cert": [b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]},
        {"x509_pem_cert": [b"\xff"]},
    ],
)
def test_a_connection_that_is_not_as_it_should_be_gives_no_names(change, verifying):
    handlers, address = verifying
    assert ask(address, OURS.vouch_for("cn"))
    assert grpc_identities(handlers.auth_context)
    assert grpc_identities({**handlers.auth_context, **change}) == ()


def test_a_name_is_given_once():
    assert make_names(dns_names=["a", "A"], common_names=["a"]) == ("a",)


@pytest.mark.parametrize(
    "uri",
    ["spiffe://example.org/a", "spiffe://a/.../b", "spiffe://a_b-1.c/A.Z_0-9/..a", "spiffe://" + "a" * 255 + "/b"],
)
def test_ids_of_workloads_are_taken(uri):
    assert is_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://", "spiffe://example.org", "spiffe://example.org/", "spiffe:///a", "spiffe://a//b", "spiffe://a/b/",
        "spiffe://a/./b", "spiffe://a/..", "spiffe://A/b", "SPIFFE://a/b", "spiffe:a", "spiffe://a/b?c", "spiffe://a/b#c",
        "spiffe://a:1/b", "spiffe://u@a/b", "spiffe://a/%41", "spiffe://a/b\n", "spiffe://a/b c", "spiffe://ä/b",
        "spiffe://" + "a" * 256 + "/b", "spiffe://a/" + "b" * 2048, "", "no-scheme", "a: b",
    ],
)  # fmt: skip
def test_other_texts_are_no_ids(uri):
    assert not is_uri(uri)


@given(st.text(max_size=300))
def test_no_text_is_two_kinds_of_name(text):
    assert not (is_uri(text) and is_dns_name(text))
    for name in make_names(dns_names=[text], common_names=[text]):
        assert not is_uri(name)
        assert "\0" not in name
        assert "*" not in name
