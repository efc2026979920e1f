"""What a server can be made to write: the flags that switch it on, and where it is found afterwards.

A feature that writes something of its own (files, spans, audit lines) is one more entry in FEATURES.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

Output = tuple[str, bytes]
"""What it is, for the failure, and all of it."""


def _no_output(_folder: Path) -> Iterable[Output]:
    return ()


@dataclasses.dataclass(frozen=True)
class Feature:
    """One thing that writes.

    Attributes:
        name: Its name.
        flags: The flags for it, given a folder of its own, which exists.
        outputs: What it has written into that folder, once the server has ended.
    """

    name: str
    flags: Callable[[Path], Sequence[str]]
    outputs: Callable[[Path], Iterable[Output]] = _no_output


FEATURES: list[Feature] = [
    Feature("log", lambda _: ["--log_level=debug"]),
    Feature("access log", lambda _: ["--access_log_ratio=1"]),
]
