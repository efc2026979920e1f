"""The two layouts of a Predict request over REST, each answered in kind."""

from __future__ import annotations

import enum


class Layout(enum.Enum):
    ROW = "instances"
    COLUMN = "inputs"
