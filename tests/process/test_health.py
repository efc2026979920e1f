"""grpc.health.v1 over a transport of its own: names, Watch streams, and answers however busy the server is."""

import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servable.transport.handlers import OpenStreams
from tests.process.raw_http2 import RawClient
from tests.process.transport import PATIENCE_S, Gate, serve

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
WATCH = "/grpc.health.v1.Health/Watch"


def check(channel, service=""):
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE_S).status


def watch(channel, service=""):
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Watch(request, timeout=PATIENCE_S)


@pytest.mark.behaviour(
    "1.1",
    "ours: health is on without its flag, knows full service names and each model, and nothing serves "
    "before it is ready",
)
def test_nothing_serves_before_it_is_set_to():
    with serve() as transport:
        assert check(transport.channel) == NOT_SERVING
        transport.server.health.set_serving("", serving=True)
        assert check(transport.channel) == SERVING


@pytest.mark.behaviour("1.1", "a health name that is not known is NOT_FOUND to Check and SERVICE_UNKNOWN to Watch")
def test_an_unknown_name_is_not_found():
    with serve() as transport:
        with pytest.raises(grpc.RpcError) as caught:
            check(transport.channel, "nobody")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.behaviour("1.1", "a health name that is not known is NOT_FOUND to Check and SERVICE_UNKNOWN to Watch")
def test_a_watch_follows_each_change():
    with serve() as transport:
        health = transport.server.health
        statuses = watch(transport.channel, "m")
        assert next(statuses).status == SERVICE_UNKNOWN
        for serving in (False, True, False):
            health.set_serving("m", serving=serving)
            assert next(statuses).status == (SERVING if serving else NOT_SERVING)
        statuses.cancel()


needs_list = pytest.mark.skipif(not hasattr(health_pb2, "HealthListRequest"), reason="this grpcio describes no List")


def list_all(channel):
    reply = health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest(), timeout=PATIENCE_S)
    return {name: response.status for name, response in reply.statuses.items()}


@needs_list
@pytest.mark.behaviour("1.1", "ours: List has the status of each name that Check knows")
def test_all_names_are_listed_with_the_statuses_of_check():
    with serve() as transport:
        assert list_all(transport.channel) == {"": NOT_SERVING}
        for name, serving in {"": True, "m": True, "n": False}.items():
            transport.server.health.set_serving(name, serving=serving)
        transport.server.health.set_serving("m", serving=False)
        listed = list_all(transport.channel)
        assert listed == {"": SERVING, "m": NOT_SERVING, "n": NOT_SERVING}
        assert listed == {name: check(transport.channel, name) for name in listed}


@needs_list
@pytest.mark.behaviour("1.1", "ours: List has the status of each name that Check knows")
def test_in_a_drain_the_names_that_were_known_are_listed_as_not_serving():
    with serve() as transport:
        transport.server.health.set_serving("m", serving=True)
        transport.server.health.drain()
        transport.server.health.set_serving("late", serving=True)
        assert list_all(transport.channel) == {"": NOT_SERVING, "m": NOT_SERVING}


@needs_list
@pytest.mark.behaviour("1.1", "ours: health answers however busy the models are and however many watch")
def test_names_are_listed_while_all_threads_are_busy():
    gate = Gate()
    with serve(gate, worker_threads=1) as transport:
        call = transport.begin()
        gate.await_arrival()
        assert list_all(transport.channel) == {"": NOT_SERVING}
        gate.open()
        assert call.result(PATIENCE_S) == b""


@pytest.mark.behaviour("11.5", "ours: streams of health and reflection hold up no drain")
def test_a_drain_is_for_good():
    with serve() as transport:
        health = transport.server.health
        health.set_serving("m", serving=True)
        statuses = watch(transport.channel, "m")
        assert next(statuses).status == SERVING
        health.drain()
        health.set_serving("m", serving=True)
        assert next(statuses).status == NOT_SERVING
        assert check(transport.channel, "m") == check(transport.channel) == NOT_SERVING
        statuses.cancel()


