"""The command line: every flag of tensorflow_model_server and our own, in one table.

A flag's name, type, default, meaning and present effect are defined in its field of `ServerOptions` and nowhere else;
the parser, the usage text, the table of docs/flags.md and the notices are made from these fields. This module prints
nothing, ends no process and opens no file.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import enum
import functools
import os
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias

from servable.errors import InvalidArgument


class Kind(enum.Enum):
    """The type of a flag's value, by the name that the usage text gives it."""

    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT = "float"
    STRING = "string"


class Effect(enum.Enum):
    """What a flag changes in this server."""

    EFFECTIVE = "yes"
    NOT_YET = "not yet"
    NEVER = "never"


@dataclasses.dataclass(frozen=True, slots=True)
class PerCpu:
    """A default of `factor` for each schedulable CPU."""

    factor: int

    def count(self) -> int:
        """The default on this machine now."""
        return self.factor * schedulable_cpus()

    def __str__(self) -> str:
        return "schedulable CPUs" if self.factor == 1 else f"{self.factor} x schedulable CPUs"


@dataclasses.dataclass(frozen=True, slots=True)
class Flag:
    """One flag of the table, without its name.

    Attributes:
        default: The default as shown; a computed one in words, so that no text depends on the machine.
        reason: Why the flag has no effect; empty when it has one.
    """

    kind: Kind
    default: str
    meaning: str
    effect: Effect
    reason: str


