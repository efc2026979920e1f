"""A drain loses no call: each is answered, or UNAVAILABLE so that its caller can try elsewhere."""

import collections
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.process.raw_http2 import RawClient
from tests.process.transport import PATIENCE_S, UNARY, Gate, serve
from tests.transport.draining import drain_while_many_call, draining, ended


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest.mark.behaviour("11.5", "ours: in a drain each call is answered or UNAVAILABLE")
@pytest.mark.behaviour("12", "connection: a server that drains is UNAVAILABLE")
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("calls_before", [0, 1, 20, 100])
def test_while_many_clients_call_each_call_is_answered_or_unavailable(workers, calls_before):
    run = collections.Counter()

    def reverse(request, time_left_s):
        run[request] += 1
        return request[::-1]

    with serve(reverse, worker_threads=workers) as transport:
        answered = drain_while_many_call(transport.server, transport.address, calls_before)
    # What ran was answered, and ran once.
    assert run == collections.Counter(answered)


@pytest.mark.behaviour("11.5", "ours: in a drain each call is answered or UNAVAILABLE")
def test_a_call_in_flight_ends_with_its_answer(gate):
    with serve(gate) as transport:
        call = transport.begin(b"slow")
        gate.await_arrival()
        drain = draining(transport.server)
        await_refusals(transport)
        gate.open()
        assert call.result(PATIENCE_S) == b"slow"
        assert ended(drain)


@pytest.mark.behaviour("11.5", "ours: in a drain each call is answered or UNAVAILABLE")
def test_a_call_that_waits_for_a_thread_ends_with_its_answer(gate):
    with serve(gate, worker_threads=1) as transport:
        first = transport.begin(b"first")
        gate.await_arrival()
        second = transport.begin(b"second")
        assert health_of(transport) == health_pb2.HealthCheckResponse.NOT_SERVING  # The second has arrived before it.
        drain = draining(transport.server)
        await_refusals(transport)
        gate.open()
        assert [first.result(PATIENCE_S), second.result(PATIENCE_S)] == [b"first", b"second"]
        assert ended(drain)


@pytest.mark.behaviour("11.5", "ours: in a drain each call is answered or UNAVAILABLE")
def test_new_calls_are_refused_even_if_all_threads_are_busy(gate):
    with serve(gate, worker_threads=1) as transport:
        call = transport.begin()
        gate.await_arrival()
        drain = draining(transport.server)
        await_refusals(transport)
        for path in (UNARY, "/test.Service/Unknown"):
            with pytest.raises(grpc.RpcError) as caught:
                transport.call(path=path)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not call.done()
        gate.open()
        assert call.result(PATIENCE_S) == b""
        assert ended(drain)


@pytest.mark.behaviour("5", "ours: --drain_timeout_s")
@pytest.mark.parametrize("grace_s", [0.0, 0.2])
def test_a_call_that_outlasts_the_grace_is_cut(gate, grace_s):
    with serve(gate) as transport:
        call = transport.begin()
        gate.await_arrival()
        assert ended(draining(transport.server, grace_s))
        assert call.exception(PATIENCE_S).code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.behaviour("5", "ours: --drain_timeout_s")
@pytest.mark.parametrize("grace_s", [1e10, float("inf")])
def test_a_grace_without_end_is_one(gate, grace_s):
    with serve(gate) as transport:
        call = transport.begin()
        gate.await_arrival()
        drain = draining(transport.server, grace_s)
        await_refusals(transport)
        gate.open()
        assert call.result(PATIENCE_S) == b""
        assert ended(drain)


@pytest.mark.behaviour("11.5", "ours: streams of health and reflection hold up no drain")
def test_open_streams_hold_up_no_drain():
    with serve() as transport:
        transport.server.health.set_serving("", serving=True)
        watch = health_pb2_grpc.HealthStub(transport.channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        questions = Held([reflection_pb2.ServerReflectionRequest(list_services="")])
        answers = reflection_pb2_grpc.ServerReflectionStub(transport.channel).ServerReflectionInfo(questions)
        assert next(answers).HasField("list_services_response")
        assert ended(draining(transport.server))
        assert [response.status for response in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]
        with pytest.raises(grpc.RpcError):
            next(answers)
        questions.release()


@pytest.mark.behaviour("11.5", "ours: streams of health and reflection hold up no drain")
def test_a_client_that_does_not_read_its_watch_holds_up_a_drain_no_longer_than_the_grace():
    with serve() as transport:
        client = RawClient(transport.port, window_bytes=0)
        client.call("/grpc.health.v1.Health/Watch", b"")
        assert health_of(transport) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert ended(draining(transport.server, 0.2))
        client.close()


def test_a_client_that_never_sends_its_message_holds_up_a_drain_no_longer_than_the_grace():
    with serve(worker_threads=2) as transport:
        client = RawClient(transport.port)
        client.begin(UNARY)
        assert transport.call(b"after it") == b"after it"
        assert ended(draining(transport.server, 0.2))
        client.close()


def test_a_stopped_server_can_be_stopped_again():
    with serve() as transport:
        assert ended(draining(transport.server))
        transport.server.stop()


class Held:
    """An iterator of requests that keeps its stream open until it is released."""

    def __init__(self, requests):
        self._requests = iter(requests)
        self._released = threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        for request in self._requests:
            return request
        self._released.wait(PATIENCE_S)
        raise StopIteration

    def release(self):
        self._released.set()


def health_of(transport):
    stub = health_pb2_grpc.HealthStub(transport.channel)
    return stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S).status


def await_refusals(transport):
    """Make calls, on a path that nobody serves, until the server can no longer be reached."""
    code = grpc.StatusCode.UNIMPLEMENTED
    while code is not grpc.StatusCode.UNAVAILABLE:
        with pytest.raises(grpc.RpcError) as caught:
            transport.call(path="/test.Service/Unknown", timeout=0.2)  # All threads may be busy.
        code = caught.value.code()
