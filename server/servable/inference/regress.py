"""Regress: examples in, one value each out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from servable import requests, wire
from servable.inference import examples, regression
from servable.inference.outputs import Output
from servable.routing import Router


@dataclass(frozen=True, slots=True)
class Regress:
    """The Regress API. Safe to call from many threads.

    Attributes:
        router: Finds the version.
        check_method_name: Refuse signatures of another kind of method.
    """

    router: Router
    check_method_name: bool = False

    def __call__(self, request: bytes, time_left_s: float | None, /) -> bytes:
        """Answer a RegressionRequest with a RegressionResponse; see methods.Method."""
        return requests.complete(self.begin(request), time_left_s)

    def begin(self, request: bytes) -> examples.ExamplesRequest:
        """A RegressionRequest on its way; see requests.Begin."""
        message = requests.parse(wire.RegressionRequest, request)
        requests.require_model_spec(message.HasField("model_spec"))
        handle = self.router.resolve(message.model_spec)
        key = requests.signature_key(message.model_spec)
        signature = examples.find_signature(handle, key, "No signature was found with the name: ")
        head = regression.require(signature, check_method_name=self.check_method_name)

        def write(fetched: Mapping[str, Output], count: int) -> bytes:
            response = wire.RegressionResponse(result=regression.read_result(fetched[head.fetch], count))
            requests.name_version(response.model_spec, handle, key)
            return response.SerializeToString()

        return examples.feed(handle, [head.feed], [head.fetch], message.input, write)
