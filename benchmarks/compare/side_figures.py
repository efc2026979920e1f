"""Figures beside the comparison, by name: how each is measured and described."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import fairness
import fixed_rate
import grpc
import lone_request
import startup
from setting import Setting

Figures = dict[str, Any]
_MEASURES: dict[str, Callable[[Setting], Figures]] = {
    "start": startup.measure_start,
    "memory": startup.measure_memory,
    "lone": lone_request.measure,
    "fairness": fairness.measure,
}
_TELL: dict[str, Callable[[Figures], list[str]]] = {
    "start": startup.describe_start,
    "memory": startup.describe_memory,
    "lone": lone_request.describe,
    "fairness": fairness.describe,
}
NAMES = tuple(_MEASURES)


def exports_of(names: Collection[str]) -> list[str]:
    """The models that they need."""
    return ["half_plus_two", "mobilenet_v2"] if names else []


def measure(name: str, setting: Setting) -> Figures | None:
    """One of them; None and a fault if it could not be had."""
    try:
        return _MEASURES[name](setting)
    except (RuntimeError, grpc.RpcError) as error:
        setting.faults.append(f"side figure {name}: {fixed_rate.describe_error(error)}")
        return None


def describe(side: Figures) -> list[str]:
    """Lines of Markdown about all that were measured."""
    lines = []
    for name, figures in side.items():
        if figures is not None:
            lines += ["", *_TELL[name](figures)]
    return lines
