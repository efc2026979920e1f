"""Classify: examples in, labels and scores out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from servable import requests, wire
from servable.inference import classification, examples
from servable.inference.outputs import Output
from servable.routing import Router


@dataclass(frozen=True, slots=True)
class Classify:
    """The Classify API. Safe to call from many threads.

    Attributes:
        router: Finds the version.
        check_method_name: Refuse signatures of another kind of method.
    """

    router: Router
    check_method_name: bool = False

    def __call__(self, request: bytes, time_left_s: float | None, /) -> bytes:
        """Answer a ClassificationRequest with a ClassificationResponse; see methods.Method."""
        return requests.complete(self.begin(request), time_left_s)

    def begin(self, request: bytes) -> examples.ExamplesRequest:
        """A ClassificationRequest on its way; see requests.Begin."""
        message = requests.parse(wire.ClassificationRequest, request)
        requests.require_model_spec(message.HasField("model_spec"))
        handle = self.router.resolve(message.model_spec)
        key = requests.signature_key(message.model_spec)
        signature = examples.find_signature(handle, key, "No signature was found with the name: ")
        head = classification.require(signature, check_method_name=self.check_method_name)

        def write(fetched: Mapping[str, Output], count: int) -> bytes:
            outputs = {role: fetched[name] for role, name in head.fetches.items()}
            response = wire.ClassificationResponse(result=classification.read_result(outputs, count))
            requests.name_version(response.model_spec, handle, key)
            return response.SerializeToString()

        return examples.feed(handle, [head.feed], list(head.fetches.values()), message.input, write)
