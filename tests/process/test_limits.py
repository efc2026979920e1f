"""Sizes, channel arguments, compression, and calls that nobody waits for any more."""

import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.process.transport import PATIENCE_S, UNARY, Gate, serve

MEGABYTE = 1 << 20
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def await_arrival_of_all(transport):
    """Wait for the answer to a later call of the same connection, which needs no thread of the busy ones."""
    health_pb2_grpc.HealthStub(transport.channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)


def code_of(call):
    return call.exception(PATIENCE_S).code()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest.mark.behaviour("11.2", "large messages pass both ways")
def test_64_megabytes_pass_both_ways():
    message = bytes(64 * MEGABYTE)
    with serve() as transport, grpc.insecure_channel(transport.address, options=UNLIMITED) as channel:
        assert channel.unary_unary(UNARY)(message, timeout=PATIENCE_S) == message


@pytest.mark.behaviour("5", "--grpc_channel_arguments")
@pytest.mark.behaviour("11.3", "channel arguments reach gRPC, the last of a key wins, unknown ones are accepted")
@pytest.mark.behaviour("12", "connection: a message beyond the limit is RESOURCE_EXHAUSTED")
def test_channel_arguments_overrule_the_size_limits():
    limits = [("grpc.max_receive_message_length", 1000)]
    with serve(channel_arguments=limits) as transport:
        assert transport.call(bytes(1000)) == bytes(1000)
        assert code_of(transport.begin(bytes(1001))) is RESOURCE_EXHAUSTED


@pytest.mark.behaviour("5", "--grpc_channel_arguments")
@pytest.mark.behaviour("11.3", "channel arguments reach gRPC, the last of a key wins, unknown ones are accepted")
def test_the_last_of_two_channel_arguments_wins():
    limits = [("grpc.max_receive_message_length", 10), ("grpc.max_receive_message_length", 1000)]
    with serve(channel_arguments=limits) as transport:
        assert transport.call(bytes(1000)) == bytes(1000)


@pytest.mark.behaviour("11.2", "compressed requests are understood and counted by what they become")
@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_request_is_understood(algorithm):
    message = bytes(MEGABYTE)
    with serve() as transport:
        assert transport.call(message, compression=algorithm) == message


@pytest.mark.behaviour("11.2", "compressed requests are understood and counted by what they become")
def test_the_limit_counts_what_a_compressed_request_becomes():
    with serve(channel_arguments=[("grpc.max_receive_message_length", 1000)]) as transport:
        call = transport.begin(bytes(MEGABYTE), compression=grpc.Compression.Gzip)
        assert code_of(call) is RESOURCE_EXHAUSTED
        assert transport.call(bytes(1000)) == bytes(1000)


@pytest.mark.behaviour("5", "--grpc_max_threads")
@pytest.mark.behaviour("11.2", "grpc_max_threads bounds the calls that run")
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_as_many_calls_run_at_a_time_as_there_are_threads(threads):
    # Each waits for all the others: one thread less and they would wait for ever.
    together = threading.Barrier(threads)
    running, most, lock = 0, 0, threading.Lock()

    def meet(request, time_left_s):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(PATIENCE_S)
        with lock:
            running -= 1
        return request

    with serve(meet, worker_threads=threads) as transport:
        calls = [transport.begin() for _ in range(3 * threads)]
        assert [call.result(PATIENCE_S) for call in calls] == [b""] * len(calls)
    assert most == threads


@pytest.mark.behaviour("11.2", "ours: a call that was cancelled or expired while it waited is not run")
def test_a_call_that_was_cancelled_while_it_waited_is_not_run(gate):
    with serve(gate, worker_threads=1) as transport:
        first = transport.begin(b"first")
        gate.await_arrival()
        waiting = transport.begin(b"cancelled")
        last = transport.begin(b"last")
        waiting.cancel()
        await_arrival_of_all(transport)
        gate.open()
        assert [first.result(PATIENCE_S), last.result(PATIENCE_S)] == [b"first", b"last"]
    assert gate.seen == [b"first", b"last"]


@pytest.mark.behaviour("1.4", "a deadline that has passed before the run")
@pytest.mark.behaviour("11.2", "ours: a call that was cancelled or expired while it waited is not run")
@pytest.mark.behaviour("12", "connection: a deadline in the queue is DEADLINE_EXCEEDED")
def test_a_call_whose_deadline_passed_while_it_waited_is_not_run(gate):
    with serve(gate, worker_threads=1) as transport:
        first = transport.begin(b"first")
        gate.await_arrival()
        late = transport.begin(b"late", timeout=0.2)
        assert code_of(late) is grpc.StatusCode.DEADLINE_EXCEEDED
        last = transport.begin(b"last")
        await_arrival_of_all(transport)
        gate.open()
        assert [first.result(PATIENCE_S), last.result(PATIENCE_S)] == [b"first", b"last"]
    assert gate.seen == [b"first", b"last"]


def test_a_method_gets_the_time_that_is_left():
    def send_time_left(request, time_left_s):
        return repr(time_left_s).encode()

    with serve(send_time_left) as transport:
        # gRPC sends a timeout in few digits and rounds it up.
        assert 0 < float(transport.call(timeout=20)) <= 21
        assert transport.call(timeout=None) == b"None"
