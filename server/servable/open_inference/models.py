"""What the protocol says of models: how it names versions, whether one is ready, what a signature takes and gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from servable import wire
from servable.errors import InvalidArgument, ServingError
from servable.inference.predict import find_signature
from servable.open_inference import datatypes
from servable.routing import Router
from servable.servables import Handle
from servable.signatures import DEFAULT_KEY

# As Triton names the format.
PLATFORM: Final = "tensorflow_savedmodel"
_NUMBER: Final = re.compile("[0-9]+")
_INT64_DIGITS: Final = 19
_INT64_MAX: Final = (1 << 63) - 1
# The protocol has no way to say that even the number of dimensions is free.
_UNKNOWN_RANK: Final = (-1,)


def find_version(router: Router, name: str, version: str) -> Handle:
    """The version that a request asks for.

    Args:
        router: Finds versions.
        name: The model's.
        version: A number, or else a label; empty for the highest that is loaded.

    Raises:
        ServingError: as Routes.resolve raises it.
    """
    spec = wire.ModelSpec(name=name)
    if _NUMBER.fullmatch(version):
        spec.version.value = _parse_number(version)
    elif version:
        spec.version_label = version
    return router.resolve(spec)


def is_ready(router: Router, name: str, version: str) -> bool:
    """Whether a version would answer now."""
    try:
        find_version(router, name, version)
    except ServingError:
        return False
    return True


def describe(router: Router, name: str, version: str, key: str = DEFAULT_KEY) -> wire.ModelMetadataResponse:
    """The metadata of a model: its loaded versions, and what a signature of one version takes and gives.

    Raises:
        ServingError: if there is no such version or signature.
    """
    handle = find_version(router, name, version)
    definition = find_signature(handle, key, check_method_name=False).definition
    return wire.ModelMetadataResponse(
        name=name,
        versions=[str(number) for number in sorted(each.version for each in router.routes.of(name))],
        platform=PLATFORM,
        inputs=_describe_tensors(definition.inputs),
        outputs=_describe_tensors(definition.outputs),
    )


def _parse_number(digits: str) -> int:
    number = int(digits) if len(digits) <= _INT64_DIGITS else _INT64_MAX + 1
    if number > _INT64_MAX:
        raise InvalidArgument(f"Model version {digits[:_INT64_DIGITS]}... is larger than {_INT64_MAX}")
    return number


def _describe_tensors(infos: Mapping[str, wire.TensorInfo]) -> list[wire.ModelMetadataResponse.TensorMetadata]:
    return [
        wire.ModelMetadataResponse.TensorMetadata(
            name=alias, datatype=datatypes.name_of(infos[alias].dtype), shape=_shape(infos[alias].tensor_shape)
        )
        for alias in sorted(infos)
    ]


def _shape(shape: wire.TensorShapeProto) -> tuple[int, ...]:
    return _UNKNOWN_RANK if shape.unknown_rank else tuple(dim.size for dim in shape.dim)
