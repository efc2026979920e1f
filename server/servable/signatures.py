"""A loaded signature: it maps the aliases that requests use to the tensor names of the graph.

A signature is prepared once at load and read by every request. It lists its tensors in the order of their names, so
that APIs and output filters over the same tensors share a prepared run and a batch. This module must not know how a
graph is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from servable import wire
from servable.codec import decoding, dtypes
from servable.errors import InvalidArgument

DEFAULT_KEY = "serving_default"

CLASSIFY_METHOD = "tensorflow/serving/classify"
PREDICT_METHOD = "tensorflow/serving/predict"
REGRESS_METHOD = "tensorflow/serving/regress"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a model.

    Attributes:
        key: The name that requests use.
        definition: The SignatureDef as stored.
        inputs: Tensor name by input alias, in the order of the tensor names.
        outputs: Tensor name by output alias, in the order of the tensor names.
        defaults: Value by input alias, for inputs that a request may leave out.
    """

    key: str
    definition: wire.SignatureDef
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    defaults: Mapping[str, np.ndarray[Any, Any]]


def format_definition(definition: wire.SignatureDef) -> str:
    """A SignatureDef as C++ protobuf prints it: entries of maps by their keys, and other characters than ASCII escaped.

    Python's `str` has no order of entries, and its `text_format` writes floats in another way.
    """
    parts: list[wire.SignatureDef] = []
    for field, value in definition.ListFields():
        if field.message_type is None:
            parts.append(wire.SignatureDef(**{field.name: value}))
            continue
        for key in sorted(value):
            parts.append(wire.SignatureDef())
            getattr(parts[-1], field.name)[key].CopyFrom(value[key])
    text = "".join(map(str, parts))
    return re.sub(r"[^\x00-\x7f]", _escape, text)


def _escape(character: re.Match[str]) -> str:
    return "".join(f"\\{byte:03o}" for byte in character[0].encode())


def prepare(key: str, definition: wire.SignatureDef) -> Signature:
    """Make a signature of a stored SignatureDef.

    Raises:
        InvalidArgument: if a default value is no tensor.
    """
    return Signature(
        key,
        _copy(definition),
        _names(definition.inputs),
        _names(definition.outputs),
        {alias: _decode_default(key, alias, value) for alias, value in definition.defaults.items()},
    )


def _names(infos: Mapping[str, wire.TensorInfo]) -> dict[str, str]:
    return dict(sorted(((alias, info.name) for alias, info in infos.items()), key=lambda pair: (pair[1], pair[0])))


def _copy(definition: wire.SignatureDef) -> wire.SignatureDef:
    # A submessage keeps the whole message in memory, which for a SavedModel is the graph with all its constants.
    copy = wire.SignatureDef()
    copy.CopyFrom(definition)
    return copy


def _decode_default(key: str, alias: str, value: wire.TensorProto) -> np.ndarray[Any, Any]:
    about = f'The default of input "{alias}" of signature "{key}" is no tensor'
    if value.dtype in dtypes.OPAQUE:
        raise InvalidArgument(f"{about}: no {dtypes.OPAQUE[value.dtype].name} can be fed")
    try:
        return decoding.decode(value)
    except decoding.MalformedTensor as error:
        raise InvalidArgument(f"{about}: {error}") from error
