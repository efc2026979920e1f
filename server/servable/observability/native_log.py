"""What C++ libraries write to stderr while they start, as lines of the log.

TensorFlow and absl greet with some lines at import, one of them an error about CUDA on a machine without a GPU. No
setting of theirs keeps these back and warnings that matter not. So stderr is a file for that time, and its lines are
logged afterwards: greetings at DEBUG, all else as grave as they say. A process that ends meanwhile (TensorFlow aborts
where the processor lacks an instruction) must not take its last words with it: a shell waits for that and shows them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Final

_log = logging.getLogger(__name__)

_STDERR: Final = 2
# Whoever ends properly writes a line first.
_SHOW_IF_ENDED: Final = 'read -r line || cat "$0" >&2'
# absl: `E0000 00:00:1795832404.300564  1231 file.cc:52] text`; TensorFlow before: `2026-11-28 02:19:19.2: E file.cc`;
# TensorFlow Lite: `INFO: text`.
_SEVERITY: Final = re.compile(r"(?:\d{4}-\d\d-\d\d [\d:.]+: )?([IWEF])(?:\d{4} | |NFO: |ARNING: |RROR: |ATAL: )")
_LEVELS: Final = {"I": logging.DEBUG, "W": logging.WARNING, "E": logging.ERROR, "F": logging.CRITICAL}
_GREETINGS: Final = re.compile("All log messages before absl::InitializeLog|Could not find cuda drivers|TF-TRT Warning")
_NO_GPU: Final = re.compile("failed call to cuInit|Unable to register cu\\w+ factory")
_GPU_DEVICES: Final = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")


@contextlib.contextmanager
def captured() -> Iterator[None]:
    """Keep what is written to stderr, by whomever, and log it at the end; nothing is kept where no file can be made."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="servable-start-"))
        except OSError:
            yield
            return
        stack.enter_context(_shown_if_ended(file.name))
        sys.stderr.flush()
        before = os.dup(_STDERR)
        os.dup2(file.fileno(), _STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, _STDERR)
            os.close(before)
            file.seek(0)
            for line in file.read().decode(errors="replace").splitlines():
                _log_line(line)


@contextlib.contextmanager
def _shown_if_ended(path: str) -> Iterator[None]:
    """See that a file is shown on stderr if the process ends meanwhile, on a system that has a shell."""
    try:
        shell = subprocess.Popen(["/bin/sh", "-c", _SHOW_IF_ENDED, path], stdin=subprocess.PIPE)  # noqa: S603
    except OSError:
        yield
        return
    try:
        yield
    finally:
        shell.communicate(b"\n")


def _log_line(line: str) -> None:
    level = _level(line)
    if level is None:
        # It is none of theirs: a warning of Python's, or a line of the log that was written meanwhile.
        sys.stderr.write(line + "\n")
    else:
        _log.log(level, "%s", line)


def _level(line: str) -> int | None:
    """How grave a line is; None if it is no line of a C++ library."""
    if _GREETINGS.search(line) or (_NO_GPU.search(line) and not any(map(os.path.exists, _GPU_DEVICES))):
        return logging.DEBUG
    severity = _SEVERITY.match(line)
    if severity is not None:
        return _LEVELS[severity[1]]
    # The second half of `cpu_feature_guard`'s greeting has no severity of its own.
    return logging.DEBUG if line.startswith("To enable the following instructions") else None
