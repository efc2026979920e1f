"""The methods of PredictionService and ModelService on fake models: a table from path to function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from servable_client import wire
from servable_client.errors import Code, InvalidArgument, Unimplemented
from servable_client.testing import _inference
from servable_client.testing._models import FakeModel, FakeSignature
from servable_client.testing._predicting import predict
from servable_client.testing._registry import Registry, find_signature, no_prediction, served_spec
from servable_client.testing._requests import Request
from servable_client.testing._signatures import make_definition

_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"


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
    outputs = predict(signature, request.inputs, request.output_filter)
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
        # A server without GetModelMetadata is what clients can cope with; inputs that are not told would be refused.
        raise Unimplemented(f"the inputs of signature {name!r} are not declared: predict(..., inputs={{...}}) does")
    return make_definition(signature.method, signature.inputs, signature.outputs, signature.defaults)


def _tell_status(models: Registry, request: Request) -> wire.GetModelStatusResponse:
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
        (_MODEL, Method("GetModelStatus", wire.GetModelStatusRequest, _tell_status)),
        (_MODEL, Method("HandleReloadConfigRequest", wire.ReloadConfigRequest, _reload)),
    ]
}
