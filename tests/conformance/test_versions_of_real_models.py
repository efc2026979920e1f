"""How versions load and unload with TensorFlow, which a fake loader cannot show."""

import shutil

import numpy as np
import pytest

from servable.execution.loader import SavedModelLoader
from tests import serving
from tests.conformance.calls import DEADLINE_EXCEEDED, TIMEOUT_S, predict, predict_request, values
from tests.conformance.operating import eventually, model, operate

X = {"x": [[2.0]]}
# About two seconds: long enough to see the call in flight, however slow the machine.
STEPS = {"iterations": np.array([700_000])}
ONE_STEP = {"iterations": np.array([1])}


@pytest.fixture(params=serving.RUNS)
def serve(tmp_path, request):
    """Serves the model `m` below tmp_path."""
    contexts = []

    def serve(**flags):
        loader = SavedModelLoader(runs=serving.RUNS[request.param]())
        contexts.append(operate(tmp_path, model("m", tmp_path / "m"), loader=loader, **flags))
        request.addfinalizer(lambda: contexts[-1].__exit__(None, None, None))
        return contexts[-1].__enter__()

    return serve


@pytest.fixture
def put(models, tmp_path):
    """Puts a test model there as a version of `m`."""

    def put(name, version):
        shutil.copytree(models.version_path(name), tmp_path / name / "copied")
        (tmp_path / "m").mkdir(exist_ok=True)
        return (tmp_path / name / "copied").rename(tmp_path / "m" / str(version))

    return put


@pytest.mark.behaviour("4.1", "LOADING lasts the whole loop of retries")
@pytest.mark.behaviour("6.4", "a version is loaded as soon as its folder is there, complete or not")
@pytest.mark.behaviour("6.5", "loads are tried again, as often and as far apart as the flags say")
def test_a_half_copied_version_leaves_the_old_one_serving_until_it_is_complete(serve, put, models):
    new = put("half_plus_two", 1).parent / "2"
    server = serve(max_num_load_retries=10**6, load_retry_interval_micros=10_000)
    source = models.version_path("half_plus_three")
    new.mkdir()
    server.await_states("m", {2: "LOADING", 1: "AVAILABLE"})
    shutil.copytree(source / "variables", new / "variables")
    half = (source / "saved_model.pb").read_bytes()[:-100]
    (new / "saved_model.pb").write_bytes(half)
    assert values(predict(server.running, "m", X).outputs["y"]) == [[3.0]]
    assert server.states("m") == {2: "LOADING", 1: "AVAILABLE"}
    shutil.copy(source / "saved_model.pb", new / "saved_model.pb.unfinished")
    (new / "saved_model.pb.unfinished").rename(new / "saved_model.pb")
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    assert values(predict(server.running, "m", X).outputs["y"]) == [[4.0]]


@pytest.mark.behaviour("6.5", "missing variables: ours refuses the load; the original loads and fails each request")
def test_a_version_without_its_variables_leaves_the_old_one_serving_until_they_are_there(
    serve, put, models, tmp_path, caplog
):
    new = put("half_plus_two", 1).parent / "2"
    server = serve(max_num_load_retries=10**6, load_retry_interval_micros=10_000)
    source = models.version_path("half_plus_three")
    shutil.copytree(source, tmp_path / "copy", ignore=shutil.ignore_patterns("variables"))
    (tmp_path / "copy").rename(new)
    eventually(lambda: any("variables.index; No such file" in each.getMessage() for each in caplog.records), True)
    assert server.states("m") == {2: "LOADING", 1: "AVAILABLE"}
    assert values(predict(server.running, "m", X).outputs["y"]) == [[3.0]]
    shutil.copytree(source / "variables", new / "variables.unfinished")
    (new / "variables.unfinished").rename(new / "variables")
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    assert values(predict(server.running, "m", X).outputs["y"]) == [[4.0]]


@pytest.mark.behaviour("4.1", "UNLOADING: removed, waiting for those in flight")
@pytest.mark.behaviour("6.5", "an unload: UNLOADING, out of the map, calls in flight end, then the memory")
def test_a_run_in_flight_ends_with_the_answer_of_the_version_that_leaves(serve, put):
    put("slow", 1)
    server = serve()
    flying = server.running.prediction.Predict.future(predict_request("m", STEPS), timeout=TIMEOUT_S)
    # A later call is answered, so this one has begun.
    predict(server.running, "m", ONE_STEP)
    put("half_plus_two", 2)
    server.await_states("m", {2: "AVAILABLE", 1: "UNLOADING"})
    assert values(predict(server.running, "m", X).outputs["y"]) == [[3.0]]
    assert not flying.done()
    response = flying.result(TIMEOUT_S)
    assert (response.model_spec.version.value, values(response.outputs["counted"])) == (1, [700_000])
    server.await_states("m", {2: "AVAILABLE", 1: "END"})


@pytest.mark.behaviour("6.5", "an unload: UNLOADING, out of the map, calls in flight end, then the memory")
def test_a_run_that_would_never_end_lets_its_version_go_at_its_deadline(serve, put):
    put("gate", 1)
    server = serve()
    predict(server.running, "m", signature="open")
    predict(server.running, "m", {"x": [1.0]}, "pass")
    predict(server.running, "m", signature="await_arrival")
    stuck = server.running.prediction.Predict.future(predict_request("m", {"x": [1.0]}, "pass"), timeout=3)
    predict(server.running, "m", signature="await_arrival")
    put("half_plus_two", 2)
    server.await_states("m", {2: "AVAILABLE", 1: "UNLOADING"})
    assert stuck.exception(TIMEOUT_S).code() is DEADLINE_EXCEEDED
    server.await_states("m", {2: "AVAILABLE", 1: "END"})


@pytest.mark.behaviour("6.5", "an unload: UNLOADING, out of the map, calls in flight end, then the memory")
def test_a_model_that_comes_back_has_its_variables_anew(serve, put, tmp_path):
    put("counter", 1)
    server = serve()
    counted = [values(predict(server.running, "m", signature="incr_counter").outputs["output"]) for _ in range(2)]
    server.reload()
    server.await_states("m", {1: "END"})
    server.reload(model("m", tmp_path / "m"))
    again = values(predict(server.running, "m", signature="incr_counter").outputs["output"])
    assert (counted, again) == ([1.0, 2.0], 1.0)
    eventually(lambda: server.states("m"), {1: "AVAILABLE"})
