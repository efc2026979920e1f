"""What a client process of the soak does: many calls in flight, some of which it gives up; each reply is checked."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any, Final

import grpc
import numpy as np
from soaking.models import MODELS, make_inputs

from servable_client import wire
from servable_client.tensors import decode, encode

ROWS: Final = (1, 1, 1, 2, 3, 8, 17, 64)
_PREDICT: Final = "/tensorflow.serving.PredictionService/Predict"
_CANCELS, _HURRIES = 1 / 40, 1 / 40
_REQUESTS: Final = 400
_PATIENCE_S: Final = 60.0


class Request:
    """One request, made once and sent often."""

    def __init__(self, model: str, rows: int, chance: np.random.Generator) -> None:
        inputs = make_inputs(model, rows, chance)
        message = wire.PredictRequest()
        message.model_spec.name = model
        for alias, array in inputs.items():
            message.inputs[alias].CopyFrom(encode(array))
        self.message, self._outputs = message.SerializeToString(), MODELS[model](**inputs)
        self._right = b""

    def is_right(self, reply: bytes) -> bool:
        """Whether a reply is what NumPy says. Bytes that were right once are right again."""
        if reply == self._right:
            return True
        outputs = wire.PredictResponse.FromString(reply).outputs
        if outputs.keys() != self._outputs.keys():
            return False
        if all(np.array_equal(decode(outputs[alias]), array) for alias, array in self._outputs.items()):
            self._right = reply
        return reply == self._right


def send(address: str, number: int, in_flight: int, seconds: float) -> Counter[str]:
    """What a client process does.

    Returns:
        The calls by what came of them: `right`, `cancelled`, `late`, or what was wrong.
    """
    return _Sender(number, in_flight).send(address, seconds)


class _Sender:
    """Keeps a number of calls in flight."""

    def __init__(self, number: int, in_flight: int) -> None:
        chance = np.random.default_rng(number)
        self._requests = [
            Request(model, rows, chance) for model in MODELS for rows in ROWS for _ in range(_REQUESTS // 32)
        ]
        self._chance, self._in_flight = random.Random(number), in_flight
        self._room, self._lock, self._outcomes = threading.Semaphore(in_flight), threading.Lock(), Counter[str]()

    def send(self, address: str, seconds: float) -> Counter[str]:
        with grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)]) as channel:
            predict, ends_s = channel.unary_unary(_PREDICT), time.monotonic() + seconds
            while time.monotonic() < ends_s:
                self._room.acquire()
                self._begin(predict)
            for _ in range(self._in_flight):
                if not self._room.acquire(timeout=2 * _PATIENCE_S):
                    self._outcomes["never answered"] += 1
        return self._outcomes

    def _begin(self, predict: Any) -> None:
        request, fate = self._chance.choice(self._requests), self._chance.random()
        is_hurried = fate < _HURRIES
        call = predict.future(request.message, timeout=self._chance.uniform(1e-3, 2e-2) if is_hurried else _PATIENCE_S)
        is_cancelled = not is_hurried and fate < _HURRIES + _CANCELS
        call.add_done_callback(lambda call: self._end(call, request, is_hurried, is_cancelled))
        if is_cancelled:
            call.cancel()

    def _end(self, call: Any, request: Request, is_hurried: bool, is_cancelled: bool) -> None:
        outcome = "the client failed"
        try:
            outcome = _name_outcome(call, request, is_hurried, is_cancelled)
        finally:
            with self._lock:
                self._outcomes[outcome] += 1
            self._room.release()


def _name_outcome(call: Any, request: Request, is_hurried: bool, is_cancelled: bool) -> str:
    code = call.code()
    if code is grpc.StatusCode.OK:
        return "right" if request.is_right(call.result()) else "wrong reply"
    if is_cancelled and code is grpc.StatusCode.CANCELLED:
        return "cancelled"
    if is_hurried and code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED):
        return "late"
    return f"{code.name}: {call.details()[:120]}"
