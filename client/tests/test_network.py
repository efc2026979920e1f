"""The network as it is: deadlines, retries, several addresses, TLS, tokens, headers, cut connections."""

import asyncio
import gc
import inspect
import json
import logging
import math
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from certificates import Authority
from half_models import fill

from servable_client import AsyncClient, Client, Tls, _network, errors
from servable_client.errors import Unavailable
from servable_client.testing import Cut, Delay, FakeModelServer, Hang


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def unused_address():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        # Bound and not listening: no other process gets the port, and connections are refused.
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def test_a_call_has_a_deadline_by_default(connect, server):
    connect(server.address, model="half").predict(1.0)
    # gRPC rounds a deadline up on its way.
    assert 25 < server.asked("Predict")[0].deadline_s < 31


def test_a_call_without_a_deadline_is_one_by_request(connect, server):
    client = connect(server.address, model="half", timeout_s=math.inf)
    client.predict(1.0)
    client.predict(1.0, timeout_s=5)
    unbound, bound = server.asked("Predict")
    assert unbound.deadline_s is None
    # gRPC rounds a deadline up on its way.
    assert bound.deadline_s < 6


def test_a_server_that_does_not_answer_ends_with_the_deadline(connect, server):
    server.misbehave(Hang(), times=None)
    with pytest.raises(errors.DeadlineExceeded):
        connect(server.address, model="half").predict(1.0, timeout_s=0.2)


def test_metadata_and_predict_share_one_deadline(connect, server):
    server.misbehave(Delay(0.3), method="GetModelMetadata")
    connect(server.address, model="half").predict(1.0, timeout_s=5)
    assert server.asked("Predict")[0].deadline_s < 4.75


def test_unavailable_is_tried_again(connect, server):
    server.misbehave(Unavailable("starting"), times=2)
    connect(server.address, model="half", infer=False).predict({"x": 1.0})
    assert len(server.asked("Predict")) == 3


def test_a_large_request_is_tried_again_too(connect, server):
    server.misbehave(Unavailable("starting"), times=1)
    large = np.zeros(1 << 20, np.float32)
    reply = connect(server.address, model="half", infer=False).predict({"x": large})
    assert reply.value.nbytes == large.nbytes
    assert len(server.asked("Predict")) == 2


def test_retries_end_after_their_number(connect, server):
    server.misbehave(Unavailable("starting"), times=None)
    with pytest.raises(errors.Unavailable, match="starting"):
        connect(server.address, model="half", infer=False, retries=2).predict({"x": 1.0})
    assert len(server.asked("Predict")) == 3


def test_retries_end_with_the_deadline(connect, server):
    server.misbehave(Unavailable("starting"), times=None)
    client = connect(server.address, model="half", infer=False, retries=4)
    with pytest.raises((errors.DeadlineExceeded, errors.Unavailable)):
        client.predict({"x": 1.0}, timeout_s=0.3)
    assert len(server.asked("Predict")) < 5


def test_retries_are_off_with_one_keyword(connect, server):
    server.misbehave(Unavailable("starting"))
    client = connect(server.address, model="half", infer=False, retries=0)
    with pytest.raises(errors.Unavailable, match="starting"):
        client.predict({"x": 1.0})
    assert len(server.asked("Predict")) == 1


@pytest.mark.parametrize("kind", [k for k in errors.ServingError.__subclasses__() if k is not errors.Unavailable])
def test_nothing_else_is_tried_again(connect, server, kind):
    server.misbehave(kind("no"))
    client = connect(server.address, model="half", infer=False)
    with pytest.raises(kind):
        client.predict({"x": 1.0})
    assert len(server.asked("Predict")) == 1


def test_a_cut_connection_is_made_again(connect, server):
    server.misbehave(Cut())
    assert connect(server.address, model="half").predict(1.0).value == 2.5
    server.misbehave(Cut())
    client = connect(server.address, model="half", infer=False, retries=0)
    with pytest.raises(errors.Unavailable):
        client.predict({"x": 1.0})
    client.wait_until_ready()
    assert client.predict({"x": 1.0}).value == 2.5


