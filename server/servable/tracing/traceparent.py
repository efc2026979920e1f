"""W3C Trace Context: the headers `traceparent` and `tracestate` as values (https://www.w3.org/TR/trace-context/). Pure.

What a caller sends is bounded and checked; what is wrong is as if it had not been sent, as the standard has it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
SAMPLED: Final = 0x01
"""The flag of a context whose caller may have recorded it."""
RANDOM: Final = 0x02
"""The flag of a context whose trace id is random enough to sample by (level 2 of the standard)."""
LOW_DIGIT: Final = slice(54, 55)
"""The place of the lower digit of the flags, in all versions."""
UNSAMPLED_DIGITS: Final = frozenset("02468ace")
"""What stands there if the caller has not recorded it."""

# Of a later version; the members that it may add are not read.
_LONGEST_TRACEPARENT: Final = 512
_PARSED: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_FIRST_VERSION, _INVALID_VERSION = "00", "ff"

# The standard asks for 512 characters at least, and for 32 members at most.
_LONGEST_TRACESTATE: Final = 512
_MOST_MEMBERS: Final = 32
_KEY: Final = r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_VALUE: Final = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER: Final = re.compile(f"({_KEY})=({_VALUE})")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A place in a trace.

    Attributes:
        trace_id: 128 bits, not 0.
        span_id: 64 bits, not 0.
        flags: SAMPLED and RANDOM; others are not kept.
    """

    trace_id: int
    span_id: int
    flags: int

    @property
    def is_sampled(self) -> bool:
        """Whether the caller may have recorded it."""
        return bool(self.flags & SAMPLED)

    def __str__(self) -> str:
        """The header, in version 00."""
        return f"{_FIRST_VERSION}-{self.trace_id:032x}-{self.span_id:016x}-{self.flags:02x}"


def parse(text: str) -> TraceParent | None:
    """Read a `traceparent` of version 00, or the part of a later version that every later one must have.

    Returns:
        None if it is malformed, if its version is ff, or if an id has only zeros.
    """
    found = _PARSED.fullmatch(text) if len(text) <= _LONGEST_TRACEPARENT else None
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == _INVALID_VERSION or (version == _FIRST_VERSION and rest is not None):
        return None
    parent = TraceParent(int(trace_id, 16), int(span_id, 16), int(flags, 16) & (SAMPLED | RANDOM))
    return parent if parent.trace_id and parent.span_id else None


def parse_state(headers: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Read the `tracestate` of a call, which may stand in several headers.

    Returns:
        Its members, in order, as many as have room in 512 characters; none if one is malformed or comes twice, or if
        there are more than 32.
    """
    members: dict[str, str] = {}
    size = 0
    # Longer than what fits in any case: no time is spent on it.
    if sum(map(len, headers)) > 8 * _LONGEST_TRACESTATE:
        return ()
    for member in (each.strip(" \t") for header in headers for each in header.split(",")):
        if not member:
            continue
        found = _MEMBER.fullmatch(member)
        if found is None or found[1] in members or len(members) == _MOST_MEMBERS:
            return ()
        members[found[1]] = found[2]
    kept: list[tuple[str, str]] = []
    for key, value in members.items():
        size += len(key) + len(value) + (2 if kept else 1)
        if size > _LONGEST_TRACESTATE:
            break
        kept.append((key, value))
    return tuple(kept)
