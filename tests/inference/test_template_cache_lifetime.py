"""The cache ends with the routes: it holds no version that was removed, and sends no request to the wrong one.

No test here lets the garbage collector help: a quiet server has no reason to collect.
"""

import gc
import sys
import threading
import weakref

import numpy as np
import pytest

from servable import wire
from servable.batching.dispatch import Dispatcher
from servable.batching.scheduler import Scheduler
from servable.calls import NO_CONTEXT
from servable.config.batching import QueueLimits
from servable.data_plane import MethodFactory, awaited
from servable.errors import NotFound, ServingError
from servable.routing import Router, Routes
from servable.servables import Handle
from tests.codec.wire_bytes import CONTENT, entry, sized, spec, tensor
from tests.inference.asking import Model, ask, floats_request, is_cached, model_routes, new_predict, run_model
from tests.inference.running_models import RunningModel
from tests.lifecycle.stepping import Bench

TIMEOUT_S = 30.0
REQUEST = floats_request(1.5, 2.5)
NOT_PARSED = spec("m") + entry("x", tensor(wire.DT_FLOAT, [1], sized(CONTENT, b"\0")))
ASKED = {"nothing": 0, "once": 1, "again": 2, "often": 5}


@pytest.fixture(autouse=True)
def _without_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def watched(name, version, model=None):
    """A handle, and an event that is set when it is freed."""
    handle, gone = Handle(name, version, model or Model()), threading.Event()
    weakref.finalize(handle, gone.set)
    return handle, gone


def remove(router, name, version):
    router.remove(router.routes.get(name, version))


def answered_by(predict, request):
    reply = wire.PredictResponse.FromString(ask(predict, request)[1])
    return reply.model_spec.version.value


@pytest.mark.parametrize("asked", ASKED)
def test_a_removed_version_is_freed_without_another_request(asked):
    handle, gone = watched("m", 1)
    router = Router(Routes([handle]))
    predict = new_predict(router)
    for _ in range(ASKED[asked]):
        ask(predict, REQUEST)
    router.remove(handle)
    del handle
    assert gone.is_set()


@pytest.mark.parametrize("request_", [REQUEST, NOT_PARSED], ids=["answered", "refused"])
def test_another_model_is_freed_as_soon_as_it_is_removed(request_):
    """Also where the error is kept, without its frames, as the transport keeps it."""
    other, other_gone = watched("b", 1)
    router = Router(Routes([Handle("m", 1, Model()), other]))
    predict = new_predict(router)
    errors = [error_of(predict, request_) for _ in range(3)]
    ask(predict, floats_request(1.5, name="b"))
    router.remove(other)
    del other
    assert other_gone.is_set()
    assert [error is None for error in errors] == [request_ is REQUEST] * 3


def error_of(predict, request):
    """The error that a request is answered with; None if there is none."""
    try:
        ask(predict, request)
    except ServingError as error:
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    return None


@pytest.mark.parametrize("asked", ASKED)
def test_a_request_in_flight_holds_its_own_version_and_no_other(asked):
    own, own_gone = watched("m", 1)
    other, other_gone = watched("b", 1)
    router = Router(Routes([own, other]))
    predict = new_predict(router)
    for _ in range(ASKED[asked]):
        ask(predict, REQUEST)
        ask(predict, floats_request(1.5, name="b"))
    run = predict.begin(REQUEST)
    router.remove(other)
    del other
    assert other_gone.is_set()
    router.remove(own)
    del own
    assert not own_gone.is_set()
    assert run.finish(run_model(run))
    del run
    assert own_gone.is_set()


def test_the_manager_closes_a_version_whose_requests_are_cached():
    bench = Bench()
    bench.serve(1)
    bench.loader.servables[0].signatures = Model().signatures
    predict = new_predict(bench.router)
    assert [answered_by(predict, REQUEST) for _ in range(3)] == [1] * 3
    bench.serve(2)
    assert [servable.times_closed for servable in bench.loader.servables] == [1, 0]
    assert bench.states() == {1: "END", 2: "AVAILABLE"}


@pytest.mark.parametrize("limits", [None, QueueLimits(), QueueLimits(max_batch_rows=1, splits=True)])
@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("asked", ASKED)
def test_the_threads_that_ran_requests_do_not_hold_their_version(limits, quick, asked):
    """Threads that ran the last request sleep, and keep nothing of it."""
    handle, gone = watched("m", 1, RunningModel(limits, quick=quick))
    router, scheduler = Router(Routes([handle])), Scheduler(2)
    scheduler.start()
    try:
        predict = new_predict(router)
        method = awaited(MethodFactory(Dispatcher(scheduler, 1e-4)).waiting_method(predict.begin))
        for _ in range(ASKED[asked]):
            method(REQUEST, None, NO_CONTEXT)
        router.remove(handle)
        del handle
        assert gone.wait(TIMEOUT_S)
    finally:
        assert scheduler.stop(TIMEOUT_S)


