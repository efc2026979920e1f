"""Callers that go on calling whatever happens, and count what came of each call."""

import collections
import json
import threading

import grpc

from tests.process.transport import PATIENCE_S

ANSWERED = "answered"


def round_robin(*, health_checking, service=""):
    """Options of a channel that spreads calls over all its addresses.

    Args:
        health_checking: Whether it watches the health of each and leaves those that do not serve.
        service: The name that it watches, such as a model's.
    """
    config = {"loadBalancingConfig": [{"round_robin": {}}]}
    if health_checking:
        config["healthCheckConfig"] = {"serviceName": service}
    # gRPC connects to a server that has gone again after these times.
    back_off = {"grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 500}
    return {"grpc.service_config": json.dumps(config), **back_off}


def addresses(*ports):
    """The target of a channel with a static list of addresses."""
    return "ipv4:///" + ",".join(f"127.0.0.1:{port}" for port in ports)


class Callers:
    """Threads that share a channel, each with one call at a time.

    Attributes:
        counts: What came of the calls: ANSWERED, or the code and the text of the error.
    """

    def __init__(self, target, path, request, *, count=6, options=None, is_right=lambda reply: True, open_channel=None):
        """Start them.

        Args:
            target: As gRPC takes it.
            path: Of the method.
            request: The bytes of each call.
            count: How many threads.
            options: Of the channel, beside those that keep it from sharing its connections and from proxies.
            is_right: Whether a reply is the expected one.
            open_channel: Opens the channel, of its target and options; None for clear text.
        """
        mine = {"grpc.use_local_subchannel_pool": 1, "grpc.enable_http_proxy": 0, **(options or {})}
        self._channel = (open_channel or grpc.insecure_channel)(target, options=list(mine.items()))
        self._call, self._request, self._is_right = self._channel.unary_unary(path), request, is_right
        self.counts, self._lock, self._over = collections.Counter(), threading.Lock(), threading.Event()
        self._replied = threading.Semaphore(0)
        grpc.channel_ready_future(self._channel).result(PATIENCE_S)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def await_replies(self, count):
        """Wait until so many more calls have been answered."""
        while self._replied.acquire(blocking=False):
            pass
        for _ in range(count):
            assert self._replied.acquire(timeout=PATIENCE_S), self.counts

    def stop(self):
        """Let each finish its call, and give what came of all of them."""
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        assert not any(thread.is_alive() for thread in self._threads)
        self._channel.close()
        return self.counts

    def _run(self):
        while not self._over.is_set():
            outcome = self._outcome()
            with self._lock:
                self.counts[outcome] += 1
            if outcome == ANSWERED:
                self._replied.release()

    def _outcome(self):
        try:
            reply = self._call(self._request, timeout=PATIENCE_S)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
        return ANSWERED if self._is_right(reply) else f"wrong: {reply!r}"


def failed(counts):
    """What came of the calls that were not answered, and how many of them."""
    return {outcome: count for outcome, count in counts.items() if outcome != ANSWERED}
