"""Whether a reply may be as it is, given what was available, newest and labelled at that time. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence

from replacing import Labelled
from timeline import Timeline
from traffic import Call


class Verdict:
    """Holds calls against a timeline that is complete."""

    def __init__(self, timeline: Timeline, labelled: Mapping[str, Sequence[Labelled]]) -> None:
        """Prepare it.

        Args:
            timeline: The versions that were available.
            labelled: For a model with a label, the versions that it named.
        """
        models = timeline.models
        self._spans = {model: timeline.spans(model) for model in models}
        self._newest = {model: timeline.newest_before(model) for model in models}
        self._labelled = labelled

    def find_fault(self, call: Call) -> str:
        """What is wrong with a call; empty if nothing."""
        if call.fault:
            return f"{call.model}, by {call.choice}: {call.fault}"
        spans = self._spans[call.model].get(call.version, [])
        if not any(begin <= call.done_s and call.sent_s <= end for begin, end in spans):
            return f"{call.model}: version {call.version} answered when it was not available"
        if call.choice == "latest" and call.version < self._known_at(call.model, call.sent_s):
            return f"{call.model}: version {call.version} answered as the latest when a newer one was available"
        if call.choice not in ("latest", "number") and not self._may_be_labelled(call):
            return f"{call.model}: version {call.version} answered for the label {call.choice}, which named another one"
        return ""

    def _known_at(self, model: str, moment_s: float) -> int:
        """The newest version that was surely available before a moment."""
        newest = self._newest[model]
        index = bisect.bisect_left(newest, (moment_s, 0)) - 1
        return newest[index][1] if index >= 0 else 0

    def _may_be_labelled(self, call: Call) -> bool:
        return any(
            each.version == call.version and each.begins_s <= call.done_s and call.sent_s <= each.ends_s
            for each in self._labelled[call.model]
        )
