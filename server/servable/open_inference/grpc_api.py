"""inference.GRPCInferenceService: the protocol over gRPC.

A reply has its values as the request had them: in `raw_output_contents` if the request used `raw_input_contents` (as
Triton's clients do, which read nothing else), in typed contents if it used these (as KServe's server does). Outputs of
FP16 and BF16, which have no typed contents, make all outputs of a reply raw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

import servable
from servable import requests, wire
from servable.errors import InvalidArgument
from servable.inference.predict import check_reply_size
from servable.methods import Answer
from servable.open_inference import models, tensors
from servable.open_inference.inference import (
    SIGNATURE_PARAMETER,
    Inference,
    Models,
    Query,
    bind,
    find_datatype,
    refuse_extensions,
)
from servable.requests import Array
from servable.routing import Router
from servable.signatures import DEFAULT_KEY

SERVICE: Final = "inference.GRPCInferenceService"
INFER: Final = f"/{SERVICE}/ModelInfer"
EXTENSIONS: Final = ("binary_tensor_data",)

RequestT = TypeVar("RequestT", bound=Message)
_Input = tuple[wire.ModelInferRequest.InferInputTensor, "bytes | None"]


def methods(router: Router, is_server_ready: Callable[[], bool]) -> dict[str, Answer]:
    """The methods by full path, but ModelInfer, which MethodFactory makes of a `GrpcInfer`.

    Args:
        router: Finds versions.
        is_server_ready: Whether calls should come here: once the server serves and until it leaves.
    """
    return {
        _path("ServerLive"): _method(wire.ServerLiveRequest, lambda _: wire.ServerLiveResponse(live=True)),
        _path("ServerReady"): _method(
            wire.ServerReadyRequest, lambda _: wire.ServerReadyResponse(ready=is_server_ready())
        ),
        _path("ServerMetadata"): _method(wire.ServerMetadataRequest, lambda _: describe_server()),
        _path("ModelReady"): _method(
            wire.ModelReadyRequest,
            lambda asked: wire.ModelReadyResponse(ready=models.is_ready(router, asked.name, asked.version)),
        ),
        _path("ModelMetadata"): _method(
            wire.ModelMetadataRequest, lambda asked: models.describe(router, asked.name, asked.version)
        ),
    }


def describe_server() -> wire.ServerMetadataResponse:
    """What the server is, and the extensions of the protocol that it knows."""
    return wire.ServerMetadataResponse(name="servable", version=servable.__version__, extensions=EXTENSIONS)


def find_model(message: bytes) -> str | None:
    """The model that a ModelInferRequest asks for, for who counts those that failed; None if it does not parse."""
    try:
        # Its first fields are these; the others are unknown to this message, so their values are not read.
        return wire.ModelReadyRequest.FromString(message).name
    except DecodeError:
        return None


FIND_MODEL: Final[Mapping[str, Callable[[bytes], str | None]]] = {
    f"/{SERVICE}/{name}": find_model for name in ("ModelReady", "ModelMetadata")
}
"""How the model is found that a request is about, by full path."""


@dataclass(frozen=True, slots=True)
class GrpcInfer:
    """ModelInfer. Safe to call from many threads.

    Attributes:
        models: Finds versions.
    """

    models: Models

    def begin(self, request: bytes) -> _Request:
        """A ModelInferRequest on its way; see requests.Begin."""
        message = requests.parse(wire.ModelInferRequest, request)
        for tensor in message.inputs:
            refuse_extensions(tensor.name, tensor.parameters)
        for output in message.outputs:
            refuse_extensions(output.name, output.parameters)
        query = Query(
            message.model_name,
            message.model_version,
            _signature(message),
            [output.name for output in message.outputs],
            message.id,
        )
        inference = bind(self.models, query, _pair_inputs(message), _read_input)
        is_typed = bool(message.inputs) and not message.raw_input_contents
        return _Request(inference, requests.measure(request, inference.arrays), is_typed)


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """A ModelInferRequest on its way; see requests.Request.

    Attributes:
        inference: What is run.
        is_typed: Whether the reply should have typed contents.
    """

    inference: Inference
    size_bytes: int
    is_typed: bool

    @property
    def target(self) -> requests.Target:
        return self.inference.target

    @property
    def arrays(self) -> Sequence[Array]:
        return self.inference.arrays

    def finish(self, fetched: requests.Fetched) -> bytes:
        """See requests.Request."""
        check_reply_size(fetched)
        query = self.inference.query
        response = wire.ModelInferResponse(
            model_name=query.model_name, model_version=str(self.inference.handle.version), id=query.id
        )
        outputs = list(self.inference.outputs(fetched))
        is_typed = self.is_typed and all(datatype.field for _, datatype, _ in outputs)
        for alias, datatype, array in outputs:
            tensor = response.outputs.add(name=alias, datatype=datatype.name, shape=array.shape)
            if is_typed:
                tensors.write_contents(datatype, array, tensor.contents)
            else:
                response.raw_output_contents.append(tensors.write_bytes(datatype, array))
        return response.SerializeToString()


def _signature(message: wire.ModelInferRequest) -> str:
    # Looked up with `in` first: to index a map of messages adds what is not there.
    if SIGNATURE_PARAMETER not in message.parameters:
        return DEFAULT_KEY
    parameter = message.parameters[SIGNATURE_PARAMETER]
    if parameter.WhichOneof("parameter_choice") != "string_param":
        raise InvalidArgument(f"the parameter {SIGNATURE_PARAMETER} is no string")
    return parameter.string_param or DEFAULT_KEY


def _pair_inputs(message: wire.ModelInferRequest) -> list[tuple[str, _Input]]:
    raw = message.raw_input_contents
    if not raw:
        return [(tensor.name, (tensor, None)) for tensor in message.inputs]
    if len(raw) != len(message.inputs):
        raise InvalidArgument(
            f"raw_input_contents has {len(raw)} values for {len(message.inputs)} inputs; it must have one for each"
        )
    for tensor in message.inputs:
        if tensor.HasField("contents"):
            raise InvalidArgument(f'input "{tensor.name}": contents must not be set beside raw_input_contents')
    return [(tensor.name, (tensor, content)) for tensor, content in zip(message.inputs, raw, strict=True)]


def _read_input(sent: _Input) -> Array:
    tensor, content = sent
    datatype, shape = find_datatype(tensor.datatype), tuple(tensor.shape)
    if content is None:
        return tensors.read_contents(datatype, shape, tensor.contents)
    return tensors.read_bytes(datatype, shape, content)


def _method(kind: type[RequestT], answer: Callable[[RequestT], Message]) -> Answer:
    return partial(_answer, kind, answer)


def _answer(
    kind: type[RequestT], answer: Callable[[RequestT], Message], request: bytes, time_left_s: float | None, /
) -> bytes:
    del time_left_s  # Nothing here takes time.
    return answer(requests.parse(kind, request)).SerializeToString()


def _path(name: str) -> str:
    return f"/{SERVICE}/{name}"
