"""Calls on a lane: what comes in, what goes out, and that it is what grpcio's own server would do."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from servable import wire
from servable.errors import FailedPrecondition, NotFound, ServingError
from tests.process.certificates import Authority
from tests.process.raw_http2 import RawClient
from tests.process.tls import server_credentials
from tests.process.transport import PATIENCE_S, UNARY, connect
from tests.transport.serving import PUBLIC, Keeper, inline, serve, serve_methods, serve_publicly

MEGABYTE = 1 << 20
NO_LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_of_many_calls_at_once_gets_its_own_reply(count):
    requests = [b"%d" % number for number in range(500)]
    with serve(lambda request, time_left_s, reply: reply.send(request[::-1]), count=count) as server:
        calls = [server.begin(request) for request in requests]
        assert [call.result(PATIENCE_S) for call in calls] == [request[::-1] for request in requests]


def test_each_method_has_its_own_path_and_the_others_stay_on_the_public_path():
    methods = {path: inline(lambda request, time_left_s, path=path: path.encode()) for path in ("/a.A/M", "/a.B/M")}
    with serve_methods(methods, count=2) as server:
        assert server.call(path="/a.A/M") == b"/a.A/M"
        assert server.call(path="/a.B/M") == b"/a.B/M"
        assert server.call(b"public", path=PUBLIC) == b"public"
        assert server.error_of(path="/a.A/N").code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_method_gets_the_time_that_is_left():
    with serve(inline(lambda request, time_left_s: repr(time_left_s).encode())) as server:
        # gRPC sends a timeout in few digits and rounds it up.
        assert 15 < float(server.call(timeout=20)) <= 21
        assert server.call(timeout=None) == b"None"


def test_metadata_of_a_client_does_no_harm():
    with serve() as server:
        assert server.call(b"x", metadata=[("key", "value"), ("key-bin", b"\0\xff"), ("key", "again")]) == b"x"


def answers_of(method, message):
    """What a lane and grpcio's server answer to the same call: (code, text, trailing metadata) each."""

    def both():
        with serve(inline(method)) as server:
            yield server.error_of(message)
        with serve_publicly(method) as channel:
            yield channel.unary_unary(UNARY).future(message, timeout=PATIENCE_S).exception(PATIENCE_S)

    return [(error.code(), error.details(), error.trailing_metadata()) for error in both()]


def raising(error):
    def method(request, time_left_s):
        raise error

    return method


@pytest.mark.parametrize("kind", ServingError.__subclasses__())
def test_an_error_has_its_code_text_and_details(kind):
    on_lane, public = answers_of(raising(kind("what is \xe4miss\n", {"hint": "h\xfclp"})), b"")
    assert on_lane == public
    code, text, metadata = on_lane
    assert (code.value[0], text) == (kind.code, "what is \xe4miss\n")
    ((key, value),) = metadata
    assert (key, wire.Status.FromString(value).code) == ("grpc-status-details-bin", kind.code)


def test_an_error_without_hints_has_push_back():
    on_lane, public = answers_of(raising(NotFound("nothing")), b"")
    assert on_lane == public == (grpc.StatusCode.NOT_FOUND, "nothing", ())


def test_a_long_text_is_cut():
    on_lane, public = answers_of(raising(NotFound("x" * 2000)), b"")
    assert on_lane == public
    assert on_lane[1] == "x" * 1024 + "...TRUNCATED"


def test_an_unforeseen_exception_is_internal_and_logged(caplog):
    on_lane, public = answers_of(raising(ZeroDivisionError("secret")), b"")
    assert on_lane == public == (grpc.StatusCode.INTERNAL, "Internal error", ())
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError] * 2


def test_a_reply_that_is_no_bytes_is_an_unforeseen_exception(caplog):
    with serve(lambda request, time_left_s, reply: reply.send("text")) as server:
        assert server.error_of().code() is grpc.StatusCode.INTERNAL
    assert [record.exc_info[0] for record in caplog.records] == [TypeError]


def test_a_method_that_raises_after_its_reply_changes_nothing():
    def answer_and_fail(request, time_left_s, reply):
        reply.send(request)
        raise FailedPrecondition("too late")

    with serve(answer_and_fail) as server:
        assert [server.call(b"%d" % number) for number in range(3)] == [b"0", b"1", b"2"]