def test_a_server_that_is_not_there_is_one_clear_error(connect, unused_address):
    with pytest.raises(errors.Unavailable, match=f"cannot reach {unused_address}: no server listens there"):
        connect(unused_address, model="half").predict(1.0)


def test_a_socket_that_is_not_there_is_one_clear_error(connect, tmp_path):
    with pytest.raises(errors.Unavailable, match="no server listens there"):
        connect(f"unix:{tmp_path}/none", retries=0).health()


def test_a_client_waits_for_a_server_that_starts_later(connect):
    later = FakeModelServer().start()
    later.stop()
    client = connect(later.address, model="half")
    starter = threading.Timer(0.3, lambda: fill(later.start()))
    starter.start()
    try:
        client.wait_until_ready(timeout_s=20)
        assert client.predict(2.0).value == 3.0
    finally:
        starter.join()
        later.stop()


def test_a_client_waits_for_a_version_that_loads(connect, server):
    loading = server.model("half").become("LOADING")
    client = connect(server.address)
    with pytest.raises(errors.DeadlineExceeded, match="no version is available: 1 is LOADING"):
        client.wait_until_ready(model="half", timeout_s=0.2)
    loading.become("AVAILABLE")
    client.wait_until_ready(model="half", version=1)
    with pytest.raises(errors.DeadlineExceeded, match="NOT_FOUND"):
        client.wait_until_ready(model="nobody", timeout_s=0.2)


def test_a_server_is_ready_when_its_health_says_so_or_it_has_none(connect, server):
    client = connect(server.address)
    server.set_health("", "NOT_SERVING")
    with pytest.raises(errors.DeadlineExceeded, match="NOT_SERVING"):
        client.wait_until_ready(timeout_s=0.2)
    server.misbehave(errors.Unimplemented(""), times=None, method="Check")
    client.wait_until_ready()


def test_waiting_for_a_server_that_never_comes_says_why(connect, unused_address):
    with pytest.raises(errors.DeadlineExceeded, match=f"not ready.*no server listens there.*at {unused_address}"):
        connect(unused_address, retries=0).wait_until_ready(timeout_s=0.5)


def test_several_addresses_are_called_in_turn(connect, server):
    with FakeModelServer() as second:
        fill(second)
        client = connect([server.address, second.address], model="half", infer=False)
        for _ in range(200):
            client.predict({"x": 1.0})
            if server.asked("Predict") and second.asked("Predict"):
                break
        before = len(server.asked("Predict")), len(second.asked("Predict"))
        for _ in range(10):
            client.predict({"x": 1.0})
        assert (len(server.asked("Predict")), len(second.asked("Predict"))) == (before[0] + 5, before[1] + 5)


def test_one_of_several_addresses_may_be_down(connect, server, unused_address):
    client = connect([unused_address, server.address], model="half")
    for _ in range(5):
        assert client.predict(1.0).value == 2.5


def test_names_in_a_list_are_resolved(connect, server):
    port = server.address.rpartition(":")[2]
    assert connect([f"localhost:{port}"], model="half").predict(1.0).value == 2.5


def test_a_dns_target_works(connect, server):
    port = server.address.rpartition(":")[2]
    assert connect(f"dns:///localhost:{port}", model="half").predict(1.0).value == 2.5


