"""Predict over REST: JSON in, JSON out.

A request enters at the arrays' seam of `inference.predict`, so its checks stand once. The original looks the version up
twice, for the shapes and for the run, so it may answer by another version than the one whose signature it read; here
one look-up finds one version. Source of the behaviour: TensorFlow Serving, model_servers/http_rest_api_handler.cc.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from servable import requests, wire
from servable.codec.json import reading, writing
from servable.codec.json.layout import Layout
from servable.errors import InvalidArgument
from servable.inference import predict
from servable.requests import Array, Fetched, Target
from servable.rest.message import RestMessage, find_handle
from servable.routing import Router, suggest
from servable.servables import Handle
from servable.signatures import DEFAULT_KEY, Signature


@dataclass(slots=True, eq=False)
class _Request:
    """A request on its way; see requests.Request.

    Attributes:
        handle: The version that answers.
        aliases: The outputs, in the order in which they are fetched.
        layout: Of the request, so of the reply.
    """

    handle: Handle
    target: Target
    arrays: Sequence[Array]
    size_bytes: int
    aliases: Sequence[str]
    layout: Layout

    def finish(self, fetched: Fetched) -> bytes:
        """See requests.Request."""
        outputs = list(zip(self.aliases, fetched.arrays, fetched.dtypes, strict=True))
        return writing.write_predictions(outputs, self.layout)


@dataclass(frozen=True, slots=True)
class RestPredict:
    """The Predict API over REST. Safe to call from many threads.

    Attributes:
        router: Finds the version.
        check_method_name: Refuse signatures of another kind of method.
    """

    router: Router
    check_method_name: bool = False

    def begin(self, message: RestMessage) -> requests.Request:
        """A request on its way; see requests.BeginOf.

        Raises:
            ServingError: if it is refused: first for its JSON, then for its model, then for its tensors.
        """
        body = reading.read_predict(message.body)
        handle = find_handle(self.router, message.url)
        signature = _find_signature(handle, body.signature_name or DEFAULT_KEY)
        tensors = body.read_tensors(_infos(signature))
        predict.find_signature(handle, signature.key, self.check_method_name)
        feeds, arrays = predict.read_inputs(signature, tensors.arrays, lambda _alias, array: array)
        aliases = tuple(signature.outputs)
        target = Target(
            handle.servable, feeds, tuple(signature.outputs.values()), handle.name, signature.key, handle.version
        )
        return _Request(handle, target, arrays, _measure(message.body, arrays), aliases, tensors.layout)


def _find_signature(handle: Handle, key: str) -> Signature:
    signatures = handle.servable.signatures
    signature = signatures.get(key)
    if signature is None:
        raise InvalidArgument(
            f'Serving signature name: "{key}" not found in signature def', suggest(key, signatures, "known_signatures")
        )
    return signature


def _infos(signature: Signature) -> Mapping[str, wire.TensorInfo]:
    """The inputs in an order that is the same in each process: of several that are missing the first is named."""
    infos = signature.definition.inputs
    return {alias: infos[alias] for alias in signature.inputs}


def _measure(body: bytes, arrays: Sequence[Array]) -> int:
    """The size of a request; see Request.size_bytes. Numbers take more bytes as text than in a message over gRPC."""
    if any(array.dtype == object for array in arrays):
        return requests.measure(body, arrays)
    return sum(array.nbytes for array in arrays)
