"""One config after the other: labels, which models are new, and the outcome of waiting for them."""

import threading
from concurrent.futures import Future

import pytest

from servable.config.models import ModelConfig
from servable.errors import DataLoss, DeadlineExceeded, FailedPrecondition, Internal, NotFound, Unknown
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import ServableId, State, VersionState
from servable.management.served_models import ServedModels, wait_until_any_serves, wait_until_settled
from servable.routing import Router

BOUND_S = 30


def model(name="m", **labels):
    return ModelConfig(name, f"/{name}", labels=labels)


def unavailable(version, name="m"):
    return (
        f"Request to assign label to version {version} of model {name}, which is not currently available for inference"
    )


class Served:
    """Models that are served, the configs that the source was handed, and the states that a test publishes."""

    def __init__(self, **settings):
        self.monitor, self.router, self.watched, self.announced = StateMonitor(), Router(), [], []
        self.looked = Future()
        self.looked.set_result({})
        self.models = ServedModels(self._watch, self.monitor, self.router, announce=self.announced.append, **settings)

    def _watch(self, models):
        self.watched.append(models)
        return self.looked

    def will_look(self, problems):
        self.looked = Future()
        self.looked.set_result(problems)

    def apply(self, *models):
        """Apply a config without waiting for its models."""
        self.models.apply(models).progress.stop()

    def refused(self, *models):
        before = self.labels(), self.models.names, len(self.watched)
        with pytest.raises(FailedPrecondition) as caught:
            self.models.apply(models)
        # All or nothing.
        assert (self.labels(), self.models.names, len(self.watched)) == before
        return caught.value.message

    def publish(self, number, *states, name="m", error=None):
        for state in states:
            self.monitor.publish(ServableId(name, number), VersionState(state, error))

    def serve(self, *numbers, name="m"):
        for number in numbers:
            self.publish(number, State.START, State.LOADING, State.AVAILABLE, name=name)

    def fail(self, number=1, name="m", text="cut"):
        self.publish(number, State.START, State.LOADING, name=name)
        self.publish(number, State.END, name=name, error=DataLoss(text))

    def labels(self):
        return self.router.routes.labels


@pytest.fixture
def served():
    return Served()


@pytest.fixture
def free():
    """Served with --allow_version_labels_for_unavailable_models."""
    return Served(free_labels=True)


# Labels.


def test_before_the_first_config_there_are_no_labels_to_know(served):
    assert served.labels() is None
    served.apply()
    assert served.labels() == {}


@pytest.mark.behaviour("6.3", "the labels are replaced as a whole")
def test_labels_are_those_of_the_last_config_alone(served):
    served.serve(1, 2)
    served.apply(model(stable=1, canary=2, also=2))
    assert served.labels() == {"m": {"stable": 1, "canary": 2, "also": 2}}
    served.apply(model(canary=1))
    assert served.labels() == {"m": {"canary": 1}}
    served.apply(model())
    assert served.labels() == {"m": {}}
    served.apply()
    assert served.labels() == {}


@pytest.mark.behaviour("6.3", "a label needs a version that is AVAILABLE")
@pytest.mark.behaviour("13.14", "271-273 labels of versions that are not available")
@pytest.mark.parametrize("state", [None, State.START, State.LOADING, State.UNLOADING, State.END])
def test_a_label_needs_a_version_that_serves(served, state):
    if state is not None:
        served.publish(1, state)
    assert served.refused(model(stable=1)) == unavailable(1)
    served.serve(1)
    served.apply(model(stable=1))
    assert served.labels() == {"m": {"stable": 1}}


@pytest.mark.behaviour("6.3", "a label needs a version that is AVAILABLE")
def test_a_label_of_the_first_config_is_refused_since_nothing_serves_yet(served):
    assert served.refused(model(stable=1)) == unavailable(1)
    assert served.labels() is None


def test_a_version_of_another_model_does_not_count(served):
    served.serve(1, name="other")
    assert served.refused(model(stable=1)) == unavailable(1)


@pytest.mark.behaviour("6.3", "one bad label refuses the whole config; ours: the stored config stays too")
def test_one_bad_label_refuses_the_whole_config(served):
    served.serve(1)
    served.serve(1, name="n")
    served.apply(model(stable=1))
    assert served.refused(model(stable=1, canary=9), model("n", stable=1), model("new")) == unavailable(9)
    assert served.refused(model("n", stable=1), model(stable=1, canary=9)) == unavailable(9)
    assert served.announced == ["m"]


