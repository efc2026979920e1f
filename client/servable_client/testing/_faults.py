"""How a fake server misbehaves on order. Any ServingError is a fault too: it becomes the status, hints included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from servable_client import wire
from servable_client.testing._calls import Call

Answer = Callable[[], bytes]
"""Makes the bytes of the right reply, or raises a ServingError."""


class Fault(Protocol):
    """What is done to one call instead of just answering it."""

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:
        """Answer the call, wrongly.

        Args:
            method: The method's simple name, as `Predict`.
            call: The call.
            answer: Makes the right reply.

        Returns:
            The bytes to send; what is returned for a call that is over is not sent.
        """


@dataclass(frozen=True, slots=True)
class Delay:
    """Answers rightly, but late.

    Attributes:
        seconds: How much later.
    """

    seconds: float

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:  # noqa: ARG002
        return answer() if call.wait(self.seconds) else b""


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answers: the call lasts until its client gives up or the server stops."""

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:  # noqa: ARG002
        call.wait(None)
        return b""


@dataclass(frozen=True, slots=True)
class Cut:
    """Breaks the TCP connection after the request was read; the client may connect again. Linux and macOS.

    A call that its client makes before it has noticed fails too, as on any network.
    """

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:  # noqa: ARG002
        call.cut()
        call.wait(None)
        return b""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Answers OK, with bytes that are no message.

    Attributes:
        data: The bytes; by default a field that claims to be longer than the reply.
    """

    data: bytes = b"\x0a\x7f"

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:  # noqa: ARG002
        return self.data


@dataclass(frozen=True, slots=True)
class WrongShape:
    """Answers OK, with results that do not fit.

    The tensors of Predict claim a row more than they hold; Classify, Regress and MultiInference answer one result too
    few. Other methods are answered rightly.
    """

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:  # noqa: ARG002
        spoil = _SPOILERS.get(method)
        return answer() if spoil is None else spoil(answer())


def _claim_a_row_more(reply: bytes) -> bytes:
    response = wire.PredictResponse.FromString(reply)
    for tensor in response.outputs.values():
        dims = tensor.tensor_shape.dim
        if dims:
            dims[0].size += 1
        else:
            dims.add().size = 2
        # One value for several elements would be legal: TensorFlow repeats the last one. Content must match exactly.
        _force_content(tensor)
    return response.SerializeToString()


def _force_content(tensor: wire.TensorProto) -> None:
    if not tensor.tensor_content:
        # Strings and empty tensors: one byte is too few for the lengths of two strings, and too many for no element.
        tensor.tensor_content = b"\x01"


def _drop_classification(reply: bytes) -> bytes:
    response = wire.ClassificationResponse.FromString(reply)
    del response.result.classifications[-1:]
    return response.SerializeToString()


def _drop_regression(reply: bytes) -> bytes:
    response = wire.RegressionResponse.FromString(reply)
    del response.result.regressions[-1:]
    return response.SerializeToString()


def _drop_inference(reply: bytes) -> bytes:
    response = wire.MultiInferenceResponse.FromString(reply)
    del response.results[-1:]
    return response.SerializeToString()


_SPOILERS: dict[str, Callable[[bytes], bytes]] = {
    "Predict": _claim_a_row_more,
    "Classify": _drop_classification,
    "Regress": _drop_regression,
    "MultiInference": _drop_inference,
}
