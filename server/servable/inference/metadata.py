"""GetModelMetadata: the signatures of a version, as they are stored.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/get_model_metadata_impl.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from servable import requests, wire
from servable.errors import InvalidArgument
from servable.routing import Router
from servable.servables import Handle

SIGNATURE_DEF = "signature_def"


@dataclass(frozen=True, slots=True)
class GetModelMetadata:
    """The GetModelMetadata API. Safe to call from many threads.

    Attributes:
        router: Finds the version.
    """

    router: Router

    def __call__(self, request: bytes, time_left_s: float | None, /) -> bytes:
        """Answer a GetModelMetadataRequest with a GetModelMetadataResponse; see methods.Method."""
        del time_left_s  # Nothing here takes time.
        message = requests.parse(wire.GetModelMetadataRequest, request)
        requests.require_model_spec(message.HasField("model_spec"))
        _check_fields(list(message.metadata_field))
        handle = self.router.resolve(message.model_spec)
        response = wire.GetModelMetadataResponse()
        requests.name_version(response.model_spec, handle)
        response.metadata[SIGNATURE_DEF].Pack(make_signature_map(handle))
        return response.SerializeToString()


def make_signature_map(handle: Handle) -> wire.SignatureDefMap:
    """All signatures of a version, as they are stored."""
    signatures = wire.SignatureDefMap()
    for key, signature in handle.servable.signatures.items():
        signatures.signature_def[key].CopyFrom(signature.definition)
    return signatures


def _check_fields(fields: list[str]) -> None:
    if not fields:
        raise InvalidArgument(
            "GetModelMetadataRequest must specify at least one metadata_field", {"supported": SIGNATURE_DEF}
        )
    for field in fields:
        if field != SIGNATURE_DEF:
            raise InvalidArgument(f"Metadata field {field} is not supported", {"supported": SIGNATURE_DEF})
