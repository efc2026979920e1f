"""How long a start takes beside the import of TensorFlow, and what an idle server holds beside a bare session."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Any

import fixed_rate
from messages import PREDICT
from models import MODELS, Model
from process import ServerProcess
from reference import find_tensors
from servers import serve_command
from setting import Setting

_TIMEOUT_S = 60.0
_START_TARGET_S, _MEMORY_TARGET = 1.5, 1.1
_IMPORT = "import tensorflow; print('imported', flush=True)"
# What anyone would write who only wants to run the model.
_SESSION = """
import sys
import numpy as np
import tensorflow as tf
directory, feed, fetch, *shape = sys.argv[1:]
session = tf.compat.v1.Session(graph=tf.Graph())
with session.graph.as_default():
    tf.compat.v1.saved_model.load(session, ["serve"], directory)
session.run(fetch, {feed: np.ones([int(size) for size in shape], np.float32)})
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS:")))
"""


def measure_start(setting: Setting) -> dict[str, Any]:
    """Seconds from the start of the process; the median of three, in turn."""
    model, imports_s, answers_s = MODELS["half_plus_two"], [], []
    for _ in range(3):
        began_s = time.monotonic()
        _run(sys.executable, "-c", _IMPORT)
        imports_s.append(time.monotonic() - began_s)
        began_s = time.monotonic()
        server = _start(model, setting)
        try:
            _answer(server, model)
            answers_s.append(time.monotonic() - began_s)
        finally:
            server.stop()
    return {"import_s": statistics.median(imports_s), "first_answer_s": statistics.median(answers_s)}


def describe_start(figures: dict[str, Any]) -> list[str]:
    """One line."""
    import_s, answer_s = figures["import_s"], figures["first_answer_s"]
    return [
        f"**Start.** First answer of half_plus_two {answer_s:.2f} s after the start of the process; "
        f"`import tensorflow` alone takes {import_s:.2f} s: {answer_s - import_s:.2f} s more "
        f"(target: {_START_TARGET_S:g}). Median of 3."
    ]


def measure_memory(setting: Setting) -> dict[str, Any]:
    """Resident memory after the first answer, of a server and of a process with nothing but a session."""
    figures = {}
    for model, shape in ((MODELS["half_plus_two"], [1]), (MODELS["mobilenet_v2"], [1, 224, 224, 3])):
        version = setting.base_path(model) / "1"
        session_kb = _run(sys.executable, "-c", _SESSION, str(version), *find_tensors(version), *map(str, shape))
        server = _start(model, setting)
        try:
            _answer(server, model)
            server.wait_until_idle()
            figures[model.title] = {"session_mb": int(session_kb) * 1024 / 1e6, "server_mb": server.resident_mb()}
        finally:
            server.stop()
    return figures


def describe_memory(figures: dict[str, Any]) -> list[str]:
    """One line."""
    parts = [
        f"{title} {each['server_mb']:.0f} MB beside {each['session_mb']:.0f} MB "
        f"({each['server_mb'] / each['session_mb']:.2f})"
        for title, each in figures.items()
    ]
    return [
        "**Idle memory** after the first answer, of the server beside a process that imported TensorFlow and ran the "
        f"model in a Session: {'; '.join(parts)} (target: {_MEMORY_TARGET:g})."
    ]


def _start(model: Model, setting: Setting) -> ServerProcess:
    return ServerProcess("servable", lambda port: serve_command(port, *setting.flags(model)), setting.folder)


def _answer(server: ServerProcess, model: Model) -> None:
    server.wait_until_ready()
    with fixed_rate.open_channel(server.address) as channel:
        channel.unary_unary(PREDICT)(model.request, timeout=_TIMEOUT_S)


def _run(*command: str) -> str:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    # The first line, not the end: to take TensorFlow down is no part of what is timed.
    line = process.stdout.readline()
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{command[1:2]} ended with {process.returncode}:\n{errors[-1500:]}")
    return line
