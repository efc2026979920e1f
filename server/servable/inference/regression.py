"""What Regress and MultiInference ask of a regression signature, and how its output becomes a result.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/regressor.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from servable import wire
from servable.codec import dtypes
from servable.errors import InvalidArgument
from servable.inference.outputs import Output, format_shape
from servable.signatures import REGRESS_METHOD, Signature

INPUT_KEY = "inputs"
OUTPUT_KEY = "outputs"


@dataclass(frozen=True, slots=True)
class Regression:
    """A signature seen as a regressor: the tensor to feed and the one to fetch."""

    feed: str
    fetch: str


def require(signature: Signature, *, check_method_name: bool) -> Regression:
    """See a signature as a regressor.

    Raises:
        InvalidArgument: if it cannot be one; the text says which input or output is wrong.
    """
    method = signature.definition.method_name
    if check_method_name and method != REGRESS_METHOD:
        raise InvalidArgument(f"Expected regression signature method_name to be {REGRESS_METHOD}. Was: {method}")
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise InvalidArgument("Expected one output Tensor.")
    if INPUT_KEY not in signature.inputs:
        raise InvalidArgument(f"No regression inputs found in SignatureDef: {signature.definition}")
    if OUTPUT_KEY not in signature.outputs:
        raise InvalidArgument(f"No regression outputs found in SignatureDef: {signature.definition}")
    return Regression(signature.inputs[INPUT_KEY], signature.outputs[OUTPUT_KEY])


def read_result(output: Output, count: int) -> wire.RegressionResult:
    """One Regression for each example, in order.

    Args:
        output: float32, [count] or [count, 1].
        count: The number of examples.

    Raises:
        InvalidArgument: if the output has another shape or dtype.
    """
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
    result = wire.RegressionResult()
    for value in output.array.ravel().tolist():
        result.regressions.add(value=value)
    return result
