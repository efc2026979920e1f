"""`servable health`: one line that says how a server is, and the exit status of a container's health check."""

import pytest

from tests.process import launching
from tests.process.certificates import Authority
from tests.process.command_lines import outcomes
from tests.process.tls import server_credentials
from tests.process.transport import serve


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The outcome of `servable health` by what is asked."""
    folder = tmp_path_factory.mktemp("tls")
    ours, theirs = Authority("ours"), Authority("theirs")
    client, server = ours.vouch_for("client"), ours.vouch_for("server")
    files = {"ours": ours.certificate, "theirs": theirs.certificate, "cert": client.certificate, "key": client.key}
    for name, pem in {**files, "garbage": b"no PEM"}.items():
        (folder / name).write_bytes(pem)
    path = {name: str(folder / name) for name in [*files, "garbage", "missing"]}
    tls = server_credentials(server)
    mutual = server_credentials(server, custom_ca=ours.certificate, client_verify=True)
    with serve() as plain, serve(credentials=tls) as encrypted, serve(credentials=mutual) as verifying:
        plain.server.health.set_serving("", serving=True)
        plain.server.health.set_serving("m", serving=False)
        encrypted.server.health.set_serving("", serving=True)
        verifying.server.health.set_serving("", serving=True)
        shown = ["--cert_file", path["cert"], "--key_file", path["key"]]
        arguments = {
            "serving": [plain.address],
            "not serving": [plain.address, "--service=m"],
            "absent": [plain.address, "--service", "nobody"],
            "nobody there": [f"127.0.0.1:{launching.free_port()}"],
            "no such host": ["no-such-host.invalid:8500"],
            "no address": ["not an address"],
            "no socket": [f"unix:{folder}/missing.sock"],
            "TLS": [encrypted.address, "--ca_file", path["ours"]],
            "TLS by another CA": [encrypted.address, "--ca_file", path["theirs"]],
            "TLS asked in clear text": [encrypted.address],
            "clear text asked with TLS": [plain.address, "--ca_file", path["ours"]],
            "mutual TLS": [verifying.address, "--ca_file", path["ours"], *shown],
            "mutual TLS without a certificate": [verifying.address, "--ca_file", path["ours"]],
            "unreadable CA": [encrypted.address, "--ca_file", path["missing"]],
            "unreadable key": [verifying.address, "--ca_file", path["ours"], *shown[:3], path["missing"]],
            "CA of garbage": [encrypted.address, "--ca_file", path["garbage"]],
            "certificate without a key": [verifying.address, "--ca_file", path["ours"], *shown[:2]],
            "key without a certificate": [verifying.address, "--ca_file", path["ours"], *shown[2:]],
        }
        results = outcomes(*(["health", *words, "--timeout_s=10"] for words in arguments.values()))
    return dict(zip(arguments, results, strict=True)), path


def test_a_server_that_serves(results):
    assert (results[0]["serving"]["status"], results[0]["serving"]["stdout"]) == (0, "SERVING\n")


def test_a_name_that_does_not_serve(results):
    assert (results[0]["not serving"]["status"], results[0]["not serving"]["stdout"]) == (1, "NOT_SERVING\n")


def test_a_name_that_is_not_known(results):
    outcome = results[0]["absent"]
    assert outcome["status"] == 1
    assert outcome["stdout"].startswith("NOT_FOUND: 127.0.0.1:")
    assert outcome["stdout"].endswith(" knows no service 'nobody'\n")


@pytest.mark.parametrize("asked", ["TLS", "mutual TLS"])
def test_a_server_that_serves_over_tls(results, asked):
    assert (results[0][asked]["status"], results[0][asked]["stdout"]) == (0, "SERVING\n")


@pytest.mark.parametrize(
    "asked",
    [
        "nobody there",
        "no such host",
        "no address",
        "no socket",
        "TLS by another CA",
        "TLS asked in clear text",
        "clear text asked with TLS",
        "mutual TLS without a certificate",
    ],
)
def test_no_answer_is_one_line_that_says_why(results, asked):
    outcome = results[0][asked]
    assert outcome["status"] == 1
    assert outcome["stdout"].startswith(("UNAVAILABLE: ", "DEADLINE_EXCEEDED: "))
    assert outcome["stdout"].count("\n") == 1


@pytest.mark.parametrize("asked", ["unreadable CA", "unreadable key"])
def test_a_file_that_cannot_be_read_is_named(results, asked):
    outcomes_by_name, path = results
    outcome = outcomes_by_name[asked]
    assert (outcome["status"], outcome["stdout"]) == (1, f"cannot read {path['missing']}: No such file or directory\n")


def test_a_file_that_holds_no_certificate_ends_in_one_line(results):
    outcome = results[0]["CA of garbage"]
    assert outcome["status"] == 1
    assert outcome["stdout"].count("\n") == 1


@pytest.mark.parametrize("asked", ["certificate without a key", "key without a certificate"])
def test_half_a_pair_is_an_error(results, asked):
    outcome = results[0][asked]
    assert outcome["status"] == 1
    assert outcome["stdout"] == ("a certificate and its key go together: give --cert_file and --key_file, or neither\n")


def test_no_question_needs_tensorflow(results):
    assert not any(outcome["tensorflow"] for outcome in results[0].values())


def test_the_exit_status_is_that_of_the_process():
    with serve() as transport:
        ended = launching.run("health", transport.address)
    assert (ended.status, ended.stdout) == (1, "NOT_SERVING\n")