def schedulable_cpus() -> int:
    """The number of CPUs that this process may run on; all CPUs where the platform cannot say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def flag(
    default: bool | float | str | PerCpu, kind: Kind, meaning: str, effect: Effect = Effect.EFFECTIVE, reason: str = ""
) -> Any:
    """A field of `ServerOptions` that is a flag; the annotation beside it is its type."""
    about = {"flag": Flag(kind, _shown(default), meaning, effect, reason)}
    if isinstance(default, PerCpu):
        return dataclasses.field(default_factory=default.count, metadata=about)
    return dataclasses.field(default=default, metadata=about)


def _shown(default: bool | float | str | PerCpu) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str):
        return f'"{default}"'
    return f"{default:g}" if isinstance(default, float) else str(default)


_BOOL, _INT32, _INT64, _FLOAT, _STRING = Kind
_NOT_YET, _NEVER = Effect.NOT_YET, Effect.NEVER


@dataclasses.dataclass(frozen=True, slots=True)
class ServerOptions:
    """The values of all flags (TensorFlow Serving: main.cc, with the defaults of server.h)."""

    port: int = flag(8500, _INT32, "TCP port of the gRPC API; 0 listens on no TCP port.")
    grpc_socket_path: str = flag("", _STRING, "Unix socket on which the gRPC API listens as well.")
    rest_api_port: int = flag(0, _INT32, "TCP port of the REST API; 0 is off.")
    rest_api_num_threads: int = flag(
        PerCpu(4),
        _INT32,
        "Threads that answer REST requests.",
        _NEVER,
        "one thread carries HTTP, and models run on the threads that they run on for gRPC",
    )
    rest_api_timeout_in_ms: int = flag(30000, _INT32, "Time limit of a REST request; 0 or less is none.")
    rest_api_enable_cors_support: bool = flag(False, _BOOL, "Send CORS headers in REST replies.")
    enable_batching: bool = flag(False, _BOOL, "Run requests together in batches.")
    allow_version_labels_for_unavailable_models: bool = flag(
        False,
        _BOOL,
        "Let a new label name a version that does not serve yet; an old label still moves only to one that does.",
    )
    batching_parameters_file: str = flag("", _STRING, "Text file with BatchingParameters; needs --enable_batching.")
    enable_per_model_batching_parameters: bool = flag(
        False, _BOOL, "Let a version's batching_params.pbtxt set its batching; needs --enable_batching."
    )
    model_config_file: str = flag(
        "", _STRING, "Text file with ModelServerConfig; --model_name and --model_base_path are then ignored."
    )
    model_config_file_poll_wait_seconds: int = flag(
        0, _INT32, "Seconds between readings of --model_config_file; 0 or less: once, at start."
    )
    model_name: str = flag("default", _STRING, "Name of the model at --model_base_path.")
    model_base_path: str = flag("", _STRING, "Absolute path or URI of the folder that holds the version folders.")
    num_load_threads: int = flag(0, _INT32, "Versions that load at the same time after the start; 0 or less: one.")
    num_unload_threads: int = flag(0, _INT32, "Versions that unload at the same time; 0 or less: one.")
    max_num_load_retries: int = flag(5, _INT32, "How often a failed load is tried again.")
    load_retry_interval_micros: int = flag(
        60000000, _INT64, "Microseconds between tries of a load; 0 or less: at once."
    )
    file_system_poll_wait_seconds: int = flag(
        1, _INT32, "Seconds between looks for new versions; 0 or less: only at the start and at a reload."
    )
    flush_filesystem_caches: bool = flag(
        True,
        _BOOL,
        "Flush file system caches after loading.",
        _NEVER,
        "only TensorFlow's remote file systems keep caches, and base paths are local",
    )
    tensorflow_session_parallelism: int = flag(
        0, _INT64, "Threads within and between operations of a session; 0 lets TensorFlow choose."
    )
    tensorflow_session_config_file: str = flag(
        "", _STRING, "Text file with tensorflow.ConfigProto; the flags on threads and GPU memory overrule it."
    )
    tensorflow_intra_op_parallelism: int = flag(0, _INT64, "Threads within one operation; 0 lets TensorFlow choose.")
    tensorflow_inter_op_parallelism: int = flag(
        0, _INT64, "Operations that run at the same time; 0 lets TensorFlow choose."
    )
    use_alts_credentials: bool = flag(False, _BOOL, "Secure the gRPC API with Google ALTS.")
    ssl_config_file: str = flag("", _STRING, "Text file with SSLConfig; the gRPC API then speaks TLS only.")
    platform_config_file: str = flag(
        "", _STRING, "Text file with PlatformConfigMap.", _NOT_YET, "only the platform `tensorflow` is served"
    )
    per_process_gpu_memory_fraction: float = flag(
        0.0, _FLOAT, "Share of the GPU's memory that this process takes, 0 to 1; 0 lets TensorFlow choose."
    )
    saved_model_tags: str = flag("serve", _STRING, "Tags of the meta graph to load, separated by commas.")
    grpc_channel_arguments: str = flag("", _STRING, "gRPC server settings, as key=value separated by commas.")
    grpc_max_threads: int = flag(PerCpu(4), _INT32, "Most threads that gRPC requests may hold.")
    enable_model_warmup: bool = flag(True, _BOOL, "Run a version's recorded requests before it serves.")
    num_request_iterations_for_warmup: int = flag(0, _INT32, "Runs of each recorded request; 0 or less: once.")
    version: bool = flag(False, _BOOL, "Print the versions and end.")
    monitoring_config_file: str = flag(
        "", _STRING, "Text file with MonitoringConfig: whether and where the REST port serves metrics."
    )
    remove_unused_fields_from_bundle_metagraph: bool = flag(
        True,
        _BOOL,
        "Keep only the signatures of a loaded meta graph in memory.",
        _NEVER,
        "it has no client-visible effect",
    )
    prefer_tflite_model: bool = flag(False, _BOOL, "Load model.tflite where a version has one.")
    num_tflite_pools: int = flag(PerCpu(1), _INT32, "Interpreters of a version that is a model.tflite; 0 or less: one.")
    num_tflite_interpreters_per_pool: int = flag(
        1, _INT32, "Above 1, requests to a model.tflite run in batches, of this share of 500 rows."
    )
    enable_signature_method_name_check: bool = flag(
        False, _BOOL, "Refuse Classify and Regress on a signature whose method name is another's."
    )
    xla_cpu_compilation_enabled: bool = flag(False, _BOOL, "Let XLA compile for the CPU.")
    xla_gpu_compilation_enabled: bool = flag(False, _BOOL, "Let XLA compile for the GPU.")
    enable_profiler: bool = flag(True, _BOOL, "Offer tensorflow.ProfilerService on the gRPC port.")
    thread_pool_factory_config_file: str = flag(
        "", _STRING, "Text file with ThreadPoolFactoryConfig.", _NOT_YET, "sessions use TensorFlow's own thread pools"
    )
    mixed_precision: str = flag(
        "", _STRING, "`bfloat16` rewrites graphs to that precision; any other value is ignored."
    )
    skip_initialize_tpu: bool = flag(False, _BOOL, "Leave TPUs alone at start.", _NEVER, "this server uses no TPU")
    enable_grpc_healthcheck_service: bool = flag(
        False, _BOOL, "Offer grpc.health.v1.Health; this server always does, so the flag may be left out."
    )
    enable_serialization_as_tensor_content: bool = flag(
        False, _BOOL, "Send outputs as raw bytes in tensor_content rather than in typed fields."
    )
    grpc_lanes: int = flag(
        1, _INT32, "Ours: threads that take Predict and its like past grpcio's server; 0: its own threads do all."
    )
    grpc_error_details: bool = flag(
        True,
        _BOOL,
        "Ours: send what would help, such as the names that are loaded, beside the message of an error "
        "(grpc-status-details-bin).",
    )
    grpc_max_message_mb: int = flag(
        0,
        _INT32,
        "Ours: MiB that one message may have on the wire; 0: 2 GiB less a byte, and at most a quarter of the memory "
        "that the process may use.",
    )
    grpc_max_decompressed_mb: int = flag(
        0,
        _INT32,
        "Ours: MiB that one message may have that was sent compressed; 0: a 32nd of the memory that the process "
        "may use.",
    )
    grpc_max_connection_age_s: float = flag(
        1800.0,
        _FLOAT,
        "Ours: seconds after which a client of gRPC is asked to connect anew, so that balancers choose again; calls in "
        "flight go on; 0: never.",
    )
    drain_delay_s: float = flag(
        8.0,
        _FLOAT,
        "Ours: seconds to serve on after SIGTERM or SIGINT while health says NOT_SERVING, so that balancers leave; a "
        "second signal skips them.",
    )
    drain_timeout_s: float = flag(
        30.0, _FLOAT, "Ours: seconds that requests in flight are given once the ports have closed, after that delay."
    )
    log_level: str = flag("info", _STRING, "Ours: from where on the log shows lines: debug, info, warning or error.")
    log_format: str = flag("text", _STRING, "Ours: what a line of the log is: text, or a JSON object (json).")
    access_log_ratio: float = flag(
        -1.0,
        _FLOAT,
        "Ours: the share of calls that have a line in the access log, 0 to 1, beside those that fail or are slow, "
        "which always have one; below 0 there is no access log.",
    )
    access_log_slow_ms: int = flag(1000, _INT32, "Ours: from when on a call is slow, in milliseconds.")
    access_log_max_per_s: int = flag(
        1000, _INT32, "Ours: the most lines of the access log in a second; one more says how many were left out."
    )
    metrics_port: int = flag(
        0,
        _INT32,
        "Ours: port that serves metrics over HTTP at the path of the monitoring config and at /metrics; 0: none.",
    )
    bind_address: str = flag("0.0.0.0", _STRING, "Ours: address on which the TCP ports listen.")  # noqa: S104
    rest_api_max_body_mb: int = flag(
        256, _INT32, "Ours: MiB that the body of one HTTP request may have; a larger one is answered with 413."
    )
    rest_api_max_head_kb: int = flag(
        256, _INT32, "Ours: KiB that the request line and headers of one HTTP request may have; else 431."
    )
    rest_api_max_pending_mb: int = flag(
        1024,
        _INT32,
        "Ours: MiB that all HTTP requests may hold that are coming in or being answered; one beyond that gets 503.",
    )
    rest_api_max_connections: int = flag(
        4096,
        _INT32,
        "Ours: HTTP connections that may be open, and at most half as many as the process may open files; more are "
        "answered with 503 and closed.",
    )
    tracing: str = flag(
        "auto",
        _STRING,
        "Ours: whether calls are traced by OpenTelemetry: true, false or auto, which is true where OTEL_ variables say "
        "where traces go.",
    )
    rest_api_max_connection_age_s: float = flag(
        1800.0,
        _FLOAT,
        "Ours: seconds after which a reply over HTTP asks its client to connect anew; 0: never.",
    )
    console: str = flag(
        "auto",
        _STRING,
        "Ours: whether the REST port has a page that shows the models and tries them: true, false or auto, which is "
        "true where --bind_address lets only this machine in.",
    )
    request_log: str = flag(
        "",
        _STRING,
        "Ours: path or URI that the names of request logs begin with, for models whose logging_config is not set; "
        "empty: none.",
    )
    request_log_format: str = flag(
        "tfrecord", _STRING, "Ours: tfrecord (PredictionLogs, as warm-up files have them) or jsonl, for --request_log."
    )
    request_log_sampling_rate: float = flag(
        1.0, _FLOAT, "Ours: share of the requests that --request_log writes, from 0 to 1."
    )
    request_log_rotate_mb: int = flag(64, _INT32, "Ours: MiB after which a file of a request log ends.")
    request_log_rotate_s: float = flag(300.0, _FLOAT, "Ours: seconds after which a file of a request log ends.")
    request_log_max_mb: int = flag(
        1024,
        _INT32,
        "Ours: MiB that the files of one request log take on this host; the oldest are removed beyond that.",
    )
    allow_request_logging_by_reload: bool = flag(
        False, _BOOL, "Ours: let a reload over gRPC set logging_config, which names files that this server writes."
    )
    tls_certificate_file: str = flag(
        "",
        _STRING,
        "Ours: PEM file with the server's certificate and those that lead to its CA; all ports then speak TLS only. "
        "Changes of this file and of the next two are taken up without a restart.",
    )
    tls_key_file: str = flag("", _STRING, "Ours: PEM file with the key of --tls_certificate_file.")
    tls_client_ca_file: str = flag(
        "", _STRING, "Ours: PEM file with CAs; every client must show a certificate of one of them."
    )
    trusted_proxies: str = flag(
        "",
        _STRING,
        "Ours: names in the certificates of proxies, separated by commas, whose header x-forwarded-client-cert says "
        "who calls; from others it is ignored.",
    )
    admin_port: int = flag(
        0,
        _INT32,
        "Ours: TCP port for management over gRPC (reload, profiler). With this or --admin_http_port no other port "
        "serves reload, profiler, console or metrics, except --metrics_port.",
    )
    admin_http_port: int = flag(
        0, _INT32, "Ours: TCP port for HTTP with console and metrics, which --rest_api_port then lacks."
    )
    admin_bind_address: str = flag("127.0.0.1", _STRING, "Ours: address on which the two admin ports listen.")
    authorization_file: str = flag(
        "",
        _STRING,
        "Ours: text file with AuthorizationConfig: who may do what on which models; all else is then denied.",
    )
    authorization_poll_s: float = flag(
        5.0, _FLOAT, "Ours: seconds between readings of --authorization_file and its key sets; 0: once, at start."
    )
    max_calls_in_flight: int = flag(
        10000, _INT32, "Ours: calls that may have arrived and not be answered; more are refused at once. 0: no limit."
    )
    max_calls_in_flight_per_model: int = flag(0, _INT32, "Ours: the same of the requests for one model. 0: no limit.")
    max_calls_in_flight_per_caller: int = flag(
        0, _INT32, "Ours: the same of the calls with one value of --caller_metadata_key. 0: no limit."
    )
    max_queued_calls_per_model: int = flag(
        0,
        _INT32,
        "Ours: calls of one version that may wait for a thread where nothing is batched. 0: half of "
        "--max_calls_in_flight, so that one model does not take the room of all.",
    )
    caller_metadata_key: str = flag(
        "", _STRING, "Ours: the metadata key, or HTTP header, that says who calls, such as x-caller-id."
    )
    max_request_mb_in_flight: int = flag(
        0,
        _INT32,
        "Ours: MiB that messages of calls in flight may have together; 0: a quarter of the memory that the process "
        "may use.",
    )
    adaptive_concurrency: bool = flag(
        False, _BOOL, "Ours: limit each model's calls in flight by what it is found to manage without delay."
    )
    custom_op_libraries: str = flag(
        "", _STRING, "Ours: shared objects with ops, separated by commas; loaded before any model."
    )
    freeze_variables_up_to_mb: int = flag(
        64,
        _INT32,
        "Ours: turn variables that are only read into constants, in models where they take at most so many MB: faster "
        "runs for more memory and longer loads. The last bits of results may change; 0: as the original to the bit.",
    )
    import_: str = flag(
        "",
        _STRING,
        "Ours: Python modules, separated by commas; imported before any model, for the ops and functions they bring.",
    )


# The field of a flag whose name is a keyword of Python ends with an underscore.
_FIELDS: Final[Mapping[str, dataclasses.Field[Any]]] = {
    field.name.removesuffix("_"): field for field in dataclasses.fields(ServerOptions)
}
FLAGS: Final[Mapping[str, Flag]] = {name: field.metadata["flag"] for name, field in _FIELDS.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class Parsed:
    """A command line that was parsed.

    Attributes:
        options: The values; None exactly when `failure` is set.
        unknown: The arguments that are no flag of ours, in order. The original goes on after printing
            `unknown argument: <first>` and the usage on stdout.
        explicit: The names of the flags that the command line sets; empty after a failure.
        failure: Why a value cannot be read. The original then prints the usage on stdout and exits with 255.
    """

    options: ServerOptions | None
    unknown: tuple[str, ...]
    explicit: frozenset[str]
    failure: str | None

    @property
    def paths(self) -> tuple[str, ...]:
        """The arguments that name models by their paths: what is no flag. Ours: the original takes none."""
        return tuple(argument for argument in self._before_dashes() if not argument.startswith("-"))

    @property
    def unknown_flags(self) -> tuple[str, ...]:
        """The arguments that are neither flags of ours nor paths, in order."""
        before = self._before_dashes()
        return (*(argument for argument in before if argument.startswith("-")), *self.unknown[len(before) :])

    def _before_dashes(self) -> tuple[str, ...]:
        """The unknown arguments up to a `--`: what follows that is left alone."""
        return self.unknown[: self.unknown.index("--")] if "--" in self.unknown else self.unknown

    @property
    def help_requested(self) -> bool:
        """Whether `--help` is the first unknown argument; the original then ends as after a failure.

        Behind another unknown argument it is one more unknown argument (TensorFlow: command_line_flags.cc).
        """
        return self.unknown[:1] == ("--help",)


def parse(argv: Sequence[str]) -> Parsed:
    """Read a command line, without the program's name.

    The syntax is the original's (TensorFlow: command_line_flags.cc): `--name=value`, a bare `--name` for a
    bool, the last occurrence wins, and what follows `--` is left alone. Ours: `--name value` as well, where a
    bool takes the next argument only if that is true or false, and another flag unless it begins with `--`.
    """
    known, unknown = _split(argv)
    try:
        given = vars(_parser().parse_args(known))
    except _UnreadableValueError as error:
        return Parsed(None, unknown, frozenset(), str(error))
    values = {_FIELDS[name].name: value for name, value in given.items()}
    return Parsed(ServerOptions(**values), unknown, frozenset(given), None)


def _split(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Our flags, each written as `--name=value`, and the other arguments."""
    known: list[str] = []
    unknown: list[str] = []
    rest = deque(argv)
    while rest:
        argument = rest.popleft()
        if argument == "--":
            unknown += [argument, *rest]
            break
        complete = _complete(argument, rest)
        if complete is None:
            unknown.append(argument)
        else:
            known.append(complete)
    return known, tuple(unknown)


