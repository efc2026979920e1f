"""A loader around a loader: the version that comes out has answered its recorded requests, or is closed."""

import gc
import logging
import weakref

import pytest

from servable.errors import DataLoss, FailedPrecondition, Internal, NotFound, Unavailable
from servable.warmup.loading import WarmLoader
from servable.warmup.records import WARMUP_FILE
from tests.warmup.making import MIXED, CountingServable, RecordFile, predict_log


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
    caplog.set_level(logging.INFO, "servable")
    servable = CountingServable()
    assert loader(servable, [MIXED])(tmp_path) is servable
    assert servable.runs == []
    assert caplog.messages == [f"No warmup data file found at {tmp_path / WARMUP_FILE}"]


@pytest.mark.behaviour("7.3", "ours: a warm-up file at another place is told of")
@pytest.mark.parametrize("place", ["tf_serving_warmup_requests", "assets/tf_serving_warmup_requests.tfrecord"])
def test_a_file_at_another_place_is_told_of(tmp_path, caplog, place):
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
