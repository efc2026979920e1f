"""A server that drains, and gRPC's own clients: with another server to go to, no call is lost; none sees CANCELLED."""

import contextlib

import grpc
import pytest

from tests.mesh.callers import ANSWERED, Callers, addresses, failed, round_robin
from tests.mesh.serving import Counted, listening, pair
from tests.process.certificates import Authority
from tests.process.tls import server_credentials
from tests.process.transport import PATIENCE_S, UNARY
from tests.transport.draining import draining, ended

REPLIES = 300
# In which a client hears that a server leaves.
MOST_ROUNDS = 50
AUTHORITY = Authority("mesh")
REQUEST = b"a call"


def calling(target, **settings):
    return Callers(target, UNARY, REQUEST, is_right=lambda reply: reply == REQUEST[::-1], **settings)


@pytest.mark.behaviour("11.5", "ours: a drain costs no call of callers who know another server")
@pytest.mark.parametrize("lanes", [0, 1, 2])
@pytest.mark.parametrize("health_checking", [False, True])
def test_clients_that_spread_their_calls_lose_none(lanes, health_checking):
    with pair(lanes=lanes) as ((leaving, port), (_, other_port)):
        callers = calling(addresses(port, other_port), options=round_robin(health_checking=health_checking))
        callers.await_replies(REPLIES)
        leaving.drain(PATIENCE_S)
        callers.await_replies(REPLIES)
        assert failed(callers.stop()) == {}


@pytest.mark.behaviour("11.5", "ours: a drain costs no call of callers who know another server")
@pytest.mark.parametrize("lanes", [0, 1])
def test_clients_that_ask_for_health_have_left_before_the_server_stops(lanes):
    with pair(lanes=lanes) as ((leaving, port), (_, other_port)):
        callers = calling(addresses(port, other_port), options=round_robin(health_checking=True))
        callers.await_replies(REPLIES)
        leaving.leave()
        callers.await_replies(REPLIES)
        leaving.stop()  # At once, with no care for calls in flight.
        callers.await_replies(REPLIES)
        assert failed(callers.stop()) == {}


@pytest.mark.parametrize("lanes", [0, 1])
def test_clients_that_ask_for_a_model_s_health_call_no_server_without_it_and_none_that_leaves(lanes):
    methods = [Counted() for _ in range(3)]
    with contextlib.ExitStack() as ending:
        servers = [ending.enter_context(listening("127.0.0.1:0", lanes=lanes, method=method)) for method in methods]
        for server, _ in servers[:2]:
            server.health.set_serving("my_model", serving=True)
        (leaving, _), *_ = servers
        options = round_robin(health_checking=True, service="my_model")
        callers = calling(addresses(*(port for _, port in servers)), options=options)
        callers.await_replies(REPLIES)
        assert all(method.count for method in methods[:2])
        leaving.leave()
        assert any(not calls_meanwhile(callers, methods[0]) for _ in range(MOST_ROUNDS))
        leaving.stop()  # At once, with no care for calls in flight.
        callers.await_replies(REPLIES)
        assert failed(callers.stop()) == {}
        assert methods[2].count == 0


def calls_meanwhile(callers, method):
    """How many calls a server gets while others are answered as well."""
    before = method.count
    callers.await_replies(REPLIES)
    return method.count - before


@pytest.fixture(params=["tcp", "unix"])
def address(request, tmp_path):
    return "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/s.sock"


@pytest.mark.behaviour("11.5", "ours: a server that drains cancels no call")
@pytest.mark.parametrize("lanes", [0, 1])
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_clients_of_one_server_are_answered_or_get_unavailable(address, lanes, is_encrypted):
    identity = AUTHORITY.vouch_for("server")
    credentials = server_credentials(identity) if is_encrypted else None
    with listening(address, lanes=lanes, credentials=credentials) as (server, port):
        target = address if address.startswith("unix") else f"127.0.0.1:{port}"
        callers = calling(target, open_channel=_encrypted if is_encrypted else None)
        callers.await_replies(REPLIES)
        assert ended(draining(server))
        counts = callers.stop()
    assert counts[ANSWERED] >= REPLIES
    assert {outcome.partition(":")[0] for outcome in failed(counts)} <= {"UNAVAILABLE"}


@pytest.mark.behaviour("11.5", "ours: a server that drains cancels no call")
@pytest.mark.parametrize("lanes", [0, 1])
def test_a_server_that_is_leaving_answers_new_connections(lanes):
    with listening("127.0.0.1:0", lanes=lanes) as (server, port):
        server.leave()
        callers = calling(f"127.0.0.1:{port}")
        callers.await_replies(REPLIES)
        assert failed(callers.stop()) == {}


def _encrypted(target, options):
    options = [*options, ("grpc.ssl_target_name_override", "localhost")]
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(AUTHORITY.certificate), options)
