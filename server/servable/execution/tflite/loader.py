"""A version directory with a model.tflite to a loaded model.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/tflite_session.cc and saved_model_bundle_factory.cc.
"""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from servable import signatures
from servable.config.batching import BatchingConfig, QueueLimits
from servable.errors import Internal, InvalidArgument
from servable.execution.tflite import libraries, trial
from servable.execution.tflite.libraries import Interpreter, Library
from servable.execution.tflite.loaded import LoadedTfliteModel
from servable.execution.tflite.pool import SessionPool
from servable.execution.tflite.session import FAILURES, Session
from servable.tflite_model import stored
from servable.tflite_model.signatures import find_signatures
from servable.tflite_model.stored import TfliteModel

_log = logging.getLogger(__name__)

BUILD_FAILED: Final = "Cannot build Interpreter from buffer."
# A model that loads at all loads much faster; on a busy machine the program alone takes some seconds to start.
_LONGEST_TRIAL_S: Final = 60.0
# The original's batches inside a session: tflite_session.cc.
_SESSION_BATCH_ROWS: Final = 500
_SESSION_BATCHES: Final = 100

_UNRESOLVED_OP: Final = re.compile(r"unresolved custom op: (\w+)")


@dataclass(frozen=True)
class TfliteLoader:
    """Loads TensorFlow Lite models.

    Attributes:
        pools: How many interpreters a version may have, as --num_tflite_pools; at least one.
        interpreters_per_pool: Above 1, requests to a version run in batches, of this share of 500 rows.
        batching: How requests are batched; None if they are not.
        library: Whose interpreters; None for the best that is installed.
        has_trial: Whether a model is tried in a process of its own first.
    """

    pools: int = 1
    interpreters_per_pool: int = 1
    batching: BatchingConfig | None = None
    library: Library | None = None
    has_trial: bool = True

    def __call__(self, directory: Path) -> LoadedTfliteModel:
        """Load the model.tflite of a version directory.

        Raises:
            ServingError: in the original's words, if it cannot be loaded; the text says what to do.
        """
        limits = None if self.batching is None else self.batching.find_limits(directory)
        library, path = self.library or libraries.best(), directory / stored.NAME
        content = stored.read_file(path)
        model = stored.parse(content, path)
        offered = find_signatures(model)
        for key, reason in offered.left_out.items():
            _log.info("signature %r of %s is not served: %s", key, path, reason)
        prepared = {key: signatures.prepare(key, definition) for key, definition in offered.definitions.items()}
        _refuse_foreign_ops(model, path)
        if self.has_trial:
            _try(content, library, path)

        def make_session() -> Session:
            interpreter = _build(content, library, path)
            try:
                return Session(interpreter, model.main.inputs)
            except Internal as error:
                raise Internal(error.message + _advise(error.message, path)) from error

        pool = SessionPool(make_session, max(self.pools, 1))
        with library.quiet_first(), pool.borrow(None):
            _log.info("%s is run by %s %s", path, library.package, library.version())
        return LoadedTfliteModel(model, offered, prepared, pool, limits or self._session_limits(model))

    def _session_limits(self, model: TfliteModel) -> QueueLimits | None:
        if self.interpreters_per_pool <= 1:
            return None
        return QueueLimits(
            max_task_rows=_SESSION_BATCH_ROWS,
            max_batch_rows=_rows_at_once(model, self.interpreters_per_pool),
            max_batches=_SESSION_BATCHES,
            splits=True,
            batches_at_once=max(self.pools, 1),
        )


def _rows_at_once(model: TfliteModel, parts: int) -> int:
    inputs = model.main.inputs
    own = inputs[0].shape[0] if len(inputs) == 1 and inputs[0].shape else 1
    return own if 1 < own <= _SESSION_BATCH_ROWS else -(-_SESSION_BATCH_ROWS // parts)


def _build(content: bytes, library: Library, path: Path) -> Interpreter:
    try:
        return library.make(content)
    except FAILURES as error:
        raise Internal(f"{BUILD_FAILED}\n{error}{_advise(str(error), path)}") from error


def _refuse_foreign_ops(model: TfliteModel, path: Path) -> None:
    """Refuse what the original links in and no Python package has.

    Raises:
        Internal: if the model has TensorFlow's own ops, or parses tf.Examples.
    """
    if model.flex_ops:
        names = ", ".join(name.removeprefix("Flex") for name in model.flex_ops)
        raise Internal(
            f"{BUILD_FAILED}\n{path} uses ops of TensorFlow ({names}), for which the interpreters of Python packages "
            "lack the Flex delegate. Serve the SavedModel that it was made of, or convert that with "
            "target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]."
        )
    if model.parse_ops:
        raise Internal(
            f"{BUILD_FAILED}\n{path} parses tf.Examples ({', '.join(model.parse_ops)}), which no interpreter of a "
            "Python package can. Serve the SavedModel that it was made of; or convert what comes after the parsing, "
            "and call Predict."
        )


def _advise(text: str, path: Path) -> str:
    unresolved = _UNRESOLVED_OP.search(text)
    if unresolved is None:
        return ""
    return (
        f"\n{path} has the custom op {unresolved[1]}, which the interpreter lacks. Serve the SavedModel that it was "
        "made of, or convert that without custom ops."
    )


def _try(content: bytes, library: Library, path: Path) -> None:
    """See that a model does not end the process that loads it.

    Raises:
        InvalidArgument: if it does, or never ends loading.
    """
    failure = _find_deadly(content, library)
    if failure:
        raise InvalidArgument(
            f"{stored.UNREADABLE}\n{path} is not loaded, since it would end the server and all its models: a process "
            f"that tried it {failure}. The file is damaged; copy it again, or convert the model again."
        )


def _find_deadly(content: bytes, library: Library) -> str:
    """What became of a process that loads and runs a model, if it did not survive; else an empty text."""
    command = [sys.executable, trial.__file__, library.module]
    try:
        tried = subprocess.run(  # noqa: S603  A file of this package.
            command, input=content, capture_output=True, timeout=_LONGEST_TRIAL_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"had not loaded it after {_LONGEST_TRIAL_S:g} s"
    is_only_slow = -tried.returncode == signal.SIGALRM and trial.ALLOCATED in tried.stdout.decode().split()
    if tried.returncode >= 0 or is_only_slow:
        return ""
    return f"was ended by {signal.Signals(-tried.returncode).name}"