def _complete(argument: str, rest: deque[str]) -> str | None:
    """The flag as `--name=value`, its value taken from `rest` if need be; None for no flag or no value."""
    name, equals, _ = argument[2:].partition("=")
    if not argument.startswith("--") or name not in FLAGS:
        return None
    if equals:
        return argument
    if FLAGS[name].kind is Kind.BOOL:
        return f"{argument}={rest.popleft() if rest and rest[0].lower() in _TRUTH else 'true'}"
    return f"{argument}={rest.popleft()}" if rest and not rest[0].startswith("--") else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for name, about in FLAGS.items():
        # argparse before Python 3.13 drops a value that is `--`; `nargs="?"` with this `const` restores it.
        parser.add_argument(f"--{name}", nargs="?", const="--", type=functools.partial(_value, name, about.kind))
    return parser


class _UnreadableValueError(Exception):
    """A value that a flag cannot have. Argparse would replace the text of a ValueError or TypeError, and exit."""


def _value(name: str, kind: Kind, text: str) -> object:
    read, right = _READERS[kind]
    try:
        return read(text)
    except ValueError:
        # The first sentence is what the original logs.
        message = f"Couldn't interpret value {text} for flag {name}. It must be {right}."
        raise _UnreadableValueError(message) from None


_TRUTH: Final[Mapping[str, bool]] = {"true": True, "false": False}
# absl::SimpleAtoi, with which the original reads integers, accepts white space around them.
_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