def test_neither_request_nor_arrays_are_kept():
    predict = new_predict()
    for _ in range(3):
        request = floats_request(*range(1000))
        before = sys.getrefcount(request)
        run, reply = ask(predict, request)
        arrays = [weakref.ref(array) for array in run.arrays]
        del run, reply
        assert sys.getrefcount(request) == before
        assert [array() for array in arrays] == [None]


def test_the_latest_version_answers_from_the_moment_it_is_there():
    predict = new_predict(model_routes(1))
    assert [answered_by(predict, REQUEST) for _ in range(3)] == [1] * 3
    predict._router.add(Handle("m", 2, Model()))
    assert [answered_by(predict, REQUEST) for _ in range(3)] == [2] * 3
    remove(predict._router, "m", 2)
    assert [answered_by(predict, REQUEST) for _ in range(3)] == [1] * 3


def test_a_version_that_is_replaced_under_its_number_answers():
    old, new = Model(), Model()
    predict = new_predict(Routes([Handle("m", 1, old)]))
    assert [ask(predict, REQUEST)[0].target.servable for _ in range(2)] == [old] * 2
    predict._router.add(Handle("m", 1, new))
    assert [ask(predict, REQUEST)[0].target.servable for _ in range(2)] == [new] * 2


def test_a_label_that_moves_takes_its_requests_along():
    predict, request = new_predict(), floats_request(1, label="old")
    for version in (1, 2, 1):
        predict._router.relabel({"m": {"old": version}})
        assert [answered_by(predict, request) for _ in range(3)] == [version] * 3
    predict._router.relabel({})
    with pytest.raises(ServingError, match="Unrecognized servable version label: old"):
        ask(predict, request)


def test_a_removed_version_is_not_found_in_the_cache():
    predict, request = new_predict(), floats_request(1, version=1)
    ask(predict, request)
    assert is_cached(predict, request)
    remove(predict._router, "m", 1)
    for _ in range(2):
        with pytest.raises(NotFound, match=r"Specific\(m, 1\)"):
            ask(predict, request)


def test_a_new_version_with_other_signatures_is_cached_anew():
    """A new version may give its outputs other names, or take other inputs."""
    predict = new_predict(Routes([Handle("m", 1, Model())]))
    for _ in range(2):
        ask(predict, REQUEST)
    predict._router.add(Handle("m", 2, Model(outputs={"only": "c:0"})))
    for _ in range(2):
        assert list(wire.PredictResponse.FromString(ask(predict, REQUEST)[1]).outputs) == ["only"]
    predict._router.add(Handle("m", 3, Model(inputs={"": ["other"]})))
    for _ in range(2):
        with pytest.raises(ServingError, match="alias: other"):
            ask(predict, REQUEST)


def test_two_methods_over_the_same_routes_do_not_share_a_cache():
    router = Router(model_routes())
    typed, content = new_predict(router), new_predict(router, as_content=True)
    # Only a reply whose outputs all have values is made from a template.
    request = floats_request(1.5, 2.5, outputs=["same"])
    for _ in range(3):
        same = [wire.PredictResponse.FromString(ask(one, request)[1]).outputs["same"] for one in (typed, content)]
        assert [list(same[0].float_val), same[0].tensor_content] == [[1.5, 2.5], b""]
        assert [list(same[1].float_val), same[1].tensor_content] == [[], np.float32([1.5, 2.5]).tobytes()]


def test_routes_that_change_under_traffic_get_each_request_a_version_that_was_there():
    predict, wrong, ended = new_predict(model_routes(1)), [], threading.Event()
    seen, answered = set(), threading.Event()

    def ask_on():
        while not ended.is_set():
            before = set(predict._router.routes._handles["m"])
            version = answered_by(predict, REQUEST)
            seen.add(version)
            if version < max(before):
                wrong.append((version, before))
            answered.set()

    threads = [threading.Thread(target=ask_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version in range(2, 60):
            handle, gone = watched("m", version)
            predict._router.add(handle)
            remove(predict._router, "m", version - 1)
            answered_by(predict, REQUEST)
            del handle
            # More versions than threads: some request must have begun after the first version was removed.
            answered.clear()
            assert answered.wait(TIMEOUT_S)
    finally:
        ended.set()
    for thread in threads:
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()
    assert not wrong
    assert max(seen) > 1
    remove(predict._router, "m", 59)
    assert gone.is_set()


def test_the_cache_stays_if_the_same_labels_are_set_again():
    predict, request = new_predict(), floats_request(1, label="old")
    predict._router.relabel({"m": {"old": 1}})
    ask(predict, request)
    routes = predict._router.routes
    predict._router.relabel({"m": {"old": 1}})
    assert predict._router.routes is routes
    assert is_cached(predict, request)


def test_a_predict_that_alone_holds_its_routes_is_freed_with_them():
    """As a warm-up makes one: only the Predict holds the router."""
    handle, gone = watched("m", 1)
    predict = new_predict(Router(Routes([handle])))
    del handle
    for _ in range(3):
        ask(predict, REQUEST)
    del predict
    assert gone.is_set()
