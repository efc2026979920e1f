"""A warm-up file is made: candidates from signatures and recorded requests are tried, and written or reported."""

import os
import stat
from pathlib import Path

import pytest

from servable import wire
from servable.errors import AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument, NotFound
from servable.saved_model import INIT_OP_SIGNATURE
from servable.signatures import CLASSIFY_METHOD
from servable.warmup import candidates
from servable.warmup.candidates import Candidate, check_output, replace_file, write_accepted
from servable.warmup.records import MAX_RECORDS, RequestKind
from servable.warmup.replay import LogExecutor
from tests.warmup.making import MIXED, CountingServable, RecordFile, classify_log, predict_log, writing_lines
from tests.warmup.test_generation import signature

PATH = Path("somewhere")
OPEN = signature({"x": "float32[?]"})
FIXED = signature({"x": "float32[2]"})
HEAD = signature({"inputs": "string[?]"}, CLASSIFY_METHOD)


def origins(*signatures, batch_sizes=(1,)):
    return [each.origin for each in candidates.signature_candidates(signatures, batch_sizes, wire.GraphDef())]


def test_all_signatures_that_take_requests_are_chosen():
    signatures = {"b": OPEN, INIT_OP_SIGNATURE: FIXED, "a": HEAD}
    assert candidates.choose_signatures(signatures, []) == [HEAD, OPEN]


def test_named_signatures_are_chosen_in_their_order():
    assert candidates.choose_signatures({"a": HEAD, "b": OPEN, "c": FIXED}, ["c", "a"]) == [FIXED, HEAD]


def test_a_signature_that_is_not_there_is_not_found():
    with pytest.raises(NotFound) as caught:
        candidates.choose_signatures({"serving_default": OPEN}, ["serving_defualt"])
    assert caught.value.hints["did_you_mean"] == "serving_default"


def test_there_is_a_candidate_for_each_number_of_rows():
    assert origins(OPEN, batch_sizes=(1, 8)) == ['signature "mine", batch size 1', 'signature "mine", batch size 8']


def test_a_signature_with_a_fixed_number_of_rows_is_tried_once():
    assert origins(FIXED, batch_sizes=(4, 8)) == ['signature "mine"']


def test_a_candidate_has_requests_of_its_number_of_rows():
    (each,) = candidates.signature_candidates([OPEN], [8], wire.GraphDef())
    (log,) = each.logs()
    assert log.predict_log.request.inputs["x"].tensor_shape.dim[0].size == 8


def test_the_advice_says_whether_features_were_found():
    advices = [each.advice for each in candidates.signature_candidates([OPEN, HEAD], [1], wire.GraphDef())]
    assert ["no op of the graph says which features" in advice for advice in advices] == [False, True]


def test_every_record_is_a_candidate():
    found = list(candidates.log_candidates(PATH, RecordFile(MIXED)))
    assert [each.origin for each in found] == [f"somewhere, record {number}" for number in (1, 2, 3, 4)]
    assert [log for each in found for log in each.logs()] == list(MIXED)


def test_a_record_of_something_else_fails_alone():
    bad, good = candidates.log_candidates(PATH, RecordFile([b"\xff", MIXED[0]]))
    assert good.logs() == [MIXED[0]]
    with pytest.raises(InvalidArgument, match="Failed to parse warmup record"):
        bad.logs()


def test_what_comes_before_damage_is_there_and_the_damage_is_reported():
    *good, bad = candidates.log_candidates(PATH, RecordFile(MIXED, DataLoss("truncated")))
    assert [log for each in good for log in each.logs()] == list(MIXED)
    assert bad.origin == "somewhere, after record 4"
    with pytest.raises(DataLoss, match="truncated"):
        bad.logs()


def test_a_file_with_a_request_is_read_when_its_turn_comes(tmp_path):
    candidate = candidates.request_candidate(tmp_path / "request", RequestKind.PREDICT)
    (tmp_path / "request").write_bytes(b"no words of a request")
    with pytest.raises(InvalidArgument, match="holds no PredictRequest"):
        candidate.logs()


# What is written.


