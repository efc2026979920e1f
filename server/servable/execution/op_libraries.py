"""Ops that TensorFlow does not have itself: load what registers them, and explain which ones a model lacks.

Ops come from shared objects, and from Python modules that register them. Both stay in the process for good, so they are
loaded before any model, and a mistake ends the start.

When a graph cannot be imported because an op is missing, TensorFlow's error names only the first one.
`explain_missing_ops` names all of them, with the packages that register them. TensorFlow's public Python API lists only
some of its ops, so `find_missing_ops` tries each one.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from servable import op_packages
from servable.errors import FailedPrecondition, InvalidArgument, NotFound, ServingError, of_code
from servable.execution.graph_session import translate

_log = logging.getLogger(__name__)

# The texts of the dynamic linkers of Linux and macOS.
_OTHER_TENSORFLOW = re.compile("undefined symbol|symbol not found", re.IGNORECASE)
_NO_DEPENDENCY = re.compile("cannot open shared object file|Library not loaded")
# TensorFlow puts words before this text if the versions of graph and TensorFlow are far apart.
_NOT_REGISTERED = re.compile(r"Op type not registered '[^']*'.*", re.DOTALL)


def load_all(libraries: str, modules: str) -> None:
    """Load shared objects with ops, then import modules, each in its order.

    Args:
        libraries: Their paths, separated by commas.
        modules: Their dotted names, separated by commas.

    Raises:
        ServingError: if one cannot be loaded; the text, one line, names the flag and what to do.
    """
    for path in filter(None, libraries.split(",")):
        _load_library(os.path.abspath(path))
        _log.info("loaded the ops of %s", path)
    for name in filter(None, modules.split(",")):
        _import_module(name)
        _log.info("imported %s", name)


def _load_library(path: str) -> None:
    if not os.path.isfile(path):
        raise NotFound(f"--custom_op_libraries: {path}; No such file")
    try:
        tf.load_op_library(path)
    except tf.errors.OpError as error:
        raise _explain_library(path, translate(error)) from error


def _explain_library(path: str, error: ServingError) -> ServingError:
    message = f"--custom_op_libraries: {error.message if path in error.message else f'{path}: {error.message}'}."
    if _OTHER_TENSORFLOW.search(error.message):
        return FailedPrecondition(
            f"{message} Most likely it was built for another TensorFlow; this server runs on {tf.__version__}."
        )
    if _NO_DEPENDENCY.search(error.message):
        return FailedPrecondition(f"{message} It needs another library, which must be where the system looks for it.")
    return InvalidArgument(f"{message} It must be a shared object with ops, built for this system.")


def _import_module(name: str) -> None:
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise NotFound(
                f"--import={name}: {_one_line(error)}. Install it, or put its folder on PYTHONPATH."
            ) from error
        _log.exception("importing %s failed", name)
        package = op_packages.find_module(name)
        other = f" Its ops need no import: {package.flag} brings them." if package and package.library else ""
        raise FailedPrecondition(
            f"--import={name}: {type(error).__name__}: {_one_line(error)}. The log has the traceback; "
            f"`python -c 'import {name}'` must work.{other}"
        ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def explain_missing_ops(error: ServingError, meta_graph: Any, directory: Path) -> ServingError | None:
    """The error of an import, with all missing ops and how to load them; None if it has another cause.

    Args:
        error: What the import of the graph raised.
        meta_graph: A tensorflow MetaGraphDef.
        directory: The version directory.
    """
    found = _NOT_REGISTERED.search(error.message)
    missing = find_missing_ops(sorted(set(_used_ops(meta_graph.graph_def)))) if found else ()
    if not found or not missing:
        return None
    return of_code(
        error.code,
        f"{found[0]}\n{directory} needs ops that nothing here registers: {', '.join(sorted(missing))}. "
        f"{op_packages.advise(missing)}{_compare_versions(meta_graph.meta_info_def.tensorflow_version)}",
    )


def find_missing_ops(names: Iterable[str]) -> set[str]:
    """Those of some op names that no loaded library registers."""
    return {name for name in names if not _is_registered(name)}


def _is_registered(name: str) -> bool:
    graph_def = tf.compat.v1.GraphDef(node=[tf.compat.v1.NodeDef(name="tried", op=name)])
    try:
        with tf.Graph().as_default():
            tf.graph_util.import_graph_def(graph_def, name="")
    except (tf.errors.OpError, ValueError) as error:
        # Most ops need inputs and attributes, which this node lacks. Then the error is another one.
        return f"Op type not registered '{name}'" not in str(error)
    return True


def find_ops_without_kernel(names: Iterable[str]) -> set[str]:
    """Those of some registered op names for which no loaded library has a kernel for a device of this machine.

    TensorFlow's list of kernels is private API; without it no op is found.
    """
    try:
        from tensorflow.python.framework import kernels

        devices = {"DEFAULT", *(device.device_type for device in tf.config.list_physical_devices())}
        return {
            name
            for name in names
            if _is_registered(name)
            and devices.isdisjoint(kernel.device_type for kernel in kernels.get_registered_kernels_for_op(name).kernel)
        }
    except (ImportError, AttributeError):
        _log.info("this TensorFlow does not say which ops have kernels")
        return set()


def _compare_versions(made_with: str) -> str:
    if not made_with or made_with == tf.__version__:
        return ""
    return f" The model was made with TensorFlow {made_with}, this server runs on {tf.__version__}."


def _used_ops(graph_def: Any) -> Iterator[str]:
    functions = graph_def.library.function
    own = {function.signature.name for function in functions}
    for nodes in (graph_def.node, *(function.node_def for function in functions)):
        yield from (node.op for node in nodes if node.op not in own)
