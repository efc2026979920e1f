"""A report as JSON, for programs; docs/inspect.md describes it."""

from __future__ import annotations

import dataclasses
import json

from servable.inspection.report import Report


def to_json(report: Report) -> str:
    """One JSON object with the report's fields; an axis of any size is null. ASCII only."""
    return json.dumps(dataclasses.asdict(report), indent=2)
