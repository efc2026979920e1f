"""The bodies of Predict, Classify and Regress over REST.

A body is read in tiers, each of which may give up in favour of the next: large arrays of numbers by pysimdjson
(`number_arrays`), the rest by Python's json, and what that refuses or would read otherwise than the original, by
`exact`. Only `exact` refuses JSON, so the texts of errors do not depend on what is installed.

Source of the behaviour: TensorFlow Serving, util/json_tensor.cc; the order of the checks is the original's, since only
the first failure is told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from servable import wire
from servable.codec.json import exact, number_arrays, tensors
from servable.codec.json.dump import dump
from servable.codec.json.examples import read_input
from servable.codec.json.layout import Layout
from servable.codec.json.number_arrays import Array, NotTaken, NumberArray
from servable.codec.json.values import JsonObject, Value, to_message
from servable.errors import InvalidArgument

_LONE_HIGH_SURROGATE: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})")
_LARGE_EXPONENT: Final = re.compile(rb"[eE]\+?[0-9]{3}")
_ANY_DIGIT_TO_0: Final = bytes.maketrans(b"123456789", b"000000000")
_MANY_DIGITS: Final = b"0" * 300
_LEADING_SPACE: Final = re.compile(r"[ \t\n\r]*")
_BEFORE_VALUES: Final = (b",", b"[", b"{")
MOST_VALUES: Final = 4_000_000
"""Values that are read one by one take some 250 bytes each at worst, and all that time on the interpreter."""
_decoder: Final = json.JSONDecoder(object_pairs_hook=cast("Any", JsonObject))


@dataclass(frozen=True, slots=True)
class PredictTensors:
    """The inputs of a Predict request by alias, and the layout of its reply."""

    arrays: Mapping[str, Array]
    layout: Layout


@dataclass(frozen=True, slots=True)
class PredictBody:
    """A Predict request that is JSON, and an object.

    Attributes:
        signature_name: Empty if the request names none.
    """

    signature_name: str
    _body: bytes
    _document: JsonObject
    _has_arrays: bool

    def read_tensors(self, inputs: Mapping[str, wire.TensorInfo]) -> PredictTensors:
        """The inputs of the request.

        Args:
            inputs: Those of the signature, by alias.

        Raises:
            InvalidArgument: if the request does not hold these inputs, each a regular tensor of its dtype.
            Unimplemented: for a dtype that cannot be sent as JSON.
        """
        if not inputs:
            raise InvalidArgument(f"Failed to get input map for signature: {self.signature_name or 'DEFAULT'}")
        if self._has_arrays:
            try:
                return _read_tensors(self._document, inputs)
            except (NotTaken, InvalidArgument):
                pass  # Read again without what was taken out: that tells what is wrong, if anything is.
            return _read_tensors(_read_object(self._body), inputs)
        return _read_tensors(self._document, inputs)


@dataclass(frozen=True, slots=True)
class ExamplesBody:
    """A Classify or Regress request: the signature that it names (empty: none), and its examples."""

    signature_name: str
    input: wire.Input


def read_predict(body: bytes) -> PredictBody:
    """A Predict request, before its signature is known.

    Raises:
        InvalidArgument: if the body is no JSON object, or its `signature_name` no string.
    """
    rest, arrays = number_arrays.extract(body)
    if arrays:
        try:
            document = _restore_all(_read_object(rest), arrays)
            return PredictBody(_read_signature_name(document), body, document, _has_arrays=True)
        except (NotTaken, InvalidArgument):
            pass  # Read again without what was taken out: that tells what is wrong, if anything is.
    document = _read_object(body)
    return PredictBody(_read_signature_name(document), body, document, _has_arrays=False)


def read_examples(body: bytes) -> ExamplesBody:
    """A Classify or Regress request.

    Raises:
        InvalidArgument: if the body is no JSON object of that kind.
    """
    document = _read_object(body)
    name = _read_signature_name(document)
    return ExamplesBody(name, read_input(document))


def read(body: bytes) -> Value:
    """The first value of a body; what follows is ignored.

    Raises:
        exact.MalformedJson: if there is none, or if it is not whole.
        InvalidArgument: if it holds too many values.
    """
    require_few_values(body)
    if not _may_be_read_otherwise(body):
        try:
            text = body.decode()
            start = _LEADING_SPACE.match(text)
            value: Value = _decoder.raw_decode(text, start.end() if start else 0)[0]
        except (ValueError, RecursionError):
            pass
        else:
            # Of a scalar Python stops where it is one (`0.` is 0 and a rest); a container ends by its bracket.
            if isinstance(value, (list, JsonObject)):
                return value
    return exact.read(body)


def require_few_values(body: bytes) -> None:
    """Refuse a body that would take too much memory.

    Raises:
        InvalidArgument: if it holds too many values.
    """
    if len(body) > MOST_VALUES and sum(map(body.count, _BEFORE_VALUES)) > MOST_VALUES:
        raise InvalidArgument(f"JSON Value: more than {MOST_VALUES} values outside of arrays of numbers")


def may_overflow(body: bytes) -> bool:
    """Whether a number of a body may be too large for a double, which Python's json reads as infinity."""
    return _LARGE_EXPONENT.search(body) is not None or (
        len(body) > len(_MANY_DIGITS) and _MANY_DIGITS in body.translate(_ANY_DIGIT_TO_0)
    )


