"""What calls return. Every reply says which model, version and signature answered."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

import numpy as np

from servable_client.errors import Code

__all__ = [
    "Class",
    "Classifications",
    "Health",
    "Prediction",
    "Regressions",
    "Served",
    "State",
    "VersionStatus",
]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Served:
    """Who answered, from the reply's model_spec.

    Attributes:
        model: The model's name.
        version: The version that ran, also where a label or nothing was asked for; None if the server does not say.
        signature: The signature that ran.
    """

    model: str
    version: int | None
    signature: str


class Prediction(Mapping[str, Array]):
    """The outputs of `predict`, a mapping from name to array.

    Arrays are read-only, and large ones are views of the reply's bytes; strings are objects (bytes).
    `prediction.value` is the array of a single output.

    Attributes:
        served: The model, version and signature that answered.
    """

    __slots__ = ("_outputs", "served")

    def __init__(self, outputs: Mapping[str, Array], served: Served) -> None:
        self._outputs = outputs
        self.served = served

    def __getitem__(self, name: str) -> Array:
        try:
            return self._outputs[name]
        except KeyError:
            raise KeyError(f"no output {name!r}; there are: {', '.join(sorted(self._outputs))}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def __contains__(self, name: object) -> bool:
        return name in self._outputs

    def __repr__(self) -> str:
        outputs = ", ".join(f"{name}: {array.dtype}{list(array.shape)}" for name, array in self._outputs.items())
        return f"Prediction({{{outputs}}}, model={self.model!r}, version={self.version})"

    @property
    def value(self) -> Array:
        """The array of the only output.

        Raises:
            ValueError: if there are several, or none.
        """
        if len(self._outputs) != 1:
            raise ValueError(f"there are {len(self._outputs)} outputs, not one: {', '.join(sorted(self._outputs))}")
        return next(iter(self._outputs.values()))

    @property
    def model(self) -> str:
        """The model that answered."""
        return self.served.model

    @property
    def version(self) -> int | None:
        """The version that answered; None if the server does not say."""
        return self.served.version

    @property
    def signature(self) -> str:
        """The signature that ran."""
        return self.served.signature


class Class(NamedTuple):
    """One class of an example: its label (empty if the model gives none) and its score (0.0 if none)."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classifications(Sequence[tuple[Class, ...]]):
    """The reply of `classify`: for each example its classes, in the model's order.

    Attributes:
        examples: The classes of each example.
        served: The model, version and signature that answered.
    """

    examples: tuple[tuple[Class, ...], ...]
    served: Served

    @overload
    def __getitem__(self, index: int) -> tuple[Class, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[Class, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[Class, ...] | Sequence[tuple[Class, ...]]:
        return self.examples[index]

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def labels(self) -> list[list[str]]:
        """The labels of each example."""
        return [[each.label for each in classes] for classes in self.examples]

    @property
    def scores(self) -> Array:
        """The scores, float32 of shape [examples, classes].

        Raises:
            ValueError: if the examples have different numbers of classes.
        """
        return np.array([[each.score for each in classes] for classes in self.examples], np.float32)

    @property
    def best(self) -> list[Class]:
        """The class of the highest score of each example, which must have one at least."""
        return [max(classes, key=lambda each: each.score) for classes in self.examples]


@dataclass(frozen=True, slots=True, eq=False)
class Regressions(Sequence[float]):
    """The reply of `regress`: one value for each example.

    Attributes:
        values: float32, shape [examples].
        served: The model, version and signature that answered.
    """

    values: Array
    served: Served

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...
    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        chosen = self.values[index]
        return chosen.tolist() if isinstance(index, slice) else float(chosen)

    def __len__(self) -> int:
        return len(self.values)


class State(enum.IntEnum):
    """Where a version is in its life."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version of a model.

    Attributes:
        version: Its number.
        state: Where it is in its life; `State.AVAILABLE` answers requests.
        code: OK, or why it failed.
        message: The text of the failure; empty if there is none.
    """

    version: int
    state: State
    code: Code
    message: str


class Health(enum.IntEnum):
    """The answers of grpc.health.v1."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3
