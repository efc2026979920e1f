"""What is printed before anything is served: texts on stdout, the exit status, and no wait for TensorFlow's import."""

from importlib import metadata

import pytest

import servable
from servable.options import usage
from tests.process import launching
from tests.process.certificates import Authority, ssl_config
from tests.process.command_lines import outcomes

NO_LISTENER = "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."
ALTS_AND_TLS = "Either use_alts_credentials must be false or ssl_config_file must be empty."
NO_MODEL = "Both server_options.model_base_path and server_options.model_config_file are empty!"
NO_BATCHING = "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
ALL_THREADS = (
    "Either configure server_options.tensorflow_session_parallelism or "
    "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
    "separately. You cannot configure all."
)
VERSIONS = f"TensorFlow ModelServer: {servable.__version__}\nTensorFlow Library: {metadata.version('tensorflow')}\n"
UNREADABLE = "Couldn't interpret value {} for flag {}. It must be {}."
MODEL = "--model_base_path=/models/m"


def files(folder):
    """Files that flags name, by what is wrong with them."""
    server, foreign = (Authority(name).vouch_for("server") for name in ("ours", "another"))
    mismatch = ssl_config(server).splitlines()[0] + "\n" + ssl_config(foreign).splitlines()[1]
    relative = 'model_config_list { config { name: "m" base_path: "models/m" model_platform: "tensorflow" } }'
    texts = {
        "improper": "model_config_list { improperly: 1 }",
        "relative": relative,
        "misfit": mismatch,
        "path for key": 'server_key: "/etc/key.pem" server_cert: "/etc/cert.pem"',
        "no CA": ssl_config(server, client_verify=True),
        "empty": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in [*texts, "missing"]}


def refusals(paths):
    """Command lines that cannot start, each with the code and what the message says."""
    ssl, config = "--ssl_config_file={}".format, "--model_config_file={}".format
    return {
        "no listener": (["--port=0", MODEL], "INVALID_ARGUMENT", NO_LISTENER),
        "ALTS with TLS": (
            ["--use_alts_credentials", ssl(paths["misfit"]), MODEL], "INVALID_ARGUMENT", ALTS_AND_TLS
        ),
        "no model": ([], "INVALID_ARGUMENT", NO_MODEL),
        "no batching": (["--batching_parameters_file=/b", MODEL], "INVALID_ARGUMENT", NO_BATCHING),
        "all threads": (
            [f"--tensorflow_{kind}_parallelism=1" for kind in ("session", "intra_op", "inter_op")] + [MODEL],
            "INVALID_ARGUMENT", ALL_THREADS,
        ),
        "negative drain timeout": (["--drain_timeout_s=-1", MODEL], "INVALID_ARGUMENT", "drain_timeout_s must be"),
        "port out of range": (["--port=70000", MODEL], "INVALID_ARGUMENT", "port must be from 0 to 65535; was 70000."),
        "port below zero": (["--port=-1", MODEL], "INVALID_ARGUMENT", "port must be from 0 to 65535; was -1."),
        "relative base path": (
            ["--model_name=m", "--model_base_path=models/m"],
            "INVALID_ARGUMENT", "Expected model m to have an absolute path or URI; got base_path()=models/m",
        ),
        "relative base path in a file": (
            [config(paths["relative"])],
            "INVALID_ARGUMENT", "Expected model m to have an absolute path or URI; got base_path()=models/m",
        ),
        "missing config": (
            [config(paths["missing"])], "NOT_FOUND", f"{paths['missing']}; No such file or directory"
        ),
        "empty config": ([config(paths["empty"])], "INVALID_ARGUMENT", f"{paths['empty']}; Invalid argument"),
        "improper config": (
            [config(paths["improper"])], "INVALID_ARGUMENT", f"Invalid protobuf file: '{paths['improper']}'"
        ),
        "channel argument without =": (
            ["--grpc_channel_arguments=grpc.x", MODEL],
            "INVALID_ARGUMENT", "grpc_channel_arguments: 'grpc.x' has no '='",
        ),
        "missing TLS file": (
            [ssl(paths["missing"]), MODEL], "NOT_FOUND", f"{paths['missing']}; No such file or directory"
        ),
        "TLS paths instead of PEM": (
            [ssl(paths["path for key"]), MODEL],
            "INVALID_ARGUMENT", f"ssl_config_file '{paths['path for key']}': server_key is no PEM private key",
        ),
        "TLS key of another certificate": (
            [ssl(paths["misfit"]), MODEL],
            "INVALID_ARGUMENT", f"ssl_config_file '{paths['misfit']}': server_key does not belong to server_cert",
        ),
        "client_verify without a CA": (
            [ssl(paths["no CA"]), MODEL],
            "INVALID_ARGUMENT", f"ssl_config_file '{paths['no CA']}': client_verify is true but custom_ca is empty",
        ),
    }  # fmt: skip


