"""Warm-up at load: a version is returned after its recorded requests were answered, or else is closed.

By the loader around a loader; by the loop over a warm-up file; and by the request of one log, which is run through the
methods of the RPCs.
"""

import contextlib
import gc
import logging
import weakref
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable import wire
from servable.errors import (
    DataLoss,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    Unavailable,
    Unimplemented,
)
from servable.warmup.records import MAX_RECORDS, WARMUP_FILE
from servable.warmup.replay import LogExecutor, WarmLoader, replay_file
from tests.warmup.making import (
    MIXED,
    CountingServable,
    RecordFile,
    classify_log,
    multi_inference_log,
    predict_log,
    regress_log,
)

PATH = Path("somewhere")
GARBAGE = b"\xff garbage"
HINT = "Please verify your warmup data is in TFRecord format."


@pytest.fixture
def directory(tmp_path):
    """A version directory with a warm-up file; what is in it the reader makes up."""
    path = tmp_path / WARMUP_FILE
    path.parent.mkdir()
    path.touch()
    return tmp_path


def loader(servable, records, **options):
    return WarmLoader(lambda directory: servable, RecordFile(*records), **options)


@pytest.mark.behaviour("7.4", "warm-up runs inside the load, before the version becomes available")
@pytest.mark.behaviour("13.13", "228 RunSuccess")
def test_a_version_comes_out_after_its_requests_were_answered(directory):
    servable = CountingServable()
    assert loader(servable, [MIXED])(directory) is servable
    assert servable.fetched == [("y:0",), ("scores:0",), ("values:0",), ("scores:0", "values:0")]
    assert servable.closed == 0


@pytest.mark.behaviour("5", "--num_request_iterations_for_warmup")
@pytest.mark.behaviour("13.13", "219 MixedWarmupData")
def test_each_request_is_answered_as_often_as_the_flag_says(directory):
    servable = CountingServable()
    loader(servable, [MIXED], iterations=2)(directory)
    assert len(servable.runs) == 2 * len(MIXED)


@pytest.mark.behaviour("7.3", "assets.extra/tf_serving_warmup_requests is the warm-up file")
def test_the_file_is_read_at_its_place(directory):
    read = []
    WarmLoader(lambda directory: CountingServable(), lambda path: read.append(path) or iter([]))(directory)
    assert read == [directory / "assets.extra" / "tf_serving_warmup_requests"]


@pytest.mark.behaviour("7.4", "a missing file is no error, and the log says so")
@pytest.mark.behaviour("13.13", "223 NoWarmupDataFile")
def test_a_version_without_a_file_is_loaded_and_the_log_says_so(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "servable")
    servable = CountingServable()
    assert loader(servable, [MIXED])(tmp_path) is servable
    assert servable.runs == []
    assert caplog.messages == [f"No warmup data file found at {tmp_path / WARMUP_FILE}"]


@pytest.mark.behaviour("7.3", "ours: a warm-up file at another place is logged")
@pytest.mark.parametrize("place", ["tf_serving_warmup_requests", "assets/tf_serving_warmup_requests.tfrecord"])
def test_a_file_at_another_place_is_logged(tmp_path, caplog, place):
    misplaced = tmp_path / place
    misplaced.parent.mkdir(exist_ok=True)
    misplaced.touch()
    loader(CountingServable(), [MIXED])(tmp_path)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == f"{misplaced} is not used: a warm-up file is read at {tmp_path / WARMUP_FILE} only"


@pytest.mark.behaviour("7.4", "any error fails the load, and frees what was loaded")
def test_a_refused_request_fails_the_load_and_says_where_it_comes_from(directory):
    servable = CountingServable()
    with pytest.raises(FailedPrecondition) as caught:
        loader(servable, [[predict_log(), predict_log("nobody"), predict_log()]])(directory)
    first, second = caught.value.message.split("\n")
    assert first == 'Serving signature key "nobody" not found.'
    assert str(directory / WARMUP_FILE) in second
    assert caught.value.hints["known_signatures"] == "classify, mute, regress, serving_default"
    assert (len(servable.runs), servable.closed) == (1, 1)


@pytest.mark.behaviour("7.4", "any error fails the load, and frees what was loaded")
@pytest.mark.behaviour("13.13", "229 RunFailure")
def test_a_graph_that_fails_fails_the_load(directory):
    servable = CountingServable(error=Internal("in the graph"))
    with pytest.raises(Internal, match=r"^INTERNAL: in the graph\n"):
        loader(servable, [MIXED])(directory)
    assert servable.closed == 1


def test_a_damaged_file_fails_the_load_in_the_words_of_the_original(directory):
    servable = CountingServable()
    with pytest.raises(DataLoss) as caught:
        loader(servable, [[], DataLoss("corrupted record at 0")])(directory)
    assert caught.value.message == ("corrupted record at 0. Please verify your warmup data is in TFRecord format.")
    assert servable.closed == 1