@pytest.mark.parametrize("first", ["send", "fail"])
def test_only_the_first_answer_counts(first, caplog):
    def answer_often(request, time_left_s, reply):
        answers = {"send": lambda: reply.send(b"sent"), "fail": lambda: reply.fail(NotFound("failed"))}
        answers[first]()
        assert not reply.is_active()
        for answer in answers.values():
            answer()

    with serve(answer_often) as server:
        for _ in range(3):
            error = server.error_of()
            assert (error is None) if first == "send" else (error.details() == "failed")
    assert caplog.records == []


def test_a_reply_may_be_kept_and_answered_from_another_thread():
    keeper = Keeper()
    with serve(keeper) as server, ThreadPoolExecutor(1) as pool:
        calls = [server.begin(b"%d" % number) for number in range(3)]
        replies = [keeper.await_arrival() for _ in calls]
        assert all(reply.is_active() for reply in replies)
        for request, reply in reversed(list(zip(keeper.requests, keeper.replies, strict=True))):
            pool.submit(reply.send, request + b"!").result(PATIENCE_S)
        assert [call.result(PATIENCE_S) for call in calls] == [b"0!", b"1!", b"2!"]
        assert not any(reply.is_active() for reply in replies)


def test_a_kept_reply_may_fail():
    keeper = Keeper()
    with serve(keeper) as server:
        call = server.begin()
        keeper.await_arrival().fail(NotFound("gone", {"a": "b"}))
        error = call.exception(PATIENCE_S)
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "gone")
        assert [key for key, _ in error.trailing_metadata()] == ["grpc-status-details-bin"]


def test_threads_that_answer_at_once_mix_up_nothing():
    keeper = Keeper()
    with serve(keeper, count=2) as server, ThreadPoolExecutor(8) as pool:
        requests = [b"%d" % number for number in range(400)]
        calls = [server.begin(request) for request in requests]
        for _ in calls:
            keeper.await_arrival()
        for request, reply in zip(keeper.requests, keeper.replies, strict=True):
            pool.submit(reply.send, request) if int(request) % 3 else pool.submit(
                reply.fail, NotFound(request.decode())
            )
        for request, call in zip(requests, calls, strict=True):
            error = call.exception(PATIENCE_S)
            assert (call.result() == request) if error is None else (error.details() == request.decode())


@pytest.mark.behaviour(
    "11.2",
    "ours: on a lane too a message beyond the limit is RESOURCE_EXHAUSTED, compressed or not, and large messages pass",
)
def test_64_megabytes_pass_both_ways():
    message = bytes(64 * MEGABYTE)
    with serve(options=NO_LIMITS) as server, connect(server.address, **dict(NO_LIMITS)) as channel:
        assert channel.unary_unary(UNARY)(message, timeout=PATIENCE_S) == message


@pytest.mark.behaviour(
    "11.2",
    "ours: on a lane too a message beyond the limit is RESOURCE_EXHAUSTED, compressed or not, and large messages pass",
)
@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_request_above_the_limit_is_refused_and_others_are_not(compression):
    seen = []
    method = inline(lambda request, time_left_s: seen.append(len(request)) or request)
    with serve(method, options=[("grpc.max_receive_message_length", 1000)]) as server:
        assert server.error_of(bytes(1001), compression=compression).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert server.call(bytes(1000), compression=compression) == bytes(1000)
    assert seen == [1000]


@pytest.mark.behaviour(
    "11.2",
    "ours: on a lane too a message beyond the limit is RESOURCE_EXHAUSTED, compressed or not, and large messages pass",
)
@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_request_is_understood(compression):
    with serve() as server:
        assert server.call(bytes(MEGABYTE), compression=compression) == bytes(MEGABYTE)


def test_a_unix_socket_serves(tmp_path):
    with serve(address=f"unix:{tmp_path / 'socket'}") as server:
        assert server.call(b"x") == b"x"