# Known before the files are, so that each is a test of its own.
REFUSALS = list(
    refusals(dict.fromkeys(["misfit", "relative", "missing", "empty", "improper", "path for key", "no CA"]))
)
ENDINGS = {
    "help": (["--help"], 255, usage() + "\n"),
    "unreadable bool": (
        ["--enable_batching=1", MODEL], 255,
        UNREADABLE.format("1", "enable_batching", "true or false") + "\n" + usage() + "\n",
    ),
    "unreadable number": (
        ["--port=http", MODEL], 255,
        UNREADABLE.format("http", "port", "a whole number from -2147483648 to 2147483647") + "\n" + usage() + "\n",
    ),
    "version": (["--version"], 0, VERSIONS),
    "version before a check": (["--version", "--port=0"], 0, VERSIONS),
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The outcome of every command line of this module, by its name; and the refusals with real paths."""
    refused = refusals(files(tmp_path_factory.mktemp("files")))
    command_lines = {name: arguments for name, (arguments, *_) in {**ENDINGS, **refused}.items()}
    results = outcomes(*(["serve", *arguments] for arguments in command_lines.values()))
    return dict(zip(command_lines, results, strict=True)), refused


@pytest.mark.behaviour("5", "a value that cannot be read prints the usage on stdout and ends with 255")
@pytest.mark.behaviour("5", "--help as the only leftover prints the usage on stdout and ends with 255")
@pytest.mark.behaviour("5", "--version")
@pytest.mark.parametrize("name", ENDINGS)
def test_help_version_and_what_cannot_be_read_end_with_a_text_on_stdout(results, name):
    _, status, stdout = ENDINGS[name]
    outcome = results[0][name]
    assert (outcome["status"], outcome["stdout"], outcome["stderr"]) == (status, stdout, "")


@pytest.mark.behaviour("5", "a start that fails prints its code and message on stdout and ends with 255")
@pytest.mark.behaviour("5", "a config file that is missing, empty or not parsable")
@pytest.mark.behaviour("5", "--port")
@pytest.mark.behaviour("5", "--model_config_file")
@pytest.mark.behaviour("5", "--model_base_path")
@pytest.mark.behaviour("5", "--use_alts_credentials")
@pytest.mark.behaviour("5", "--ssl_config_file")
@pytest.mark.behaviour("5", "ours: a port outside 0 to 65535 is refused")
@pytest.mark.behaviour("6.6", "a missing file at the start is fatal")
@pytest.mark.behaviour("11.1", "key and certificate are PEM text, checked before a port opens")
@pytest.mark.behaviour("11.3", "an element without = is refused instead of a crash")
@pytest.mark.behaviour("13.1", "11 testBadModelConfig")
@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_start_ends_with_one_line_on_stdout(results, name):
    outcomes_by_name, refused = results
    outcome, (_, code, message) = outcomes_by_name[name], refused[name]
    assert outcome["status"] == 255
    assert outcome["stdout"].startswith(f"Failed to start server. Error: {code}: {message}")
    assert outcome["stdout"].count("\n") == 1


@pytest.mark.behaviour("5", "a config that does not parse is reported on stderr, and the process ends promptly")
@pytest.mark.parametrize("name", [*ENDINGS, *REFUSALS])
def test_nothing_of_this_waits_for_tensorflow(results, name):
    assert not results[0][name]["tensorflow"]


@pytest.mark.behaviour("5", "a config that does not parse is reported on stderr, and the process ends promptly")
@pytest.mark.behaviour("13.1", "11 testBadModelConfig")
def test_what_is_wrong_with_a_config_goes_to_stderr(results):
    stderr = results[0]["improper config"]["stderr"]
    assert stderr.startswith("Error parsing text-format tensorflow.serving.ModelServerConfig: 1:21: ")


@pytest.mark.behaviour("11.1", "key and certificate are PEM text, checked before a port opens")
def test_no_word_of_a_key_is_printed(results):
    for name in REFUSALS:
        assert "PRIVATE" not in results[0][name]["stdout"] + results[0][name]["stderr"]


@pytest.mark.behaviour("5", "a start that fails prints its code and message on stdout and ends with 255")
@pytest.mark.behaviour("5", "--version")
def test_the_exit_status_is_that_of_the_process():
    ended = launching.run("serve", "--port=0", MODEL)
    assert (ended.status, ended.stdout) == (
        255,
        f"Failed to start server. Error: INVALID_ARGUMENT: {NO_LISTENER}\n",
    )
    assert launching.run("serve", "--version") == launching.Ended(0, VERSIONS, "")
