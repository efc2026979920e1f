"""What a server can be made to write: the flags that switch it on, and where it is found afterwards.

A feature that writes something of its own (files, spans, audit lines) is one more entry in FEATURES.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from servable.calls import Action

BEARER = "canary-bearer-5b1e0c"

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


def _authorize(folder: Path) -> Sequence[str]:
    """Rules that know BEARER and let everyone in, so that the other features have something to write."""
    digest = hashlib.sha256(BEARER.encode()).hexdigest()
    path = folder / "rules.textproto"
    every = ", ".join(action.name for action in Action)
    rule = f'rule {{ who {{ %s }} may: [{every}] models: "*" }}'
    path.write_text(f'{rule % "anyone: true"} {rule % f"""name: "all" bearer_sha256: "{digest}" """}')
    return [f"--authorization_file={path}"]


FEATURES: list[Feature] = [
    Feature("log", lambda _: ["--log_level=debug"]),
    Feature("authorization", _authorize),
    Feature("access log", lambda _: ["--access_log_ratio=1"]),
]
