"""Which directory is looked at."""

import pytest

from servable.errors import FailedPrecondition, NotFound, Unimplemented
from servable.model_paths import locate
from tests.inspection.making import codes, find, look, meta_graph, signature, write

MODEL = meta_graph({"serving_default": signature({"x": "float32[?]"}, {"y": "float32[?]"})})


def test_a_version_directory_is_taken_as_it_is(tmp_path):
    write(tmp_path / "mine" / "7", MODEL)
    report = look(tmp_path / "mine" / "7")
    assert (report.path, report.version, report.versions) == (str(tmp_path / "mine" / "7"), 7, ())


def test_a_base_path_stands_for_its_highest_version(tmp_path):
    for number in ("2", "10", "9"):
        write(tmp_path / number, MODEL)
    (tmp_path / "notes").mkdir()
    report = look(tmp_path)
    assert (report.path, report.version, report.versions) == (str(tmp_path / "10"), 10, (2, 9, 10))


def test_a_relative_path_is_reported_as_an_absolute_one(tmp_path, monkeypatch):
    write(tmp_path / "1", MODEL)
    monkeypatch.chdir(tmp_path / "1")
    assert look(".").path == str(tmp_path / "1")
    assert look(".").version == 1


def test_a_model_in_a_directory_without_a_number_is_shown_and_warned_of(tmp_path):
    report = look(write(tmp_path / "mine", MODEL))
    assert report.version is None
    (warning,) = find(report, "unnumbered_directory")
    assert str(tmp_path / "mine" / "1") in warning.remedy


def test_a_numbered_directory_is_not_warned_of(tmp_path):
    assert codes(look(write(tmp_path / "00123", MODEL))) == []


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotFound, match="nowhere does not exist"):
        locate(str(tmp_path / "nowhere"))


def test_a_file_is_answered_with_what_to_name(tmp_path):
    path = write(tmp_path / "1", MODEL) / "saved_model.pb"
    with pytest.raises(FailedPrecondition, match="Name the directory that holds it"):
        locate(str(path))


def test_a_uri_is_refused_as_the_server_refuses_it():
    with pytest.raises(Unimplemented, match=r"gs://bucket/mine .* is a URI"):
        locate("gs://bucket/mine")


def test_an_empty_directory_holds_nothing(tmp_path):
    with pytest.raises(NotFound, match=r"neither a SavedModel \(saved_model.pb\) nor version directories") as raised:
        locate(str(tmp_path))
    assert "Did you mean" not in raised.value.message


def test_the_folder_above_a_base_path_is_answered_with_the_base_path(tmp_path):
    write(tmp_path / "mine" / "1", MODEL)
    with pytest.raises(NotFound, match=rf"Did you mean {tmp_path / 'mine'}\?"):
        locate(str(tmp_path))


def test_models_without_numbers_below_are_named(tmp_path):
    write(tmp_path / "first", MODEL)
    with pytest.raises(NotFound, match=r"Did you mean .*first"):
        locate(str(tmp_path))


def test_the_highest_version_counts_even_if_it_holds_no_model(tmp_path):
    write(tmp_path / "1", MODEL)
    (tmp_path / "2").mkdir()
    with pytest.raises(NotFound, match=str(tmp_path / "2")):
        look(tmp_path)
