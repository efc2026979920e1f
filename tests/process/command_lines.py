"""Many command lines in one process of its own: the outcome of each, and whether it needed TensorFlow.

Run as a program it reads the command lines as JSON from its first argument and writes the outcomes as JSON.
"""

import contextlib
import io
import json
import subprocess
import sys

PATIENCE_S = 90.0


def outcomes(*command_lines):
    """What each command line came to: a dict of status, stdout, stderr, and whether TensorFlow was imported."""
    arguments = json.dumps([[str(argument) for argument in command_line] for command_line in command_lines])
    done = subprocess.run(
        [sys.executable, __file__, arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    return json.loads(done.stdout)


def outcome(*arguments):
    """What one command line came to."""
    (only,) = outcomes(arguments)
    return only


def _run(arguments):
    from servable import cli

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(arguments)
        except SystemExit as end:
            status = end.code
    tensorflow = "tensorflow" in sys.modules
    return {"status": status, "stdout": out.getvalue(), "stderr": err.getvalue(), "tensorflow": tensorflow}


if __name__ == "__main__":
    json.dump([_run(arguments) for arguments in json.loads(sys.argv[1])], sys.stdout)
