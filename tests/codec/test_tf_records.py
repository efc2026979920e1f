"""Framing of records, read back by TensorFlow's own C++."""

import pytest

from servable.codec import tf_records
from servable.execution import tf_records as read_by_tensorflow

RECORDS = [
    b"",
    b"a",
    bytes(range(256)),
    b"x" * 1023,
    b"y" * 1024,
    bytes(i % 251 for i in range(70_001)),
    b"z" * 300_000,
]


def test_tensorflow_reads_the_records_that_are_framed_here(tmp_path):
    (tmp_path / "records").write_bytes(b"".join(map(tf_records.frame, RECORDS)))
    assert list(read_by_tensorflow.read(tmp_path / "records")) == RECORDS


@pytest.mark.parametrize("record", RECORDS, ids=len)
def test_a_frame_has_the_size_that_is_told(record):
    assert len(tf_records.frame(record)) == len(record) + tf_records.FRAME_BYTES
