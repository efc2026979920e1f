"""No request over REST holds a version longer than it lasts, errors included; nor its body.

No test here lets the garbage collector help: a quiet server has no reason to collect.
"""

import gc
import threading
import weakref

import pytest

from servable.servables import Handle
from tests.rest import served
from tests.rest.doubling import Doubling

TIMEOUT_S = 30.0
BODIES = {
    "answered": ("POST", ":predict", '{"instances": [1]}', 200),
    "answered by columns": ("POST", ":predict", '{"inputs": [1]}', 200),
    "answered and parsed elsewhere": ("POST", ":predict", '{"instances": [' + "1," * 5000 + "1]}", 200),
    "no JSON": ("POST", ":predict", "{", 400),
    "no such signature": ("POST", ":predict", '{"signature_name": "n"}', 400),
    "a wrong tensor": ("POST", ":predict", '{"instances": ["a"]}', 400),
    "a wrong tensor parsed elsewhere": ("POST", ":predict", '{"instances": [' + "1," * 5000 + '"a"]}', 400),
    "no classifier": ("POST", ":classify", '{"examples": [{"x": 1.0}]}', 400),
    "no regressor": ("POST", ":regress", '{"examples": [{"x": 1.0}]}', 400),
    "status": ("GET", "", "", 200),
    "metadata": ("GET", "/metadata", "", 200),
    "no such label": ("POST", "/labels/l:predict", '{"instances": [1]}', 400),
}


@pytest.fixture(autouse=True)
def _without_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(("verb", "end", "body", "status"), BODIES.values(), ids=BODIES)
def test_a_removed_version_is_freed_after_its_last_request(verb, end, body, status):
    handle, gone = Handle("m", 1, Doubling()), threading.Event()
    weakref.finalize(handle, gone.set)
    running = served.serve([handle])
    try:
        for _ in range(3):
            answer = served.read(running.ask(verb, f"/v1/models/m{end}", body))
            assert answer[0] == status, answer
        router = running.router
        del handle
        router.remove(router.routes.get("m", 1))
        assert gone.wait(TIMEOUT_S)
    finally:
        running.stop()


LARGE = '{"instances": [1,' + " " * 400_000 + '"a"]}'


def test_the_bodies_of_failed_requests_are_in_no_cycle():
    """A large body is parsed by another thread; its error reaches the loop as a future's."""
    running = served.serve([Handle("m", 1, Doubling())])
    try:
        for _ in range(5):
            assert running.post("/v1/models/m:predict", LARGE)[0] == 400
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        for _ in range(5):
            assert running.post("/v1/models/m:predict", LARGE)[0] == 400
        gc.collect()
        kept = [container for container in gc.garbage if any(map(is_large, gc.get_referents(container)))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        running.stop()
    assert kept == []


def is_large(value):
    return isinstance(value, bytes) and len(value) > 300_000
