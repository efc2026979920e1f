"""The values that a report is made of. Their names are the keys of the JSON output, so they are stable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a signature.

    Attributes:
        name: The alias that requests and replies use.
        dtype: As NumPy and TensorFlow name it: float32, string.
        shape: The size of each axis, None for any size; None in place of all if even their number is open.
        tensor_name: Its name in the graph; empty for a sparse or composite tensor, which is several.
        has_default: Whether a request may leave it out.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    tensor_name: str
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an RPC can use a signature; if not, `reason` says why."""

    callable: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature: what goes in, what comes out, and which RPC can call it.

    Attributes:
        key: What a request names in `model_spec.signature_name`.
        method_name: As stored, such as tensorflow/serving/predict.
        inputs: By name, in alphabetical order.
        outputs: By name, in alphabetical order.
        rpcs: By the RPC's name: Predict, Classify, Regress, MultiInference.
    """

    key: str
    method_name: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    rpcs: Mapping[str, Verdict]


@dataclass(frozen=True, slots=True)
class Caution:
    """A warning: what will bite, and what to do about it.

    Attributes:
        code: Its kind; stable.
        text: What is the matter, in whole sentences.
        remedy: What to do, in whole sentences.
        signature: The key of the signature that it is about; None for the model.
    """

    code: str
    text: str
    remedy: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What is in a SavedModel.

    Attributes:
        path: The version directory, absolute.
        version: Its number; None if its name is none.
        versions: All numbers, ascending, if a base path was looked at; else empty.
        tags: Those of the meta graph that the report is about.
        tag_sets: Those of each meta graph, as stored.
        tensorflow_version: The one that made the model; empty if the model does not say.
        installed_tensorflow_version: The one that would serve it; None if there is none.
        graph_bytes: The size of saved_model.pb.
        variables_bytes: The size of the files with the variables' values.
        has_variables: Whether the graph holds variables.
        assets: The files that the graph reads, by their names below `assets/`.
        init_op: The node that is run once at load; None if there is none.
        signatures: serving_default first, then in alphabetical order.
        warnings: Those about the model first, then in the order of the signatures.
    """

    path: str
    version: int | None
    versions: Sequence[int]
    tags: Sequence[str]
    tag_sets: Sequence[Sequence[str]]
    tensorflow_version: str
    installed_tensorflow_version: str | None
    graph_bytes: int
    variables_bytes: int
    has_variables: bool
    assets: Sequence[str]
    init_op: str | None
    signatures: Sequence[Signature]
    warnings: Sequence[Caution]