def test_ipv6_addresses_are_joined_as_grpc_spells_them():
    assert _network._join_addresses(["[::1]:1", "[::2]:2"]) == "ipv6:[::1]:1,[::2]:2"
    assert _network._join_addresses(["127.0.0.1:1", "127.0.0.2:2"]) == "ipv4:127.0.0.1:1,127.0.0.2:2"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("", "empty"),
        ([], "common"),
        (["a"], "host:port"),
        (["a:b"], "host:port"),
        ([":1"], "host:port"),
        (["127.0.0.1:1", "[::1]:1"], "no address family in common"),
        (["nowhere.invalid:1"], "cannot be resolved"),
    ],
)
def test_an_address_that_is_none_is_refused(connect, target, words):
    with pytest.raises(errors.InputError, match=words):
        connect(target)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"retries": -1}, "retries"),
        ({"retries": 5}, "0 to 4"),
        ({"retries": True}, "retries"),
        ({"compression": "zip"}, "gzip"),
        ({"compression": ["gzip"]}, "gzip"),
        ({"token": "t"}, "need tls"),
        ({"call_credentials": grpc.access_token_call_credentials("t")}, "need tls"),
        ({"tls": Tls(ca="/nowhere/ca.pem")}, "ca cannot be read"),
        ({"tls": Tls(cert=b"")}, "together"),
        ({"metadata": {"Upper": "a"}}, "lower-case"),
        ({"metadata": {"a": 1}}, "expected str"),
        ({"metadata": {"a-bin": "a"}}, "expected bytes"),
    ],
)
def test_a_setting_that_is_wrong_is_refused(connect, settings, words):
    with pytest.raises(errors.InputError, match=words):
        connect("127.0.0.1:1", **settings)


def test_retries_are_jittered_backoff_for_unavailable_alone():
    options = dict(_network.Network("h:1").connection().options)
    (method,) = json.loads(options["grpc.service_config"])["methodConfig"]
    assert method["name"] == [{}]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert method["retryPolicy"]["backoffMultiplier"] > 1


def test_keepalive_stays_below_what_servers_take_for_abuse():
    options = dict(_network.Network("h:1").connection().options)
    # Servers count pings oftener than every five minutes as strikes by default.
    assert options["grpc.keepalive_time_ms"] > 300_000
    assert "grpc.keepalive_permit_without_calls" not in options


def test_options_of_the_caller_win():
    options = dict(_network.Network("h:1", options={"grpc.keepalive_time_ms": 5}).connection().options)
    assert options["grpc.keepalive_time_ms"] == 5


def test_messages_larger_than_four_megabytes_go_both_ways(connect, server):
    large = np.arange(3 << 20, dtype=np.float32)
    reply = connect(server.address, model="half").predict(large)
    np.testing.assert_array_equal(reply.value, large * np.float32(0.5) + 2)


def test_requests_are_compressed_on_request(connect, server):
    client = connect(server.address, model="half", compression="gzip")
    assert client.predict([1.0]).value.tolist() == [2.5]


def test_headers_of_the_client_and_of_the_call_are_sent(connect, server):
    client = connect(server.address, model="half", metadata={"x-tenant": "a", "x-raw-bin": b"\0\xff"})
    client.predict(1.0, metadata=[("x-trace", "1")])
    headers = server.asked("Predict")[0].metadata
    assert (headers["x-tenant"], headers["x-trace"], headers["x-raw-bin"]) == ("a", "1", b"\0\xff")


def tls_server(authority, **settings):
    key, cert = authority.issue("localhost", "127.0.0.1")
    return FakeModelServer(credentials=grpc.ssl_server_credentials([(key, cert)], **settings))


def test_tls_with_an_authority_as_bytes_or_as_a_file(connect, authority, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.certificate)
    with tls_server(authority) as running:
        fill(running)
        for ca in (authority.certificate, path, str(path)):
            assert connect(running.address, model="half", tls=Tls(ca=ca)).predict(1.0).value == 2.5


def test_mutual_tls(connect, authority):
    key, cert = authority.issue("client")
    demands = {"root_certificates": authority.certificate, "require_client_auth": True}
    with tls_server(authority, **demands) as running:
        fill(running)
        tls = Tls(ca=authority.certificate, cert=cert, key=key)
        assert connect(running.address, model="half", tls=tls).predict(1.0).value == 2.5
        with pytest.raises(errors.Unavailable):
            connect(running.address, model="half", tls=Tls(ca=authority.certificate), retries=0).predict(1.0)


