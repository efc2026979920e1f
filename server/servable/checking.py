"""Whether models would serve: each version is loaded and each of its signatures called as the server would do it.

A request is made up from the signature and goes the server's own way, bytes to bytes, batching included. The same
input goes to TensorFlow alone, and what both give is compared. It must not know who prints the outcome.
"""

from __future__ import annotations

import enum
import logging
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from google.protobuf.message import DecodeError

from servable import data_plane, wire
from servable.calls import NO_CONTEXT
from servable.codec import decoding, encoding
from servable.config.batching import BatchingConfig
from servable.data_plane import DataPlane
from servable.errors import Code, ServingError
from servable.lifecycle.manager import Loader
from servable.options import ServerOptions
from servable.routing import Router, Routes
from servable.saved_model import INIT_OP_SIGNATURE
from servable.servables import Handle
from servable.signatures import Signature
from servable.warmup import generation

Array = np.ndarray[Any, Any]
_log = logging.getLogger(__name__)

MANY_ROWS: Final = 16
# Models are of every speed: so long, or so often, whatever comes first.
_LONGEST_TIMING_S: Final = 1.0
_MOST_RUNS: Final = 50
# Longer than a first run, which may compile for a minute.
CALL_TIMEOUT_S: Final = 120.0
# Freezing and batching may change the last bits.
_TOLERANCE: Final = 1e-4
# A made-up input is to blame for none of these: the model would fail its callers too.
_MODEL_ERRORS: Final = frozenset({Code.NOT_FOUND, Code.UNIMPLEMENTED, Code.INTERNAL, Code.FAILED_PRECONDITION})
_MODEL_TEXTS: Final = ("No OpKernel was registered", "was not found in the Graph")


class Verdict(enum.Enum):
    """What became of a check."""

    SERVES = "serves"
    FAILS = "fails"
    UNTRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the outcome.

    Attributes:
        model: The model's name.
        version: Its number; None if no version was found.
        signature: The key; empty for the version as a whole.
        method: The RPC that was called.
        verdict: What became of it.
        text: Why it fails or was not tried; otherwise what the comparison with TensorFlow says.
        one_row_s: Seconds for a request of one row.
        many_rows_s: Seconds for one of MANY_ROWS rows; None if the rows are fixed.
    """

    model: str
    version: int | None
    verdict: Verdict
    text: str = ""
    signature: str = ""
    method: str = ""
    one_row_s: float | None = None
    many_rows_s: float | None = None


class Reference(Protocol):
    """The model as TensorFlow alone runs it."""

    def run(self, key: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """The outputs of a signature, by name. Raises a ServingError if it cannot be run."""


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks versions one by one.

    Attributes:
        options: The flags of the server that is to serve them.
        batching: How that will batch; None if it will not.
        load: Loads a version as that will.
        load_reference: Loads it with TensorFlow alone; raises a ServingError if that cannot.
        read_examples: The tf.Examples that the graph of a version directory may parse.
        timeout_s: How long a call may take.
    """

    options: ServerOptions
    batching: BatchingConfig | None
    load: Loader
    load_reference: Callable[[Path], Reference]
    read_examples: Callable[[Path], Sequence[wire.Example]]
    timeout_s: float = CALL_TIMEOUT_S

    def check(self, model: str, version: int, directory: Path) -> Iterator[Finding]:
        """Check a version: a finding for each signature, or one if it cannot be loaded."""
        try:
            servable = self.load(directory)
        except ServingError as error:
            yield Finding(model, version, Verdict.FAILS, f"does not load: {_one_line(error)}")
            return
        router = Router(Routes([Handle(model, version, servable)]))
        plane = DataPlane(self.options, self.batching, router)
        plane.start()
        try:
            reference = _Reference(self.load_reference, directory)
            examples = self.read_examples(directory)
            keys = sorted(servable.signatures.keys() - {INIT_OP_SIGNATURE})
            if not keys:
                yield Finding(model, version, Verdict.FAILS, "has no signature that can be called")
            look = _Look(examples, _Caller(model, plane, self.timeout_s), reference)
            for key in keys:
                finding = Finding(model, version, Verdict.UNTRIED, signature=key)
                try:
                    yield look.check(finding, servable.signatures[key])
                except Exception as error:  # noqa: BLE001  A model may make anything fail.
                    # What it says of this signature must not hide what was found of the others.
                    _log.exception("%s could not be checked", key)
                    yield replace(finding, verdict=Verdict.FAILS, text=f"{type(error).__name__}: {error}")
        finally:
            plane.stop()
            # Its memory is the next version's.
            servable.close()


