"""What a metric is between those who count and those who publish: a name, a kind, and values by labels."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from servable.observability.histograms import Histogram

Labels: TypeAlias = tuple[str, ...]


class Kind(str, enum.Enum):
    """The kinds of metrics, by Prometheus's names."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric at one moment.

    Attributes:
        name: Its name; in the original's with slashes, as its registry has it.
        kind: Its kind.
        label_names: The names of its labels.
        values: A number or a histogram for the values of the labels, in the order of their names.
        meaning: One sentence.
    """

    name: str
    kind: Kind
    label_names: Labels
    values: Mapping[Labels, float | Histogram]
    meaning: str = ""


def merge(families: Iterable[Family]) -> list[Family]:
    """One family of each name, with the values of all; each of them has labels of its own."""
    by_name: dict[str, Family] = {}
    for family in families:
        known = by_name.get(family.name)
        merged = family if known is None else replace(known, values={**known.values, **family.values})
        by_name[family.name] = merged
    return list(by_name.values())