def test_a_label_that_is_refused_is_named_in_the_hints(served):
    with pytest.raises(FailedPrecondition) as caught:
        served.models.apply([model(canary=9)])
    assert caught.value.hints == {"label": "canary"}


@pytest.mark.behaviour("6.3", "a label of a version that left stands")
def test_a_label_of_a_removed_version_stays_but_cannot_be_set_again(served):
    served.serve(1, 2)
    served.apply(model(stable=1))
    served.publish(1, State.UNLOADING, State.END)
    assert served.labels() == {"m": {"stable": 1}}
    assert served.refused(model(stable=1)) == unavailable(1)
    served.apply(model(stable=2))
    assert served.labels() == {"m": {"stable": 2}}


@pytest.mark.behaviour("6.3", "--allow_version_labels_for_unavailable_models")
@pytest.mark.parametrize("state", [None, State.START, State.LOADING, State.UNLOADING, State.END])
def test_with_the_flag_a_new_label_may_name_a_version_that_does_not_serve(free, state):
    if state is not None:
        free.publish(1, state)
    free.apply(model(stable=1))
    assert free.labels() == {"m": {"stable": 1}}


@pytest.mark.behaviour("6.3", "--allow_version_labels_for_unavailable_models")
def test_with_the_flag_a_label_may_keep_a_version_that_does_not_serve(free):
    free.apply(model(stable=1))
    free.apply(model(stable=1, canary=7))
    assert free.labels() == {"m": {"stable": 1, "canary": 7}}


@pytest.mark.behaviour("6.3", "--allow_version_labels_for_unavailable_models")
@pytest.mark.behaviour("13.14", "271-273 labels of versions that are not available")
def test_with_the_flag_a_label_still_moves_only_to_a_version_that_serves(free):
    free.serve(1, 2)
    free.apply(model(stable=1))
    assert free.refused(model(stable=9)) == unavailable(9)
    free.apply(model(stable=2))
    assert free.labels() == {"m": {"stable": 2}}


def test_with_the_flag_a_label_that_was_left_out_is_new_again(free):
    free.serve(1)
    free.apply(model(stable=1))
    free.apply(model())
    free.apply(model(stable=9))
    assert free.labels() == {"m": {"stable": 9}}


def test_with_the_flag_another_model_s_label_of_that_name_does_not_count(free):
    free.apply(model(stable=1))
    free.apply(model(stable=1), model("n", stable=9))
    assert free.labels() == {"m": {"stable": 1}, "n": {"stable": 9}}


# What is new.


def test_the_source_is_handed_every_config_whole(served):
    configs = [[model()], [model(), model("n")], []]
    for config in configs:
        served.models.apply(config).progress.stop()
    assert served.watched == configs
    assert list(served.models.names) == []


def test_what_was_not_in_the_config_before_is_new(served):
    changes = [served.models.apply([model(name) for name in names]) for names in ("ab", "bca", "a", "ba")]
    assert [list(change.new_names) for change in changes] == [["a", "b"], ["c"], [], ["b"]]
    assert [change.is_first for change in changes] == [True, False, False, False]
    assert served.announced == ["a", "b", "c", "b"]


def test_an_empty_first_config_is_the_first_all_the_same(served):
    assert served.models.apply([]).is_first
    assert not served.models.apply([model()]).is_first


def test_new_models_are_announced_and_labels_swapped_before_the_source_looks(served):
    served.serve(1)
    seen = []
    served.models._watch = lambda models: seen.append((list(served.announced), served.labels())) or served.looked
    served.apply(model(stable=1))
    assert seen == [(["m"], {"m": {"stable": 1}})]


def test_what_settles_while_the_source_looks_is_not_missed(served):
    def watch(models):
        served.serve(1)
        return served.looked

    served.models._watch = watch
    wait_until_settled(served.models.apply([model()]), 0)


def test_configs_are_applied_one_after_the_other(served):
    served.serve(*range(20), name="a")
    served.serve(*range(20), name="b")
    torn = []

    def watch(models):
        # No other config may have swapped labels between these and the source.
        torn.append(served.labels() != {model.name: dict(model.labels) for model in models})
        return served.looked

    served.models._watch = watch
    configs = [[model("a", x=number), model("b", x=number)] for number in range(20)]
    threads = [threading.Thread(target=served.apply, args=config) for config in configs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_S)
    assert torn == [False] * 20


# Waiting for a reload.


def reload(served, *names, problems=None, first=False):
    """A change that these models are new in."""
    if not first:
        served.apply()
    served.will_look(problems or {})
    return served.models.apply([model(name) for name in names])


