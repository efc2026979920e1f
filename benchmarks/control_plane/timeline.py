"""When each version was available, sampled by GetModelStatus. Replies of models are compared with it.

A sample is true at one moment between its question and its answer. So a version counts as available from the question
of the last sample that does not show it yet, and up to the answer of the first that shows it no more: the tolerance is
the time between two samples, and is printed.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from servable_client import Client, State


@dataclass(frozen=True, slots=True)
class Sample:
    """The versions of a model that were available at a moment between `asked_s` and `answered_s`."""

    asked_s: float
    answered_s: float
    available: frozenset[int]


class Timeline:
    """Samples of some models, taken on a thread until `stop`."""

    def __init__(self, address: str, models: Sequence[str], interval_s: float) -> None:
        """Start the sampling."""
        self._samples: dict[str, list[Sample]] = {model: [] for model in models}
        self._address, self._interval_s = address, interval_s
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._sampling = self._pool.submit(self._run)

    def stop(self) -> None:
        """Stop the sampling.

        Raises:
            ServingError: if a sample failed.
        """
        self._stopping.set()
        self._pool.shutdown()
        self._sampling.result()

    @property
    def models(self) -> Sequence[str]:
        """The models that are sampled."""
        return list(self._samples)

    def now(self, model: str) -> frozenset[int]:
        """What the last sample shows."""
        samples = self._samples[model]
        return samples[-1].available if samples else frozenset()

    def seen(self, model: str) -> list[int]:
        """All versions that were ever available, ascending."""
        return sorted(frozenset().union(*(sample.available for sample in self._samples[model])))

    def gaps_s(self) -> list[float]:
        """The times from one sample's question to the answer of the next."""
        pairs = (pair for samples in self._samples.values() for pair in itertools.pairwise(samples))
        return [after.answered_s - before.asked_s for before, after in pairs]

    def spans(self, model: str) -> dict[int, list[tuple[float, float]]]:
        """The widest times during which each version can have been available, given the samples."""
        found: dict[int, list[tuple[float, float]]] = {version: [] for version in self.seen(model)}
        for before, sample, after in _with_neighbours(self._samples[model]):
            for version in sample.available:
                found[version].append((before.asked_s, after.answered_s))
        return {version: _join(spans) for version, spans in found.items()}

    def newest_before(self, model: str) -> list[tuple[float, int]]:
        """For each sample the moment from which on its newest version was surely known, and that version."""
        return [(sample.answered_s, max(sample.available, default=0)) for sample in self._samples[model]]

    def _run(self) -> None:
        with Client(self._address, retries=0, timeout_s=10) as client:
            while not self._stopping.wait(self._interval_s):
                for model, samples in self._samples.items():
                    asked_s = time.monotonic()
                    states = client.status(model=model)
                    available = frozenset(each.version for each in states if each.state is State.AVAILABLE)
                    samples.append(Sample(asked_s, time.monotonic(), available))


def _with_neighbours(samples: list[Sample]) -> zip[tuple[Sample, Sample, Sample]]:
    return zip(samples[:1] + samples[:-1], samples, samples[1:] + samples[-1:], strict=True)


def _join(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined
