"""How a command line is read: the original's syntax, and a space where it has an equals sign."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable.options import FLAGS, Kind, Parsed, ServerOptions, parse


def value_of(name, *argv):
    parsed = parse(argv)
    assert parsed.failure is None
    assert parsed.unknown == ()
    return getattr(parsed.options, name)


def test_no_arguments_are_the_defaults():
    assert parse([]) == Parsed(ServerOptions(), (), frozenset(), None)


@pytest.mark.behaviour("5", "--name=value, a bare bool, the last occurrence wins; ours: --name value")
@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--port=9000", "port", 9000),
        ("--port=-1", "port", -1),
        ("--port=+8", "port", 8),
        ("--port=007", "port", 7),
        ("--port= 8 ", "port", 8),
        ("--port=2147483647", "port", 2147483647),
        ("--port=-2147483648", "port", -2147483648),
        ("--load_retry_interval_micros=9223372036854775807", "load_retry_interval_micros", 2**63 - 1),
        ("--load_retry_interval_micros=-9223372036854775808", "load_retry_interval_micros", -(2**63)),
        ("--per_process_gpu_memory_fraction=0.25", "per_process_gpu_memory_fraction", 0.25),
        ("--per_process_gpu_memory_fraction=1e-1", "per_process_gpu_memory_fraction", 0.1),
        ("--drain_timeout_s=5", "drain_timeout_s", 5.0),
        ("--drain_delay_s=1.5", "drain_delay_s", 1.5),
        ("--model_name=half plus two", "model_name", "half plus two"),
        ("--model_name=", "model_name", ""),
        ("--model_name=--", "model_name", "--"),
        ("--model_name=--port=1", "model_name", "--port=1"),
        ("--grpc_channel_arguments=a=1,b=2", "grpc_channel_arguments", "a=1,b=2"),
        ("--model_name=%d {x}", "model_name", "%d {x}"),
        ("--enable_batching", "enable_batching", True),
        ("--enable_batching=true", "enable_batching", True),
        ("--enable_batching=TRUE", "enable_batching", True),
        ("--enable_profiler=false", "enable_profiler", False),
        ("--enable_profiler=False", "enable_profiler", False),
    ],
)
def test_a_value_after_an_equals_sign_is_read(argument, name, value):
    assert value_of(name, argument) == value


@pytest.mark.behaviour("5", "--name=value, a bare bool, the last occurrence wins; ours: --name value")
@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--port", "9000"], "port", 9000),
        (["--load_retry_interval_micros", "-1"], "load_retry_interval_micros", -1),
        (["--model_name", "a=b c"], "model_name", "a=b c"),
        (["--model_name", ""], "model_name", ""),
        (["--model_name", "-"], "model_name", "-"),
        (["--enable_profiler", "false"], "enable_profiler", False),
        (["--enable_batching", "TRUE"], "enable_batching", True),
    ],
)
def test_a_value_after_a_space_is_read(argv, name, value):
    assert value_of(name, *argv) == value


@pytest.mark.parametrize("following", ["1", "yes", "", "-", "--port=1"])
def test_a_bool_takes_no_following_argument_but_true_and_false(following):
    parsed = parse(["--enable_batching", following])
    assert parsed.options.enable_batching
    assert parsed.unknown == (() if following == "--port=1" else (following,))


@pytest.mark.parametrize("following", [[], ["--model_name=m"], ["--"]])
def test_a_flag_that_lacks_its_value_is_an_unknown_argument(following):
    parsed = parse(["--port", *following])
    assert parsed.options.port == 8500
    assert parsed.unknown[0] == "--port"


@pytest.mark.parametrize("text", ["1", "0", "yes", "no", "t", "", " true"])
def test_a_bool_that_is_neither_true_nor_false_is_a_failure(text):
    parsed = parse([f"--enable_batching={text}"])
    assert parsed.options is None
    assert parsed.failure == (f"Couldn't interpret value {text} for flag enable_batching. It must be true or false.")


@pytest.mark.parametrize(
    "text", ["", "x", "1.0", "1e3", "0x10", "1_000", "8500 8501", "٨", "--1", "2147483648", "9" * 5000]
)
def test_an_int32_that_is_no_whole_number_in_range_is_a_failure(text):
    assert parse([f"--port={text}"]).failure == (
        f"Couldn't interpret value {text} for flag port. It must be a whole number from -2147483648 to 2147483647."
    )


@pytest.mark.parametrize("text", ["", "x", "1.5", "9223372036854775808", "-9223372036854775809"])
def test_an_int64_that_is_no_whole_number_in_range_is_a_failure(text):
    assert parse([f"--tensorflow_session_parallelism={text}"]).failure == (
        f"Couldn't interpret value {text} for flag tensorflow_session_parallelism. "
        "It must be a whole number of at most 64 bits."
    )


@pytest.mark.parametrize("text", ["", "half", "0,5", "1_0", "٤"])
def test_a_float_that_is_no_number_is_a_failure(text):
    assert parse([f"--per_process_gpu_memory_fraction={text}"]).failure == (
        f"Couldn't interpret value {text} for flag per_process_gpu_memory_fraction. It must be a number."
    )


def test_a_bad_value_fails_even_if_a_later_one_is_good():
    assert parse(["--port=x", "--port=1"]).failure is not None


@pytest.mark.behaviour("5", "--name=value, a bare bool, the last occurrence wins; ours: --name value")
@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--port=1", "--port=2"], "port", 2),
        (["--port", "2", "--port=1"], "port", 1),
        (["--enable_profiler=false", "--enable_profiler"], "enable_profiler", True),
    ],
)
def test_the_last_occurrence_wins(argv, name, value):
    assert value_of(name, *argv) == value


@pytest.mark.parametrize(
    "argument",
    [
        "--nothing=1",
        "--nothing",
        "-port=1",
        "-p",
        "port=1",
        "--Port=1",
        "--por=1",
        "--versionx",
        "---port=1",
        "x",
        "",
    ],
)
def test_an_unknown_argument_is_kept_and_the_rest_is_read(argument):
    parsed = parse([argument, "--port=1"])
    assert parsed.failure is None
    assert parsed.unknown == (argument,)
    assert parsed.options == ServerOptions(port=1)


def test_unknown_arguments_keep_their_order():
    assert parse(["x", "--a", "--port=1", "y", "-b", "--c=1"]).unknown == ("x", "--a", "y", "-b", "--c=1")


def test_what_follows_two_dashes_is_left_alone():
    parsed = parse(["--port=1", "--", "--port=2", "--port=x"])
    assert parsed.options.port == 1
    assert parsed.unknown == ("--", "--port=2", "--port=x")


@pytest.mark.behaviour("5", "--help as the only leftover prints the usage on stdout and ends with 255")
@pytest.mark.parametrize("argv", [["--help"], ["--port=1", "--help"], ["--help", "x"]])
def test_help_as_the_first_leftover_asks_for_help(argv):
    assert parse(argv).help_requested


@pytest.mark.parametrize("argv", [[], ["x", "--help"], ["--model_name=--help"], ["--", "--help"]])
def test_help_elsewhere_does_not(argv):
    assert not parse(argv).help_requested


def test_the_flags_that_were_set_are_listed_even_if_set_to_their_default():
    parsed = parse(["--port", "8500", "--enable_batching", "x", "--port=1"])
    assert parsed.explicit == {"port", "enable_batching"}


WORDS = st.one_of(
    st.sampled_from(["--", "--help", "true", "FALSE", "-1", "x", "--version", *(f"--{name}" for name in FLAGS)]),
    st.builds("--{}={}".format, st.sampled_from(list(FLAGS)), st.text(max_size=5)),
    st.text(max_size=8),
)


@given(st.lists(WORDS, max_size=8))
def test_any_command_line_gives_options_or_a_failure(argv):
    parsed = parse(argv)
    assert (parsed.options is None) == (parsed.failure is not None)
    words = iter(argv)
    assert all(word in words for word in parsed.unknown)


@given(st.sampled_from([name for name in FLAGS if FLAGS[name].kind is not Kind.BOOL]), st.text(max_size=6))
def test_a_space_reads_as_an_equals_sign_does(name, text):
    if not text.startswith("--"):
        # By their texts, since a float may be NaN.
        assert repr(parse([f"--{name}", text])) == repr(parse([f"--{name}={text}"]))
