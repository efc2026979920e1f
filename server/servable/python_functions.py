"""Python functions that models call: a module of --import provides them, the loader binds them.

A SavedModel stores a tf.py_function or tf.numpy_function as an op with a token, such as `pyfunc_0`, without the
function. This module must not know TensorFlow or models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

# Registered in every TensorFlow with Python.
PYTHON_OPS = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})

Function = Callable[..., Any]
_AnyFunction = TypeVar("_AnyFunction", bound=Function)


@dataclass(frozen=True, slots=True)
class _Key:
    name: str
    base_path: Path | None


class Provided:
    """Functions by the names that models' ops have."""

    def __init__(self) -> None:
        self._functions: dict[_Key, Function] = {}

    def provide(self, name: str, base_path: str | None = None) -> Callable[[_AnyFunction], _AnyFunction]:
        """A decorator that provides a function for the ops of a name.

        The function takes and returns the same as at export: NumPy arrays for tf.numpy_function, eager tensors for
        tf.py_function (of a ragged or sparse tensor, its parts). It is called from several threads.

        Args:
            name: The `name=` that the op was given at export, or its token, which changes with each export.
            base_path: Only for models below this directory; by default for all.

        Raises:
            ValueError: if another function has the name already.
        """
        key = _Key(name, Path(base_path) if base_path is not None else None)

        def keep(function: _AnyFunction) -> _AnyFunction:
            if self._functions.setdefault(key, function) is not function:
                raise ValueError(f"There are two Python functions for {name!r}; base_path tells models apart.")
            return function

        return keep

    def find(self, names: Iterable[str], directory: Path) -> Function | None:
        """The function of the first of some names that has one for a version directory; None if no name has.

        A function that is provided for a directory takes precedence: that of the nearest directory first, then those
        for all models.
        """
        names = list(names)
        for base_path in (directory, *directory.parents, None):
            for name in names:
                function = self._functions.get(_Key(name, base_path))
                if function is not None:
                    return function
        return None


PROVIDED = Provided()
provide = PROVIDED.provide
