"""Versions and configs that change under steady calls, over real sockets: no reply is lost, and nothing is kept."""

import contextlib
import gc
import itertools
import os
import threading
import weakref

import grpc
import pytest

from servable.execution.loader import SavedModelLoader
from tests.conformance.calls import NOT_FOUND, TIMEOUT_S, predict, predict_request, refused, values
from tests.conformance.operating import Loader, eventually, model, operate, put, remove

CALLERS = 4
SWAPS = 300


class Caller(threading.Thread):
    """Calls again and again until it is stopped; remembers what each call gave, or why it failed."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self._call, self._stopped = call, threading.Event()
        self.replies, self.failure, self.called = [], None, threading.Event()

    def run(self):
        try:
            while not self._stopped.is_set():
                self.replies.append(self._call())
                self.called.set()
        except (grpc.RpcError, AssertionError) as failure:
            self.failure = failure

    def await_calls(self, count=2):
        """Wait until so many calls have begun and ended since now."""
        for _ in range(count):
            self.called.clear()
            assert self.called.wait(TIMEOUT_S), self.failure

    def stop(self):
        self._stopped.set()
        self.join(TIMEOUT_S)


@contextlib.contextmanager
def calling(call, callers=CALLERS):
    """Yields callers that have called and call until the end; none of them may have failed by then."""
    callers = [Caller(call) for _ in range(callers)]
    for caller in callers:
        caller.start()
    try:
        for caller in callers:
            assert caller.called.wait(TIMEOUT_S), caller.failure
        yield callers
    finally:
        for caller in callers:
            caller.stop()
    assert [caller.failure for caller in callers] == [None] * len(callers)


@pytest.mark.behaviour(
    "14",
    "no reply fails while versions replace each other under calls from several threads; each reply is "
    "its version's own",
)
def test_no_reply_fails_and_each_is_its_versions_own_while_versions_replace_each_other(models, tmp_path):
    base_path = tmp_path / "m"
    base_path.mkdir()
    kinds = itertools.cycle(("half_plus_two", "half_plus_three"))
    answers = {}

    def add(version, name):
        (base_path / str(version)).symlink_to(models.version_path(name))
        answers[version] = 3.0 if name == "half_plus_two" else 4.0

    def call():
        response = predict(server.running, "m", {"x": [[2.0]]})
        return response.model_spec.version.value, values(response.outputs["y"])[0][0]

    add(1, next(kinds))
    with operate(tmp_path, model("m", base_path), loader=SavedModelLoader()) as server:
        with calling(call) as callers:
            for version in range(2, 13):
                add(version, next(kinds))
                server.await_states("m", dict.fromkeys(range(1, version), "END") | {version: "AVAILABLE"})
                (base_path / str(version - 1)).unlink()
                callers[0].await_calls()
        for caller in callers:
            seen = [version for version, _ in caller.replies]
            # A caller that was answered by a version is never answered by an older one.
            assert seen == sorted(seen)
            assert {(version, answers[version]) for version in seen} == set(caller.replies)
        assert {version for version, _ in callers[0].replies} == set(answers)


@pytest.mark.behaviour(
    "14",
    "no reply fails while versions replace each other under calls from several threads; each reply is "
    "its version's own",
)
def test_a_call_in_flight_ends_at_the_version_that_it_began_with(tmp_path):
    path = put(tmp_path / "m", 1)
    loader = Loader()
    held = loader.hold_calls(path)
    with operate(tmp_path, model("m", tmp_path / "m"), loader=loader) as server:
        calls = [server.begin_call("m") for _ in range(3)]
        for _ in calls:
            held.await_arrival()
        put(tmp_path / "m", 2)
        server.await_states("m", {2: "AVAILABLE", 1: "UNLOADING"})
        assert server.version("m") == 2
        assert not loader.servables[path].closed.is_set()
        held.open()
        assert [call.result(TIMEOUT_S).model_spec.version.value for call in calls] == [1, 1, 1]
        server.await_states("m", {2: "AVAILABLE", 1: "END"})


@pytest.mark.behaviour("14", "a call that fails, is cancelled or times out releases its version, in every API")
def test_a_cancelled_call_holds_its_version_until_its_run_is_over(tmp_path):
    path = put(tmp_path / "m", 1)
    loader = Loader()
    held = loader.hold_calls(path)
    with operate(tmp_path, model("m", tmp_path / "m"), loader=loader) as server, no_collector():
        call = server.begin_call("m")
        held.await_arrival()
        call.cancel()
        put(tmp_path / "m", 2)
        server.await_states("m", {2: "AVAILABLE", 1: "UNLOADING"})
        assert not loader.servables[path].closed.is_set()
        held.open()
        server.await_states("m", {2: "AVAILABLE", 1: "END"})


@pytest.mark.behaviour(
    "14",
    "moving labels, models that are added and removed, fifty reloads at once: others are not disturbed",
)
def test_a_label_that_goes_to_and_fro_always_answers(tmp_path):
    for version in (1, 2):
        put(tmp_path / "m", version)

    def labelled(version):
        return model("m", tmp_path / "m", "all {}", {"stable": version})

    with operate(tmp_path, model("m", tmp_path / "m", "all {}")) as server:
        server.await_states("m", {2: "AVAILABLE", 1: "AVAILABLE"})
        server.reload(labelled(1))
        with calling(lambda: server.version("m", label="stable")) as callers:
            for turn in range(40):
                server.reload(labelled(1 + turn % 2))
                callers[0].await_calls(1)
        assert {version for caller in callers for version in caller.replies} == {1, 2}


@pytest.mark.behaviour(
    "14",
    "moving labels, models that are added and removed, fifty reloads at once: others are not disturbed",
)
def test_a_model_that_comes_and_goes_over_and_over_disturbs_no_other(tmp_path):
    for name in ("steady", "guest"):
        put(tmp_path / name, 1)
    steady, guest = model("steady", tmp_path / "steady"), model("guest", tmp_path / "guest")
    with operate(tmp_path, steady) as server:
        with calling(lambda: server.answer("steady")):
            for _ in range(30):
                server.reload(steady, guest)
                assert server.answer("guest") == 1
                server.reload(steady)
                assert refused(server.running.prediction.Predict, predict_request("guest"))[0] is NOT_FOUND
        server.reload(steady, guest)
        assert server.states("guest") == {1: "AVAILABLE"}


@pytest.mark.behaviour(
    "14",
    "moving labels, models that are added and removed, fifty reloads at once: others are not disturbed",
)
def test_fifty_reloads_at_once_from_several_clients_leave_the_last_config_whole(tmp_path):
    names = "abcdef"
    for name in ("steady", *names):
        put(tmp_path / name, 1)
    steady, *guests = (model(name, tmp_path / name) for name in ("steady", *names))
    with operate(tmp_path, steady) as server, calling(lambda: server.answer("steady"), 1):
        reloads = [server.begin_reload(steady, *guests[: number % len(guests)]) for number in range(50)]
        for reload_ in reloads:
            # A reload fails if another one removes the model that it waits for.
            assert reload_.exception(TIMEOUT_S) is None or reload_.code() is grpc.StatusCode.UNKNOWN
        server.reload(steady, *guests)
        assert [server.answer(name) for name in names] == [1] * len(names)
        server.reload(steady)
        for name in names:
            server.await_states(name, {1: "END"})


@pytest.mark.behaviour("14", "300 swaps leak no model, no thread and no file")
def test_three_hundred_swaps_keep_no_model_no_thread_and_no_file(tmp_path):
    old = put(tmp_path / "m", 1)
    with operate(tmp_path, model("m", tmp_path / "m")) as server, no_collector():
        kept, before = [], None
        for version in range(2, SWAPS + 2):
            kept.append(weakref.ref(server.loader.servables.pop(old)))
            new = put(tmp_path / "m", version)
            eventually(lambda version=version: server.version("m"), version)
            remove(old)
            old = new
            before = before or held()
        server.await_states("m", dict.fromkeys(range(1, SWAPS + 1), "END") | {SWAPS + 1: "AVAILABLE"})
        eventually(lambda: sum(servable() is not None for servable in kept), 0)
        # Pools grow up to their size; what each swap kept would be hundreds.
        assert all(now - then < SWAPS // 10 for now, then in zip(held(), before, strict=True))


def held():
    """How many threads and open files this process has."""
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def no_collector():
    """What is given back must be so by itself: a quiet server has no reason to collect."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.behaviour(
    "14", "a model named like a service, or not at all, does not change what health says of the server"
)
@pytest.mark.parametrize("name", ["", "tensorflow.serving.PredictionService", "ModelService"])
def test_a_model_that_is_named_like_a_service_does_not_speak_for_it(tmp_path, name):
    put(tmp_path / "m", 1)
    steady = model("m", tmp_path / "m")
    with operate(tmp_path, steady) as server:
        assert server.refused_reload(steady, model(name, tmp_path / "missing"))[0] is grpc.StatusCode.UNKNOWN
        assert server.is_serving(name)
