"""Which of a model's versions are to be served, as configured. Choosing among folders is `sources`' work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Latest:
    """The `count` highest versions, `count` being at least 1."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class All:
    """Every version that there is."""


@dataclass(frozen=True, slots=True)
class Specific:
    """These versions, in the order in which they were configured; none serves nothing."""

    versions: tuple[int, ...]


VersionPolicy: TypeAlias = Latest | All | Specific