@dataclass(frozen=True, slots=True)
class _Call:
    """A request that the version may take.

    Attributes:
        path: The RPC's full path.
        message: Its bytes.
        inputs: What it feeds, by the names of inputs.
    """

    path: str
    message: bytes
    inputs: Mapping[str, Array]

    @property
    def method(self) -> str:
        """The name of the RPC."""
        return self.path.rpartition("/")[2]


class _Caller:
    """Sends requests the way that a gRPC call takes inside the server."""

    def __init__(self, model: str, plane: DataPlane, timeout_s: float) -> None:
        self._model, self._methods, self._timeout_s = model, plane.methods, timeout_s

    def prepare(self, log: wire.PredictionLog) -> _Call:
        kind = log.WhichOneof("log_type")
        request = getattr(log, str(kind)).request
        request.model_spec.name = self._model
        if kind == "predict_log":
            inputs = {name: _fill(tensor) for name, tensor in request.inputs.items()}
            return _Call(f"/{data_plane.SERVICE}/Predict", request.SerializeToString(), inputs)
        method = "Classify" if kind == "classify_log" else "Regress"
        texts = [example.SerializeToString() for example in request.input.example_list.examples]
        array = np.empty(len(texts), object)
        array[:] = texts
        return _Call(f"/{data_plane.SERVICE}/{method}", request.SerializeToString(), {"inputs": array})

    def run(self, call: _Call) -> bytes:
        return self._methods[call.path](call.message, self._timeout_s, NO_CONTEXT)


def _fill(tensor: wire.TensorProto) -> Array:
    """The array of a made-up tensor, with random numbers where it has floats: zeros hide most differences."""
    array = decoding.decode(tensor)
    if array.dtype.kind == "f":
        array = np.random.default_rng(0).random(array.shape).astype(array.dtype)
        dtype = tensor.dtype
        tensor.Clear()
        encoding.encode(array, dtype, tensor)
    return array


class _Reference:
    """TensorFlow alone, loaded at first use; what it cannot load or run compares with nothing."""

    def __init__(self, load: Callable[[Path], Reference], directory: Path) -> None:
        self._load, self._directory = load, directory
        self._loaded: Reference | ServingError | None = None

    def run(self, key: str, inputs: Mapping[str, Array]) -> Mapping[str, Array] | ServingError:
        if self._loaded is None:
            try:
                self._loaded = self._load(self._directory)
            except ServingError as error:
                self._loaded = error
        if isinstance(self._loaded, ServingError):
            return self._loaded
        try:
            return self._loaded.run(key, inputs)
        except ServingError as error:
            return error


@dataclass(frozen=True, slots=True)
class _Look:
    """What the checks of a version's signatures share."""

    examples: Sequence[wire.Example]
    caller: _Caller
    reference: _Reference

    def check(self, finding: Finding, signature: Signature) -> Finding:
        """The finding completed."""
        try:
            accepted = _find_accepted(signature, 1, self.examples, self.caller)
        except ServingError as error:
            return replace(finding, text=f"no request can be made up: {_one_line(error)}")
        if isinstance(accepted, _Refused):
            verdict, text = _judge_refusal(accepted, signature.key, self.reference)
            return replace(finding, verdict=verdict, text=text, method=accepted.call.method)
        call, reply = accepted
        verdict, text = self._compare(call, reply, signature.key)
        found = replace(finding, verdict=verdict, text=text, method=call.method)
        if verdict is Verdict.FAILS:
            return found
        try:
            one_row_s = _time(self.caller, call)
            many_rows_s = _time_many(signature, self.examples, self.caller)
        except ServingError as error:
            return replace(found, verdict=Verdict.FAILS, text=f"answers, and not each time: {_one_line(error)}")
        return replace(found, one_row_s=one_row_s, many_rows_s=many_rows_s)

    def _compare(self, call: _Call, reply: bytes, key: str) -> tuple[Verdict, str]:
        expected = self.reference.run(key, call.inputs)
        differs, text = _compare(call, reply, expected)
        if not differs:
            return Verdict.SERVES, text
        again = self.reference.run(key, call.inputs)
        if isinstance(expected, Mapping) and isinstance(again, Mapping) and _largest_error(expected, again) == 0:
            return Verdict.FAILS, text
        return Verdict.SERVES, "its answers are random, and are not compared"


@dataclass(frozen=True, slots=True)
class _Refused:
    """The likeliest request, and what came of it."""

    call: _Call
    error: ServingError


def _find_accepted(
    signature: Signature, rows: int, examples: Sequence[wire.Example], caller: _Caller
) -> tuple[_Call, bytes] | _Refused:
    """The first made-up request that the version answers, with its reply.

    Raises:
        ServingError: If none can be made up.
    """
    refused: _Refused | None = None
    for log in generation.generate(signature, rows, examples):
        call = caller.prepare(log)
        try:
            return call, caller.run(call)
        except ServingError as error:
            refused = refused or _Refused(call, error)
            if error.code == Code.DEADLINE_EXCEEDED:
                return _Refused(call, error)
    assert refused is not None  # noqa: S101  For mypy: each signature has one request at least.
    return refused