@pytest.mark.parametrize("name", ["test authority", "another authority"])
def test_a_certificate_that_is_not_trusted_is_one_clear_error(connect, authority, name):
    with tls_server(authority) as running:
        client = connect(running.address, tls=Tls(ca=Authority(name).certificate), retries=0)
        with pytest.raises(errors.Unavailable, match="certificate does not match or is not trusted"):
            client.health()


def test_a_certificate_of_another_name_is_one_clear_error(connect, authority):
    with tls_server(authority) as running:
        wrong = Tls(ca=authority.certificate, server_name="other.test")
        with pytest.raises(errors.Unavailable, match="certificate does not match"):
            connect(running.address, tls=wrong, retries=0).health()
        right = Tls(ca=authority.certificate, server_name="localhost")
        assert connect(running.address, tls=right).health()


def test_tls_to_a_server_without_it_is_one_clear_error(connect, authority, server):
    with pytest.raises(errors.Unavailable, match="TLS handshake failed"):
        connect(server.address, tls=Tls(ca=authority.certificate), retries=0).health()


def test_several_addresses_with_tls(connect, authority):
    with tls_server(authority) as first, tls_server(authority) as second:
        addresses = [first.address, second.address]
        assert connect(addresses, tls=Tls(ca=authority.certificate)).health()
        with pytest.raises(errors.InputError, match="server_name"):
            connect([first.address, "localhost:1"], tls=True)


def test_a_token_is_sent_with_each_call(connect, authority):
    tokens = iter(["first", "second"])
    with tls_server(authority) as running:
        fill(running)
        tls = Tls(ca=authority.certificate, server_name="localhost")
        fixed = connect(running.address, model="half", tls=tls, token="secret")
        fixed.status()
        asked = connect(running.address, model="half", tls=tls, token=lambda: next(tokens))
        asked.status()
        asked.status()
        sent = [each.metadata["authorization"] for each in running.asked("GetModelStatus")]
        assert sent == ["Bearer secret", "Bearer first", "Bearer second"]


def test_a_token_that_cannot_be_had_fails_the_call(connect, authority):
    def fail():
        raise RuntimeError("no token today")

    with tls_server(authority) as running:
        tls = Tls(ca=authority.certificate, server_name="localhost")
        with pytest.raises(errors.ServingError, match="no token today"):
            connect(running.address, model="half", tls=tls, token=fail, retries=0).status()


def test_interceptors_see_each_call(server):
    seen = []

    class Spy(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, details, request):
            seen.append((details.method, type(request)))
            return continuation(details, request)

    class AsyncSpy(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, details, request):
            seen.append((details.method, type(request)))
            return await continuation(details, request)

    async def call():
        async with AsyncClient(server.address, model="half", interceptors=[AsyncSpy()]) as client:
            await client.status()

    with Client(server.address, model="half", interceptors=[Spy()]) as client:
        client.status()
    asyncio.run(call())
    names = [method.decode() if isinstance(method, bytes) else method for method, _ in seen]
    assert names == ["/tensorflow.serving.ModelService/GetModelStatus"] * 2
    assert {kind for _, kind in seen} == {bytes}


def test_an_interceptor_that_is_none_leaves_no_channel_open(monkeypatch):
    closed = []
    monkeypatch.setattr(grpc, "insecure_channel", lambda *_: type("Fake", (), {"close": lambda _: closed.append(1)})())
    with pytest.raises(TypeError):
        Client("127.0.0.1:1", interceptors=[object()])
    assert closed == [1]


def test_a_closed_client_says_so(connect, server):
    client = connect(server.address, model="half")
    client.predict(1.0)
    client.close()
    client.close()
    with pytest.raises(errors.ClientClosed, match="closed"):
        client.predict(1.0)


