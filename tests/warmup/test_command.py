"""`servable warmup`, from its arguments to its exit status, on real models in this process."""

import os
import shutil

import pytest
from google.protobuf import json_format, text_format

from servable import cli, wire
from servable.execution import tf_records
from servable.warmup.records import MAX_RECORDS, WARMUP_FILE
from tests.warmup.making import classify_log, predict_log


@pytest.fixture
def base_path(models, tmp_path):
    """A base path with two versions of half_plus_two of which 9 is the higher."""
    for version in ("2", "9"):
        shutil.copytree(models.version_path("half_plus_two"), tmp_path / "half_plus_two" / version)
    return tmp_path / "half_plus_two"


@pytest.fixture
def directory(base_path):
    return base_path / "9"


@pytest.fixture
def run(capsys):
    """Runs the verb: its exit status, its stdout and its stderr."""

    def run_verb(*arguments):
        try:
            status = cli.main(["warmup", *map(str, arguments)])
        except SystemExit as exit_:
            status = exit_.code
        return status, *capsys.readouterr()

    return run_verb


def read(path):
    return [wire.PredictionLog.FromString(record) for record in tf_records.read(path)]


def good_log(value=2.0):
    log = predict_log(name="another")
    proto = log.predict_log.request.inputs["x"]
    proto.float_val.append(value)
    for size in (1, 1):
        proto.tensor_shape.dim.add(size=size)
    return log


@pytest.fixture
def logs(tmp_path):
    """Writes a TFRecord file."""

    def write(*records, name="logs"):
        with tf_records.writing(tmp_path / name) as append:
            for record in records:
                append(record.SerializeToString())
        return tmp_path / name

    return write


def test_of_a_base_path_the_highest_version_is_taken(run, base_path):
    status, out, _ = run(base_path)
    assert (status, out) == (0, f"{base_path / '9' / WARMUP_FILE}: 6 requests written, 0 skipped\n")
    assert os.listdir(base_path / "9" / "assets.extra") == ["tf_serving_warmup_requests"]
    assert not (base_path / "2" / "assets.extra").exists()


def test_named_signatures_and_numbers_of_rows(run, directory, tmp_path):
    output = tmp_path / "new" / "requests"
    named = ["--signature=serving_default", "--signature", "regress_x_to_y"]
    assert run(directory, *named, "--batch_sizes=4,1", "--output", output)[0] == 0
    default, alone, *heads = read(output)
    sizes = [log.predict_log.request.inputs["x"].tensor_shape.dim[0].size for log in (default, alone)]
    assert sizes == [4, 1]
    assert [len(log.regress_log.request.input.example_list.examples) for log in heads] == [4, 1]
    assert not (directory / WARMUP_FILE).exists()


@pytest.mark.behaviour("7.4", "ours: `servable warmup` writes the file from recorded requests")
def test_recorded_requests_are_merged_as_they_come(run, directory, logs, tmp_path):
    first, second = good_log(1.0), good_log(2.0)
    (tmp_path / "text").write_text(text_format.MessageToString(good_log(3.0).predict_log.request))
    (tmp_path / "json").write_text(json_format.MessageToJson(good_log(4.0).predict_log.request))
    given = ["--logs", logs(first), "--logs", logs(second, name="more")]
    single = ["--predict", tmp_path / "text", "--predict", tmp_path / "json"]
    assert run(directory, *given, *single)[:1] == (0,)
    values = [log.predict_log.request.inputs["x"].float_val[0] for log in read(directory / WARMUP_FILE)]
    assert values == [1.0, 2.0, 3.0, 4.0]


def test_what_was_recorded_comes_after_the_signatures_that_are_named(run, directory, logs):
    assert run(directory, "--logs", logs(good_log(3.0)), "--signature=serving_default")[0] == 0
    values = [list(log.predict_log.request.inputs["x"].float_val) for log in read(directory / WARMUP_FILE)]
    assert values == [[], [3.0]]


