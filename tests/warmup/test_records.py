"""The loop over a warm-up file: what is executed, how often, and what ends it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable.errors import DataLoss, InvalidArgument, NotFound
from servable.warmup import records
from servable.warmup.records import MAX_RECORDS
from tests.warmup.making import RecordFile, predict_log

PATH = Path("somewhere")
GARBAGE = b"\xff garbage"


def test_every_record_is_executed_in_order():
    executed = []
    assert records.replay(PATH, RecordFile([predict_log("a"), predict_log("b")]), executed.append) == 2
    assert executed == [predict_log("a"), predict_log("b")]


@pytest.mark.behaviour("7.4", "each record is executed num_request_iterations times")
def test_a_record_is_executed_as_often_as_asked_before_the_next_one():
    executed = []
    assert records.replay(PATH, RecordFile([predict_log("a"), predict_log("b")]), executed.append, 2) == 2
    assert executed == [predict_log("a")] * 2 + [predict_log("b")] * 2


@pytest.mark.behaviour("7.4", "an empty file is no error")
def test_an_empty_file_is_no_error():
    assert records.replay(PATH, RecordFile([]), pytest.fail) == 0


@pytest.mark.behaviour("7.4", "the 1001st record is executed, then refused")
def test_a_thousand_records_are_no_error():
    assert records.replay(PATH, RecordFile([b""] * MAX_RECORDS), lambda log: None) == 1000


@pytest.mark.behaviour("7.4", "the 1001st record is executed, then refused")
def test_the_record_beyond_the_limit_is_executed_and_then_refused():
    executed = []
    file = RecordFile([b""] * (MAX_RECORDS + 9))
    with pytest.raises(InvalidArgument) as caught:
        records.replay(PATH, file, executed.append, 2)
    assert caught.value.message == "Number of warmup records exceeds the maximum (1000) at somewhere"
    assert (len(executed), file.read_count) == (2002, 1001)


@pytest.mark.behaviour("7.4", "a record that does not parse is quoted; ours: 1024 bytes of it")
@pytest.mark.behaviour("13.13", "227 UnparsableRecord")
def test_a_record_that_does_not_parse_is_quoted():
    with pytest.raises(InvalidArgument) as caught:
        records.replay(PATH, RecordFile([b"\xff garbage"]), pytest.fail)
    assert caught.value.message == "Failed to parse warmup record: \ufffd garbage from somewhere"


@pytest.mark.behaviour("7.4", "a record that does not parse is quoted; ours: 1024 bytes of it")
def test_a_large_record_that_does_not_parse_is_quoted_in_part():
    with pytest.raises(InvalidArgument) as caught:
        records.replay(PATH, RecordFile([GARBAGE * 1_000_000]), pytest.fail)
    assert caught.value.message.endswith("... (9000000 bytes) from somewhere")
    assert len(caught.value.message) < 1200


@pytest.mark.behaviour("7.4", "a file that is no TFRecord file is DATA_LOSS with a hint")
def test_a_damaged_file_comes_with_what_it_should_be():
    with pytest.raises(DataLoss) as caught:
        records.replay(PATH, RecordFile([], DataLoss("corrupted record at 0")), pytest.fail)
    expected = "corrupted record at 0. Please verify your warmup data is in TFRecord format."
    assert caught.value.message == expected


def test_what_comes_before_the_damage_is_executed():
    executed = []
    with pytest.raises(DataLoss):
        records.replay(PATH, RecordFile([predict_log()], DataLoss("truncated record at 9")), executed.append)
    assert executed == [predict_log()]


def test_another_failure_to_read_stays_as_it_is():
    with pytest.raises(NotFound, match=r"^NOT_FOUND: gone$"):
        records.replay(PATH, RecordFile([], NotFound("gone")), pytest.fail)


@pytest.mark.behaviour("7.4", "a file that is no TFRecord file is DATA_LOSS with a hint")
def test_data_loss_of_a_request_is_none_of_the_file():
    def execute(log):
        raise DataLoss("in the graph")

    with pytest.raises(DataLoss, match=r"^DATA_LOSS: in the graph$"):
        records.replay(PATH, RecordFile([predict_log()]), execute)


def _outcome(kinds, iterations):
    """What a replay of records of these kinds comes to, and how often a request was executed."""
    stored = {"good": predict_log("good"), "bad": predict_log("bad"), "garbage": GARBAGE}
    executed = []

    def execute(log):
        executed.append(log)
        if log == stored["bad"]:
            raise NotFound("bad")

    try:
        count = records.replay(PATH, RecordFile([stored[kind] for kind in kinds]), execute, iterations)
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
