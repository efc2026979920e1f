"""The methods of PredictionService and ModelService on fake models, a table from path to function; and their health.

The two messages of grpc.health.v1 have one field each, so they are read and written by hand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from servable_client import _wire_format, wire
from servable_client.errors import Code, InvalidArgument, NotFound, Unimplemented
from servable_client.replies import Health
from servable_client.testing import _inference
from servable_client.testing._models import FakeModel, FakeSignature, make_definition
from servable_client.testing._registry import Registry, find_signature, no_prediction, served_spec
from servable_client.testing._requests import Request

_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
# How long a Watch stream waits before it looks whether its call is over.
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Method:
    """One method.

    Attributes:
        name: Its simple name.
        request: The class of its requests.
        answer: The reply to a request, or a ServingError.
    """

    name: str
    request: Any
    answer: Callable[[Registry, Request], Any]


def _predict(models: Registry, request: Request) -> wire.PredictResponse:
    spec = request.message.model_spec
    model = models.find(spec)
    signature = find_signature(model, spec, no_prediction)
    outputs = _inference.predict(signature, request.inputs, request.output_filter)
    return wire.PredictResponse(model_spec=served_spec(model, spec), outputs=outputs)


def _classify(models: Registry, request: Request) -> wire.ClassificationResponse:
    return _inference.classify(models, request.message)


def _regress(models: Registry, request: Request) -> wire.RegressionResponse:
    return _inference.regress(models, request.message)


def _infer_all(models: Registry, request: Request) -> wire.MultiInferenceResponse:
    return _inference.infer_all(models, request.message)


def _describe(models: Registry, request: Request) -> wire.GetModelMetadataResponse:
    fields = request.message.metadata_field
    if not fields:
        raise InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field")
    for name in fields:
        if name != "signature_def":
            raise InvalidArgument(f"Metadata field {name} is not supported")
    model = models.find(request.message.model_spec)
    spec = wire.ModelSpec(name=model.name, version=wire.Int64Value(value=model.version))
    response = wire.GetModelMetadataResponse(model_spec=spec)
    definitions = {name: _definition(name, signature) for name, signature in model.signatures.items()}
    response.metadata["signature_def"].Pack(wire.SignatureDefMap(signature_def=definitions))
    return response


def _definition(name: str, signature: FakeSignature) -> wire.SignatureDef:
    if signature.is_open:
        # A server without GetModelMetadata is what clients can cope with; undeclared inputs would be refused.
        raise Unimplemented(f"the inputs of signature {name!r} are not declared: predict(..., inputs={{...}}) does")
    return make_definition(signature.method, signature.inputs, signature.outputs, signature.defaults)


def _get_status(models: Registry, request: Request) -> wire.GetModelStatusResponse:
    found = models.find_all(request.message.model_spec)
    return wire.GetModelStatusResponse(model_version_status=[_version_status(model) for model in found])


def _version_status(model: FakeModel) -> wire.ModelVersionStatus:
    failure = model.failure
    status = wire.StatusProto(
        error_code=failure.code if failure else Code.OK, error_message=failure.message if failure else ""
    )
    return wire.ModelVersionStatus(version=model.version, state=int(model.state), status=status)


def _reload(_models: Registry, request: Request) -> wire.ReloadConfigResponse:
    """OK, and nothing else: the models of a fake server are those that the test made."""
    if request.message.config.WhichOneof("config") != "model_config_list":
        raise InvalidArgument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    return wire.ReloadConfigResponse(status=wire.StatusProto(error_code=Code.OK))


METHODS: Mapping[str, Method] = {
    service + method.name: method
    for service, method in [
        (_PREDICTION, Method("Predict", wire.PredictRequest, _predict)),
        (_PREDICTION, Method("Classify", wire.ClassificationRequest, _classify)),
        (_PREDICTION, Method("Regress", wire.RegressionRequest, _regress)),
        (_PREDICTION, Method("MultiInference", wire.MultiInferenceRequest, _infer_all)),
        (_PREDICTION, Method("GetModelMetadata", wire.GetModelMetadataRequest, _describe)),
        (_MODEL, Method("GetModelStatus", wire.GetModelStatusRequest, _get_status)),
        (_MODEL, Method("HandleReloadConfigRequest", wire.ReloadConfigRequest, _reload)),
    ]
}


def read_service(request: bytes) -> str:
    """The service name of a HealthCheckRequest.

    Raises:
        Malformed: if the bytes are no message.
    """
    found = ""
    for each in _wire_format.fields(request, 0, len(request)):
        if each.number == 1 and each.wire_type == _wire_format.LENGTH_DELIMITED:
            found = request[each.value : each.end].decode(errors="replace")
    return found


def _health_reply(status: Health) -> bytes:
    return b"\x08" + _wire_format.varint(status)


class HealthBoard:
    """The health of each name: as the test set it, else as its lookup says. Thread-safe."""

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        """Serve the names that a lookup knows."""
        self._is_known = is_known
        self._set: dict[str, Health] = {}
        self._changed = threading.Condition()

    def set(self, name: str, status: Health) -> None:
        """Report this status from now on, to watchers too."""
        with self._changed:
            self._set[name] = status
            self._changed.notify_all()

    def check(self, name: str) -> bytes:
        """The reply of Check.

        Raises:
            NotFound: if the name is unknown.
        """
        status = self._find(name)
        if status is Health.SERVICE_UNKNOWN:
            raise NotFound("unknown service")
        return _health_reply(status)

    def watch(self, name: str, is_active: Callable[[], bool]) -> Iterator[bytes]:
        """The replies of Watch: the status now, and each change, as long as the call is active."""
        sent: Health | None = None
        while is_active():
            with self._changed:
                status = self._find(name)
                if status is sent:
                    self._changed.wait(_LOOK_S)
                    continue
            sent = status
            yield _health_reply(status)

    def _find(self, name: str) -> Health:
        known = Health.SERVING if self._is_known(name) else Health.SERVICE_UNKNOWN
        return self._set.get(name, known)