def _bool(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError(text)
    return _TRUTH[text.lower()]


def _integer(bits: int, text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -(1 << bits - 1) <= int(text) < 1 << bits - 1:
        raise ValueError(text)
    return int(text)


def _float(text: str) -> float:
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return float(text)


_READERS: Final[Mapping[Kind, tuple[Callable[[str], object], str]]] = {
    Kind.BOOL: (_bool, "true or false"),
    Kind.INT32: (functools.partial(_integer, 32), "a whole number from -2147483648 to 2147483647"),
    Kind.INT64: (functools.partial(_integer, 64), "a whole number of at most 64 bits"),
    Kind.FLOAT: (_float, "a number"),
    Kind.STRING: (str, "text"),
}


_LAST_PORT: Final = 65535
# protobuf reads no message of 2 GiB.
_MOST_MESSAGE_MIB: Final = 2047
_METADATA_KEY: Final = re.compile(r"[0-9a-z_.-]+(?<!-bin)")
CONSOLE_CHOICES: Final = ("auto", "true", "false")
TRACING_CHOICES: Final = CONSOLE_CHOICES
REQUEST_LOG_FORMATS: Final = ("tfrecord", "jsonl")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("text", "json")


def validate(options: ServerOptions, *, has_paths: bool = False) -> None:
    """Refuse flags that contradict each other, in the order of the original (TensorFlow Serving: server.cc).

    The original reads --model_config_file between the third check and the fourth; here all flags are checked
    before any file is opened.

    Args:
        options: The flags.
        has_paths: Whether paths on the command line name models, which the original cannot.

    Raises:
        InvalidArgument: With the original's text for its own combinations.
    """
    if options.port == 0 and not options.grpc_socket_path:
        _refuse("At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.")
    if options.use_alts_credentials and options.ssl_config_file:
        _refuse("Either use_alts_credentials must be false or ssl_config_file must be empty.")
    if not (has_paths or options.model_base_path or options.model_config_file):
        _refuse("Both server_options.model_base_path and server_options.model_config_file are empty!")
    if has_paths and options.model_config_file:
        _refuse("Paths and --model_config_file cannot be mixed: the file says which models there are. List them there.")
    if not options.platform_config_file:
        _validate_tensorflow(options)
    _validate_grpc(options)
    _validate_http(options)
    _validate_tls(options)
    _validate_admin(options)
    _validate_limits(options)
    if options.console not in CONSOLE_CHOICES:
        _refuse(f"console must be {', '.join(CONSOLE_CHOICES[:-1])} or {CONSOLE_CHOICES[-1]}; was {options.console}.")
    if not 0 <= options.metrics_port <= _LAST_PORT:
        _refuse(f"metrics_port must be from 0 to {_LAST_PORT}; was {options.metrics_port}.")
    if options.metrics_port and options.metrics_port in {options.port, options.rest_api_port}:
        _refuse(f"metrics_port must be a port of its own; {options.metrics_port} is another flag's, too.")
    if options.log_level.lower() not in LOG_LEVELS:
        _refuse(f"log_level must be {', '.join(LOG_LEVELS[:-1])} or {LOG_LEVELS[-1]}; was {options.log_level}.")
    _validate_logs(options)
    _validate_request_log(options)
    for name, seconds in (
        ("drain_delay_s", options.drain_delay_s),
        ("drain_timeout_s", options.drain_timeout_s),
        ("grpc_max_connection_age_s", options.grpc_max_connection_age_s),
        ("rest_api_max_connection_age_s", options.rest_api_max_connection_age_s),
        ("authorization_poll_s", options.authorization_poll_s),
    ):
        if not seconds >= 0:
            _refuse(f"{name} must be a number of seconds from 0 up; was {seconds:g}.")


def _validate_logs(options: ServerOptions) -> None:
    if options.tracing not in TRACING_CHOICES:
        _refuse(f"tracing must be {', '.join(TRACING_CHOICES[:-1])} or {TRACING_CHOICES[-1]}; was {options.tracing}.")
    if options.log_format not in LOG_FORMATS:
        _refuse(f"log_format must be {' or '.join(LOG_FORMATS)}; was {options.log_format}.")
    if not options.access_log_ratio <= 1:
        _refuse(f"access_log_ratio must be at most 1; was {options.access_log_ratio:g}.")
    if options.access_log_slow_ms < 0:
        _refuse(f"access_log_slow_ms must be from 0 up; was {options.access_log_slow_ms}.")
    if options.access_log_max_per_s < 1:
        _refuse(f"access_log_max_per_s must be at least 1; was {options.access_log_max_per_s}.")


def _validate_grpc(options: ServerOptions) -> None:
    if not 0 <= options.port <= _LAST_PORT:
        # gRPC would listen on the port of the lowest 16 bits.
        _refuse(f"port must be from 0 to {_LAST_PORT}; was {options.port}.")
    for name, mib in (
        ("grpc_max_message_mb", options.grpc_max_message_mb),
        ("grpc_max_decompressed_mb", options.grpc_max_decompressed_mb),
    ):
        if not 0 <= mib <= _MOST_MESSAGE_MIB:
            _refuse(f"{name} must be from 0 to {_MOST_MESSAGE_MIB}; was {mib}.")


def _validate_limits(options: ServerOptions) -> None:
    for name, value in (
        ("max_calls_in_flight", options.max_calls_in_flight),
        ("max_calls_in_flight_per_model", options.max_calls_in_flight_per_model),
        ("max_calls_in_flight_per_caller", options.max_calls_in_flight_per_caller),
        ("max_queued_calls_per_model", options.max_queued_calls_per_model),
        ("max_request_mb_in_flight", options.max_request_mb_in_flight),
    ):
        if value < 0:
            _refuse(f"{name} must not be negative; was {value}.")
    if options.caller_metadata_key and not _METADATA_KEY.fullmatch(options.caller_metadata_key):
        _refuse(
            "caller_metadata_key must be a metadata key in lower case that does not end in -bin, such as x-caller-id; "
            f"was '{options.caller_metadata_key}'."
        )
    if options.max_calls_in_flight_per_caller and not options.caller_metadata_key:
        _refuse("max_calls_in_flight_per_caller needs caller_metadata_key, such as x-caller-id.")


def _validate_http(options: ServerOptions) -> None:
    if not 0 <= options.rest_api_port <= _LAST_PORT:
        _refuse(f"rest_api_port must be from 0 to {_LAST_PORT}; was {options.rest_api_port}.")
    for name, value in (
        ("rest_api_max_body_mb", options.rest_api_max_body_mb),
        ("rest_api_max_head_kb", options.rest_api_max_head_kb),
        ("rest_api_max_connections", options.rest_api_max_connections),
    ):
        if value < 1:
            _refuse(f"{name} must be at least 1; was {value}.")
    if options.rest_api_max_pending_mb < options.rest_api_max_body_mb:
        _refuse(
            f"rest_api_max_pending_mb ({options.rest_api_max_pending_mb}) must be at least rest_api_max_body_mb "
            f"({options.rest_api_max_body_mb}), or such a body could never be taken."
        )


def _validate_request_log(options: ServerOptions) -> None:
    if options.request_log_format not in REQUEST_LOG_FORMATS:
        _refuse(f"request_log_format must be {' or '.join(REQUEST_LOG_FORMATS)}; was {options.request_log_format}.")
    if not 0 <= options.request_log_sampling_rate <= 1:
        _refuse(f"request_log_sampling_rate must be from 0 to 1; was {options.request_log_sampling_rate:g}.")
    if not options.request_log_rotate_s > 0:
        _refuse(f"request_log_rotate_s must be above 0; was {options.request_log_rotate_s:g}.")
    if not 1 <= options.request_log_rotate_mb <= options.request_log_max_mb // 2:
        _refuse(
            f"request_log_rotate_mb must be from 1 to half of request_log_max_mb ({options.request_log_max_mb}); was "
            f"{options.request_log_rotate_mb}."
        )


def _validate_tls(options: ServerOptions) -> None:
    has_files = bool(options.tls_certificate_file or options.tls_key_file or options.tls_client_ca_file)
    if has_files and options.ssl_config_file:
        _refuse("Either ssl_config_file or tls_certificate_file and its like must be empty. Give one of the two.")
    if has_files and options.use_alts_credentials:
        _refuse("Either use_alts_credentials must be false or tls_certificate_file must be empty.")
    if has_files and not (options.tls_certificate_file and options.tls_key_file):
        _refuse("tls_certificate_file and tls_key_file go together, and tls_client_ca_file needs them. Give both.")


def _validate_admin(options: ServerOptions) -> None:
    others = {options.port, options.rest_api_port, options.metrics_port}
    for name, port in (("admin_port", options.admin_port), ("admin_http_port", options.admin_http_port)):
        if not 0 <= port <= _LAST_PORT:
            _refuse(f"{name} must be from 0 to {_LAST_PORT}; was {port}.")
        if port and port in others:
            _refuse(f"{name} must be a port of its own; {port} is another flag's, too.")
        others.add(port)


def _validate_tensorflow(options: ServerOptions) -> None:
    """The combinations that the original checks only where it builds the platform from flags."""
    if options.batching_parameters_file and not options.enable_batching:
        _refuse(
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
        )
    threads = (
        options.tensorflow_session_parallelism,
        options.tensorflow_intra_op_parallelism,
        options.tensorflow_inter_op_parallelism,
    )
    if min(threads) > 0:
        _refuse(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, "
            "server_options.tensorflow_inter_op_parallelism) separately. You cannot configure all."
        )


def _refuse(message: str) -> NoReturn:
    raise InvalidArgument(message)


ChannelArgument: TypeAlias = tuple[str, int | str]


def parse_channel_arguments(text: str) -> list[ChannelArgument]:
    """Read the value of --grpc_channel_arguments, `key=value` elements separated by commas.

    Source of the behaviour: TensorFlow Serving, parseGrpcChannelArgs in server.cc. A value that is an int32 becomes an
    int, whatever the key: only gRPC knows the keys. As in the original, what follows a second `=` is dropped.

    Raises:
        InvalidArgument: If an element has no `=`; the original reads beyond its own memory then.
    """
    return [_channel_argument(element) for element in text.split(",")] if text else []


def _channel_argument(element: str) -> ChannelArgument:
    key, *values = element.split("=")
    if not values:
        _refuse(
            f"grpc_channel_arguments: '{element}' has no '='. "
            "Expected key=value elements separated by commas, such as grpc.max_connection_age_ms=2000."
        )
    text = values[0]
    # An int32 has at most ten digits; int() refuses thousands of them.
    if _INTEGER.fullmatch(text) and len(text.strip().lstrip("+-0")) <= 10 and -(2**31) <= int(text) < 2**31:
        return key, int(text)
    return key, text


def notices(parsed: Parsed) -> list[str]:
    """One line for the log for each flag that was set and changes nothing, in the order of the table."""
    words = {Effect.NOT_YET: "has no effect yet", Effect.NEVER: "has no meaning here"}
    return [
        f"--{name} {words[about.effect]}: {about.reason}."
        for name, about in FLAGS.items()
        if name in parsed.explicit and about.effect in words
    ]


GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Serving": (
        "port", "bind_address", "grpc_socket_path", "grpc_max_threads", "grpc_lanes", "grpc_channel_arguments",
        "grpc_max_message_mb", "grpc_max_decompressed_mb", "grpc_max_connection_age_s",
        "grpc_error_details", "enable_grpc_healthcheck_service", "drain_delay_s", "drain_timeout_s",
        "enable_serialization_as_tensor_content",
        "enable_signature_method_name_check", "enable_profiler", "version",
    ),
    "Logs": ("log_level", "log_format", "access_log_ratio", "access_log_slow_ms", "access_log_max_per_s"),
    "Models": (
        "model_name", "model_base_path", "model_config_file", "model_config_file_poll_wait_seconds",
        "file_system_poll_wait_seconds", "allow_version_labels_for_unavailable_models", "num_load_threads",
        "num_unload_threads", "max_num_load_retries", "load_retry_interval_micros", "enable_model_warmup",
        "num_request_iterations_for_warmup", "saved_model_tags", "freeze_variables_up_to_mb", "custom_op_libraries",
        "import", "remove_unused_fields_from_bundle_metagraph", "flush_filesystem_caches", "platform_config_file",
        "prefer_tflite_model", "num_tflite_pools", "num_tflite_interpreters_per_pool",
    ),
    "Batching": ("enable_batching", "batching_parameters_file", "enable_per_model_batching_parameters"),
    "TensorFlow": (
        "tensorflow_session_parallelism", "tensorflow_intra_op_parallelism", "tensorflow_inter_op_parallelism",
        "tensorflow_session_config_file", "per_process_gpu_memory_fraction", "xla_cpu_compilation_enabled",
        "xla_gpu_compilation_enabled", "mixed_precision", "thread_pool_factory_config_file", "skip_initialize_tpu",
    ),
    "REST and metrics": (
        "rest_api_port", "rest_api_num_threads", "rest_api_timeout_in_ms", "rest_api_enable_cors_support",
        "rest_api_max_body_mb", "rest_api_max_head_kb", "rest_api_max_pending_mb", "rest_api_max_connections",
        "rest_api_max_connection_age_s", "monitoring_config_file", "metrics_port", "tracing", "console",
    ),
    "Limits": (
        "max_calls_in_flight", "max_calls_in_flight_per_model", "max_calls_in_flight_per_caller",
        "max_queued_calls_per_model", "caller_metadata_key", "max_request_mb_in_flight", "adaptive_concurrency",
    ),
    "Request logs": (
        "request_log", "request_log_format", "request_log_sampling_rate", "request_log_rotate_mb",
        "request_log_rotate_s", "request_log_max_mb", "allow_request_logging_by_reload",
    ),
    "Security": (
        "ssl_config_file", "tls_certificate_file", "tls_key_file", "tls_client_ca_file", "trusted_proxies",
        "use_alts_credentials", "admin_port", "admin_http_port", "admin_bind_address", "authorization_file",
        "authorization_poll_s",
    ),
}  # fmt: skip
"""The names of all flags, as `--help` groups them. Flags of ours say so in their text."""