@pytest.mark.behaviour("11.5", "ours: a server that can no longer serve says NOT_SERVING for good")
def test_a_failure_is_for_good_sent_to_watchers_and_logged_once(caplog):
    with serve() as transport:
        health = transport.server.health
        for name in ("", "m"):
            health.set_serving(name, serving=True)
        streams = {name: watch(transport.channel, name) for name in ("", "m")}
        assert [next(stream).status for stream in streams.values()] == [SERVING] * 2
        failures = [threading.Thread(target=health.fail, args=("a thread has ended",)) for _ in range(8)]
        for failure in failures:
            failure.start()
        for failure in failures:
            failure.join(PATIENCE_S)
        health.set_serving("m", serving=True)
        assert [next(stream).status for stream in streams.values()] == [NOT_SERVING] * 2
        assert [check(transport.channel, name) for name in streams] == [NOT_SERVING] * 2
        assert [r.getMessage() for r in caplog.records if r.name == "servable.transport.health"] == [
            "NOT_SERVING from now on: a thread has ended"
        ]
        for stream in streams.values():
            stream.cancel()


@pytest.mark.behaviour("1.1", "ours: health answers however busy the models are and however many watch")
def test_health_answers_while_all_threads_are_busy():
    gate = Gate()
    with serve(gate, worker_threads=1) as transport:
        call = transport.begin()
        gate.await_arrival()
        transport.begin()
        assert check(transport.channel) == NOT_SERVING
        assert next(watch(transport.channel)).status == NOT_SERVING
        gate.open()
        assert call.result(PATIENCE_S) == b""


@pytest.mark.behaviour("1.1", "ours: health answers however busy the models are and however many watch")
def test_health_answers_while_a_hundred_watch():
    with serve() as transport:
        streams = [watch(transport.channel) for _ in range(100)]
        assert [next(stream).status for stream in streams] == [NOT_SERVING] * 100
        assert check(transport.channel) == NOT_SERVING
        late = watch(transport.channel)
        assert next(late).status == NOT_SERVING
        transport.server.health.set_serving("", serving=True)
        assert [next(stream).status for stream in [*streams, late]] == [SERVING] * 101


@pytest.mark.behaviour("1.1", "streams of health and reflection hold up no call")
def test_a_hundred_watchers_hold_up_no_call():
    with serve(worker_threads=1) as transport:
        streams = [watch(transport.channel) for _ in range(100)]
        assert [next(stream).status for stream in streams] == [NOT_SERVING] * 100
        assert transport.call(b"a call") == b"a call"


@pytest.mark.behaviour("1.1", "ours: health answers however busy the models are and however many watch")
def test_a_watcher_that_does_not_read_holds_up_no_other_health_call():
    with serve() as transport:
        client = RawClient(transport.port, window_bytes=0)
        client.call(WATCH, b"")
        assert check(transport.channel) == NOT_SERVING
        reader = watch(transport.channel)
        assert next(reader).status == NOT_SERVING
        # Every change goes to both; it waits for neither.
        changer = threading.Thread(target=transport.server.health.set_serving, args=("",), kwargs={"serving": True})
        changer.start()
        changer.join(PATIENCE_S)
        assert not changer.is_alive()
        assert next(reader).status == SERVING
        assert check(transport.channel) == SERVING
        client.close()


class FakeContext:
    """The context of a call that is open, or that was over before its handler ran."""

    def __init__(self, is_open):
        self._is_open = is_open
        self.callbacks = []

    def add_callback(self, callback):
        self.callbacks.append(callback)
        return self._is_open


def test_a_stream_that_has_ended_is_forgotten():
    streams, context = OpenStreams(), FakeContext(is_open=True)
    streams.follow(context, lambda: None)
    assert len(streams._ends) == 1
    (on_end,) = context.callbacks
    on_end()
    assert streams._ends == set()


def test_a_stream_that_was_over_before_it_began_is_forgotten():
    streams = OpenStreams()
    streams.follow(FakeContext(is_open=False), lambda: None)
    assert streams._ends == set()


def test_a_stream_that_begins_after_the_end_is_ended_at_once():
    streams, ended = OpenStreams(), []
    streams.end_all()
    streams.follow(FakeContext(is_open=True), lambda: ended.append(True))
    assert ended == [True]
