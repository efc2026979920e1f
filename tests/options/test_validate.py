"""Combinations of flags that are refused, in the words and the order of the original."""

import dataclasses

import pytest

from servable.errors import InvalidArgument
from servable.options import ServerOptions, validate

GOOD = ServerOptions(model_base_path="/m")

NO_LISTENER = "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."
ALTS_AND_TLS = "Either use_alts_credentials must be false or ssl_config_file must be empty."
NO_MODEL = "Both server_options.model_base_path and server_options.model_config_file are empty!"
NO_BATCHING = "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
ALL_THREADS = (
    "Either configure server_options.tensorflow_session_parallelism or "
    "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
    "separately. You cannot configure all."
)
THREADS = {
    "tensorflow_session_parallelism": 1,
    "tensorflow_intra_op_parallelism": 1,
    "tensorflow_inter_op_parallelism": 1,
}
# In the order of the checks: each with what makes it fail.
REFUSED = [
    (NO_LISTENER, {"port": 0}),
    (ALTS_AND_TLS, {"use_alts_credentials": True, "ssl_config_file": "/tls"}),
    (NO_MODEL, {"model_base_path": ""}),
    (NO_BATCHING, {"batching_parameters_file": "/batching"}),
    (ALL_THREADS, THREADS),
    ("rest_api_port must be from 0 to 65535; was 65536.", {"rest_api_port": 65536}),
    ("rest_api_max_body_mb must be at least 1; was 0.", {"rest_api_max_body_mb": 0}),
    ("rest_api_max_head_kb must be at least 1; was -1.", {"rest_api_max_head_kb": -1}),
    ("rest_api_max_connections must be at least 1; was 0.", {"rest_api_max_connections": 0}),
    (
        "rest_api_max_pending_mb (255) must be at least rest_api_max_body_mb (256), "
        "or such a body could never be taken.",
        {"rest_api_max_pending_mb": 255},
    ),
    (
        "Either ssl_config_file or tls_certificate_file and its like must be empty. Give one of the two.",
        {"tls_certificate_file": "/cert", "tls_key_file": "/key", "ssl_config_file": "/tls"},
    ),
    (
        "tls_certificate_file and tls_key_file go together, and tls_client_ca_file needs them. Give both.",
        {"tls_certificate_file": "/cert", "tls_key_file": ""},
    ),
    ("admin_port must be from 0 to 65535; was 65536.", {"admin_port": 65536}),
    ("admin_http_port must be from 0 to 65535; was -1.", {"admin_http_port": -1}),
    ("metrics_port must be from 0 to 65535; was -1.", {"metrics_port": -1}),
    ("drain_delay_s must be a number of seconds from 0 up; was -0.5.", {"drain_delay_s": -0.5}),
    ("drain_timeout_s must be a number of seconds from 0 up; was -1.", {"drain_timeout_s": -1.0}),
]


def refusal(**changes):
    with pytest.raises(InvalidArgument) as caught:
        validate(dataclasses.replace(GOOD, **changes))
    return caught.value.message


@pytest.mark.behaviour("5", "--batching_parameters_file")
@pytest.mark.behaviour("5", "--tensorflow_intra_op_parallelism")
@pytest.mark.behaviour("5", "--tensorflow_inter_op_parallelism")
@pytest.mark.parametrize(("message", "changes"), REFUSED)
def test_a_contradiction_is_refused(message, changes):
    assert refusal(**changes) == message


@pytest.mark.parametrize("other", ["port", "rest_api_port"])
def test_metrics_need_a_port_of_their_own(other):
    message = refusal(**{other: 81, "metrics_port": 81})
    assert message == "metrics_port must be a port of its own; 81 is another flag's, too."


@pytest.mark.parametrize("name", ["admin_port", "admin_http_port"])
@pytest.mark.parametrize("other", ["port", "rest_api_port", "metrics_port"])
def test_management_needs_ports_of_its_own(name, other):
    assert refusal(**{other: 81, name: 81}) == f"{name} must be a port of its own; 81 is another flag's, too."


def test_the_two_admin_ports_differ():
    assert refusal(admin_port=81, admin_http_port=81) == (
        "admin_http_port must be a port of its own; 81 is another flag's, too."
    )


@pytest.mark.parametrize("flag", ["tls_key_file", "tls_client_ca_file"])
def test_a_key_or_a_ca_alone_is_refused(flag):
    assert refusal(**{flag: "/file"}).startswith("tls_certificate_file and tls_key_file go together")


def test_files_with_certificates_and_alts_are_refused_and_what_the_error_says_is_taken():
    files = {"tls_certificate_file": "/cert", "tls_key_file": "/key"}
    assert refusal(use_alts_credentials=True, **files) == (
        "Either use_alts_credentials must be false or tls_certificate_file must be empty."
    )
    validate(dataclasses.replace(GOOD, **files))
    validate(dataclasses.replace(GOOD, **files, tls_client_ca_file="/ca"))
    validate(dataclasses.replace(GOOD, use_alts_credentials=True))


@pytest.mark.parametrize("first", range(len(REFUSED)))
def test_the_first_contradiction_is_reported(first):
    changes = {}
    for _, some in REFUSED[first:]:
        changes.update(some)
    assert refusal(**changes) == REFUSED[first][0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"port": 0, "grpc_socket_path": "/s"},
        {"model_base_path": "", "model_config_file": "/c"},
        {"use_alts_credentials": True},
        {"ssl_config_file": "/tls"},
        {"enable_batching": True, "batching_parameters_file": "/b"},
        {"platform_config_file": "/p", "batching_parameters_file": "/b", **THREADS},
        {**THREADS, "tensorflow_session_parallelism": 0},
        {**THREADS, "tensorflow_inter_op_parallelism": 0},
        {**THREADS, "tensorflow_intra_op_parallelism": -1},
        {"drain_timeout_s": 0.0},
        {"drain_timeout_s": float("inf")},
        {"drain_delay_s": 0.0},
        {"drain_delay_s": float("inf")},
    ],
)
def test_what_is_no_contradiction_passes(changes):
    validate(dataclasses.replace(GOOD, **changes))


@pytest.mark.parametrize("name", ["drain_delay_s", "drain_timeout_s"])
def test_seconds_that_are_no_number_are_refused(name):
    assert refusal(**{name: float("nan")}) == f"{name} must be a number of seconds from 0 up; was nan."