def test_tls_serves():
    authority = Authority("ours")
    credentials = server_credentials(authority.vouch_for("server"))
    with serve(credentials=credentials) as server:
        trusting = grpc.ssl_channel_credentials(authority.certificate)
        with grpc.secure_channel(server.address.replace("127.0.0.1", "localhost"), trusting) as channel:
            assert channel.unary_unary(UNARY)(b"x", timeout=PATIENCE_S) == b"x"
        with pytest.raises(grpc.RpcError):
            server.call(timeout=1)


@pytest.mark.parametrize("messages", [[], [b"1", b"2"], [b"1", b"2", b"3"]])
def test_a_client_with_another_number_of_messages_gets_what_the_public_path_gives(messages):
    def answer(channel):
        try:
            return channel.stream_unary(UNARY)(iter(messages), timeout=PATIENCE_S)
        except grpc.RpcError as error:
            return error.code()

    with serve() as server, serve_publicly(lambda request, time_left_s: request) as public:
        on_lane = answer(server.channel)
        assert on_lane == answer(public)
        assert server.call(b"next") == b"next"
    assert on_lane == (b"1" if messages else grpc.StatusCode.UNIMPLEMENTED)


def test_a_client_that_streams_gets_its_unary_reply():
    with serve() as server:
        assert list(server.channel.stream_stream(UNARY)(iter([b"x"]), timeout=PATIENCE_S)) == [b"x"]


def test_several_servers_in_a_process_do_not_know_each_other():
    keepers = [Keeper(), Keeper()]
    with serve(keepers[0]) as first, serve(keepers[1]) as second:
        calls = [server.begin(b"%d" % number) for number, server in enumerate([first, second])]
        replies = [keeper.await_arrival() for keeper in keepers]
        first.stop()
        replies[1].send(b"second")
        assert calls[1].result(PATIENCE_S) == b"second"
        assert calls[0].exception(PATIENCE_S) is not None
    assert [keeper.requests for keeper in keepers] == [[b"0"], [b"1"]]


@pytest.mark.behaviour(
    "11.2", "ours: calls that send no message hold no thread on a lane, and a client that does not read delays no other"
)
def test_calls_that_send_no_message_hold_no_thread():
    with serve() as server:
        client = RawClient(server.port)
        for _ in range(90):
            client.begin(UNARY)
        assert [server.call(b"%d" % number) for number in range(20)] == [b"%d" % number for number in range(20)]
        client.close()
        assert server.call(b"after them") == b"after them"


@pytest.mark.behaviour(
    "11.2", "ours: calls that send no message hold no thread on a lane, and a client that does not read delays no other"
)
def test_a_client_that_does_not_read_its_replies_blocks_no_other():
    sent = threading.Semaphore(0)

    def send_much(request, time_left_s, reply):
        reply.send(bytes(MEGABYTE) if request == b"much" else request)
        sent.release()

    with serve(send_much) as server:
        client = RawClient(server.port, window_bytes=0)
        for _ in range(20):
            client.call(UNARY, b"much")
        for _ in range(20):
            assert sent.acquire(timeout=PATIENCE_S)
        assert server.call(b"x") == b"x"
        client.close()


def test_a_client_that_disconnects_disturbs_no_other():
    keeper = Keeper()
    with serve(keeper) as server:
        client = RawClient(server.port)
        for number in range(10):
            client.call(UNARY, b"%d" % number)
            client.begin(UNARY)
            keeper.await_arrival()
        client.close()
        call = server.begin(b"after them")
        keeper.await_arrival()
        for reply in keeper.replies:
            reply.send(b"ok")
        assert call.result(PATIENCE_S) == b"ok"


def test_a_method_can_ask_whether_other_calls_wait():
    seen, keeper = [], Keeper()

    def ask(request, time_left_s, reply):
        seen.append(reply.other_calls_waiting())
        keeper(request, time_left_s, reply)

    with serve(ask) as server:
        first = server.begin(b"1")
        keeper.await_arrival()
        second = server.begin(b"2")
        keeper.await_arrival()
        for reply in keeper.replies:
            reply.send(b"")
        assert [first.result(PATIENCE_S), second.result(PATIENCE_S)] == [b"", b""]
    assert seen == [False, True]
