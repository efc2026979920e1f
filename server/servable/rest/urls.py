"""What a verb and a URL of the REST API ask for. Pure.

Source of the behaviour: TensorFlow Serving, model_servers/http_rest_api_handler.cc and http_rest_api_util.cc. It
matches path, query and fragment as one text, as sent: so a query belongs to the name before it, or matches nothing.
Case matters in names and in the last word only.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from servable.errors import InvalidArgument

_INT64_MAX: Final = 2**63 - 1
_MOST_DIGITS: Final = len(str(_INT64_MAX))

_NAME: Final = "[^/:]+"
_VERSION: Final = f"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>{_NAME}))?"
# ASCII, or a long s would match an s; a target has one character for each byte.
_FLAGS: Final = re.IGNORECASE | re.ASCII
_ANY: Final = re.compile(r"/v1/.*", _FLAGS | re.DOTALL)
_INFERENCE: Final = re.compile(rf"/v1/models/(?P<name>{_NAME}){_VERSION}:(?P<action>classify|regress|predict)", _FLAGS)
_INFORMATION: Final = re.compile(rf"/v1/models(?:/(?P<name>{_NAME}))?{_VERSION}(?P<metadata>/metadata)?", _FLAGS)


class Action(enum.Enum):
    """What is asked of a model."""

    PREDICT = "predict"
    CLASSIFY = "classify"
    REGRESS = "regress"
    STATUS = "status"
    METADATA = "metadata"


_ACTIONS: Final = {action.value: action for action in (Action.PREDICT, Action.CLASSIFY, Action.REGRESS)}


@dataclass(frozen=True, slots=True)
class ModelUrl:
    """What a URL asks for.

    Attributes:
        action: What is asked.
        name: Of the model, decoded. Bytes that are no UTF-8 are surrogates (PEP 383), as in the label.
        version: The number of a version.
        label: The label of a version. At most one of the two is given.
    """

    action: Action
    name: str
    version: int | None = None
    label: str | None = None


class VersionTooLarge(InvalidArgument):
    """A version that is no int64. The original answers it without a body.

    Attributes:
        name: Of the model.
    """

    def __init__(self, name: str, version: str) -> None:
        super().__init__(f"Failed to convert version: {version} to numeric.")
        self.name = name


def is_of_api(target: str) -> bool:
    """Whether the REST API answers a target, be it with an error."""
    return _ANY.fullmatch(target) is not None


def parse(verb: str, target: str) -> ModelUrl:
    """What a request asks for.

    Args:
        verb: As sent.
        target: Path, query and fragment as sent, one character a byte.

    Raises:
        InvalidArgument: if it asks for nothing.
        VersionTooLarge: for a version that is no int64.
    """
    pattern = {"POST": _INFERENCE, "GET": _INFORMATION}.get(verb)
    match = pattern.fullmatch(target) if pattern is not None else None
    if match is None:
        raise _malformed(verb, target)
    name = _decode(match["name"] or "")
    version = _read_version(name, match["version"])
    label = None if match["label"] is None else _decode(match["label"])
    action = _find_action(match)
    if action is None:
        raise _malformed(verb, target)
    if not name and verb == "GET":
        raise InvalidArgument("Missing model name in request.")
    return ModelUrl(action, name, version, label)


def _find_action(match: re.Match[str]) -> Action | None:
    """The pattern takes the last word in any case; what it means is compared with case."""
    if match.re is _INFORMATION:
        return Action.METADATA if match["metadata"] == "/metadata" else Action.STATUS
    return _ACTIONS.get(match["action"])


def _read_version(name: str, digits: str | None) -> int | None:
    if digits is None:
        return None
    significant = digits.lstrip("0") or "0"
    # Python refuses to read thousands of digits.
    if len(significant) > _MOST_DIGITS or int(significant) > _INT64_MAX:
        raise VersionTooLarge(name, digits)
    return int(significant)


def _decode(part: str) -> str:
    # A plus is no space here.
    return unquote_to_bytes(part.encode("latin-1")).decode(errors="surrogateescape")


def _malformed(verb: str, target: str) -> InvalidArgument:
    return InvalidArgument(f"Malformed request: {verb} {target.encode('latin-1').decode(errors='surrogateescape')}")
