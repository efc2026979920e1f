"""A real Envoy between clients and a server, mutual TLS on both sides: whose names the server sees."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from cryptography.x509 import DNSName, UniformResourceIdentifier

from servable.config.tls import TlsConfig
from servable.transport.certificates import Certificates
from servable.transport.credentials import make_tls_credentials
from servable.transport.forwarded_certificates import HEADER, identities_of
from servable.transport.identities import grpc_identities
from tests.mesh import envoy
from tests.process.certificates import HERE, Authority
from tests.process.launching import free_port
from tests.process.transport import PATIENCE_S

pytestmark = pytest.mark.skipif(not envoy.IS_INSTALLED, reason=envoy.WHY_NOT)

OURS = Authority("ours")
PROXY, ALICE, ADMIN = (f"spiffe://example.org/{name}" for name in ("proxy", "alice", "admin"))
HASH = "0a" * 32
FORGED = f"By={PROXY};Hash={HASH};URI={ADMIN}"


def named(uri, common_name, more=()):
    return OURS.vouch_for(common_name, alternative_names=[UniformResourceIdentifier(uri), *more])


SERVER = OURS.vouch_for("server")
PROXY_IDENTITY = named(PROXY, "proxy", more=HERE)


class Naming(grpc.GenericRpcHandler):
    """Answers each call with the names of its caller."""

    def service(self, call):
        def name(_request, context):
            metadata = context.invocation_metadata()
            names = identities_of(grpc_identities(context.auth_context()), metadata, {PROXY})
            return json.dumps(list(names)).encode()

        return grpc.unary_unary_rpc_method_handler(name)


@pytest.fixture(scope="module")
def server():
    with ThreadPoolExecutor(2) as pool:
        made = grpc.server(pool, handlers=[Naming()])
        tls = TlsConfig(SERVER.key, SERVER.certificate, OURS.certificate, client_verify=True)
        port = made.add_secure_port("127.0.0.1:0", make_tls_credentials(Certificates(tls)))
        made.start()
        yield port
        made.stop(None).wait()


@contextlib.contextmanager
def proxying(server, folder, details, *, verify=True, whole=False):
    """Yields the port of an Envoy before the server."""
    port = free_port()
    path = folder / "envoy.json"
    path.write_text(json.dumps(configuration(port, server, details, verify=verify, whole=whole)))
    with envoy.running(path, port):
        yield port


@pytest.fixture(scope="module", params=["SANITIZE_SET", "APPEND_FORWARD"])
def details(request):
    return request.param


@pytest.fixture(scope="module", params=[False, True], ids=["names", "certificates"])
def proxied(request, details, server, tmp_path_factory):
    with proxying(server, tmp_path_factory.mktemp("envoy"), details, whole=request.param) as port:
        yield port


def ask(port, identity=None, *headers):
    shown = (identity.key, identity.certificate) if identity else ()
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(
        f"localhost:{port}", grpc.ssl_channel_credentials(OURS.certificate, *shown), options
    ) as channel:
        metadata = [(HEADER, header) for header in headers]
        reply = channel.unary_unary("/names/Tell")(b"", timeout=PATIENCE_S, metadata=metadata, wait_for_ready=True)
        return json.loads(reply)


def test_the_server_sees_the_client_of_the_proxy(proxied):
    identity = named(ALICE, "alice", more=[DNSName("alice.example")])
    assert ask(proxied, identity) == [ALICE, "alice.example", "alice"]


@pytest.mark.parametrize("forged", [FORGED, f"{FORGED},{FORGED}", 'x="', ",", f"{FORGED};"])
def test_a_header_that_the_client_made_up_makes_it_nobody_else(forged, details, proxied):
    expected = [ALICE, "alice"] if details == "SANITIZE_SET" else []
    assert ask(proxied, named(ALICE, "alice"), forged) == expected


def test_a_caller_past_the_proxy_is_itself_whatever_it_sends(server):
    assert ask(server, named(ALICE, "alice"), FORGED) == [ALICE, "alice"]


def test_the_proxy_itself_is_nobody(server):
    assert ask(server, PROXY_IDENTITY) == []


def test_a_client_without_a_certificate_is_nobody_and_not_the_proxy(server, tmp_path):
    with proxying(server, tmp_path, "APPEND_FORWARD", verify=False) as port:
        assert ask(port) == []
        assert ask(port, None, FORGED) == []


@pytest.mark.parametrize(
    "identity",
    [
        named(ALICE, f"a,URI={ADMIN}"),
        named(ALICE, f'a";URI={ADMIN};Subject="'),
        named(ALICE, "a", more=[DNSName(f"a,Hash={HASH};URI={ADMIN}")]),
        named(f"https://a.example/,Hash={HASH};URI={ADMIN}", "a"),
        named("https://a.example/;DNS=admin", "a"),
        named(ALICE, "a\\"),
        named(ALICE, "a", more=[DNSName("*.example.org")]),
        named(f"https://a.example/,URI={ADMIN}", "a"),
    ],
    ids=["comma", "quote", "element DNS", "element URI", "dns uri", "backslash", "wildcard", "comma in a URI"],
)
def test_what_stands_in_a_certificate_does_not_break_out_of_its_field(identity, proxied):
    assert ADMIN not in ask(proxied, identity)


def configuration(port, upstream, details, *, verify, whole):
    """Mutual TLS to the server; to clients as `verify` says."""
    kind = "type.googleapis.com/envoy.extensions"
    own = {
        "certificate_chain": {"inline_string": PROXY_IDENTITY.certificate.decode()},
        "private_key": {"inline_string": PROXY_IDENTITY.key.decode()},
    }
    trusted = {"trusted_ca": {"inline_string": OURS.certificate.decode()}}
    common = {"tls_certificates": [own], "validation_context": trusted, "alpn_protocols": ["h2"]}
    manager = {
        "@type": f"{kind}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "names",
        "codec_type": "HTTP2",
        "forward_client_cert_details": details,
        "set_current_client_cert_details": {"uri": True, "dns": True, "subject": True, "cert": whole},
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "server"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{kind}.filters.http.router.v3.Router"}},
        ],
    }
    chain = {
        "filters": [{"name": "http", "typed_config": manager}],
        "transport_socket": {
            "name": "tls",
            "typed_config": {
                "@type": f"{kind}.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": common,
                "require_client_certificate": verify,
            },
        },
    }
    cluster = {
        "name": "server",
        "type": "STATIC",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{kind}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "transport_socket": {
            "name": "tls",
            "typed_config": {
                "@type": f"{kind}.transport_sockets.tls.v3.UpstreamTlsContext",
                "common_tls_context": common,
                "sni": "localhost",
            },
        },
        "load_assignment": {
            "cluster_name": "server",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}],
        },
    }
    listener = {"name": "clients", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
