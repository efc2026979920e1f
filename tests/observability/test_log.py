"""How the log looks: on a terminal and elsewhere."""

import os
import pty
import re
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