def refusal(change, kind=Unknown, timeout_s=None):
    with pytest.raises(kind) as caught:
        wait_until_settled(change, timeout_s)
    return caught.value.message


def test_a_config_without_new_models_is_not_waited_for(served):
    served.apply(model())
    wait_until_settled(served.models.apply([model()]), None)
    wait_until_settled(served.models.apply([]), None)


def test_a_reload_is_over_when_every_new_model_serves(served):
    change = reload(served, "a", "b")
    served.serve(1, name="a")
    served.serve(1, name="b")
    wait_until_settled(change, None)


def test_a_reload_waits_on_another_thread_until_the_model_is_there(served):
    change, ended = reload(served, "m"), threading.Event()
    threading.Thread(target=lambda: (wait_until_settled(change, None), ended.set()), daemon=True).start()
    served.publish(1, State.START, State.LOADING)
    assert not ended.is_set()
    served.publish(1, State.AVAILABLE)
    assert ended.wait(BOUND_S)


@pytest.mark.behaviour("4.2", "a new model that fails is UNKNOWN with its error")
def test_a_model_that_cannot_load_is_named_with_its_error(served):
    change = reload(served, "m")
    served.fail(7)
    assert refusal(change) == (
        "1 model(s) did not become available: {{{name: m version: 7} due to error: DATA_LOSS: cut}, }"
    )


@pytest.mark.behaviour("4.2", "a new model that fails is UNKNOWN with its error")
def test_in_the_first_config_models_are_called_servables(served):
    change = reload(served, "m", first=True)
    served.fail(7)
    assert refusal(change) == (
        "1 servable(s) did not become available: {{{name: m version: 7} due to error: DATA_LOSS: cut}, }"
    )


@pytest.mark.behaviour("4.2", "a new model that fails is UNKNOWN with its error")
def test_all_that_failed_are_named_in_the_order_of_the_config_and_no_other(served):
    change = reload(served, "b", "good", "a")
    served.fail(1, "a", text="first")
    served.serve(1, name="good")
    served.fail(2, "b", text="second")
    assert refusal(change) == (
        "2 model(s) did not become available: {{{name: b version: 2} due to error: DATA_LOSS: second}, "
        "{{name: a version: 1} due to error: DATA_LOSS: first}, }"
    )


@pytest.mark.behaviour("4.2", "the highest version that serves or has ended decides")
def test_the_highest_version_that_ended_decides_though_a_lower_one_serves(served):
    change = reload(served, "m")
    served.fail(2)
    served.serve(1)
    assert refusal(change).endswith("{{{name: m version: 2} due to error: DATA_LOSS: cut}, }")


@pytest.mark.behaviour("4.2", "ours: a missing base path, or none that lists a version, ends the wait with its error")
def test_a_model_whose_base_path_fails_is_not_waited_for(served):
    change = reload(served, "a", "b", problems={"b": NotFound("gone")})
    served.serve(1, name="a")
    assert refusal(change) == "1 model(s) did not become available: {{b due to error: NOT_FOUND: gone}, }"


def test_a_model_whose_base_path_fails_ends_no_wait_for_the_others(served):
    change = reload(served, "a", "b", problems={"b": NotFound("gone")})
    assert refusal(change, DeadlineExceeded, 0) == (
        "The config is applied, and goes on to load what is missing: "
        "{{a due to error: UNAVAILABLE: it is still loading}, }"
    )


@pytest.mark.behaviour("4.2", "ours: the caller's deadline ends the wait, and the config stays applied")
def test_when_the_time_is_over_the_error_says_what_is_missing_and_why(served):
    change = reload(served, "loading", "there", "retried")
    served.publish(1, State.START, State.LOADING, name="loading")
    served.serve(1, name="there")
    served.publish(3, State.LOADING, name="retried", error=DataLoss("cut"))
    assert refusal(change, DeadlineExceeded, 0) == (
        "The config is applied, and goes on to load what is missing: "
        "{{loading due to error: UNAVAILABLE: it is still loading}, "
        "{{name: retried version: 3} due to error: DATA_LOSS: cut}, }"
    )
    assert list(served.models.names) == ["loading", "there", "retried"]


