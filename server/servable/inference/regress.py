"""Regress: examples in, one value each out.

What a regression signature must have, and how its output becomes a result, MultiInference shares with Regress.
Source of the behaviour: TensorFlow Serving, servables/tensorflow/regressor.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from servable import requests, wire
from servable.codec import dtypes
from servable.errors import InvalidArgument
from servable.inference.examples import (
    INPUT_KEY,
    ExamplesRequest,
    Output,
    feed_examples,
    find_signature,
    format_shape,
)
from servable.requests import Array
from servable.routing import Router
from servable.servables import Handle
from servable.signatures import REGRESS_METHOD, Signature, format_definition

OUTPUT_KEY = "outputs"


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

    def begin(self, request: bytes) -> ExamplesRequest:
        """A RegressionRequest on its way; see requests.Begin."""
        message = requests.parse(wire.RegressionRequest, request)
        requests.require_model_spec(message.HasField("model_spec"))
        handle = self.router.resolve(message.model_spec)
        key = requests.signature_key(message.model_spec)

        def write(values: Array) -> bytes:
            response = wire.RegressionResponse(result=_to_message(values))
            requests.name_version(response.model_spec, handle, key)
            return response.SerializeToString()

        return begin_regress(handle, key, message.input, write, check_method_name=self.check_method_name)


def begin_regress(
    handle: Handle, key: str, examples: wire.Input, write: Callable[[Array], bytes], *, check_method_name: bool
) -> ExamplesRequest:
    """A request for a value for each example.

    Args:
        handle: The version that answers.
        key: The name of the signature.
        examples: The examples.
        write: Makes the reply of the values: float32, one for each example.
        check_method_name: Refuse signatures of another kind of method.

    Raises:
        InvalidArgument: if there is no such signature, it is no regressor, or there are no examples.
    """
    signature = find_signature(handle, key, "No signature was found with the name: ")
    regressor = require_regressor(signature, check_method_name=check_method_name)

    def write_result(fetched: Mapping[str, Output], count: int) -> bytes:
        return write(check_result(regressor, fetched, count))

    made = feed_examples(handle, [regressor.feed], [regressor.fetch], examples, write_result)
    made.target.signature = key
    return made


@dataclass(frozen=True, slots=True)
class Regressor:
    """What Regress runs of a signature: the tensor that takes the examples, and the one to fetch."""

    feed: str
    fetch: str


def require_regressor(signature: Signature, *, check_method_name: bool) -> Regressor:
    """What Regress runs of a signature.

    Raises:
        InvalidArgument: if the signature is no regressor; the text says which input or output is wrong.
    """
    method = signature.definition.method_name
    if check_method_name and method != REGRESS_METHOD:
        raise InvalidArgument(f"Expected regression signature method_name to be {REGRESS_METHOD}. Was: {method}")
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise InvalidArgument("Expected one output Tensor.")
    if INPUT_KEY not in signature.inputs:
        raise InvalidArgument(f"No regression inputs found in SignatureDef: {format_definition(signature.definition)}")
    if OUTPUT_KEY not in signature.outputs:
        raise InvalidArgument(f"No regression outputs found in SignatureDef: {format_definition(signature.definition)}")
    return Regressor(signature.inputs[INPUT_KEY], signature.outputs[OUTPUT_KEY])


def make_regression_result(regressor: Regressor, fetched: Mapping[str, Output], count: int) -> wire.RegressionResult:
    """One Regression for each example, in order; see `check_result`."""
    return _to_message(check_result(regressor, fetched, count))


def check_result(regressor: Regressor, fetched: Mapping[str, Output], count: int) -> Array:
    """One float32 for each example.

    Args:
        regressor: What was run.
        fetched: By tensor name: the output is float32, [count] or [count, 1].
        count: The number of examples.

    Raises:
        InvalidArgument: if the output has another shape or dtype.
    """
    output = fetched[regressor.fetch]
    shape = output.array.shape
    if len(shape) not in {1, 2} or (len(shape) == 2 and shape[1] != 1):
        raise InvalidArgument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            + format_shape(output.array)
        )
    if shape[0] != count:
        raise InvalidArgument(f"Input batch size did not match output batch size: {count} vs. {shape[0]}")
    if output.dtype != wire.DT_FLOAT:
        raise InvalidArgument(f"Expected output Tensor of DT_FLOAT.  Got: {dtypes.name_of(output.dtype)}")
    return output.array.ravel()


def _to_message(values: Array) -> wire.RegressionResult:
    result = wire.RegressionResult()
    for value in values.tolist():
        result.regressions.add(value=value)
    return result
