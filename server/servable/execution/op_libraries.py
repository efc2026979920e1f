"""Ops that TensorFlow does not have itself: from shared objects, and from Python modules that register them.

Both stay in the process for good, so they come before any model and a mistake ends the start.
"""

from __future__ import annotations

import importlib
import logging
import os
import re

import tensorflow as tf

from servable.errors import FailedPrecondition, InvalidArgument, NotFound, ServingError
from servable.execution.graph_session import translate

_log = logging.getLogger(__name__)

# What the dynamic linkers of Linux and macOS say.
_OTHER_TENSORFLOW = re.compile("undefined symbol|symbol not found", re.IGNORECASE)
_NO_DEPENDENCY = re.compile("cannot open shared object file|Library not loaded")


def bring(libraries: str, modules: str) -> None:
    """Load shared objects with ops, then import modules, each in its order.

    Args:
        libraries: Their paths, separated by commas.
        modules: Their dotted names, separated by commas.

    Raises:
        ServingError: if one cannot be had; the text, one line, says which flag and what to do.
    """
    for path in filter(None, libraries.split(",")):
        _load(os.path.abspath(path))
        _log.info("loaded the ops of %s", path)
    for name in filter(None, modules.split(",")):
        _import(name)
        _log.info("imported %s", name)


def _load(path: str) -> None:
    if not os.path.isfile(path):
        raise NotFound(f"--custom_op_libraries: {path}; No such file")
    try:
        tf.load_op_library(path)
    except tf.errors.OpError as error:
        raise _explain(path, translate(error)) from error


def _explain(path: str, error: ServingError) -> ServingError:
    told = f"--custom_op_libraries: {error.message if path in error.message else f'{path}: {error.message}'}."
    if _OTHER_TENSORFLOW.search(error.message):
        return FailedPrecondition(
            f"{told} Most likely it was built for another TensorFlow; this server runs on {tf.__version__}."
        )
    if _NO_DEPENDENCY.search(error.message):
        return FailedPrecondition(f"{told} It needs another library, which must be where the system looks for it.")
    return InvalidArgument(f"{told} It must be a shared object with ops, built for this system.")


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise NotFound(
                f"--import={name}: {_one_line(error)}. Install it, or put its folder on PYTHONPATH."
            ) from error
        _log.exception("importing %s failed", name)
        raise FailedPrecondition(
            f"--import={name}: {type(error).__name__}: {_one_line(error)}. The log has the traceback; "
            f"`python -c 'import {name}'` must work."
        ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
