"""scripts/serve, test and check, beside a fake environment: what they start, and what comes back from it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from tests.packaging.fakes import ROOT, TIMEOUT_S, run, write_executable

ECHO = '#!/bin/sh\necho "$@"\n'
# As servable does: `serve` listens, prints its arguments and ends with 7 on SIGTERM; `health` succeeds. A Python
# whose path has a space cannot stand in a script's first line.
FAKE_SERVER = f"""#!/bin/sh
exec '{sys.executable}' -c '
import signal, socket, sys
if sys.argv[1] == "serve":
    port = [int(flag[7:]) for flag in sys.argv if flag.startswith("--port=")][-1]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    with socket.create_server(("127.0.0.1", port)) as listening:
        print("arguments:", *sys.argv[2:], flush=True)
        signal.pause()
' "$@"
"""


@pytest.fixture
def port():
    """A free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture
def serve(copy_script):
    """Returns a function that starts scripts/serve with a fake server; what still runs is ended afterwards."""
    script, started = copy_script("serve", servable=FAKE_SERVER), []

    def serve(*arguments):
        started.append(subprocess.Popen([script, *arguments], stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield serve
    for process in started:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


def read_until(process, words):
    """Returns the lines up to the one with these words."""
    lines = []
    while words not in "".join(lines[-1:]):
        lines.append(process.stdout.readline())
        assert lines[-1], f"the output ended before {words!r}: {lines}"
    return lines


def test_serve_without_a_model_serves_the_digits_and_its_last_lines_say_how_to_call_it(serve, port, tmp_path):
    lines = read_until(serve(f"--port={port}"), "predict.py")
    flags = f"--model_name=digits --model_base_path={tmp_path}/examples/digits/model --port={port}"
    assert lines[0] == f"arguments: {flags}\n"
    assert lines[-2] == f"The digits model is served on 127.0.0.1:{port}. Call it from another terminal:\n"
    assert lines[-1].strip() == f".venv/bin/python examples/digits/predict.py --digit 3 --address 127.0.0.1:{port}"


def test_what_serve_says_to_call_exists():
    assert (ROOT / "examples/digits/predict.py").exists()
    assert (ROOT / "examples/digits/model/1/saved_model.pb").exists()


@pytest.mark.parametrize("flag", ["--model_name=mine", "--model_base_path=/mine", "--model_config_file=/mine"])
def test_serve_with_a_model_passes_the_arguments_on_as_they_are(serve, port, flag):
    lines = read_until(serve(flag, f"--port={port}"), "servable health")
    assert lines[0] == f"arguments: {flag} --port={port}\n"
    assert lines[-1].strip() == f".venv/bin/servable health 127.0.0.1:{port}"


def test_a_signal_to_serve_reaches_the_server_and_its_status_comes_back(serve, port):
    process = serve(f"--port={port}")
    read_until(process, "predict.py")
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT_S) == 7


def test_nothing_outlives_a_server_that_never_answered(copy_script, port):
    script = copy_script("serve", servable="#!/bin/sh\nexit 3\n")
    with subprocess.Popen([script, f"--port={port}"], stdout=subprocess.PIPE, text=True) as process:
        assert process.wait(TIMEOUT_S) == 3
        # The output ends when no process has it open any more.
        assert process.communicate(timeout=TIMEOUT_S)[0] == ""


def test_serve_says_nothing_for_another_server_on_its_port(copy_script):
    script = copy_script("serve", servable=ECHO)
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = run([script, f"--port={other.getsockname()[1]}"])
    assert "predict.py" not in done.stdout


def test_test_runs_pytest_in_two_processes_from_the_root(copy_script, tmp_path):
    script = copy_script("test", python='#!/bin/sh\npwd\necho "$@"\nexit 5\n')
    done = run([script, "-x", "tests/codec"], cwd="/")
    assert done.stdout == f"{tmp_path}\n-m pytest -n 2 -x tests/codec\n"
    assert done.returncode == 5
    assert (tmp_path / "prepared").read_text() == "test\n"


@pytest.mark.parametrize(
    ("main", "client", "status"), [(0, 0, 0), (0, 3, 3), (5, 0, 5), (5, 3, 5)], ids=["none", "client", "main", "both"]
)
def test_test_without_arguments_runs_both_suites_and_ends_as_the_first_that_failed(
    copy_script, tmp_path, main, client, status
):
    body = f'#!/bin/sh\npwd\necho "$@"\ncase "$*" in *client*) exit {client} ;; esac\nexit {main}\n'
    done = run([copy_script("test", python=body)])
    client_suite = "-m pytest -n 2 -c client/pyproject.toml client/tests"
    assert done.stdout == f"{tmp_path}\n-m pytest -n 2\n{tmp_path}\n{client_suite}\n"
    assert done.returncode == status


@pytest.fixture
def check(copy_script, tmp_path):
    """Returns a function that runs scripts/check with tools that pass, but for the one named."""

    def check(*arguments, failing=""):
        body = '#!/bin/sh\necho "{0} $*" >> "{1}/calls"\necho "said by {0}"\n[ {0} != "{2}" ]\n'
        names = ("ruff", "mypy", "lint_imports", "mkdocs", "pre_commit", "python")
        tools = {name: body.format(name, tmp_path, failing) for name in names}
        return run([copy_script("check", **tools), *arguments])

    return check


def test_check_prepares_its_environment_and_runs_each_check(check, tmp_path):
    done = check()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "prepared").read_text() == "check\n"
    calls = (tmp_path / "calls").read_text()
    for command in (
        "ruff format --check",
        "ruff check",
        "mypy ",
        "lint_imports",
        "mkdocs build --strict",
        "pre_commit validate-config",
        "python scripts/compile_protos --check",
    ):
        assert command in calls
    assert "mypy --strict --config-file= tests/packaging/consumer.py" in calls