def _may_be_read_otherwise(body: bytes) -> bool:
    """Whether Python's json may read what the original refuses: lone high surrogates, numbers too large."""
    return (b"\\u" in body and _LONE_HIGH_SURROGATE.search(body) is not None) or may_overflow(body)


def _read_object(body: bytes) -> JsonObject:
    try:
        document = read(body)
    except exact.MalformedJson as error:
        told = f"{error}" if body else "The document is empty"
        raise InvalidArgument(f"JSON Parse error: {told}") from error
    if not isinstance(document, JsonObject):
        raise InvalidArgument(f"JSON Value: {dump(document)} Is not object")
    return document


def _restore_all(document: JsonObject, arrays: Sequence[NumberArray]) -> JsonObject:
    """What is left of a body, with its arrays put back where a tensor may be.

    Those places are `instances`, its rows and their members, `inputs` and its members.

    Raises:
        NotTaken: if an array is somewhere else, where its marker would count as a string.
    """
    restored: list[NumberArray] = []
    members = [(name, _restore(value, arrays, restored, depth=2)) for name, value in document.members]
    if len(restored) != len(arrays):
        raise NotTaken
    return JsonObject(members)


def _restore(value: Value, arrays: Sequence[NumberArray], restored: list[NumberArray], depth: int) -> Value:
    array = number_arrays.find_marked(value, arrays)
    if array is not None:
        restored.append(array)
        return array  # type: ignore[return-value]
    if not depth:
        return value
    if isinstance(value, JsonObject):
        return JsonObject([(name, _restore(item, arrays, restored, depth - 1)) for name, item in value.members])
    return [_restore(item, arrays, restored, depth - 1) for item in value] if isinstance(value, list) else value


def _read_signature_name(document: JsonObject) -> str:
    if "signature_name" not in document:
        return ""
    name = document.get("signature_name")
    if not isinstance(name, (str, bytes)):
        raise InvalidArgument(
            f"JSON Value: {dump(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return to_message(name)


def _read_tensors(document: JsonObject, inputs: Mapping[str, wire.TensorInfo]) -> PredictTensors:
    has_rows, has_columns = "instances" in document, "inputs" in document
    if has_rows and has_columns:
        raise InvalidArgument(
            f"JSON Value: {dump(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' keys "
            "to exist "
        )
    if has_rows:
        return PredictTensors(tensors.read_rows(document, inputs), Layout.ROW)
    if has_columns:
        return PredictTensors(tensors.read_columns(document.get("inputs"), inputs), Layout.COLUMN)
    raise InvalidArgument("Missing 'inputs' or 'instances' key")
