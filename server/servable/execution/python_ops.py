"""Binds the Python ops of a graph (tf.py_function, tf.numpy_function) to the functions that --import provides.

Each op holds a token, a key of a registry that TensorFlow keeps for the process. Every process counts its tokens from
`pyfunc_0`, so a stored token is unknown here, or names another model's function: each op gets a new one at load.

Functions are registered by public API: tf.numpy_function and tf.py_function, called in a graph of no other use. They
stay registered for good, so a version that is loaded again adds nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from servable.errors import HIDE_ERROR_TEXT
from servable.python_functions import PROVIDED, PYTHON_OPS, Function, Provided

_log = logging.getLogger(__name__)

# An eager function gets tensors, the others get arrays.
_EAGER_OP = "EagerPyFunc"

# TensorFlow's texts of a failed function go on with the traceback.
_TRACEBACK = "\nTraceback (most recent call last):"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the registration of a function depends on, besides the function."""

    label: str
    is_eager: bool
    output_dtypes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Registered:
    """A function in TensorFlow's registry. The registry keeps it as long as the graph lives."""

    token: bytes
    graph: Any


# Never emptied, as the modules that provide the functions stay imported too.
_registered: dict[tuple[Function | None, _Kind], _Registered] = {}


def bind(graph_def: Any, directory: Path, provided: Provided = PROVIDED) -> None:
    """Let the Python ops of a graph call the functions that are provided for them.

    Ops without a function are logged now, and fail when they are run.

    Args:
        graph_def: A tensorflow GraphDef; its tokens are changed.
        directory: The version directory.
        provided: The functions.
    """
    lacking = []
    for node in _find(graph_def):
        token = node.attr["token"].s.decode(errors="replace")
        function = provided.find((node.name, node.name.rpartition("/")[2], token), directory)
        kind = _Kind(f"{node.name} ({token})", node.op == _EAGER_OP, tuple(node.attr["Tout"].list.type))
        if function is None:
            lacking.append(kind.label)
        node.attr["token"].s = _register(function, kind).token
    if lacking:
        _log.warning(
            "%s calls Python functions that nothing provides, so requests that reach them fail: %s. Provide each by "
            "its name or token in a module for --import, with servable.python_functions.provide",
            directory, ", ".join(sorted(lacking)),
        )  # fmt: skip


def without_traceback(text: str) -> str:
    """An error's text as callers may see it: the message of a failed Python function without its traceback."""
    return text.partition(_TRACEBACK)[0]


def _find(graph_def: Any) -> Iterator[Any]:
    for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function)):
        yield from (node for node in nodes if node.op in PYTHON_OPS)


def _register(function: Function | None, kind: _Kind) -> _Registered:
    key = (function, kind)
    if key not in _registered:
        # If two load threads register the same key at once, the graph of one of them is dropped.
        guarded = _guard(function, kind.label) if function else _refuse(kind.label)
        _registered.setdefault(key, _add_to_registry(guarded, kind))
    return _registered[key]


def _add_to_registry(function: Function, kind: _Kind) -> _Registered:
    make = tf.py_function if kind.is_eager else tf.numpy_function
    graph = tf.Graph()
    with graph.as_default():
        make(function, [], [tf.as_dtype(dtype) for dtype in kind.output_dtypes])
    (operation,) = graph.get_operations()
    return _Registered(operation.get_attr("token"), graph)


def _guard(function: Function, label: str) -> Function:
    """The function, with errors that callers may see: of a ValueError the text, of others only that it failed.

    TensorFlow makes INVALID_ARGUMENT of a ValueError and UNKNOWN of a RuntimeError (py_func.cc).
    """

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except ValueError:
            raise
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(error.message) from None
        except Exception:  # noqa: BLE001  The text of any other exception is not for callers.
            _log.exception("the Python function %s failed", label, extra=HIDE_ERROR_TEXT)
            raise RuntimeError(f"the Python function {label} failed; the server's log says why") from None

    return call


def _refuse(label: str) -> Callable[..., Any]:
    def call(*_arguments: Any) -> Any:
        # TensorFlow makes UNIMPLEMENTED of it.
        raise NotImplementedError(f"the server has no Python function for {label}; --import can bring it")

    return call
