"""One version of a fake model: its signatures, each with an answer, and its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from servable_client.errors import InputError, ServingError
from servable_client.replies import State
from servable_client.signatures import TensorSpec
from servable_client.testing._examples import Example
from servable_client.testing._signatures import Declaration, Parameters, read_declarations, read_parameters

DEFAULT_SIGNATURE = "serving_default"
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))

PredictAnswer = Callable[..., Mapping[str, Any]] | Mapping[str, Any] | ServingError
ClassifyAnswer = Callable[[list[Example]], Sequence[Any]] | Sequence[Any] | ServingError
RegressAnswer = Callable[[list[Example]], Sequence[float]] | Sequence[float] | ServingError

_EXAMPLES = {"inputs": TensorSpec("inputs", "string", (None,), "input_examples:0")}
_CLASSES = {
    "classes": TensorSpec("classes", "string", (None, None), "classes:0"),
    "scores": TensorSpec("scores", "float32", (None, None), "scores:0"),
}
_VALUES = {"outputs": TensorSpec("outputs", "float32", (None,), "outputs:0")}


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
        failure: Why it failed, as GetModelStatus tells it; None if it did not.
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
                is nothing for GetModelMetadata to tell, which answers UNIMPLEMENTED.
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
        """Change the state that GetModelStatus tells, at once; only an AVAILABLE version answers.

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
