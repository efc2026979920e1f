"""Whether calls are traced, by the flag and the standard variables."""

import logging
import subprocess
import sys

import pytest

from servable.errors import InvalidArgument
from servable.tracing import settings
from servable.tracing.settings import TracingSettings
from servable.tracing.tracer import make_tracer

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}


@pytest.mark.parametrize(
    ("flag", "environment", "is_on"),
    [
        ("auto", {}, False),
        ("auto", ENDPOINT, True),
        ("auto", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4317"}, True),
        ("auto", {"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ("auto", {"OTEL_TRACES_EXPORTER": "none", **ENDPOINT}, False),
        ("auto", {"OTEL_SERVICE_NAME": "a"}, False),
        ("auto", {"OTEL_SDK_DISABLED": "true", **ENDPOINT}, False),
        ("true", {}, True),
        ("true", {"OTEL_SDK_DISABLED": "True"}, False),
        ("true", {"OTEL_TRACES_EXPORTER": "none"}, False),
        ("false", ENDPOINT, False),
    ],
)
def test_calls_are_traced_where_the_variables_or_the_flag_say_so(flag, environment, is_on):
    assert (settings.read(flag, environment) is not None) is is_on


def test_the_defaults_are_those_of_the_settings():
    assert settings.read("true", {}) == TracingSettings()


def test_the_variables_of_the_batch_processor_bound_the_queue_and_what_is_sent_at_once():
    found = settings.read(
        "auto",
        {
            "OTEL_TRACES_EXPORTER": "console",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BSP_MAX_QUEUE_SIZE": "10",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5",
            "OTEL_PROPAGATORS": "b3, baggage",
        },
    )
    assert found == TracingSettings("console", False, 0.2, 10, 5)


@pytest.mark.parametrize("text", ["0", "-1", "many", "9" * 5000])
def test_a_number_that_cannot_be_is_told_and_replaced(text, caplog):
    caplog.set_level(logging.WARNING)
    assert settings.read("true", {"OTEL_BSP_MAX_QUEUE_SIZE": text}) == TracingSettings()
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "environment", [{"OTEL_TRACES_EXPORTER": "zipkin"}, {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}]
)
def test_an_exporter_or_a_protocol_that_is_not_there_is_refused_or_told(environment, caplog):
    caplog.set_level(logging.WARNING)
    assert settings.read("auto", environment) is None
    assert len(caplog.records) == 1
    with pytest.raises(InvalidArgument, match="must be"):
        settings.read("true", environment)


def test_of_a_malformed_header_is_told_without_its_text(caplog):
    settings.read("true", {"OTEL_EXPORTER_OTLP_HEADERS": "a=b%20c, api-key=x y=z"})
    assert not caplog.records
    settings.read("true", {"OTEL_EXPORTER_OTLP_HEADERS": 'a=b,authorization "a secret"'})
    assert "malformed" in caplog.text
    assert "secret" not in caplog.text


def test_without_traces_there_is_no_tracer():
    assert make_tracer("auto", environment={}) is None


def run(script):
    """What a program of its own writes, once it has a `make_tracer`."""
    program = f"import logging, sys; from servable.tracing.tracer import make_tracer\n{script}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout + done.stderr


def test_without_traces_nothing_of_opentelemetry_is_imported():
    script = "make_tracer('auto', environment={}); print([n for n in sys.modules if n.startswith('opentelemetry')])"
    assert run(script) == "[]\n"


def test_without_the_package_auto_goes_on_and_true_is_refused():
    script = (
        "sys.modules['opentelemetry.sdk'] = None; variables = {'OTEL_TRACES_EXPORTER': 'otlp'}\n"
        "print(make_tracer('auto', environment=variables))\n"
        "try: make_tracer('true', environment=variables)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    found = run(script)
    assert "None\nInvalidArgument INVALID_ARGUMENT: --tracing=true" in found
    assert found.count("pip install 'servable[otel]'") == 2
