"""Names that rules give: exact ones, prefixes that end in `*`, and `*` for all. Pure.

There are no regular expressions: what a rule covers must be plain to who reads it, and cost nothing to decide. Names
are compared code point by code point, as the router compares them: neither case nor Unicode forms are made alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ALL: Final = "*"


def find_fault(pattern: str) -> str | None:
    """What is wrong with a pattern, and what would be right; None if nothing is."""
    if not pattern:
        return 'is empty; give a name, a prefix such as "team-a-*", or "*" for all'
    if ALL in pattern[:-1]:
        return f'has a * before its end ("{pattern}"); it can stand at the end only, and there is no other wildcard'
    return None


@dataclass(frozen=True, slots=True)
class Names:
    """A set of names. `name in names` tells whether one belongs to it.

    Attributes:
        is_all: Whether every name does, the empty one included.
        exact: Names that do.
        prefixes: What other names that do begin with.
    """

    is_all: bool
    exact: frozenset[str]
    prefixes: tuple[str, ...]

    def __contains__(self, name: str) -> bool:
        return self.is_all or name in self.exact or (bool(self.prefixes) and name.startswith(self.prefixes))

    def __or__(self, other: Names) -> Names:
        prefixes = tuple(sorted({*self.prefixes, *other.prefixes}))
        return Names(self.is_all or other.is_all, self.exact | other.exact, prefixes)


def make_names(patterns: Iterable[str]) -> Names:
    """The names that some pattern covers; `find_fault` has found nothing wrong with any."""
    patterns = frozenset(patterns)
    exact = frozenset(pattern for pattern in patterns if not pattern.endswith(ALL))
    prefixes = tuple(sorted(pattern[:-1] for pattern in patterns - exact - {ALL}))
    return Names(ALL in patterns, exact, prefixes)
