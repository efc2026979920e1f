"""A warm-up file comes to be: candidates are tried, kept or told of, and the file takes its place whole."""

import os
import stat

import pytest

from servable import wire
from servable.errors import AlreadyExists, DataLoss, FailedPrecondition, InvalidArgument
from servable.warmup import making
from servable.warmup.making import Candidate
from servable.warmup.records import MAX_RECORDS
from servable.warmup.replay import Replay
from tests.warmup.making import CountingServable, classify_log, predict_log, writing_lines


def make(*candidates, error=None):
    """What is written and what is told."""
    written, told = [], []
    servable = CountingServable(error=error)
    outcome = making.make(candidates, Replay(servable), written.append, told.append)
    assert outcome.kept == len(written)
    return [wire.PredictionLog.FromString(record) for record in written], told, outcome.skipped


def candidate(*logs, origin="here", advice=""):
    return Candidate(origin, lambda: logs, advice)


def test_what_the_version_takes_is_written_as_it_came():
    written, told, skipped = make(candidate(predict_log(name="recorded")), candidate(classify_log()))
    assert (written, told, skipped) == ([predict_log(name="recorded"), classify_log()], [], 0)


def test_the_first_way_that_the_version_takes_is_written():
    written, _, skipped = make(candidate(predict_log("nobody"), predict_log(), classify_log()))
    assert (written, skipped) == ([predict_log()], 0)


def test_what_the_version_refuses_is_told_with_the_first_reason():
    bad = candidate(predict_log("nobody"), classify_log("no head"), advice="do it better")
    written, told, skipped = make(bad, candidate(predict_log()))
    assert (written, skipped) == ([predict_log()], 1)
    expected = 'here: skipped: FAILED_PRECONDITION: Serving signature key "nobody" not found. (do it better)'
    assert told == [expected]


def test_a_reason_is_told_in_one_line():
    _, told, _ = make(candidate(predict_log()), error=InvalidArgument("two\n\t lines"))
    assert told == ["here: skipped: INVALID_ARGUMENT: two lines"]


def test_of_very_many_that_are_refused_the_first_are_told():
    written, told, skipped = make(*[candidate(predict_log("nobody"))] * 60, candidate(predict_log()))
    assert (len(written), skipped, len(told)) == (1, 60, 51)
    assert told[-1] == "10 more are skipped, and not told of one by one"


def test_a_candidate_that_cannot_be_made_is_told():
    def fail():
        raise DataLoss("cut")

    assert make(Candidate("there", fail))[1:] == (["there: skipped: DATA_LOSS: cut"], 1)


def test_a_log_without_a_request_is_not_written():
    written, told, _ = make(candidate(wire.PredictionLog()))
    assert (written, told) == ([], ["here: skipped: FAILED_PRECONDITION: the log holds no request"])


def test_a_file_ends_where_a_server_would_refuse_it():
    tried = []

    def candidates():
        for number in range(MAX_RECORDS + 5):
            tried.append(number)
            yield candidate(predict_log(), origin=f"record {number + 1}")

    written, told = [], []
    outcome = making.make(candidates(), lambda log: None, written.append, told.append)
    assert (outcome.kept, outcome.skipped, len(written), len(tried)) == (1000, 0, 1000, 1001)
    assert told == ["record 1001: left out, and all that follows: a warm-up file holds 1000 requests"]


def test_a_full_file_is_told_of_only_if_something_is_left_out():
    told = []
    making.make([candidate(predict_log())] * MAX_RECORDS, lambda log: None, lambda record: None, told.append)
    assert told == []


def test_a_file_takes_its_place_whole(tmp_path):
    path = tmp_path / "assets.extra" / "requests"
    with making.replacing(path, writing_lines) as write:
        write(b"a")
        assert not path.exists()
    assert path.read_bytes() == b"a\n"
    assert os.listdir(path.parent) == ["requests"]


def test_others_may_read_the_file_as_any_other(tmp_path):
    path, other = tmp_path / "requests", tmp_path / "other"
    with making.replacing(path, writing_lines):
        other.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "requests"
    path.write_bytes(b"old")

    def fail_half_way():
        with making.replacing(path, writing_lines) as write:
            write(b"new")
            raise InvalidArgument("half way")

    with pytest.raises(InvalidArgument):
        fail_half_way()
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["requests"])


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(FailedPrecondition, match=r"Not a directory|File exists"),
        making.replacing(tmp_path / "file" / "requests", writing_lines),
    ):
        pass


def test_a_file_is_overwritten_only_by_force(tmp_path):
    path = tmp_path / "requests"
    making.check_output(path, force=False)
    path.touch()
    making.check_output(path, force=True)
    with pytest.raises(AlreadyExists, match="--force overwrites it"):
        making.check_output(path, force=False)