def test_leaving_the_context_closes(server):
    with Client(server.address, model="half") as client:
        client.predict(1.0)
    with pytest.raises(errors.ClientClosed):
        client.health()

    async def call():
        async with AsyncClient(server.address, model="half") as client:
            await client.predict(1.0)
        with pytest.raises(errors.ClientClosed):
            await client.health()

    asyncio.run(call())


def test_closing_ends_calls_that_are_under_way(server):
    server.misbehave(Hang(), times=None)
    client = Client(server.address, model="half", infer=False)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.predict, {"x": 1.0})
        server.wait_for(1, "Predict")
        client.close()
        with pytest.raises((errors.Cancelled, errors.ClientClosed)):
            call.result(10)


class Passing(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation, details, request):
        return await continuation(details, request)


@pytest.mark.parametrize("interceptors", [[], [Passing()]], ids=["plain", "intercepted"])
def test_closing_ends_the_tasks_that_await_calls_with_an_error_of_this_package(server, interceptors):
    server.misbehave(Hang(), times=None)

    async def call():
        client = AsyncClient(server.address, model="half", infer=False, timeout_s=math.inf, interceptors=interceptors)
        tasks = [asyncio.create_task(client.predict({"x": 1.0})) for _ in range(3)]
        tasks.append(asyncio.create_task(client.status()))
        await asyncio.to_thread(server.wait_for, 3, "Predict")
        await asyncio.to_thread(server.wait_for, 1, "GetModelStatus")
        await client.close()
        done, _ = await asyncio.wait(tasks, timeout=10)
        assert done == set(tasks)
        for task in tasks:
            assert not task.cancelled()
            assert isinstance(task.exception(), errors.Cancelled)
            assert "was closed" in str(task.exception())
            assert task.exception().target == server.address

    asyncio.run(call())


def test_a_task_that_was_cancelled_stays_cancelled_when_the_client_closes(server):
    server.misbehave(Hang(), times=None)

    async def call():
        client = AsyncClient(server.address, model="half", infer=False, timeout_s=math.inf)
        task = asyncio.create_task(client.predict({"x": 1.0}))
        await asyncio.to_thread(server.wait_for, 1, "Predict")
        task.cancel()
        await client.close()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(call())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is of Python 3.11")
def test_a_task_group_sees_that_its_client_was_closed(server):
    server.misbehave(Hang(), times=None)

    async def call():
        client = AsyncClient(server.address, model="half", infer=False, timeout_s=math.inf)
        async with asyncio.TaskGroup() as group:
            group.create_task(client.predict({"x": 1.0}))
            await asyncio.to_thread(server.wait_for, 1, "Predict")
            await client.close()

    with pytest.raises(Exception, match="TaskGroup") as caught:
        asyncio.run(call())
    assert [type(each) for each in caught.value.exceptions] == [errors.Cancelled]


def test_threads_share_a_client(server):
    with Client(server.address, model="half") as client, ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda x: client.predict([x]).value[0], range(200)))
    assert values == [x / 2 + 2 for x in range(200)]


def test_cancelling_a_task_cancels_the_call_on_the_server(server):
    cancelled = threading.Event()

    class Watch:
        """A fault that never answers, and sets an event when the call is over."""

        def apply(self, method, call, answer):
            call.wait(None)
            cancelled.set()
            return b""

    server.misbehave(Watch(), times=None)

    async def call():
        async with AsyncClient(server.address, model="half", infer=False, timeout_s=math.inf) as client:
            task = asyncio.create_task(client.predict({"x": 1.0}))
            await asyncio.to_thread(server.wait_for, 1, "Predict")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # Before the client closes, which would end the call as well.
            assert await asyncio.to_thread(cancelled.wait, 10)

    asyncio.run(call())


def test_many_asyncio_calls_share_a_channel(server):
    async def call():
        async with AsyncClient(server.address, model="half") as client:
            return await asyncio.gather(*(client.predict([float(x)]) for x in range(100)))

    assert [reply.value[0] for reply in asyncio.run(call())] == [x / 2 + 2 for x in range(100)]


