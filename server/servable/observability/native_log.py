"""What C++ libraries write to stderr while they start, as lines of the log.

TensorFlow and absl greet with some lines at import, one of them an error about CUDA on a machine without a GPU. No
setting of theirs keeps these back and warnings that matter not. So stderr is a file for that time, and its lines are
logged afterwards: greetings at DEBUG, all else as grave as they say. A process that ends meanwhile (TensorFlow aborts
where the processor lacks an instruction) must not take its last words with it: a shell waits for that and shows them.

Where every line has to be JSON, stderr is a pipe from then on, whose lines are logged as they come. There, too, a shell
waits for the end of the process, and makes lines of what is left in the pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Final

_log = logging.getLogger(__name__)

_STDERR: Final = 2
# Whoever ends properly writes a line first.
_SHOW_IF_ENDED: Final = 'read -r line || cat "$0" >&2'
# The same for a pipe, of which it makes lines of JSON. Controls become blanks, and what is no ASCII question marks.
_SHOW_REST: Final = r"""
read -r line
export LC_ALL=C
tr -d '\000' <"/dev/fd/$0" | tr '\001-\011\013-\037\177' ' ' | tr '\200-\377' '?' | sed -e 's/[\\"]/\\&/g' \
    -e 's/^/{"level": "ERROR", "logger": "stderr", "message": "/' -e 's/$/"}/' >&2
"""
# Who ends by a fault says why, and is gone a moment later: what it says must still lie in the pipe by then.
_LAST_WORDS_S: Final = 0.2
_PIPE_BYTES: Final = 1 << 20
_F_SETPIPE_SZ: Final = 1031
_LONGEST_LINE_BYTES: Final = 65_536
_FIRST_PROCESS: Final = 1
_shells: Final[list[subprocess.Popen[bytes]]] = []
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


def follow() -> None:
    """From now on, log what anybody writes to stderr: C++ libraries, faulthandler, print.

    As the first process of a container, and without a shell, stderr stays as it is: nothing outlives the process that
    could show its last words, and these are worth more than their form.
    """
    if os.getpid() == _FIRST_PROCESS:
        return
    reader, writer = os.pipe()
    try:
        # It lives as long as this process, which never writes to it: the system ends its input.
        _shells.append(
            subprocess.Popen(  # noqa: S603
                ["/bin/sh", "-c", _SHOW_REST, str(reader)],
                stdin=subprocess.PIPE,
                pass_fds=[reader],
                # Not told of a Ctrl-C that is meant for the server.
                start_new_session=True,
            )
        )
    except OSError:
        os.close(reader)
        os.close(writer)
        return
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, _F_SETPIPE_SZ, _PIPE_BYTES)
    sys.stderr.flush()
    os.dup2(writer, _STDERR)
    os.close(writer)
    threading.Thread(target=_log_lines, args=(reader,), name="stderr", daemon=True).start()


def _log_lines(reader: int) -> None:
    """Log the lines of a pipe as they come."""
    rest, waiting = b"", threading.Event()
    while True:
        select.select([reader], [], [])
        waiting.wait(_LAST_WORDS_S)
        *lines, rest = (rest + os.read(reader, _PIPE_BYTES)).split(b"\n")
        if len(rest) > _LONGEST_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            text = line.decode(errors="replace")
            _log.log(_level(text) or logging.WARNING, "%s", text)


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