@pytest.mark.behaviour("4.2", "ours: the caller's deadline ends the wait, and the config stays applied")
@pytest.mark.parametrize("timeout_s", [0, -5, 0.01])
def test_the_time_also_ends_a_look_that_hangs(served, timeout_s):
    served.apply()
    served.looked = Future()
    change = served.models.apply([model("a"), model("b")])
    assert refusal(change, DeadlineExceeded, timeout_s) == (
        "The config is applied, and goes on to load what is missing: "
        "{{a due to error: UNAVAILABLE: it is still loading}, {b due to error: UNAVAILABLE: it is still loading}, }"
    )


@pytest.mark.behaviour("4.2", "ours: a reload that waits holds up no other")
def test_a_reload_that_waits_holds_up_no_other(served):
    waiting = reload(served, "stuck")
    wait_until_settled(served.models.apply([]), 0)
    another = served.models.apply([model("m")])
    served.serve(1)
    wait_until_settled(another, 0)
    waiting.progress.stop()


@pytest.mark.parametrize("how", ["serves", "failed", "late", "look failed"])
def test_however_a_wait_ends_its_listener_is_removed(served, how):
    served.apply()
    served.looked = Future()
    if how == "look failed":
        served.looked.set_exception(Internal("odd"))
    else:
        served.looked.set_result({})
    change = served.models.apply([model()])
    if how == "serves":
        served.serve(1)
        wait_until_settled(change, 0)
    elif how == "failed":
        served.fail()
        refusal(change, Unknown, 0)
    else:
        refusal(change, Internal if how == "look failed" else DeadlineExceeded, 0)
    assert served.monitor._listeners == []


# Waiting for the first models.


def test_the_server_starts_when_all_serve(served):
    change = reload(served, "a", "b", first=True)
    served.serve(1, name="a")
    served.serve(1, name="b")
    assert list(wait_until_any_serves(change)) == []
    assert served.monitor._listeners == []


def test_the_server_starts_without_those_that_failed_if_one_serves(served):
    change = reload(served, "good", "failed", "retried", "gone", first=True, problems={"gone": NotFound("gone")})
    served.serve(1, name="good")
    served.fail(1, "failed")
    served.publish(1, State.LOADING, name="retried", error=DataLoss("cut"))
    assert list(wait_until_any_serves(change)) == ["failed", "retried", "gone"]


def test_a_model_serves_with_any_of_its_versions(served):
    change = reload(served, "m", first=True)
    served.fail(2)
    served.serve(1)
    assert list(wait_until_any_serves(change)) == []


def test_the_server_does_not_start_if_none_serves(served):
    change = reload(served, "a", "b", first=True, problems={"b": NotFound("gone")})
    served.fail(1, "a")
    with pytest.raises(Unknown) as caught:
        wait_until_any_serves(change)
    assert caught.value.message == (
        "2 servable(s) did not become available: {{{name: a version: 1} due to error: DATA_LOSS: cut}, "
        "{b due to error: NOT_FOUND: gone}, }"
    )


def test_a_server_of_no_models_starts(served):
    assert list(wait_until_any_serves(reload(served, first=True))) == []


@pytest.mark.behaviour("4.2", "ours: a wait for a model that another reload removes ends")
def test_a_wait_for_a_model_ends_when_another_config_removes_it(served):
    # Its old version is still on its way out, so that a new one has not even begun.
    waiting = reload(served, "m", "n")
    served.apply(model("n"))
    served.serve(1, name="n")
    assert refusal(waiting, Unknown, 0) == (
        "1 model(s) did not become available: {{m due to error: UNAVAILABLE: a later config removed it}, }"
    )


# What the log says.


def test_a_config_is_one_line_and_one_that_changes_nothing_is_none(served, caplog):
    caplog.set_level("INFO", "servable.management.served_models")
    served.apply(model("a"), model("b"))
    served.apply(model("a"), model("b"))
    served.apply(model("b"), *(model(str(number)) for number in range(12)))
    assert caplog.messages == [
        "config applied: added a, b",
        "config applied: added 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more; removed a",
    ]
    assert caplog.records[-1].fields == {"added": 12, "removed": 1, "changed": 0}


def test_a_label_that_changes_is_one_line(served, caplog):
    served.serve(1, 2)
    served.apply(model(stable=1))
    caplog.set_level("INFO", "servable.management.served_models")
    served.apply(model(stable=1, canary=2))
    served.apply(model(stable=2))
    labels = [record for record in caplog.records if "label" in record.fields]
    assert [record.getMessage() for record in labels] == [
        "label canary of m stands for version 2",
        "label canary of m is removed",
        "label stable of m stands for version 2",
    ]
    assert labels[-1].fields == {"model": "m", "label": "stable", "version": 2, "earlier_version": 1}
