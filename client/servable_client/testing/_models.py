"""One version of a fake model: its signatures, each with an answer, and its state.

What a signature takes and gives comes from declarations, from the parameters of functions, or from replies.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from servable_client import _dtypes, tensors, wire
from servable_client.errors import InputError, ServingError
from servable_client.replies import State
from servable_client.signatures import TensorSpec
from servable_client.testing._requests import Example

DEFAULT_SIGNATURE = "serving_default"
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))

Declaration = Any
"""A dtype (`"float32"`, `np.int64`, `"string"`), a pair of a dtype and a shape (None for an open size), or a
TensorSpec."""

PredictAnswer = Callable[..., Mapping[str, Any]] | Mapping[str, Any] | ServingError
ClassifyAnswer = Callable[[list[Example]], Sequence[Any]] | Sequence[Any] | ServingError
RegressAnswer = Callable[[list[Example]], Sequence[float]] | Sequence[float] | ServingError

_EXAMPLES = {"inputs": TensorSpec("inputs", "string", (None,), "input_examples:0")}
_CLASSES = {
    "classes": TensorSpec("classes", "string", (None, None), "classes:0"),
    "scores": TensorSpec("scores", "float32", (None, None), "scores:0"),
}
_VALUES = {"outputs": TensorSpec("outputs", "float32", (None,), "outputs:0")}
# The dtype of an input without a declared one: what TensorFlow's Keras and tf.constant make of plain numbers.
_UNDECLARED = "float32"
_ARGUMENTS = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


@dataclass(slots=True)
class FakeSignature:
    """One signature: what it answers, and what it says of itself.

    Attributes:
        method: The method name of its SignatureDef.
        answer: A function, a reply or an error.
        inputs: What it takes, by name.
        outputs: What it gives, by name: as declared, or as a reply has shown.
        defaults: The values of inputs that may be left out.
        is_open: Whether it takes inputs of other names too.
        says_outputs: Whether its outputs were declared.
    """

    method: str
    answer: Any
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    is_open: bool = False
    says_outputs: bool = True


class FakeModel:
    """One version of a model, as `FakeModelServer.model` gives it. Its methods return it, so that they can be chained.

    Attributes:
        name: Its name.
        version: Its number.
        state: Where it is in its life; only AVAILABLE ones answer.
        failure: Why it failed, as GetModelStatus reports it; None if it did not.
    """

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version
        self.state = State.AVAILABLE
        self.failure: ServingError | None = None
        self.signatures: dict[str, FakeSignature] = {}

    def predict(
        self,
        answer: PredictAnswer,
        *,
        signature: str = DEFAULT_SIGNATURE,
        inputs: Mapping[str, Declaration] | None = None,
        outputs: Mapping[str, Declaration] | None = None,
    ) -> FakeModel:
        """Answer Predict on a signature.

        Args:
            answer: A function of the inputs, each an array (strings: objects of bytes) passed by its name, that
                returns a mapping from output name to array, list, number, str or bytes. Or such a mapping, for any
                input. Or a ServingError; a function may raise one too.
            signature: The signature's name.
            inputs: The dtypes, or pairs of dtype and shape, of the inputs. By default a function's parameters, each
                with the dtype of its `NDArray[np.int64]` annotation, else of its default, else float32; one with a
                default may be left out. Inputs are held to their dtype, as by a graph; to no shape, as by servers.
                A reply, or a function of `**inputs`, takes any input unless they are declared here, and then there
                is nothing for GetModelMetadata to report, which answers UNIMPLEMENTED.
            outputs: The same for outputs, which are converted to it. By default what the replies show.

        Raises:
            InputError: if a dtype is unknown, or the function does not take the declared inputs.
        """
        takes = _read_inputs(answer, inputs)
        gives = read_declarations(outputs or {})
        self.signatures[signature] = FakeSignature(
            PREDICT, answer, takes.inputs, gives, takes.defaults, takes.is_open, outputs is not None
        )
        return self

    def classify(self, answer: ClassifyAnswer, *, signature: str = DEFAULT_SIGNATURE) -> FakeModel:
        """Answer Classify, and the classifications of MultiInference, on a signature.

        Args:
            answer: A function of the list of examples, each a dict of its features (the context's merged in), that
                returns for each of them its classes: pairs of label and score, or a mapping from label to score. Or
                that list, for any examples. Or a ServingError.
            signature: The signature's name.
        """
        self.signatures[signature] = FakeSignature(CLASSIFY, answer, _EXAMPLES, _CLASSES)
        return self

    def regress(self, answer: RegressAnswer, *, signature: str = DEFAULT_SIGNATURE) -> FakeModel:
        """Answer Regress, and the regressions of MultiInference, on a signature.

        Args:
            answer: A function of the list of examples, as for `classify`, that returns a number for each. Or these
                numbers, for any examples. Or a ServingError.
            signature: The signature's name.
        """
        self.signatures[signature] = FakeSignature(REGRESS, answer, _EXAMPLES, _VALUES)
        return self

    def become(self, state: State | str, failure: ServingError | None = None) -> FakeModel:
        """Change the state that GetModelStatus reports, at once; only an AVAILABLE version answers.

        Args:
            state: The state, or its name.
            failure: Why it failed: `become("END", Internal("out of memory"))`.

        Raises:
            KeyError: if there is no state of that name.
        """
        self.state = State[state] if isinstance(state, str) else state
        self.failure = failure
        return self


def _read_inputs(answer: PredictAnswer, declared: Mapping[str, Declaration] | None) -> Parameters:
    takes = read_parameters(answer) if callable(answer) else Parameters({}, {}, is_open=True)
    if declared is None:
        return takes
    inputs = read_declarations(declared)
    required = set(takes.inputs) - set(takes.defaults)
    if required - set(inputs) or (set(inputs) - set(takes.inputs) and not takes.is_open):
        raise InputError(
            f"the function takes {sorted(takes.inputs)}, and {sorted(inputs)} is declared",
            expected=str(sorted(takes.inputs)),
        )
    defaults = {name: value for name, value in takes.defaults.items() if name in inputs}
    return Parameters(inputs, defaults, is_open=False)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a function takes.

    Attributes:
        inputs: Its parameters; the dtype from an `NDArray[...]` annotation, else from the default, else float32.
        defaults: The values of the parameters that have one.
        is_open: Whether it takes any other name too.
    """

    inputs: Mapping[str, TensorSpec]
    defaults: Mapping[str, Any]
    is_open: bool


def read_declarations(declared: Mapping[str, Declaration]) -> dict[str, TensorSpec]:
    """The tensors of a declaration.

    Raises:
        InputError: if a dtype is unknown.
    """
    return {name: _read_declaration(name, each) for name, each in declared.items()}


def _read_declaration(name: str, declared: Declaration) -> TensorSpec:
    if isinstance(declared, TensorSpec):
        return declared
    dtype, shape = declared if isinstance(declared, tuple) else (declared, None)
    found = _dtypes.find(dtype)
    if found is None:
        raise InputError(f"{name!r}: unknown dtype {dtype!r}", input=name, given=repr(dtype), expected="a dtype")
    return TensorSpec(name, found.name, None if shape is None else _sizes(shape), f"{name}:0")


def _sizes(shape: Sequence[int | None]) -> tuple[int | None, ...]:
    return tuple(None if size is None or size < 0 else size for size in shape)


def read_parameters(function: Callable[..., Any]) -> Parameters:
    """What a function takes; anything, for one that does not say (some built-in ones)."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return Parameters({}, {}, is_open=True)
    hints = _hints(function)
    named = [each for each in parameters if each.kind in _ARGUMENTS]
    return Parameters(
        {each.name: TensorSpec(each.name, _guess_dtype(each, hints), None, f"{each.name}:0") for each in named},
        {each.name: each.default for each in named if each.default is not inspect.Parameter.empty},
        is_open=any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters),
    )


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        # An annotation that names what exists for type checkers only says nothing here.
        return {}


def _guess_dtype(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> str:
    scalar = _find_scalar(hints.get(parameter.name))
    found = None if scalar is None else _dtypes.find(scalar)
    if found is None and parameter.default is not inspect.Parameter.empty:
        found = _dtypes.BY_NUMBER[tensors.encode(parameter.default).dtype]
    return found.name if found is not None else _UNDECLARED


def _find_scalar(hint: Any) -> type[np.generic] | None:
    """The scalar type in an annotation: NDArray[np.int8] is ndarray[..., dtype[int8]]; an alias from NumPy 2.5 on."""
    if get_origin(hint) is None:
        return hint if isinstance(hint, type) and issubclass(hint, np.generic) else None
    return next(filter(None, map(_find_scalar, get_args(hint))), None)


def infer_outputs(outputs: Mapping[str, wire.TensorProto]) -> dict[str, TensorSpec]:
    """The outputs that a reply shows; their first size is taken for the batch, and open."""
    return {name: _infer(name, tensor) for name, tensor in outputs.items()}


def _infer(name: str, tensor: wire.TensorProto) -> TensorSpec:
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    return TensorSpec(name, _dtypes.BY_NUMBER[tensor.dtype].name, (None, *sizes[1:]) if sizes else (), f"{name}:0")


def make_definition(
    method: str, inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec], defaults: Mapping[str, Any]
) -> wire.SignatureDef:
    """The SignatureDef of a signature."""
    return wire.SignatureDef(
        method_name=method,
        inputs={name: _make_info(spec) for name, spec in inputs.items()},
        outputs={name: _make_info(spec) for name, spec in outputs.items()},
        defaults={name: encode_default(value, inputs[name]) for name, value in defaults.items()},
    )


def _make_info(spec: TensorSpec) -> wire.TensorInfo:
    found = _dtypes.find(spec.dtype)
    info = wire.TensorInfo(name=spec.tensor_name or f"{spec.name}:0", dtype=found.number if found else wire.DT_INVALID)
    info.tensor_shape.unknown_rank = spec.shape is None
    for size in spec.shape or ():
        info.tensor_shape.dim.add(size=-1 if size is None else size)
    return info


def encode_default(value: Any, spec: TensorSpec) -> wire.TensorProto:
    """The tensor of an input that was left out."""
    return tensors.encode(value, spec.dtype)


def has_dtype(spec: TensorSpec, array: np.ndarray[Any, Any]) -> bool:
    """Whether an array has a tensor's dtype."""
    return bool(array.dtype == _dtypes.BY_NAME[spec.dtype].numpy)