def usage() -> str:
    """The flags for people at a terminal, one line each: name, default, type, meaning, missing effect."""
    width = max(len(_start(name)) for name in FLAGS)
    lines = ["usage: servable serve [PATH | NAME=PATH ...] [--flag=value ...]"]
    for title, names in GROUPS.items():
        lines += ["", f"{title}:"]
        for name in names:
            about = FLAGS[name]
            lines.append(f"{_start(name):{width}}  {about.kind.value:6}  {about.meaning}{_aside(about)}")
    return "\n".join([*lines, ""])


def _start(name: str) -> str:
    return f"  --{name}={FLAGS[name].default}"


def describe_unknown(argument: str) -> str:
    """One line for an argument that is no flag: the original's first words, and the flag that was meant."""
    name = argument.lstrip("-").partition("=")[0]
    close = difflib.get_close_matches(name, FLAGS, n=1)
    meant = f"; did you mean --{close[0]}?" if close else "."
    return f"unknown argument: {argument}{meant} `servable serve --help` lists all flags."


def _aside(about: Flag) -> str:
    return "" if about.effect is Effect.EFFECTIVE else f" ({about.effect.value}: {about.reason})"


def markdown_table() -> str:
    """The flags as a Markdown table for docs/flags.md. No cell depends on the machine."""
    rows = [
        f"| `--{name}` | {about.kind.value} | {_cell(about.default)} | {about.meaning} | {_effect(about)} |"
        for name, about in FLAGS.items()
    ]
    return "\n".join(["| Flag | Type | Default | Meaning | Effect |", "|---|---|---|---|---|", *rows, ""])


def _cell(default: str) -> str:
    return default if " " in default else f"`{default}`"


def _effect(about: Flag) -> str:
    return f"{about.effect.value}: {about.reason}" if about.reason else about.effect.value