@pytest.mark.behaviour("7.4", "model_warmup_latency and model_warmup_records_read")
@pytest.mark.parametrize(
    ("records", "noted"),
    [
        ([MIXED], [("OK", len(MIXED))]),
        ([[]], [("OK", 0)]),
        ([MIXED, DataLoss("corrupted")], [(f"DATA_LOSS: corrupted. {HINT}", len(MIXED))]),
        # The original counts neither of these.
        ([[GARBAGE]], []),
    ],
)
def test_a_replay_is_noted_if_it_came_to_the_end_or_could_not_read_the_file(directory, records, noted):
    replays = []
    load = loader(CountingServable(), records, on_replay=lambda *replay: replays.append(replay))
    with contextlib.suppress(DataLoss, InvalidArgument):
        load(directory)
    assert [(path, status, count) for path, status, count, _ in replays] == [(directory, *each) for each in noted]
    assert all(seconds >= 0 for *_, seconds in replays)


@pytest.mark.behaviour("7.4", "any error fails the load, and frees what was loaded")
def test_an_unforeseen_failure_closes_the_version_too(directory):
    servable = CountingServable(error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        loader(servable, [MIXED])(directory)
    assert servable.closed == 1


def test_a_load_that_fails_by_itself_is_no_warm_up(directory):
    def load(directory):
        raise NotFound("no model")

    with pytest.raises(NotFound, match="no model"):
        WarmLoader(load, pytest.fail)(directory)


@pytest.mark.behaviour("7.4", "any error fails the load, and frees what was loaded")
def test_the_error_that_stays_as_state_keeps_no_model_in_memory(directory):
    models = []

    def load(directory):
        servable = CountingServable(error=Unavailable("busy"))
        models.append(weakref.ref(servable))
        return servable

    with pytest.raises(Unavailable) as caught:
        WarmLoader(load, RecordFile(MIXED))(directory)
    gc.collect()
    assert caught.value.message.startswith("busy")
    assert [model() for model in models] == [None]


# The loop over a file.


def test_every_record_is_executed_in_order():
    executed = []
    assert replay_file(PATH, RecordFile([predict_log("a"), predict_log("b")]), executed.append) == 2
    assert executed == [predict_log("a"), predict_log("b")]


@pytest.mark.behaviour("7.4", "each record is executed num_request_iterations times")
def test_a_record_is_executed_as_often_as_asked_before_the_next_one():
    executed = []
    assert replay_file(PATH, RecordFile([predict_log("a"), predict_log("b")]), executed.append, 2) == 2
    assert executed == [predict_log("a")] * 2 + [predict_log("b")] * 2


@pytest.mark.behaviour("7.4", "an empty file is no error")
def test_an_empty_file_is_no_error():
    assert replay_file(PATH, RecordFile([]), pytest.fail) == 0


@pytest.mark.behaviour("7.4", "the 1001st record is executed, then refused")
def test_a_thousand_records_are_no_error():
    assert replay_file(PATH, RecordFile([b""] * MAX_RECORDS), lambda log: None) == 1000


@pytest.mark.behaviour("7.4", "the 1001st record is executed, then refused")
def test_the_record_beyond_the_limit_is_executed_and_then_refused():
    executed = []
    file = RecordFile([b""] * (MAX_RECORDS + 9))
    with pytest.raises(InvalidArgument) as caught:
        replay_file(PATH, file, executed.append, 2)
    assert caught.value.message == "Number of warmup records exceeds the maximum (1000) at somewhere"
    assert (len(executed), file.read_count) == (2002, 1001)


@pytest.mark.behaviour("7.4", "a record that does not parse is quoted; ours: 1024 bytes of it")
@pytest.mark.behaviour("13.13", "227 UnparsableRecord")
def test_a_record_that_does_not_parse_is_quoted():
    with pytest.raises(InvalidArgument) as caught:
        replay_file(PATH, RecordFile([b"\xff garbage"]), pytest.fail)
    assert caught.value.message == "Failed to parse warmup record: \ufffd garbage from somewhere"


@pytest.mark.behaviour("7.4", "a record that does not parse is quoted; ours: 1024 bytes of it")
def test_a_large_record_that_does_not_parse_is_quoted_in_part():
    with pytest.raises(InvalidArgument) as caught:
        replay_file(PATH, RecordFile([GARBAGE * 1_000_000]), pytest.fail)
    assert caught.value.message.endswith("... (9000000 bytes) from somewhere")
    assert len(caught.value.message) < 1200


@pytest.mark.behaviour("7.4", "a file that is no TFRecord file is DATA_LOSS with a hint")
def test_a_damaged_file_comes_with_what_it_should_be():
    with pytest.raises(DataLoss) as caught:
        replay_file(PATH, RecordFile([], DataLoss("corrupted record at 0")), pytest.fail)
    expected = "corrupted record at 0. Please verify your warmup data is in TFRecord format."
    assert caught.value.message == expected


def test_what_comes_before_the_damage_is_executed():
    executed = []
    with pytest.raises(DataLoss):
        replay_file(PATH, RecordFile([predict_log()], DataLoss("truncated record at 9")), executed.append)
    assert executed == [predict_log()]


def test_another_failure_to_read_stays_as_it_is():
    with pytest.raises(NotFound, match=r"^NOT_FOUND: gone$"):
        replay_file(PATH, RecordFile([], NotFound("gone")), pytest.fail)


@pytest.mark.behaviour("7.4", "a file that is no TFRecord file is DATA_LOSS with a hint")
def test_data_loss_of_a_request_is_none_of_the_file():
    def execute(log):
        raise DataLoss("in the graph")

    with pytest.raises(DataLoss, match=r"^DATA_LOSS: in the graph$"):
        replay_file(PATH, RecordFile([predict_log()]), execute)


def _outcome(kinds, iterations):
    """What a replay of records of these kinds comes to, and how often a request was executed."""
    stored = {"good": predict_log("good"), "bad": predict_log("bad"), "garbage": GARBAGE}
    executed = []

    def execute(log):
        executed.append(log)
        if log == stored["bad"]:
            raise NotFound("bad")

    try:
        count = replay_file(PATH, RecordFile([stored[kind] for kind in kinds]), execute, iterations)
    except NotFound:
        return "bad", len(executed)
    except InvalidArgument as error:
        return "too many" if "exceeds" in error.message else "garbage", len(executed)
    return count, len(executed)


@pytest.mark.behaviour("7.4", "the 1001st record is executed, then refused")
@given(
    kinds=st.lists(st.sampled_from(["good", "bad", "garbage"]), max_size=6),
    before=st.integers(0, 5) | st.integers(MAX_RECORDS - 5, MAX_RECORDS + 2),
    iterations=st.integers(1, 3),
)
def test_the_first_failure_ends_a_file_and_the_limit_is_one(kinds, before, iterations):
    kinds = ["good"] * before + kinds
    good = next((index for index, kind in enumerate(kinds) if kind != "good"), len(kinds))
    if good > MAX_RECORDS:
        expected = "too many", (MAX_RECORDS + 1) * iterations
    elif good == len(kinds):
        expected = good, good * iterations
    else:
        expected = kinds[good], good * iterations + (kinds[good] == "bad")
    assert _outcome(kinds, iterations) == expected


# The request of a log.


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
    LogExecutor(servable)(log)
    assert servable.fetched == [fetched]


def test_a_log_runs_again_each_time(servable):
    log, execute = multi_inference_log("somebody", "somebody"), LogExecutor(servable)
    execute(log)
    execute(log)
    assert servable.fetched == [("scores:0", "values:0")] * 2


def test_a_run_has_a_time_limit_so_that_calls_with_one_find_all_prepared(servable):
    LogExecutor(servable)(predict_log())
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
    LogExecutor(servable)(log)
    assert servable.fetched == [("y:0",)]


@pytest.mark.behaviour("7.4", "only the request is used, and its model name, version and label are ignored")
def test_a_request_without_a_model_spec_asks_for_the_default_signature(servable):
    log = predict_log()
    log.predict_log.request.ClearField("model_spec")
    LogExecutor(servable)(log)
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
        LogExecutor(servable)(log)
    assert text in caught.value.message
    assert servable.runs == []


@pytest.mark.behaviour("7.4", "only the request is used, and its model name, version and label are ignored")
def test_multi_inference_may_be_recorded_under_any_one_name(servable):
    LogExecutor(servable)(multi_inference_log("warm-up", "warm-up"))
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
        LogExecutor(servable)(multi_inference_log(*names))
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
        LogExecutor(servable)(log)
    assert caught.value.message == f"Unsupported log_type for warmup: {number}"


@pytest.mark.behaviour("7.4", "a log without a type is skipped silently")
def test_a_log_without_a_request_is_passed_over(servable):
    LogExecutor(servable)(wire.PredictionLog(log_metadata=wire.LogMetadata(timestamp_secs=1)))
    assert servable.runs == []


@pytest.mark.behaviour("7.4", "the signature's name is honoured, with the validation and the errors of the RPC")
def test_method_names_are_checked_where_the_flag_asks_for_it(servable):
    LogExecutor(servable)(regress_log("mute"))
    with pytest.raises(InvalidArgument, match="Expected regression signature method_name"):
        LogExecutor(servable, check_method_name=True)(regress_log("mute"))
    assert len(servable.runs) == 1
