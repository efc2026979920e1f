"""What came of a scenario, and the table of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

Figure = float | int | str


@dataclass(frozen=True)
class Result:
    """What came of a scenario.

    Attributes:
        scenario: What was done to the server.
        lost: What callers lost, in words.
        served_again_s: Seconds until calls over each protocol were answered rightly again, from the moment when what
            was done ended; None where the server never stopped serving.
        faults: What was not as it must be.
        figures: What was measured, by name.
    """

    scenario: str
    lost: str
    served_again_s: float | None = None
    faults: Sequence[str] = ()
    figures: dict[str, Figure] = field(default_factory=dict)


def write_table(results: Sequence[Result]) -> str:
    """A table in Markdown, one row a scenario."""
    rows = ["| scenario | lost | served again after | figures | faults |", "| --- | --- | ---: | --- | --- |"]
    for result in results:
        served = "served on" if result.served_again_s is None else f"{result.served_again_s:.2f} s"
        figures = ", ".join(f"{name} {_short(value)}" for name, value in result.figures.items())
        faults = "; ".join(result.faults) or "none"
        rows.append(f"| {result.scenario} | {result.lost} | {served} | {figures} | {faults} |")
    return "\n".join(rows)


def write_json(path: Path, machine: str, results: Sequence[Result]) -> None:
    """Write the machine's description and all results."""
    document = {"machine": machine, "results": [dataclasses.asdict(result) for result in results]}
    path.write_text(json.dumps(document, indent=2) + "\n")


def _short(value: Figure) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if isinstance(value, float) else value