def _judge_refusal(refused: _Refused, key: str, reference: _Reference) -> tuple[Verdict, str]:
    """Whether the made-up input is to blame or the model."""
    text = _one_line(refused.error)
    if refused.error.code == Code.DEADLINE_EXCEEDED:
        # TensorFlow alone would never end either, and nothing could end it.
        return Verdict.FAILS, "gives no answer in time"
    if refused.error.code in _MODEL_ERRORS or any(words in text for words in _MODEL_TEXTS):
        return Verdict.FAILS, text
    if isinstance(reference.run(key, refused.call.inputs), ServingError):
        return Verdict.UNTRIED, f"it takes no made-up input: {text}"
    return Verdict.FAILS, f"refused, though TensorFlow alone answers it: {text}"


def _compare(call: _Call, reply: bytes, expected: Mapping[str, Array] | ServingError) -> tuple[bool, str]:
    """Whether a reply differs from what TensorFlow gives, and what to say of it."""
    if isinstance(expected, ServingError):
        return False, f"not compared, since TensorFlow alone says {_one_line(expected)}"
    given = _read_reply(call, reply)
    if given is None:
        return False, "not compared, since its labels are no UTF-8"
    error = _largest_error(given, {name: expected[name] for name in given if name in expected})
    if error is None:
        return True, "gives other shapes or values than TensorFlow alone"
    if error > _TOLERANCE:
        return True, f"differs from TensorFlow alone by up to {error:.2g} of a value"
    return False, "equals TensorFlow" if error == 0 else f"equals TensorFlow to {error:.1g}"


def _read_reply(call: _Call, reply: bytes) -> dict[str, Array] | None:
    """The values of a reply by the names of outputs; None if Python's protobuf cannot read it."""
    if call.path.endswith("/Predict"):
        response = wire.PredictResponse.FromString(reply)
        return {name: decoding.decode(tensor) for name, tensor in response.outputs.items()}
    if call.path.endswith("/Regress"):
        result = wire.RegressionResponse.FromString(reply).result
        return {"outputs": np.array([each.value for each in result.regressions], np.float32)}
    try:
        classified = wire.ClassificationResponse.FromString(reply).result.classifications
    except DecodeError:
        # Clients in other languages read labels that are no UTF-8.
        return None
    return {"scores": np.array([[each.score for each in row.classes] for row in classified], np.float32)}


def _largest_error(given: Mapping[str, Array], expected: Mapping[str, Array]) -> float | None:
    """The largest relative difference of any value; None if shapes or other values than numbers differ."""
    largest = 0.0
    for name, right in expected.items():
        left = given[name]
        if left.size != right.size:
            return None
        if right.dtype.kind in "fc":
            largest = max(largest, _error_of_numbers(left.reshape(-1), right.reshape(-1)))
        elif not _are_equal(left.reshape(-1), right.reshape(-1)):
            return None
    return largest


def _are_equal(left: Array, right: Array) -> bool:
    # NumPy compares no types that it does not know itself, such as TensorFlow's quantized ones.
    return (
        left.tobytes() == right.tobytes() if "V" in left.dtype.kind + right.dtype.kind else np.array_equal(left, right)
    )


def _error_of_numbers(left: Array, right: Array) -> float:
    if not right.size:
        return 0.0
    with np.errstate(all="ignore"):
        difference = np.abs(left - right) / np.maximum(np.abs(right), 1)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    return float(np.where(same, 0, np.nan_to_num(difference, nan=np.inf)).max())


def _time_many(signature: Signature, examples: Sequence[wire.Example], caller: _Caller) -> float | None:
    """Seconds for many rows; None if the signature takes no number of rows, or not so many."""
    if not generation.is_batched(signature):
        return None
    try:
        accepted = _find_accepted(signature, MANY_ROWS, examples, caller)
    except ServingError:
        return None
    if isinstance(accepted, _Refused):
        if accepted.error.code == Code.DEADLINE_EXCEEDED:
            raise accepted.error
        return None
    return _time(caller, accepted[0])


def _time(caller: _Caller, call: _Call) -> float:
    """Seconds that a call takes, as the median of several."""
    taken: list[float] = []
    ends_at_s = time.monotonic() + _LONGEST_TIMING_S
    while not taken or (len(taken) < _MOST_RUNS and time.monotonic() < ends_at_s):
        began_s = time.perf_counter()
        caller.run(call)
        taken.append(time.perf_counter() - began_s)
    return statistics.median(taken)


def _one_line(error: ServingError) -> str:
    return " ".join(str(error).split())
