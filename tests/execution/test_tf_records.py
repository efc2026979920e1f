"""TFRecord files through TensorFlow's own reader, with its error texts."""

import logging

import pytest

from servable.errors import DataLoss, FailedPrecondition, NotFound
from servable.execution import tf_records

RECORDS = [b"first", b"", b"\x00" * 100_000]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "records"
    with tf_records.writing(path) as write:
        for record in RECORDS:
            write(record)
    return path


def test_what_was_written_is_read(path):
    assert list(tf_records.read(path)) == RECORDS


def test_records_come_one_at_a_time(path):
    path.write_bytes(path.read_bytes() + b"garbage that is never reached")
    records = tf_records.read(path)
    assert [next(records) for _ in RECORDS] == RECORDS
    with pytest.raises(DataLoss):
        next(records)


def test_an_empty_file_has_no_records(tmp_path):
    (tmp_path / "records").touch()
    assert list(tf_records.read(tmp_path / "records")) == []


def test_a_file_of_something_else_is_data_loss(tmp_path):
    path = tmp_path / "records"
    path.write_bytes(b"this is no TFRecord file")
    with pytest.raises(DataLoss, match="corrupted record at 0"):
        list(tf_records.read(path))


def test_a_cut_file_is_data_loss(path):
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataLoss, match="truncated record at"):
        list(tf_records.read(path))


def test_a_record_with_a_flipped_bit_is_data_loss(path):
    content = bytearray(path.read_bytes())
    content[13] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataLoss, match="corrupted record at"):
        list(tf_records.read(path))


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound, match="No such file or directory"):
        list(tf_records.read(tmp_path / "records"))


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(FailedPrecondition, match="Is a directory"):
        list(tf_records.read(tmp_path))


def test_a_place_that_cannot_be_written_is_reported(tmp_path):
    with pytest.raises(NotFound, match="No such file or directory"), tf_records.writing(tmp_path / "no" / "records"):
        pass


def test_reading_logs_no_warning(path, caplog):
    caplog.set_level(logging.DEBUG, "tensorflow")
    list(tf_records.read(path))
    assert caplog.records == []
