"""Source, manager and configs together, stepped in any order, against what the contract's section 6 says of them.

Versions and base paths come and go, configs and labels change, loads fail and end in any order, calls hold what they
found; messages between the pieces wait as long as hypothesis likes.
"""

from __future__ import annotations

import collections
import copy
import logging
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from servable.config.models import All, Latest, ModelConfig, Specific
from servable.errors import DataLoss, FailedPrecondition, NotFound
from servable.lifecycle.version import State
from servable.management.served_models import ServedModels
from servable.sources import Listing, Source, Version, select_versions
from tests.lifecycle.stepping import Bench

pytestmark = pytest.mark.behaviour("6.5", "all of 6.3 to 6.5 in any order of events")

NAMES, BASES, NUMBERS = st.sampled_from("mn"), st.sampled_from(["/x", "/y"]), st.integers(1, 3)
POLICIES = st.sampled_from([Latest(1), Latest(2), All(), Specific((1, 3)), Specific(())])
LABELS = st.dictionaries(st.sampled_from(["stable", "canary"]), NUMBERS, max_size=2)
CONFIGS = st.dictionaries(NAMES, st.tuples(BASES, POLICIES, LABELS)).map(
    lambda models: [ModelConfig(name, *parts) for name, parts in models.items()]
)
WHICH = st.integers(0, 5)
RETRY_INTERVAL_S = 10


