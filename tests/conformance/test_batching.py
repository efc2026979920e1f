"""Batching over a socket: section 8 as callers see it. tests/batching/ tests what is merged with what."""

import pytest

from tests.conformance.calls import INVALID_ARGUMENT, NOT_FOUND, TIMEOUT_S, predict_request, refused, values

CALLS = 40


@pytest.fixture(params=["private", "public"])
def served(request, servers):
    return servers("half_plus_two", runs=request.param, enable_batching=True)


@pytest.fixture
def limited(servers, tmp_path_factory):
    """Gives a server whose batching parameters are a text."""

    def serve(text, **flags):
        file = tmp_path_factory.mktemp("batching") / "parameters.txt"
        file.write_text(text)
        return servers("half_plus_two", enable_batching=True, batching_parameters_file=str(file), **flags)

    return serve


def ask_all(served, inputs):
    """The answers to requests that are sent at once."""
    calls = [
        served.prediction.Predict.future(predict_request("half_plus_two", {"x": xs}), timeout=TIMEOUT_S)
        for xs in inputs
    ]
    return [values(call.result().outputs["y"]) for call in calls]


@pytest.mark.behaviour("8.2", "over a socket: each caller gets its own rows, on lanes and on the public path")
def test_each_caller_gets_its_own_rows(served):
    inputs = [[float(number)] * (number % 5 + 1) for number in range(CALLS)]
    assert ask_all(served, inputs) == [[0.5 * x + 2.0 for x in xs] for xs in inputs]


@pytest.mark.behaviour("8.2", "over a socket: a lone request does not wait")
def test_a_lone_request_is_answered_without_waiting_for_others(served):
    assert ask_all(served, [[2.0]]) == [[3.0]]


@pytest.mark.behaviour("8.2", "over a socket: a request without rows is answered; the original hangs")
def test_a_request_without_rows_is_answered(served):
    response = served.prediction.Predict(predict_request("half_plus_two", {"x": []}), timeout=TIMEOUT_S)
    assert list(response.outputs["y"].float_val) == []


@pytest.mark.behaviour(
    "8.4", "over a socket: a scalar, one bad request among good ones, a request above the largest batch"
)
def test_a_scalar_is_refused(served):
    assert refused(served.prediction.Predict, predict_request("half_plus_two", {"x": 2.0})) == (
        INVALID_ARGUMENT,
        "Batching Run() input tensors must have at least one dimension",
    )


@pytest.mark.behaviour(
    "8.4", "over a socket: a scalar, one bad request among good ones, a request above the largest batch"
)
def test_one_bad_request_among_good_ones_fails_alone(served):
    good = [served.prediction.Predict.future(predict_request("half_plus_two", {"x": [2.0]}), timeout=TIMEOUT_S)]
    bad = served.prediction.Predict.future(predict_request("half_plus_two", {"x": [b"text"]}), timeout=TIMEOUT_S)
    good += [
        served.prediction.Predict.future(predict_request("half_plus_two", {"x": [2.0]}), timeout=TIMEOUT_S)
        for _ in range(CALLS)
    ]
    assert bad.exception().code() is INVALID_ARGUMENT
    assert bad.exception().details() == "Expects arg[0] to be float but string is provided"
    assert {tuple(values(call.result().outputs["y"])) for call in good} == {(3.0,)}


@pytest.mark.behaviour("8.2", "over a socket: errors before the run are those without batching")
def test_what_is_wrong_before_the_run_is_reported_as_without_batching(served):
    assert refused(served.prediction.Predict, predict_request("nobody", {"x": [2.0]})) == (
        NOT_FOUND,
        "Servable not found for request: Latest(nobody)",
    )


@pytest.mark.behaviour(
    "8.4", "over a socket: a scalar, one bad request among good ones, a request above the largest batch"
)
@pytest.mark.behaviour("12", "Predict: batch too large")
@pytest.mark.parametrize("runs", ["private", "public"])
def test_a_request_above_the_largest_batch_is_refused(limited, runs):
    served = limited("max_batch_size { value: 2 }", runs=runs)
    assert ask_all(served, [[2.0, 4.0]]) == [[3.0, 4.0]]
    assert refused(served.prediction.Predict, predict_request("half_plus_two", {"x": [1.0, 2.0, 3.0]})) == (
        INVALID_ARGUMENT,
        "Task size 3 is larger than maximum input batch size 2",
    )


@pytest.mark.behaviour("8.5", "over a socket: a large request is split")
def test_a_large_request_is_split_where_that_is_allowed(limited):
    served = limited(
        "max_batch_size { value: 9 } max_execution_batch_size { value: 2 } enable_large_batch_splitting { value: true }"
    )
    xs = [float(number) for number in range(9)]
    assert ask_all(served, [xs, xs]) == [[0.5 * x + 2.0 for x in xs]] * 2


@pytest.mark.behaviour("8.2", "over a socket: a batch waits for its timeout and no longer")
def test_a_batch_that_is_not_full_waits_for_its_timeout_and_no_longer(limited):
    served = limited("max_batch_size { value: 4 } batch_timeout_micros { value: 20000 }")
    assert ask_all(served, [[2.0]]) == [[3.0]]
    assert ask_all(served, [[2.0]] * CALLS) == [[3.0]] * CALLS


@pytest.mark.behaviour("8.6", "over a socket: a version without a file of its own is not batched")
def test_a_version_without_a_file_of_its_own_is_not_batched(servers):
    served = servers("half_plus_two", enable_batching=True, enable_per_model_batching_parameters=True)
    # A scalar, which no batch takes.
    response = served.prediction.Predict(predict_request("half_plus_two", {"x": 2.0}), timeout=TIMEOUT_S)
    assert values(response.outputs["y"]) == 3.0
