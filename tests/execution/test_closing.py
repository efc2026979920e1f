"""Closing a version: session and graph are gone at once, runs under way end, later ones are refused."""

import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from servable.errors import Cancelled, ServingError
from servable.execution import memory
from servable.execution.loader import SavedModelLoader
from tests.execution.running import floats, run
from tests.serving import RUNS

PATIENCE_S = 60.0
# A busy machine takes a minute to import TensorFlow and load a few models.
PROCESS_PATIENCE_S = 110.0


@pytest.fixture(params=RUNS.values(), ids=list(RUNS))
def load(request):
    return SavedModelLoader(runs=request.param())


@pytest.fixture
def no_collector():
    gc.disable()
    yield
    gc.enable()


@pytest.mark.behaviour("6.5", "ours: a version that has left frees session and graph at once")
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", ["half_plus_two", "half_plus_two_tf2", "vocabulary"])
@pytest.mark.parametrize("timeout_s", [None, 1e-3 * 3600], ids=["plain", "timed"])
def test_session_and_graph_are_gone_without_a_garbage_collection(models, name, timeout_s):
    model = SavedModelLoader()(models.version_path(name))
    if name != "vocabulary":
        run(model, "serving_default", {"x": floats(2.0)}, timeout_s)
    session = weakref.ref(model._session._session)
    graph = weakref.ref(session().graph)
    model.close()
    assert session() is None
    assert graph() is None


def test_calls_after_the_close_are_refused(load, models):
    model = load(models.version_path("half_plus_two"))
    signature = model.signatures["serving_default"]
    feeds, fetches = tuple(signature.inputs.values()), tuple(signature.outputs.values())
    runner = model.runner(feeds, fetches)
    model.close()
    with pytest.raises(Cancelled, match=r"Session has been closed\."):
        model.runner(feeds, fetches)
    with pytest.raises((ServingError, RuntimeError)):
        runner.run([floats(2.0)], None)
    model.close()


@pytest.mark.behaviour("6.5", "ours: a run that is under way when a version is closed ends")
def test_a_close_ends_a_run_that_is_under_way(load, models):
    """The run waits for a queue that nothing fills."""
    model = load(models.version_path("gate"))
    began, ended = threading.Event(), []

    def wait():
        began.set()
        try:
            run(model, "pass", {"x": np.array([1.0], np.float32)})
        except (ServingError, RuntimeError) as error:
            ended.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert began.wait(PATIENCE_S)
    # The run may not have reached TensorFlow yet; then it meets a closed session there.
    model.close()
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    assert len(ended) == 1


SWAPS = """
import sys
from pathlib import Path
from servable.execution import memory
memory.prepare()
from servable.execution.loader import SavedModelLoader

def resident_mb():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024

load = SavedModelLoader()
load(Path(sys.argv[1])).close()
before = resident_mb()
for _ in range(3):
    model = load(Path(sys.argv[2]))
    loaded = resident_mb()
    model.close()
    print(loaded - before, resident_mb() - before)
"""


@pytest.mark.behaviour("6.5", "ours: its memory goes back to the system")
@pytest.mark.skipif(memory._glibc("malloc_trim") is None, reason="only glibc has malloc_trim")
def test_the_memory_of_a_version_goes_back_to_the_system(models, tmp_path):
    large = save_large(tmp_path / "1")
    done = subprocess.run(
        [sys.executable, "-c", SWAPS, str(models.version_path("half_plus_two")), str(large)],
        capture_output=True, text=True, timeout=PROCESS_PATIENCE_S, check=True,
    )  # fmt: skip
    swaps = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    assert len(swaps) == 3
    for loaded, closed in swaps:
        assert loaded > 30.0
        assert closed < 15.0


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    memory.prepare()
    memory.give_back()


def save_large(directory):
    """A model of 40 MB: the sum of a variable and x."""
    import tensorflow as tf

    from tests.models.exporting import save_tf2

    module = tf.Module()
    module.weights = tf.Variable(tf.ones([10_000_000]))
    spec = tf.TensorSpec([None], tf.float32, name="x")
    return save_tf2(module, directory, tf.function(lambda x: {"y": x + module.weights[0]}, input_signature=[spec]))