class AnyOrder(RuleBasedStateMachine):
    """The rules are what may happen; the invariants hold after each."""

    def __init__(self):
        super().__init__()
        # What is logged is tested elsewhere; here it would be most of the time.
        logging.disable()
        self.there = {"/x": {1}, "/y": {1, 2}}
        self.source_tasks, self.calls, self.changes = [], [], []
        self.config = []
        # What the manager was last asked to serve, and how often each load failed since its version is wanted.
        self.wanted = collections.defaultdict(dict)
        self.failures = collections.Counter()
        self.served_before, self.seen = set(), set()

    @initialize(threads=st.integers(1, 3), retries=st.integers(0, 2), free_labels=st.booleans())
    def begin(self, threads, retries, free_labels):
        self.bench = Bench(threads=threads, max_retries=retries, retry_interval_s=RETRY_INTERVAL_S)
        self.tries, self.free_labels = 1 + retries, free_labels
        self.source = Source(self.post_aspire, 1, self.list_versions)
        self.source.turn(0)
        self.served = ServedModels(self.watch, self.bench.monitor, self.bench.router, free_labels=free_labels)

        # Most of what is of interest happens to models that already serve.
        self.reload([ModelConfig("m", "/x"), ModelConfig("n", "/y", All())])
        self.take_messages()
        self.end_all_loads()

    # The seams between the pieces.

    def list_versions(self, name, base_path):
        if self.there[base_path] is None:
            raise NotFound("gone")
        return Listing([Version(number, Path(base_path, str(number))) for number in sorted(self.there[base_path])])

    def watch(self, models):
        looked = Future()
        self.source_tasks.append(lambda: looked.set_result(self.source.watch(models)))
        return looked

    def post_aspire(self, name, paths):
        self.bench.workers.post(partial(self.aspire, name, dict(paths)))

    def aspire(self, name, paths):
        loading = {(version.servable_id.name, version.path) for version in self.bench.manager._load_begun_s}
        for path in set(paths.values()) - set(self.wanted[name].values()):
            # A load under way goes on; anything else begins a new life.
            if (name, path) not in loading:
                self.failures[name, path] = 0
        self.wanted[name] = paths
        if not paths:
            self.served_before.discard(name)
        self.bench.manager.aspire(name, paths)

    # What may happen.

    @rule(base=BASES, number=NUMBERS)
    def appear(self, base, number):
        self.there[base] = (self.there[base] or set()) | {number}

    @rule(base=BASES, number=NUMBERS)
    def vanish(self, base, number):
        self.there[base] = (self.there[base] or set()) - {number}

    @rule(base=BASES)
    def lose_base_path(self, base):
        self.there[base] = None

    @rule(base=BASES, number=NUMBERS)
    def break_or_repair(self, base, number):
        errors, path = self.bench.loader.errors, Path(base, str(number))
        if errors.pop(path, None) is None:
            errors[path] = DataLoss("cut")

    @rule()
    def poll(self):
        self.source_tasks.append(lambda: self.source.turn(self.source._next_poll_s))

    @precondition(lambda self: self.source_tasks)
    @rule()
    def step_source(self):
        self.source_tasks.pop(0)()

    @precondition(lambda self: self.bench.workers.posted)
    @rule()
    def step_manager(self):
        self.bench.workers.posted.pop(0)()
        self.bench.manager.run()

    @rule()
    def take_messages(self):
        while self.source_tasks:
            self.step_source()
        while self.bench.workers.posted:
            self.step_manager()

    @rule()
    def poll_and_take_messages(self):
        self.poll()
        self.take_messages()

    @precondition(lambda self: self.bench.workers.loads)
    @rule()
    def end_all_loads(self):
        while self.bench.workers.loads:
            self.end_load(0)
            self.take_messages()

    @precondition(lambda self: self.bench.workers.loads)
    @rule(which=WHICH)
    def end_load(self, which):
        loads = self.bench.workers.loads
        servable, job = loads.pop(which % len(loads))
        job()
        path = self.bench.loader.asked[-1]
        self.failures[servable.name, path] += path in self.bench.loader.errors

    @precondition(lambda self: self.bench.workers.unloads)
    @rule(which=WHICH)
    def end_unload(self, which):
        unloads = self.bench.workers.unloads
        unloads.pop(which % len(unloads))()

    @rule(seconds=st.sampled_from([1, RETRY_INTERVAL_S, 61]))
    def pass_time(self, seconds):
        self.bench.pass_time(seconds)

    @rule(name=NAMES, which=WHICH)
    def begin_call(self, name, which):
        handles = list(self.bench.router.routes.of(name))
        if handles:
            self.calls.append(handles[which % len(handles)])

    @precondition(lambda self: self.calls)
    @rule(which=WHICH)
    def end_call(self, which):
        self.calls.pop(which % len(self.calls))

    @rule(config=CONFIGS)
    def reload(self, config):
        labels, names = copy.deepcopy(self.bench.router.routes.labels), list(self.served.names)
        may = all(
            self.may_assign(model.name, label, version, labels or {})
            for model in config
            for label, version in model.labels.items()
        )
        if not may:
            with pytest.raises(FailedPrecondition):
                self.served.apply(config)
            assert (self.bench.router.routes.labels, list(self.served.names)) == (labels, names)
            return
        self.changes.append(self.served.apply(config))
        self.config = config
        assert self.bench.router.routes.labels == {model.name: dict(model.labels) for model in config}
        assert self.changes[-1].new_names == [model.name for model in config if model.name not in names]

    def may_assign(self, name, label, version, labels):
        """Section 6.3. What serves is what is routed."""
        if version in self.bench.routed(name):
            return True
        return self.free_labels and labels.get(name, {}).get(label) in (None, version)

    # What holds after each of these.

    @invariant()
    def what_is_routed_and_what_is_held_is_open(self):
        held = [*self.bench.router.routes, *self.calls]
        assert all(handle.servable.times_closed == 0 for handle in held)

    @invariant()
    def what_serves_is_available_and_nothing_else_is(self):
        for name in "mn":
            known = self.bench.monitor.versions(name)
            available = [number for number in known if known[number].state is State.AVAILABLE]
            assert sorted(available) == self.bench.routed(name)

    @invariant()
    def an_error_is_final_only_after_all_tries(self):
        for name in "mn":
            for number, known in self.bench.monitor.versions(name).items():
                path = self.wanted[name].get(number)
                if known.state is State.END and path is not None:
                    assert isinstance(known.error, DataLoss)
                    assert self.failures[name, path] == self.tries

    @invariant()
    def nothing_is_forgotten(self):
        seen = {(name, number) for name in "mn" for number in self.bench.monitor.versions(name)}
        assert seen >= self.seen
        self.seen = seen

    @invariant()
    def a_model_that_served_serves_as_long_as_anything_of_it_is_wanted(self):
        serving = {name for name in "mn" if self.bench.routed(name)}
        assert {name for name in self.served_before if self.wanted[name]} <= serving
        self.served_before = serving

    @invariant()
    def no_more_loads_run_than_there_are_threads(self):
        since_s = self.bench.clock.now_s - 60
        begun = self.bench.manager._load_begun_s.values()
        assert sum(begun_s > since_s for begun_s in begun) <= self.bench.manager.settings.threads

    @invariant()
    def no_servable_is_lost(self):
        workers = self.bench.workers
        if not (workers.posted or workers.unloads or self.calls):
            routed = [handle.servable for handle in self.bench.router.routes]
            for servable in self.bench.loader.servables:
                assert servable.times_closed == (0 if any(servable is other for other in routed) else 1)

    # What is reached when no event is left.

    def teardown(self):
        try:
            self.end()
        finally:
            logging.disable(logging.NOTSET)

    def end(self):
        self.poll()
        self.calls.clear()
        self.come_to_rest()
        for name in "mn":
            self.check_what_serves(name)
        self.check_what_was_waited_for()

    def come_to_rest(self):
        workers, due_s = self.bench.workers, 0
        while self.source_tasks or workers.posted or workers.loads or workers.unloads or due_s is not None:
            for queue, step in [
                (self.source_tasks, self.step_source),
                (workers.posted, self.step_manager),
                (workers.loads, lambda: self.end_load(0)),
                (workers.unloads, lambda: self.end_unload(0)),
            ]:
                while queue:
                    step()
            due_s = self.bench.pass_time(RETRY_INTERVAL_S)
            self.what_is_routed_and_what_is_held_is_open()
            self.what_serves_is_available_and_nothing_else_is()
            self.a_model_that_served_serves_as_long_as_anything_of_it_is_wanted()
            self.an_error_is_final_only_after_all_tries()
            self.no_servable_is_lost()

    def check_what_serves(self, name):
        configured = {model.name: model for model in self.config}
        wanted = self.wanted[name]
        if name not in configured:
            assert wanted == {}
        elif self.there[configured[name].base_path] is not None:
            chosen = select_versions(
                self.list_versions(name, configured[name].base_path).versions, configured[name].version_policy
            )
            assert wanted == {version.number: version.path for version in chosen}
        sound = {number: path for number, path in wanted.items() if self.failures[name, path] < self.tries}
        served = {handle.version: handle.servable.path for handle in self.bench.router.routes.of(name)}
        if sound or not wanted:
            assert served == sound
        else:
            # All that is wanted has failed: the last that served may go on.
            assert len(served) <= 1

    def check_what_was_waited_for(self):
        configured = {model.name for model in self.config}
        for change in self.changes:
            change.progress.stop_waiting_for(change.problems.result(0))
            left = change.progress.pending()
            assert {name for name in left if name not in configured or self.wanted[name]} == set()
            change.progress.stop()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=80,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
