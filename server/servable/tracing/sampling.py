"""Which calls are recorded: the standard samplers by OTEL_TRACES_SAMPLER, decided as a call begins.

The SDK's samplers need a span's context and an object for the answer, 5 to 7 us; here a call that is not recorded costs
a look at one character.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from random import Random
from typing import Final

from servable.tracing import traceparent

_log = logging.getLogger(__name__)

_DEFAULT: Final = "parentbased_always_on"
_PARENT_BASED: Final = "parentbased_"
_RATIOS: Final[Mapping[str, float | None]] = {"always_on": 1.0, "always_off": 0.0, "traceidratio": None}
_NAMES: Final = frozenset(f"{prefix}{name}" for prefix in ("", _PARENT_BASED) for name in _RATIOS)
_LOW_BITS: Final = 64


class Sampling:
    """Decides which calls are recorded. Thread-safe.

    Attributes:
        ratio: The share of calls without a parent that is recorded.
        follows_parent: Whether a parent decides.
    """

    def __init__(self, ratio: float = 1.0, *, follows_parent: bool = True, random: Random | None = None) -> None:
        """Decide by a ratio.

        Args:
            ratio: The share of calls that is recorded, 0 to 1: of those without a parent, or of all.
            follows_parent: Whether a call whose parent says so is recorded, or not, as that says.
            random: Where ids and decisions come from; by default a source that nobody else seeds.
        """
        self.ratio, self.follows_parent = ratio, follows_parent
        # Not the module's own, which a Python function of a model may seed: ids would come twice.
        self._random = random or Random()  # noqa: S311  (ids are no secrets)
        self._bound = round(ratio * (1 << _LOW_BITS))

    def wants(self, sent: str | None) -> bool:
        """Whether a call is recorded.

        Args:
            sent: Its `traceparent`; None if it has none.
        """
        parent = None if sent is None else traceparent.parse(sent)
        if parent is not None:
            # By the id, so that all members of a trace that sample by the same ratio decide alike.
            return parent.is_sampled if self.follows_parent else parent.trace_id % (1 << _LOW_BITS) < self._bound
        ratio = self.ratio
        return ratio >= 1.0 or (ratio > 0.0 and self._random.random() < ratio)

    def make_trace_id(self) -> int:
        """The id of a trace that begins here, random among those that samplers of the same ratio take."""
        low = self._random.randrange(max(self._bound, 1))
        return (self._random.getrandbits(_LOW_BITS) << _LOW_BITS | low) or 1

    def make_span_id(self) -> int:
        """A random id, not 0."""
        return self._random.getrandbits(64) or 1


def from_environment(environment: Mapping[str, str]) -> Sampling:
    """The sampler that OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG name.

    As in the SDK, what is not known is told in the log and is `parentbased_always_on`, or a ratio of 1.
    """
    name = environment.get("OTEL_TRACES_SAMPLER", "").strip().lower() or _DEFAULT
    if name not in _NAMES:
        _log.warning("OTEL_TRACES_SAMPLER=%s is not known here; %s is used", name, _DEFAULT)
        name = _DEFAULT
    ratio = _RATIOS[name.removeprefix(_PARENT_BASED)]
    if ratio is None:
        ratio = _read_ratio(environment.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1")
    return Sampling(ratio, follows_parent=name.startswith(_PARENT_BASED))


def _read_ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        _log.warning("OTEL_TRACES_SAMPLER_ARG=%s is no number from 0 to 1; 1 is used", text)
        return 1.0
    return ratio
