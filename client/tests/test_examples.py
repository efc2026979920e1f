"""tf.Example and TFRecord files without TensorFlow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable_client import examples, tfrecord, wire
from servable_client.errors import InputError, MalformedReply


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1, "int64_list", [1]),
        (True, "int64_list", [1]),
        ([1, 2], "int64_list", [1, 2]),
        (1.5, "float_list", [1.5]),
        ([1, 2.5], "float_list", [1, 2.5]),
        ("é", "bytes_list", ["é".encode()]),
        (b"\xff\0", "bytes_list", [b"\xff\0"]),
        (["a", b"b"], "bytes_list", [b"a", b"b"]),
        (np.arange(4, dtype=np.uint8).reshape(2, 2), "int64_list", [0, 1, 2, 3]),
        (np.float64([[1, 2]]), "float_list", [1, 2]),
        (np.array(["a", "b"]), "bytes_list", [b"a", b"b"]),
    ],
)
def test_a_value_becomes_a_feature_of_its_kind(value, kind, expected):
    feature = examples.make_example({"f": value}).features.feature["f"]
    assert feature.WhichOneof("kind") == kind
    assert list(getattr(feature, kind).value) == expected


@pytest.mark.parametrize("value", [None, [], ()])
def test_nothing_becomes_a_feature_without_values(value):
    made = examples.make_example({"f": value})
    assert made.features.feature["f"].WhichOneof("kind") is None
    assert examples.read_example(made)["f"].tolist() == []


@pytest.mark.parametrize("value", [1j, [[1], [1, 2]], object(), {"a": 1}, [1, "a"], np.uint64([1 << 63]), 1e300])
def test_a_value_that_is_no_feature_is_refused_by_name(value):
    with pytest.raises(InputError, match="'f'"):
        examples.make_example({"f": value})


def test_an_example_is_read_back_as_arrays():
    read = examples.read_example(examples.make_example({"i": [1, 2], "f": 0.5, "s": "a"}))
    assert {name: (array.dtype.name, array.tolist()) for name, array in read.items()} == {
        "f": ("float32", [0.5]),
        "i": ("int64", [1, 2]),
        "s": ("object", [b"a"]),
    }


def test_messages_and_bytes_are_examples_too():
    made = examples.make_example({"a": 1})
    assert examples.make_example(made) is made
    assert examples.make_example(made.SerializeToString()) == made
    assert list(examples.read_example(made.SerializeToString())) == ["a"]
    with pytest.raises(MalformedReply):
        examples.read_example(b"\x0a")


def test_an_input_has_a_context_if_one_is_given():
    with_context = examples.make_input([{"a": 1}, {"a": 2}], {"c": "x"})
    assert len(with_context.example_list_with_context.examples) == 2
    assert list(with_context.example_list_with_context.context.features.feature) == ["c"]
    assert len(examples.make_input({"a": 1}).example_list.examples) == 1
    assert len(examples.make_input({"a": n} for n in range(3)).example_list.examples) == 3


@given(st.dictionaries(st.text(), st.lists(st.integers(-(1 << 63), (1 << 63) - 1)) | st.lists(st.binary(), min_size=1)))
def test_any_features_survive(features):
    read = examples.read_example(examples.make_example(features).SerializeToString())
    assert {name: array.tolist() for name, array in read.items()} == features


# RFC 3720, appendix B.4.
@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_the_checksum_is_that_of_the_standard(data, crc):
    assert tfrecord._crc32c(data) == crc


@given(st.binary(min_size=1, max_size=20), st.integers(1, 700))
def test_the_checksum_of_long_data_is_that_of_its_bytes(piece, repeats):
    data, crc = piece * repeats, 0xFFFFFFFF
    for byte in data:
        crc = tfrecord._CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    assert tfrecord._crc32c(data) == crc ^ 0xFFFFFFFF


def test_a_file_of_examples_is_read_back(tmp_path):
    path = tmp_path / "examples.tfrecord"
    given_ = [{"x": 1.5, "name": "a"}, {"x": 2.5}]
    assert tfrecord.write_examples(path, given_) == 2
    read = [examples.read_example(each) for each in tfrecord.read_examples(path)]
    assert [each["x"].tolist() for each in read] == [[1.5], [2.5]]


# tf.io.TFRecordWriter wrote these bytes.
HELLO = "0500000000000000eab2043e68656c6c6fbb1f1c19"


def test_a_record_is_written_as_tensorflow_writes_it(tmp_path):
    path = tmp_path / "one"
    tfrecord.write_records(path, [b"hello"])
    assert path.read_bytes().hex() == HELLO


def test_records_of_any_bytes_are_read_back(tmp_path):
    records = [b"", b"a", b"\0" * 5000, bytes(range(256)) * 100]
    path = tmp_path / "records"
    assert tfrecord.write_records(path, iter(records)) == 4
    assert list(tfrecord.read_records(path)) == records


@pytest.mark.parametrize("place", range(0, 22, 3))
def test_a_damaged_file_is_reported_with_the_place(tmp_path, place):
    path = tmp_path / "damaged"
    tfrecord.write_records(path, [b"first", b"second"])
    data = bytearray(path.read_bytes())
    data[21 + place] ^= 1
    path.write_bytes(data)
    with pytest.raises(tfrecord.CorruptRecord, match="damaged, record at byte 21"):
        list(tfrecord.read_records(path))


def test_the_checksum_of_the_data_may_be_left_out(tmp_path):
    path = tmp_path / "damaged"
    tfrecord.write_records(path, [b"first"])
    data = bytearray(path.read_bytes())
    data[12] = ord("F")
    path.write_bytes(data)
    assert list(tfrecord.read_records(path, check=False)) == [b"First"]


@pytest.mark.parametrize("left", [1, 11, 12, 16, 20])
def test_a_file_that_ends_inside_a_record_is_reported(tmp_path, left):
    path = tmp_path / "short"
    tfrecord.write_records(path, [b"first"])
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(tfrecord.CorruptRecord, match="ends inside a record"):
        list(tfrecord.read_records(path))


def test_a_record_that_is_no_example_is_reported(tmp_path):
    path = tmp_path / "other"
    tfrecord.write_records(path, [wire.Example().SerializeToString(), b"\x0a"])
    with pytest.raises(tfrecord.CorruptRecord, match="record 1"):
        list(tfrecord.read_examples(path))
