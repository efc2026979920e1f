"""How the log looks: on a terminal, elsewhere, and as JSON; and what of others becomes a line of it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys

PATIENCE_S = 60.0
CODE = "import logging; from servable.observability import log; log.configure({level!r}); " + "; ".join(
    f"logging.getLogger('servable.x').{level}('one %s', 'line')" for level in ("debug", "info", "warning", "error")
)


def run(level, *, terminal, **environment):
    master, slave = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", CODE.format(level=level)],
            stderr=slave if terminal else subprocess.PIPE,
            timeout=PATIENCE_S, check=True, env={**os.environ, "TERM": "xterm", **environment},
        )  # fmt: skip
        text = os.read(master, 65536) if terminal else done.stderr
    finally:
        os.close(slave)
        os.close(master)
    return text.decode().splitlines()


def test_a_line_has_time_level_and_module():
    (line, *_) = run("info", terminal=False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO servable.x: one line", line)


def test_the_level_is_where_it_begins():
    counts = [len(run(level, terminal=False)) for level in ("debug", "info", "warning", "error")]
    assert counts == [4, 3, 2, 1]


def test_a_terminal_has_colours_and_no_times():
    assert run("info", terminal=True)[0] == "\x1b[32mINFO\x1b[0m:     one line"


def test_no_color_is_respected():
    assert "\x1b" not in "".join(run("info", terminal=True, NO_COLOR="1"))


OF_OTHERS = """
import logging, os, sys, threading, warnings
from servable.observability import log
log.configure("info", "json")
{body}
"""


def run_json(body):
    """The status and the lines of a process whose log is JSON. Nothing that it writes to stderr is anything else."""
    done = subprocess.run(
        [sys.executable, "-c", OF_OTHERS.format(body=body)], capture_output=True, timeout=PATIENCE_S, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def messages(body):
    return [line["message"] for line in run_json(body)[1]]


def test_a_line_of_json_says_who_speaks():
    _status, (line,) = run_json("logging.getLogger('servable.x').info('one', extra={'fields': {'model': 'm'}})")
    assert {key: line[key] for key in ("level", "logger", "message", "thread", "model")} == {
        "level": "INFO", "logger": "servable.x", "message": "one", "thread": "MainThread", "model": "m",
    }  # fmt: skip


def test_warnings_of_python_are_lines():
    (message,) = messages("warnings.warn('old ways')")
    assert "UserWarning: old ways" in message


FAILING = """
def fail():
    raise KeyError("why")

worker = threading.Thread(target=fail, name="worker")
worker.start()
worker.join()
fail()
"""


def test_what_ends_a_thread_or_the_process_is_a_line_with_its_traceback():
    status, lines = run_json(FAILING)
    assert status == 1
    assert [line["message"] for line in lines] == [
        "worker ended, for it failed in an unforeseen way",
        "the process ends, for it failed in an unforeseen way",
    ]
    of_thread, of_process = (line["exception"]["traceback"] for line in lines)
    assert of_process.endswith("KeyError: 'why'")
    # A thread may have had a request in hand.
    assert "in fail" in of_thread
    assert "KeyError: 'why'" not in of_thread


NATIVE = "E0000 00:00:1795832404.300564    1231 gpu.cc:7] the disk is full"
# It waits until its own line has come back by the pipe.
FOLLOWED = """
class Seen(logging.Handler):
    def emit(self, record):
        seen.set()

seen = threading.Event()
logging.getLogger("servable.observability.native_log").addHandler(Seen())
os.write(2, {text!r})
assert seen.wait(60)
"""


def test_what_c_libraries_write_are_lines_as_grave_as_they_say():
    _status, (line,) = run_json(FOLLOWED.format(text=f"{NATIVE} ".encode() + b"\xff\0 end\n"))
    assert (line["level"], line["message"]) == ("ERROR", f"{NATIVE} \ufffd\0 end")


def test_last_words_are_lines():
    status, lines = run_json("""os.write(2, b'F0000 check "failed": a \\\\ b\\n'); os.abort()""")
    assert status == -signal.SIGABRT
    assert lines[0]["message"] == 'F0000 check "failed": a \\ b'
    assert "Fatal Python error: Aborted" in [line["message"] for line in lines]


def test_what_comes_right_before_the_end_is_not_lost():
    assert messages("for n in range(3000): logging.getLogger('x').info(str(n))") == [str(n) for n in range(3000)]


def test_the_access_log_shows_at_every_level():
    code = "from servable.observability import log; log.configure('error'); import logging; "
    code += "logging.getLogger(log.ACCESS_LOGGER).info('a call'); logging.getLogger('servable.x').info('an event')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=PATIENCE_S, check=True)
    (line,) = done.stderr.decode().splitlines()
    assert line.endswith("INFO servable.access: a call")
