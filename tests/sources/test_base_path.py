"""Which children of a base path are versions, by the original's rules (file_system_storage_path_source.cc)."""

import json
import os
import subprocess
import sys

import pytest

from servable.errors import NotFound, Unimplemented
from servable.sources import Listing, Version, list_versions, parse_version

NUMBERS = {
    "1": 1,
    "0": 0,
    "00000123": 123,
    "+5": 5,
    "-5": -5,
    " 7": 7,
    "7 ": 7,
    "\t7\n": 7,
    "20170111173521": 20170111173521,
    "9223372036854775807": (1 << 63) - 1,
    "-9223372036854775808": -(1 << 63),
}
NO_NUMBERS = [
    "0x10",
    "1e3",
    "1.0",
    "1_0",
    "abc",
    "",
    " ",
    "+",
    "-",
    "+-1",
    "1 2",
    "1a",
    "v1",
    ".1",
    "1.tmp",
    "9223372036854775808",
    "-9223372036854775809",
    "9" * 255,
    "\N{ARABIC-INDIC DIGIT ONE}",
    "\N{FULLWIDTH DIGIT ONE}",
    "\N{SUPERSCRIPT TWO}",
    "1\N{NO-BREAK SPACE}",
    "1\x1c",
]


@pytest.mark.behaviour("6.4", "a child whose name is an int64 is a version, by absl's rules, file or directory")
@pytest.mark.parametrize("name", NUMBERS)
def test_a_name_that_is_an_int64_is_a_version(name):
    assert parse_version(name) == NUMBERS[name]


@pytest.mark.behaviour("6.4", "a child whose name is an int64 is a version, by absl's rules, file or directory")
@pytest.mark.parametrize("name", NO_NUMBERS)
def test_any_other_name_is_none(name):
    assert parse_version(name) is None


def make(base_path, *names):
    for name in names:
        (base_path / name).mkdir()


def numbers(base_path):
    return [version.number for version in list_versions("m", str(base_path)).versions]


@pytest.mark.behaviour("6.4", "a child whose name is an int64 is a version, by absl's rules, file or directory")
def test_versions_come_by_number_with_the_path_of_their_own_name(tmp_path):
    make(tmp_path, "10", "00000009", "-1", "not a version", "1.tmp")
    assert list_versions("m", str(tmp_path)).versions == [
        Version(-1, tmp_path / "-1"),
        Version(9, tmp_path / "00000009"),
        Version(10, tmp_path / "10"),
    ]


@pytest.mark.behaviour("6.4", "a child whose name is an int64 is a version, by absl's rules, file or directory")
def test_a_file_is_a_version_too(tmp_path):
    (tmp_path / "3").write_text("no directory")
    assert numbers(tmp_path) == [3]


def test_a_link_is_a_version_too_wherever_it_leads(tmp_path):
    (tmp_path / "4").symlink_to(tmp_path / "nowhere")
    assert numbers(tmp_path) == [4]


def test_a_name_that_is_no_text_is_no_version(tmp_path):
    make(tmp_path, "1")
    os.mkdir(os.fsencode(tmp_path) + b"/\xff2")
    assert numbers(tmp_path) == [1]


@pytest.mark.behaviour("6.4", "of two names for one number the last counts, with a warning")
def test_of_two_names_for_one_number_the_last_in_order_counts_with_a_warning(tmp_path):
    make(tmp_path, "1", "001", "01", "2")
    listing = list_versions("m", str(tmp_path))
    assert listing.versions == [Version(1, tmp_path / "1"), Version(2, tmp_path / "2")]
    assert listing.warnings == [
        "Duplicate version directories for version 1 of servable m: 001 is ignored, 01 counts",
        "Duplicate version directories for version 1 of servable m: 01 is ignored, 1 counts",
    ]


def test_a_slash_at_the_end_makes_no_difference(tmp_path):
    make(tmp_path, "1")
    assert list_versions("m", f"{tmp_path}/") == Listing([Version(1, tmp_path / "1")], [])


@pytest.mark.behaviour(
    "6.4", "no numeric child is a warning with advice; ours: it holds up no start of others, and alone ends it"
)
def test_no_version_is_a_warning_with_advice(tmp_path):
    make(tmp_path, "first")
    advice = (
        f"No versions of servable m found under base path {tmp_path}. "
        "Did you forget to name your leaf directory as a number (eg. '/1/')?"
    )
    assert list_versions("m", str(tmp_path)) == Listing([], [advice])


@pytest.mark.behaviour("6.4", "a base path that is missing; ours: it holds up no start of others, and alone ends it")
def test_a_base_path_that_is_not_there_is_not_found(tmp_path):
    path = f"{tmp_path}/missing"
    with pytest.raises(NotFound) as caught:
        list_versions("m", path)
    assert caught.value.message == (
        f"Could not find base path {path} for servable m with error NOT_FOUND: {path}; No such file or directory"
    )


@pytest.mark.behaviour("6.4", "a base path that is missing; ours: it holds up no start of others, and alone ends it")
def test_a_base_path_that_is_a_file_is_reported(tmp_path):
    path = tmp_path / "file"
    path.write_text("no directory")
    with pytest.raises(NotFound) as caught:
        list_versions("m", str(path))
    assert caught.value.message == (
        f"Could not find base path {path} for servable m with error NOT_FOUND: {path}; Not a directory"
    )


AS_ANOTHER_USER = """
import json, os, sys
from servable.errors import ServingError
from servable.sources import list_versions
if os.getuid() == 0:
    os.setuid(65534)
try:
    list_versions("m", sys.argv[1])
except ServingError as error:
    print(json.dumps([error.code.name, error.message]))
"""


@pytest.mark.behaviour("6.4", "a base path that may not be read")
@pytest.mark.behaviour("14", "a version or a base path without permission, or with a NUL byte, is reported")
def test_a_base_path_that_may_not_be_read_is_permission_denied(tmp_path):
    # Root may read everything, so another user must try.
    path = tmp_path / "closed"
    path.mkdir(mode=0)
    command = [sys.executable, "-c", AS_ANOTHER_USER, str(path)]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    path.chmod(0o700)
    assert json.loads(output) == [
        "PERMISSION_DENIED",
        f"Could not find base path {path} for servable m with error PERMISSION_DENIED: {path}; Permission denied",
    ]


@pytest.mark.parametrize("uri", ["gs://bucket/model", "s3://bucket/model", "hdfs://host/model", "file:///models/m"])
def test_a_uri_is_unimplemented_with_advice(uri):
    with pytest.raises(Unimplemented) as caught:
        list_versions("m", uri)
    assert caught.value.message == (
        f"Base path {uri} of servable m is a URI; only local paths can be read. Copy the model here."
    )


@pytest.mark.behaviour("14", "a version or a base path without permission, or with a NUL byte, is reported")
@pytest.mark.parametrize(
    ("base_path", "named", "cause"),
    [
        ("/a\0b", "/a\0b", "A path cannot contain a NUL byte"),
        ("/a\ud800", "/a?", "'utf-8' codec can't encode character '\\ud800' in position 2: surrogates not allowed"),
    ],
    ids=["nul", "surrogate"],
)
def test_a_base_path_that_no_system_can_hold_is_not_found(base_path, named, cause):
    with pytest.raises(NotFound) as caught:
        list_versions("m", base_path)
    assert caught.value.message == (
        f"Could not find base path {named} for servable m with error NOT_FOUND: {named}; {cause}"
    )