def test_check_runs_everything_though_one_fails_and_names_those_that_failed(check, tmp_path):
    done = check(failing="mypy")
    assert done.returncode == 1
    assert "said by mypy" in done.stdout
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "python scripts/compile_protos --check" in calls
    failed = done.stdout.split("Failed:\n")[1].splitlines()
    assert [line.strip() for line in failed] == [call.strip() for call in calls if call.startswith("mypy")]


def test_check_repairs_only_when_asked(check, tmp_path):
    check()
    assert "--fix" not in (tmp_path / "calls").read_text()


def test_check_repairs_before_it_checks(check, tmp_path):
    check("--fix")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].startswith("ruff check --fix")
    assert calls[1].startswith("ruff format ")
    assert calls[2].startswith("ruff format --check")


def test_check_refuses_other_arguments(check):
    done = check("--fast")
    assert done.returncode == 2
    assert "--fast" in done.stderr


@pytest.fixture
def ci(tmp_path):
    """Returns a function that runs .ci/run with scripts that end with these statuses."""

    def ci(**statuses):
        script = write_executable(tmp_path / ".ci/run", (ROOT / ".ci/run").read_text())
        for name, status in statuses.items():
            write_executable(tmp_path / "scripts" / name, f"#!/bin/sh\necho {name}\nexit {status}\n")
        return run([script], cwd="/")

    return ci


def test_ci_checks_then_tests(ci):
    done = ci(check=0, test=0)
    assert (done.returncode, done.stdout) == (0, "check\ntest\n")


@pytest.mark.parametrize("statuses", [{"check": 1, "test": 0}, {"check": 0, "test": 1}])
def test_ci_fails_if_either_fails(ci, statuses):
    assert ci(**statuses).returncode == 1


@pytest.mark.parametrize("command", ["scripts/serve", "scripts/test"])
def test_the_commands_of_the_readme_can_be_run(command):
    commands = [line.split() for line in (ROOT / "README.md").read_text().splitlines()]
    assert [command] in [words[:1] for words in commands]
    assert (ROOT / command).stat().st_mode & 0o111
