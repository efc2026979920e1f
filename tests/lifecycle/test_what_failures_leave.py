"""Loads that fail with unexpected errors: what is kept of them, and the state of the version."""

import gc
import json
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path

import pytest

from servable.errors import DataLoss, ResourceExhausted
from tests.lifecycle.stepping import Bench


class HalfLoaded:
    """What a loader has in hand when it fails."""


@pytest.mark.behaviour(
    "14",
    "a failed load leaves nothing in memory but its error; one without a thread, or that ends its "
    "thread, is a failed load",
)
def test_nothing_of_a_failed_load_is_kept_but_its_error():
    kept = []

    def fail(path):
        half = HalfLoaded()
        kept.append(weakref.ref(half))
        raise DataLoss("cut", {"file": "variables"}) from ValueError(half)

    bench = Bench()
    bench.manager._loader = fail
    gc.disable()
    try:
        bench.serve(1)
        assert [half() for half in kept] == [None]
    finally:
        gc.enable()
    error = bench.monitor.versions("m")[1].error
    assert (type(error), error.message, error.hints) == (DataLoss, "cut", {"file": "variables"})


@pytest.mark.behaviour(
    "14",
    "a failed load leaves nothing in memory but its error; one without a thread, or that ends its "
    "thread, is a failed load",
)
@pytest.mark.parametrize("failure", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_loader_that_wants_to_end_its_thread_is_a_failed_load(failure):
    bench = Bench()
    bench.loader.errors[Path("/base/1")] = failure
    bench.serve(1)
    assert bench.states()[1][0] == "END"
    assert bench.states()[1][1].startswith(f"INTERNAL: {type(failure).__name__}")


@pytest.mark.behaviour(
    "14",
    "a failed load leaves nothing in memory but its error; one without a thread, or that ends its "
    "thread, is a failed load",
)
def test_a_load_that_gets_no_thread_is_tried_again():
    bench = Bench(max_retries=1, retry_interval_s=10)
    load, refusals = bench.workers.load, [ResourceExhausted("no thread")]

    def refuse_once(servable, job):
        if refusals:
            raise refusals.pop()
        load(servable, job)

    bench.workers.load = refuse_once
    bench.serve(1)
    assert bench.states() == {1: ("LOADING", "RESOURCE_EXHAUSTED: no thread")}
    bench.pass_time(10)
    bench.settle()
    assert bench.states() == {1: "AVAILABLE"}


AS_USER_NOBODY = """
import json, os, sys
from pathlib import Path
from servable import saved_model
from servable.errors import ServingError
from servable.lifecycle import manager
from servable.lifecycle.version import ServableId
from servable.lifecycle.version import Version
if os.getuid() == 0:
    os.setuid(65534)
path = Path(sys.argv[1])
try:
    manager._require_directory(Version(ServableId("m", 1), path))
    saved_model.read(path)
except ServingError as error:
    print(json.dumps([error.code.name, error.message]))
"""


@pytest.fixture
def version():
    """A version directory with an empty saved_model.pb, below folders that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m", "1")
        path.mkdir(parents=True)
        (path / "saved_model.pb").touch()
        Path(folder).chmod(0o755)
        yield path


def error_as_user_nobody(path):
    # Root may read everything, so another user reads it.
    command = [sys.executable, "-c", AS_USER_NOBODY, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)


@pytest.mark.behaviour("14", "a version or a base path without permission, or with a NUL byte, is reported")
@pytest.mark.parametrize("closed", [".", "..", "saved_model.pb"])
def test_a_version_that_may_not_be_read_is_reported(version, closed):
    assert error_as_user_nobody(version)[0] == "DATA_LOSS"
    shut = (version / closed).resolve()
    shut.chmod(0o600)
    denied = f"{version}/saved_model.pb; Permission denied. The server must be allowed to read it."
    assert error_as_user_nobody(version) == ["FAILED_PRECONDITION", denied]
    shut.chmod(0o700)
