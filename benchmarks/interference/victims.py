"""The models whose callers are disturbed, and what such a caller does in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import fixed_rate
import grpc
from messages import PREDICT
from models import MODELS, Model

_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class Victim:
    """A model with a caller of its own.

    Attributes:
        title: As tables show it.
        rate: Calls a second: at most a third of what one CPU answers.
        stretch: How many times longer than others it is called, since it is called less often.
    """

    model: Model
    title: str
    rate: float
    stretch: float = 1.0


VICTIMS: Final = {
    "light": Victim(MODELS["half_plus_two"], "half_plus_two", 200),
    "mlp": Victim(MODELS["mlp"], "MLP", 200),
    "cnn": Victim(MODELS["cnn"], "CNN", 200),
    "mobilenet": Victim(MODELS["mobilenet_v2"], "MobileNetV2", 20, stretch=2),
}


@dataclass(frozen=True)
class Seen:
    """What a caller saw: the latency of each call from when it was due, and what went wrong."""

    latencies_ms: Sequence[float]
    faults: Sequence[str]


def call(address: str, name: str, seconds: float) -> Seen:
    """What the victim's caller does: calls in an open loop for so many seconds."""
    victim = VICTIMS[name]
    with fixed_rate.open_channel(address) as channel:
        requests = victim.model.make_requests()
        try:
            # Not part of the figures: the connection.
            reply = channel.unary_unary(PREDICT)(requests[0], timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            return Seen((), [fixed_rate.describe_error(error)])
        stream = fixed_rate.Stream(channel, PREDICT, requests, victim.rate, len(reply))
        fixed_rate.send([stream], seconds)
    return Seen(stream.latencies_ms, stream.faults)
