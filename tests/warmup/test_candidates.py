"""Candidates: for each signature and batch size, and for whatever was recorded."""

from pathlib import Path

import pytest

from servable import wire
from servable.errors import DataLoss, InvalidArgument, NotFound
from servable.saved_model import INIT_OP_SIGNATURE
from servable.signatures import CLASSIFY_METHOD
from servable.warmup import candidates
from servable.warmup.recorded import RequestKind
from tests.warmup.making import MIXED, RecordFile
from tests.warmup.test_generation import signature

PATH = Path("somewhere")
OPEN = signature({"x": "float32[?]"})
FIXED = signature({"x": "float32[2]"})
HEAD = signature({"inputs": "string[?]"}, CLASSIFY_METHOD)


def origins(*signatures, batch_sizes=(1,)):
    return [each.origin for each in candidates.of_signatures(signatures, batch_sizes, wire.GraphDef())]


def test_all_signatures_that_take_requests_are_chosen():
    signatures = {"b": OPEN, INIT_OP_SIGNATURE: FIXED, "a": HEAD}
    assert candidates.choose(signatures, []) == [HEAD, OPEN]


def test_named_signatures_are_chosen_in_their_order():
    assert candidates.choose({"a": HEAD, "b": OPEN, "c": FIXED}, ["c", "a"]) == [FIXED, HEAD]


def test_a_signature_that_is_not_there_is_not_found():
    with pytest.raises(NotFound) as caught:
        candidates.choose({"serving_default": OPEN}, ["serving_defualt"])
    assert caught.value.hints["did_you_mean"] == "serving_default"


def test_there_is_a_candidate_for_each_number_of_rows():
    assert origins(OPEN, batch_sizes=(1, 8)) == ['signature "mine", batch size 1', 'signature "mine", batch size 8']


def test_a_signature_with_a_fixed_number_of_rows_is_tried_once():
    assert origins(FIXED, batch_sizes=(4, 8)) == ['signature "mine"']


def test_a_candidate_has_requests_of_its_number_of_rows():
    (each,) = candidates.of_signatures([OPEN], [8], wire.GraphDef())
    (log,) = each.logs()
    assert log.predict_log.request.inputs["x"].tensor_shape.dim[0].size == 8


def test_the_advice_says_whether_features_were_found():
    advices = [each.advice for each in candidates.of_signatures([OPEN, HEAD], [1], wire.GraphDef())]
    assert ["no op of the graph says which features" in advice for advice in advices] == [False, True]


def test_every_record_is_a_candidate():
    found = list(candidates.of_logs(PATH, RecordFile(MIXED)))
    assert [each.origin for each in found] == [f"somewhere, record {number}" for number in (1, 2, 3, 4)]
    assert [log for each in found for log in each.logs()] == list(MIXED)


def test_a_record_of_something_else_fails_alone():
    bad, good = candidates.of_logs(PATH, RecordFile([b"\xff", MIXED[0]]))
    assert good.logs() == [MIXED[0]]
    with pytest.raises(InvalidArgument, match="Failed to parse warmup record"):
        bad.logs()


def test_what_comes_before_damage_is_there_and_the_damage_is_told():
    *good, bad = candidates.of_logs(PATH, RecordFile(MIXED, DataLoss("truncated")))
    assert [log for each in good for log in each.logs()] == list(MIXED)
    assert bad.origin == "somewhere, after record 4"
    with pytest.raises(DataLoss, match="truncated"):
        bad.logs()


def test_a_file_with_a_request_is_read_when_its_turn_comes(tmp_path):
    candidate = candidates.of_request(tmp_path / "request", RequestKind.PREDICT)
    (tmp_path / "request").write_bytes(b"no words of a request")
    with pytest.raises(InvalidArgument, match="holds no PredictRequest"):
        candidate.logs()
