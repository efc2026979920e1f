"""The request of a log, run through the methods of the RPCs on a version that is in no routes."""

import pytest

from servable import wire
from servable.errors import FailedPrecondition, InvalidArgument, Unimplemented
from servable.warmup.replay import Replay
from tests.warmup.making import (
    CountingServable,
    classify_log,
    multi_inference_log,
    predict_log,
    regress_log,
)


@pytest.fixture
def servable():
    return CountingServable()


@pytest.mark.behaviour("7.4", "predict, classify, regress and multi_inference logs are executed")
@pytest.mark.parametrize(
    ("log", "fetched"),
    [
        (predict_log(), ("y:0",)),
        (classify_log(), ("scores:0",)),
        (regress_log(), ("values:0",)),
        (multi_inference_log("somebody", "somebody"), ("scores:0", "values:0")),
    ],
    ids=["predict", "classify", "regress", "multi_inference"],
)
def test_each_kind_runs_what_its_rpc_runs(servable, log, fetched):
    Replay(servable)(log)
    assert servable.fetched == [fetched]


def test_a_log_runs_again_each_time(servable):
    log, replay = multi_inference_log("somebody", "somebody"), Replay(servable)
    replay(log)
    replay(log)
    assert servable.fetched == [("scores:0", "values:0")] * 2


def test_a_run_has_a_time_limit_so_that_calls_with_one_find_all_prepared(servable):
    Replay(servable)(predict_log())
    assert servable.runs[0].timeout_s >= 3600


@pytest.mark.behaviour("7.4", "only the request is used, and its model name, version and label are ignored")
@pytest.mark.parametrize(
    "spec",
    [
        wire.ModelSpec(),
        wire.ModelSpec(name="another"),
        wire.ModelSpec(name="another", version_label="canary"),
        wire.ModelSpec(name="another", version={"value": 99}),
    ],
    ids=["nothing", "name", "label", "version"],
)
def test_the_recorded_model_means_nothing(servable, spec):
    log = predict_log()
    log.predict_log.request.model_spec.CopyFrom(spec)
    Replay(servable)(log)
    assert servable.fetched == [("y:0",)]


@pytest.mark.behaviour("7.4", "only the request is used, and its model name, version and label are ignored")
def test_a_request_without_a_model_spec_asks_for_the_default_signature(servable):
    log = predict_log()
    log.predict_log.request.ClearField("model_spec")
    Replay(servable)(log)
    assert servable.fetched == [("y:0",)]


@pytest.mark.behaviour("7.4", "the signature's name is honoured, with the validation and the errors of the RPC")
@pytest.mark.parametrize(
    ("log", "error", "text"),
    [
        (predict_log("nobody"), FailedPrecondition, 'Serving signature key "nobody" not found.'),
        (classify_log("nobody"), InvalidArgument, "No signature was found with the name: nobody"),
        (regress_log("nobody"), InvalidArgument, "No signature was found with the name: nobody"),
        (predict_log(alias="z"), InvalidArgument, "Signature input alias: x(feed name: x:0) not found in request"),
    ],
    ids=["predict", "classify", "regress", "input"],
)
def test_a_request_is_refused_as_by_its_rpc(servable, log, error, text):
    with pytest.raises(error) as caught:
        Replay(servable)(log)
    assert text in caught.value.message
    assert servable.runs == []


@pytest.mark.behaviour("7.4", "only the request is used, and its model name, version and label are ignored")
def test_multi_inference_may_be_recorded_under_any_one_name(servable):
    Replay(servable)(multi_inference_log("warm-up", "warm-up"))
    assert len(servable.runs) == 1


@pytest.mark.behaviour("7.4", "the signature's name is honoured, with the validation and the errors of the RPC")
@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("one", "two"), "All ModelSpecs in a MultiInferenceRequest must access the same model name."),
        (("one", ""), "Found ModelSpec with an empty model name."),
        (("", "one"), "Found ModelSpec with an empty model name."),
        ((), "ModelSpec has no name specified."),
    ],
    ids=["two names", "second empty", "first empty", "no task"],
)
def test_multi_inference_on_more_than_one_model_is_refused(servable, names, text):
    with pytest.raises(InvalidArgument) as caught:
        Replay(servable)(multi_inference_log(*names))
    assert caught.value.message == text


@pytest.mark.behaviour("7.4", "session_run and predict_streamed logs are UNIMPLEMENTED")
@pytest.mark.behaviour("13.13", "220 and 221 UnsupportedLogType")
@pytest.mark.parametrize(
    ("log", "number"),
    [
        (wire.PredictionLog(session_run_log=wire.SessionRunLog()), 5),
        (wire.PredictionLog(predict_streamed_log=wire.PredictStreamedLog()), 7),
    ],
    ids=["SessionRun", "PredictStreamed"],
)
def test_a_kind_that_no_rpc_answers_is_unimplemented(servable, log, number):
    with pytest.raises(Unimplemented) as caught:
        Replay(servable)(log)
    assert caught.value.message == f"Unsupported log_type for warmup: {number}"


@pytest.mark.behaviour("7.4", "a log without a type is skipped silently")
def test_a_log_without_a_request_is_passed_over(servable):
    Replay(servable)(wire.PredictionLog(log_metadata=wire.LogMetadata(timestamp_secs=1)))
    assert servable.runs == []


@pytest.mark.behaviour("7.4", "the signature's name is honoured, with the validation and the errors of the RPC")
def test_method_names_are_checked_where_the_flag_asks_for_it(servable):
    Replay(servable)(regress_log("mute"))
    with pytest.raises(InvalidArgument, match="Expected regression signature method_name"):
        Replay(servable, check_method_name=True)(regress_log("mute"))
    assert len(servable.runs) == 1