def test_first_calls_at_once_ask_for_metadata_once(server):
    server.misbehave(Delay(0.3), method="GetModelMetadata")
    with Client(server.address, model="half") as client, ThreadPoolExecutor(50) as pool:
        together = threading.Barrier(50)

        def predict(x):
            together.wait(10)
            return client.predict([x]).value[0]

        assert list(pool.map(predict, range(50))) == [x / 2 + 2 for x in range(50)]
    assert len(server.asked("GetModelMetadata")) == 1


def test_first_asyncio_calls_at_once_ask_for_metadata_once(server):
    server.misbehave(Delay(0.3), method="GetModelMetadata")

    async def call():
        async with AsyncClient(server.address, model="half") as client:
            replies = await asyncio.gather(*(client.predict([x]) for x in range(50)))
            assert [reply.value[0] for reply in replies] == [x / 2 + 2 for x in range(50)]

    asyncio.run(call())
    assert len(server.asked("GetModelMetadata")) == 1


def test_a_call_that_waited_for_the_metadata_of_one_that_failed_asks_itself(server):
    server.misbehave(Hang(), method="GetModelMetadata")
    with Client(server.address, model="half") as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.predict, 1.0, timeout_s=1)
        server.wait_for(1, "GetModelMetadata")
        # Its own deadline ends its wait.
        with pytest.raises(errors.DeadlineExceeded):
            client.predict(1.0, timeout_s=0.1)
        assert pool.submit(client.predict, 1.0).result(10).value == 2.5
        with pytest.raises(errors.DeadlineExceeded):
            first.result(10)
    assert len(server.asked("GetModelMetadata")) == 2


def test_a_task_that_waited_for_the_metadata_of_one_that_was_cancelled_asks_itself(server):
    server.misbehave(Hang(), method="GetModelMetadata")

    async def call():
        async with AsyncClient(server.address, model="half") as client:
            first = asyncio.create_task(client.predict(1.0))
            await asyncio.to_thread(server.wait_for, 1, "GetModelMetadata")
            with pytest.raises(errors.DeadlineExceeded):
                await client.predict(1.0, timeout_s=0.1)
            second = asyncio.create_task(client.predict(1.0))
            await asyncio.sleep(0)
            first.cancel()
            assert (await asyncio.wait_for(second, 10)).value == 2.5
            with pytest.raises(asyncio.CancelledError):
                await first

    asyncio.run(call())
    assert len(server.asked("GetModelMetadata")) == 2


def test_calls_that_wait_for_metadata_end_when_the_client_is_closed(server):
    server.misbehave(Hang(), times=None, method="GetModelMetadata")

    async def call():
        client = AsyncClient(server.address, model="half", timeout_s=math.inf)
        tasks = [asyncio.create_task(client.predict(1.0)) for _ in range(3)]
        await asyncio.to_thread(server.wait_for, 1, "GetModelMetadata")
        await client.close()
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    assert {type(each) for each in asyncio.run(call())} <= {errors.Cancelled, errors.ClientClosed}


def test_an_asyncio_client_can_be_made_before_its_loop(server):
    client = AsyncClient(server.address, model="half")

    async def call():
        async with client:
            return await client.predict(1.0)

    assert asyncio.run(call()).value == 2.5


def test_nothing_logs_above_debug(connect, server, unused_address, caplog):
    with caplog.at_level(logging.INFO):
        connect(server.address, model="half").predict(1.0)
        with pytest.raises(errors.InputError):
            connect(server.address, model="half").predict("a")
        with pytest.raises(errors.Unavailable):
            connect(unused_address, retries=0).health()
    assert caplog.records == []


def test_public_names_are_documented():
    gc.collect()
    for kind in (Client, AsyncClient):
        assert inspect.getdoc(kind.__init__)
        for name, method in vars(kind).items():
            assert name.startswith("_") or inspect.getdoc(method)