@pytest.mark.behaviour("7.4", "ours: `servable warmup` writes the file from recorded requests")
def test_what_the_model_refuses_is_left_out_and_reported(run, directory, logs, tmp_path):
    (tmp_path / "words").write_text("no request")
    path = logs(good_log(), predict_log("nobody"), classify_log("classify_x_to_y"))
    status, out, err = run(directory, "--logs", path, "--classify", tmp_path / "words")
    assert status == 3
    assert out == f"{directory / WARMUP_FILE}: 1 requests written, 3 skipped\n"
    signature, example, words = err.splitlines()
    refused = f'{path}, record 2: skipped: FAILED_PRECONDITION: Serving signature key "nobody" not found.'
    assert signature == refused
    assert example.startswith(f"{path}, record 3: skipped: INVALID_ARGUMENT: ")
    assert words.startswith(f"{tmp_path / 'words'}: skipped: INVALID_ARGUMENT: ")
    assert read(directory / WARMUP_FILE) == [good_log()]


@pytest.mark.behaviour("7.4", "ours: `servable warmup` writes the file from recorded requests")
def test_a_file_holds_as_many_requests_as_a_server_takes(run, directory, logs):
    path = logs(*[good_log()] * (MAX_RECORDS + 5))
    status, out, err = run(directory, "--logs", path)
    assert status == 0
    assert out.endswith("1000 requests written, 0 skipped\n")
    assert err == f"{path}, record 1001: left out, and all that follows: a warm-up file holds 1000 requests\n"


def test_nothing_is_written_if_the_model_takes_nothing(run, directory, logs):
    status, out, err = run(directory, "--logs", logs(predict_log("nobody")))
    assert (status, out) == (1, "")
    assert err.endswith("FAILED_PRECONDITION: The model takes none of the requests; nothing is written.\n")
    assert not (directory / WARMUP_FILE).exists()


def test_an_empty_log_is_no_warm_up(run, directory, logs):
    expected = "FAILED_PRECONDITION: There is no request to write: no signature, or no record.\n"
    assert run(directory, "--logs", logs()) == (1, "", expected)


@pytest.mark.behaviour("7.4", "ours: `servable warmup` writes the file from recorded requests")
def test_a_file_that_is_there_is_kept_unless_forced(run, directory):
    path = directory / WARMUP_FILE
    path.parent.mkdir()
    path.write_bytes(b"mine")
    assert run(directory) == (1, "", f"ALREADY_EXISTS: {path} exists. --force overwrites it.\n")
    assert path.read_bytes() == b"mine"
    assert run(directory, "--force")[0] == 0
    assert len(read(path)) == 6


def test_a_warm_up_file_can_be_made_of_another(run, directory, tmp_path):
    assert run(directory)[0] == 0
    assert run(directory, "--logs", directory / WARMUP_FILE, "--output", tmp_path / "again")[0] == 0
    assert read(tmp_path / "again") == read(directory / WARMUP_FILE)


def test_the_flags_of_serve_choose_what_is_loaded(run, models, tmp_path):
    directory = shutil.copytree(models.version_path("other_tags"), tmp_path / "1")
    status, _, err = run(directory)
    assert status == 1
    assert err.startswith("NOT_FOUND: Could not find meta graph def matching supplied tags: { serve }.")
    assert run(directory, "--saved_model_tags=train")[0] == 0


def test_a_signature_that_is_not_there_is_reported_with_those_that_are(run, directory):
    status, out, err = run(directory, "--signature=serving_defualt")
    assert (status, out) == (1, "")
    assert err.startswith('NOT_FOUND: There is no signature "serving_defualt".')
    assert "did_you_mean: serving_default" in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "the following arguments are required: directory"),
        (["m", "--batch_sizes=0"], "0 is no list of numbers from 1 up"),
        (["m", "--batch_sizes=1,x"], "1,x is no list of numbers from 1 up"),
        (["m", "--no_such_flag=1"], "unrecognized arguments: --no_such_flag=1"),
        (["m", "--tensorflow_session_parallelism=x"], "Couldn't interpret value x for flag"),
    ],
)
def test_wrong_arguments_are_reported_before_a_model_is_loaded(run, arguments, text):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert text in err


def test_a_directory_that_is_not_there_is_reported(run, tmp_path):
    assert run(tmp_path / "no") == (1, "", f"NOT_FOUND: {tmp_path / 'no'} does not exist.\n")
