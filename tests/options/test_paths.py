"""Paths beside flags, unknown flags, and how the usage groups flags."""

import pytest

from servable.errors import InvalidArgument
from servable.options import FLAGS, GROUPS, ServerOptions, describe_unknown, parse, usage, validate


def test_what_is_no_flag_is_a_path():
    parsed = parse(["./a", "--port=1", "b=../b", "--no_such", "--enable_batching", "c"])
    assert parsed.paths == ("./a", "b=../b", "c")
    assert parsed.unknown_flags == ("--no_such",)


def test_the_value_of_a_flag_is_no_path():
    assert parse(["--model_name", "mine", "./a"]).paths == ("./a",)


def test_what_follows_two_dashes_is_no_path():
    parsed = parse(["./a", "--", "./b"])
    assert (parsed.paths, parsed.unknown_flags) == (("./a",), ("--", "./b"))


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("--modl_name=x", "; did you mean --model_name?"),
        ("--enable-batching", "; did you mean --enable_batching?"),
        ("-x", "."),
    ],
)
def test_an_unknown_flag_is_one_line_with_the_nearest(argument, meant):
    assert describe_unknown(argument) == f"unknown argument: {argument}{meant} `servable serve --help` lists all flags."


def test_each_flag_is_in_one_group_of_the_usage():
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(FLAGS)
    titles = [line for line in usage().splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == [f"{title}:" for title in GROUPS]


def test_paths_stand_for_the_flags_that_name_models():
    validate(ServerOptions(), has_paths=True)
    with pytest.raises(InvalidArgument, match="are empty"):
        validate(ServerOptions())
    with pytest.raises(InvalidArgument, match="cannot be mixed"):
        validate(ServerOptions(model_config_file="/m"), has_paths=True)


def test_the_log_level_is_one_of_the_names():
    with pytest.raises(InvalidArgument, match="log_level must be debug, info, warning or error; was loud"):
        validate(ServerOptions(model_base_path="/m", log_level="loud"))
