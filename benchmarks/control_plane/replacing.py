"""Puts versions into a running server: by renaming folders, and by reloads of its config with a label that moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from timeline import Timeline

from servable_client import Client, ModelConfig

_LONGEST_SWAP_S = 30.0

Step = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A version that a label named: at the most from the request of one reload to the reply of the next."""

    version: int
    begins_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a model's versions are replaced: from a time (time.monotonic) on, every so many seconds."""

    begins_s: float
    period_s: float
    count: int

    def times(self) -> list[float]:
        """The time of each replacement."""
        return [self.begins_s + index * self.period_s for index in range(self.count)]

    def half_a_period_later(self) -> Schedule:
        """The same for a second model."""
        return replace(self, begins_s=self.begins_s + self.period_s / 2)


class Replacements:
    """Two models below a folder, `made/<model>/<version>`, of which version 1 serves first.

    Attributes:
        asked: The versions of each model that were put in.
        labelled: What the label named, and when.
    """

    def __init__(self, folder: Path, renamed: str, reloaded: str, label: str) -> None:
        """Put in the first version of each."""
        self._made, self._folder = folder / "made", folder
        self._renamed, self._reloaded, self._label = renamed, reloaded, label
        self.asked = {renamed: {1}, reloaded: {1}}
        self.labelled = [Labelled(1, 0.0, float("inf"))]
        (folder / renamed).mkdir()
        self._rename(1)

    def first_config(self) -> Path:
        """The config file that the server starts with. A label needs a version that serves, so it comes later."""
        path = self._folder / "models.config"
        policies = {self._renamed: "latest { num_versions: 1 }", self._reloaded: "specific { versions: 1 }"}
        bases = {self._renamed: self._folder / self._renamed, self._reloaded: self._made / self._reloaded}
        configs = "".join(
            f'config {{ name: "{model}" base_path: "{bases[model]}" model_platform: "tensorflow" '
            f"model_version_policy {{ {policy} }} }}\n"
            for model, policy in policies.items()
        )
        path.write_text(f"model_config_list {{ {configs} }}")
        return path

    def run(self, address: str, timeline: Timeline, schedule: Schedule) -> dict[str, list[float]]:
        """Replace both models' versions, half a period apart.

        Returns:
            For each model and swap the seconds from the change until the new version served.
        """
        with Client(address, retries=0) as client, ThreadPoolExecutor(2) as pool:
            self._reload(client, (1,), 1)

            def add(version: int) -> None:
                self._reload(client, (version - 1, version), version - 1)

            def move_label(version: int) -> None:
                # Long enough for each client to see the new one: until then it asks for the old one by its number.
                time.sleep(schedule.period_s / 4)
                self._reload(client, (version,), version)

            ways = {
                self._renamed: (schedule, self._rename, lambda _version: None),
                self._reloaded: (schedule.half_a_period_later(), add, move_label),
            }
            begun = {model: pool.submit(self._replace, model, timeline, *way) for model, way in ways.items()}
            return {model: replaced.result() for model, replaced in begun.items()}

    def _replace(self, model: str, timeline: Timeline, schedule: Schedule, change: Step, finish: Step) -> list[float]:
        taken = []
        for version, due_s in enumerate(schedule.times(), start=2):
            time.sleep(max(due_s - time.monotonic(), 0))
            begun_s = time.monotonic()
            self.asked[model].add(version)
            change(version)
            while version not in timeline.now(model) and time.monotonic() < begun_s + _LONGEST_SWAP_S:
                time.sleep(0.005)
            taken.append(time.monotonic() - begun_s)
            finish(version)
        return taken

    def _rename(self, version: int) -> None:
        (self._made / self._renamed / str(version)).rename(self._folder / self._renamed / str(version))

    def _reload(self, client: Client, versions: tuple[int, ...], labelled: int) -> None:
        begins_s = time.monotonic()
        client.reload_config(
            [
                ModelConfig(self._renamed, str(self._folder / self._renamed)),
                ModelConfig(self._reloaded, str(self._made / self._reloaded), versions, labels={self._label: labelled}),
            ]
        )
        last = self.labelled[-1]
        if labelled != last.version:
            self.labelled[-1] = Labelled(last.version, last.begins_s, time.monotonic())
            self.labelled.append(Labelled(labelled, begins_s, float("inf")))