def make(*candidates, error=None):
    """What is written, what is reported, and how many candidates are skipped."""
    written, reported = [], []
    servable = CountingServable(error=error)
    outcome = write_accepted(candidates, LogExecutor(servable), written.append, reported.append)
    assert outcome.kept == len(written)
    return [wire.PredictionLog.FromString(record) for record in written], reported, outcome.skipped


def candidate(*logs, origin="here", advice=""):
    return Candidate(origin, lambda: logs, advice)


def test_what_the_version_takes_is_written_as_it_came():
    written, reported, skipped = make(candidate(predict_log(name="recorded")), candidate(classify_log()))
    assert (written, reported, skipped) == ([predict_log(name="recorded"), classify_log()], [], 0)


def test_the_first_way_that_the_version_takes_is_written():
    written, _, skipped = make(candidate(predict_log("nobody"), predict_log(), classify_log()))
    assert (written, skipped) == ([predict_log()], 0)


def test_what_the_version_refuses_is_reported_with_the_first_reason():
    bad = candidate(predict_log("nobody"), classify_log("no head"), advice="do it better")
    written, reported, skipped = make(bad, candidate(predict_log()))
    assert (written, skipped) == ([predict_log()], 1)
    expected = 'here: skipped: FAILED_PRECONDITION: Serving signature key "nobody" not found. (do it better)'
    assert reported == [expected]


def test_a_reason_is_reported_in_one_line():
    _, reported, _ = make(candidate(predict_log()), error=InvalidArgument("two\n\t lines"))
    assert reported == ["here: skipped: INVALID_ARGUMENT: two lines"]


def test_of_very_many_that_are_refused_the_first_are_reported():
    written, reported, skipped = make(*[candidate(predict_log("nobody"))] * 60, candidate(predict_log()))
    assert (len(written), skipped, len(reported)) == (1, 60, 51)
    assert reported[-1] == "10 more are skipped, and not listed one by one"


def test_a_candidate_that_cannot_be_made_is_reported():
    def fail():
        raise DataLoss("cut")

    assert make(Candidate("there", fail))[1:] == (["there: skipped: DATA_LOSS: cut"], 1)


def test_a_log_without_a_request_is_not_written():
    written, reported, _ = make(candidate(wire.PredictionLog()))
    assert (written, reported) == ([], ["here: skipped: FAILED_PRECONDITION: the log holds no request"])


def test_a_file_ends_where_a_server_would_refuse_it():
    tried = []

    def many():
        for number in range(MAX_RECORDS + 5):
            tried.append(number)
            yield candidate(predict_log(), origin=f"record {number + 1}")

    written, reported = [], []
    outcome = write_accepted(many(), lambda log: None, written.append, reported.append)
    assert (outcome.kept, outcome.skipped, len(written), len(tried)) == (1000, 0, 1000, 1001)
    assert reported == ["record 1001: left out, and all that follows: a warm-up file holds 1000 requests"]


def test_a_full_file_is_reported_only_if_something_is_left_out():
    reported = []
    write_accepted([candidate(predict_log())] * MAX_RECORDS, lambda log: None, lambda record: None, reported.append)
    assert reported == []


def test_a_file_takes_its_place_whole(tmp_path):
    path = tmp_path / "assets.extra" / "requests"
    with replace_file(path, writing_lines) as write:
        write(b"a")
        assert not path.exists()
    assert path.read_bytes() == b"a\n"
    assert os.listdir(path.parent) == ["requests"]


def test_others_may_read_the_file_as_any_other(tmp_path):
    path, other = tmp_path / "requests", tmp_path / "other"
    with replace_file(path, writing_lines):
        other.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "requests"
    path.write_bytes(b"old")

    def fail_half_way():
        with replace_file(path, writing_lines) as write:
            write(b"new")
            raise InvalidArgument("half way")

    with pytest.raises(InvalidArgument):
        fail_half_way()
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["requests"])


def test_a_path_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(FailedPrecondition, match=r"Not a directory|File exists"),
        replace_file(tmp_path / "file" / "requests", writing_lines),
    ):
        pass


def test_a_file_is_overwritten_only_by_force(tmp_path):
    path = tmp_path / "requests"
    check_output(path, force=False)
    path.touch()
    check_output(path, force=True)
    with pytest.raises(AlreadyExists, match="--force overwrites it"):
        check_output(path, force=False)
