"""Noisy neighbours: each is a function that loads a server from a process of its own until it gets a signal to stop.

All are bounded: in the calls that they have in flight, in the bytes that they leave unread, and in the time of a call.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import closed_loop
import fixed_rate
import grpc
import numpy as np
from messages import PREDICT
from models import MODELS
from timed_exports import HUGE_VALUES, WAIT_WIDTH

from servable import wire
from servable.codec.encoding import encode

# The HTTP/2 by hand that the tests have: no gRPC library would leave a reply unread.
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "process"))
from raw_http2 import RawClient

SWAPPED: Final = "swapped"
SWAPPED_EXPORT: Final = "mobilenet_v2"
_RELOAD: Final = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
_TIMEOUT_S: Final = 60.0
_SMALL_CALLS_FIRST, _SMALL_CALLS_BETWEEN = 2000, 100
_MALFORMED_RATE, _MALFORMED_IN_FLIGHT = 400, 64
_TINY_LOAD: Final = "64x4"
_SLOW_CALLERS: Final = 4
_UNREAD_CONNECTIONS, _UNREAD_CALLS, _UNREAD_INTERVAL_S = 4, 48, 0.1
_PAUSE_S: Final = 0.2

Outcomes = Counter[str]


class Signals:
    """How the process that measures and the process that disturbs agree on begin and end.

    Attributes:
        disturbing: Set once the victim may be called.
        enough: Set when the victim's calls are over.
    """

    def __init__(self, context: Any) -> None:
        """Make them with a context of multiprocessing."""
        self.disturbing, self.enough = context.Event(), context.Event()


@dataclass(frozen=True)
class Target:
    """The server that is disturbed.

    Attributes:
        addresses: Where each model is served.
        is_batched: Whether requests are batched; then one of more than 1000 rows would be refused.
        checks_dtypes: Whether it survives a tensor of another dtype; the C++ reference copies what does not fit.
        reloads: Two serialized requests for reloads, which serve one version and another of the swapped model.
        seconds: How long the victims will be called.
    """

    addresses: Mapping[str, str]
    is_batched: bool
    checks_dtypes: bool
    reloads: Sequence[bytes]
    seconds: float


@dataclass(frozen=True)
class Neighbour:
    """A way to disturb.

    Attributes:
        title: As tables show it.
        does: What it does, in one phrase.
        models: The exports that it needs, by the name under which they are served.
        disturb: Does it. The outcomes are counted by name; those of faults begin with `fault`.
        reloads: Whether it needs a server whose models can be replaced.
    """

    title: str
    does: str
    models: Mapping[str, str]
    disturb: Callable[[Target, Signals], Outcomes]
    reloads: bool = False


def _rest(_target: Target, signals: Signals) -> Outcomes:
    signals.disturbing.set()
    signals.enough.wait()
    return Outcomes()


def _send_huge(target: Target, signals: Signals) -> Outcomes:
    outcomes = Outcomes()
    # The same number of values in one row where requests are batched, since those of many rows are refused there.
    shape = (1, HUGE_VALUES) if target.is_batched else (HUGE_VALUES, 1)
    small, huge = _predict("by_values", np.ones((1, 1))), _predict("by_values", np.ones(shape))
    with fixed_rate.open_channel(target.addresses["by_values"]) as channel:
        for _ in range(_SMALL_CALLS_FIRST):
            _ask(channel, small, outcomes, "small")
        # What comes before the victim is called is not part of the rates.
        del outcomes["small"]
        signals.disturbing.set()
        while not signals.enough.is_set():
            _ask(channel, huge, outcomes, "huge")
            for _ in range(_SMALL_CALLS_BETWEEN):
                _ask(channel, small, outcomes, "small")
    return outcomes


def _flood(target: Target, signals: Signals) -> Outcomes:
    outcomes = Outcomes()
    good = _predict("waits_100ms", np.ones((1, WAIT_WIDTH)))
    malformed = [_predict("waits_100ms", np.ones(shape)) for shape in ((1, WAIT_WIDTH + 1), (WAIT_WIDTH,), (1, 1, 1))]
    if target.checks_dtypes:
        malformed += [_predict("waits_100ms", np.ones((1, WAIT_WIDTH)), wire.DT_INT64)]
    in_flight = threading.Semaphore(_MALFORMED_IN_FLIGHT)

    def note(done: Any) -> None:
        refused = done.exception() is not None and done.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        outcomes["refused" if refused else "fault: a malformed request was not refused"] += 1
        in_flight.release()

    with fixed_rate.open_channel(target.addresses["waits_100ms"]) as channel, ThreadPoolExecutor(1) as pool:
        predict = channel.unary_unary(PREDICT)
        _ask(channel, good, outcomes, "answered")
        signals.disturbing.set()
        answered = pool.submit(_ask_until, channel, good, signals, "answered")
        due_s, number = time.monotonic(), 0
        while not signals.enough.is_set():
            due_s += 1 / _MALFORMED_RATE
            time.sleep(max(due_s - time.monotonic(), 0))
            if in_flight.acquire(timeout=_TIMEOUT_S):
                predict.future(malformed[number % len(malformed)], timeout=_TIMEOUT_S).add_done_callback(note)
                number += 1
        for _ in range(_MALFORMED_IN_FLIGHT):
            in_flight.acquire(timeout=_TIMEOUT_S)
        return outcomes + answered.result()


def _press(target: Target, signals: Signals) -> Outcomes:
    request = MODELS["half_plus_two"].make_request("tiny", 0)
    with fixed_rate.open_channel(target.addresses["tiny"]) as channel:
        reply_bytes = len(channel.unary_unary(PREDICT)(request, timeout=_TIMEOUT_S))
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder, "request")
        body.write_bytes(closed_loop.frame(request))
        call = closed_loop.Call(PREDICT, body, reply_bytes)
        # Longer than the victims are called; h2load says how it went only when it ends by itself.
        load = closed_loop.Load(_Endpoint("tiny", target.addresses["tiny"]), call, _TINY_LOAD, target.seconds + 2)
        time.sleep(load.warm_s)
        begun_s = time.time()
        signals.disturbing.set()
        signals.enough.wait()
        ended_s = time.time()
        seen = load.finish(begun_s, ended_s, 0.0)
    if seen.fault:
        return Outcomes({f"fault: {seen.fault}": 1})
    return Outcomes(answered=round(seen.requests_s * (ended_s - begun_s)))


@dataclass(frozen=True)
class _Endpoint:
    """What closed_loop.Load asks of a server."""

    name: str
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


def _keep_slow(target: Target, signals: Signals) -> Outcomes:
    request = _predict("waits_2s", np.ones((1, WAIT_WIDTH)))
    with (
        fixed_rate.open_channel(target.addresses["waits_2s"]) as channel,
        ThreadPoolExecutor(_SLOW_CALLERS) as pool,
    ):
        callers = [pool.submit(_ask_until, channel, request, signals, "answered") for _ in range(_SLOW_CALLERS)]
        time.sleep(_PAUSE_S)
        signals.disturbing.set()
        return sum((caller.result() for caller in callers), Outcomes())


def _never_read(target: Target, signals: Signals) -> Outcomes:
    request = _predict("large_reply", np.ones(1))
    port, begun = int(target.addresses["large_reply"].rpartition(":")[2]), 0
    # Half of the connections let the server send next to nothing of a reply, the others HTTP/2's first 64 KB.
    clients = [RawClient(port, window_bytes=(16, None)[number % 2]) for number in range(_UNREAD_CONNECTIONS)]
    try:
        while not signals.enough.is_set():
            if begun < _UNREAD_CALLS * len(clients):
                clients[begun % len(clients)].call(PREDICT, request)
                begun += 1
            if begun == len(clients):
                signals.disturbing.set()
            if begun >= len(clients):
                signals.enough.wait(_UNREAD_INTERVAL_S / len(clients))
    finally:
        for client in clients:
            client.close()
    return Outcomes(unread=begun)


def _swap(target: Target, signals: Signals) -> Outcomes:
    outcomes = Outcomes()
    with fixed_rate.open_channel(target.addresses[SWAPPED]) as channel:
        reload = channel.unary_unary(_RELOAD)
        while not signals.enough.is_set():
            signals.disturbing.set()
            for request in target.reloads:
                reply = wire.ReloadConfigResponse.FromString(reload(request, timeout=_TIMEOUT_S))
                outcomes[f"fault: {reply.status.error_message}" if reply.status.error_code else "swapped"] += 1
                signals.enough.wait(_PAUSE_S)
    return outcomes


def _ask(channel: grpc.Channel, request: bytes, outcomes: Outcomes, name: str) -> None:
    try:
        channel.unary_unary(PREDICT)(request, timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        name = f"fault: {fixed_rate.describe_error(error)}"
    outcomes[name] += 1


def _ask_until(channel: grpc.Channel, request: bytes, signals: Signals, name: str) -> Outcomes:
    """One caller in a closed loop."""
    outcomes = Outcomes()
    while not signals.enough.is_set():
        _ask(channel, request, outcomes, name)
    return outcomes


def _predict(model: str, values: np.ndarray[Any, Any], dtype: int = wire.DT_FLOAT) -> bytes:
    request = wire.PredictRequest()
    request.model_spec.name = model
    kind = np.int64 if dtype == wire.DT_INT64 else np.float32
    encode(values.astype(kind), dtype, request.inputs["x"], as_content=True)
    return request.SerializeToString()


NEIGHBOURS: Final = {
    "alone": Neighbour("nobody", "nothing", {}, _rest),
    "huge": Neighbour(
        "a huge request",
        f"{_SMALL_CALLS_FIRST} calls of one value, then by turns one of {HUGE_VALUES} values, which takes over a second"
        f" on one CPU, and {_SMALL_CALLS_BETWEEN} small ones",
        {"by_values": "time_by_values"},
        _send_huge,
    ),
    "malformed": Neighbour(
        "malformed requests",
        f"{_MALFORMED_RATE} a second of wrong shapes and dtypes to a model that waits for 100 ms, "
        "and one caller with valid requests",
        {"waits_100ms": "waiting_100ms"},
        _flood,
    ),
    "callers": Neighbour(
        "256 callers", f"a closed loop of h2load ({_TINY_LOAD}) on half_plus_two", {"tiny": "half_plus_two"}, _press
    ),
    "slow": Neighbour(
        "a slow model",
        f"{_SLOW_CALLERS} callers of a model that waits for 2 s a call",
        {"waits_2s": "waiting_2s"},
        _keep_slow,
    ),
    "unread": Neighbour(
        "a client that never reads",
        f"{_UNREAD_CONNECTIONS} connections of raw HTTP/2 begin {_UNREAD_CONNECTIONS / _UNREAD_INTERVAL_S:g} calls a "
        f"second, up to {_UNREAD_CONNECTIONS * _UNREAD_CALLS}, with replies of 1 MB that they do not read",
        {"large_reply": "large_reply"},
        _never_read,
    ),
    "swaps": Neighbour(
        "loads and swaps",
        "versions of MobileNetV2 are replaced by reloads one after the other",
        {SWAPPED: SWAPPED_EXPORT},
        _swap,
        reloads=True,
    ),
}


_signals: Signals | None = None


def keep_signals(signals: Signals) -> None:
    """Prepare a process that disturbs."""
    global _signals  # noqa: PLW0603  (what a process is given at its start)
    _signals = signals


def disturb(name: str, target: Target) -> Outcomes:
    """What the process that disturbs does."""
    assert _signals is not None
    try:
        return NEIGHBOURS[name].disturb(target, _signals)
    except (grpc.RpcError, OSError) as error:
        return Outcomes({f"fault: {fixed_rate.describe_error(error)}": 1})
