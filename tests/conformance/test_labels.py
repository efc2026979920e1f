"""Version labels over a socket: where they are set, when they may be set, and how long they stay (section 6.3)."""

import pytest

from servable.errors import FailedPrecondition
from tests.conformance.calls import FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND
from tests.conformance.operating import model, operate, put, remove

BOTH = "specific { versions: 1 versions: 2 }"


def may_not_be_set(version, name="m"):
    return (
        FAILED_PRECONDITION,
        f"Request to assign label to version {version} of model {name}, which is not currently available for inference",
    )


def unrecognized(label):
    return INVALID_ARGUMENT, f"Unrecognized servable version label: {label}"


def not_found(version, name="m"):
    return NOT_FOUND, f"Servable not found for request: Specific({name}, {version})"


@pytest.fixture(params=[False, True], ids=["by default", "with the flag"])
def free(request):
    """Whether --allow_version_labels_for_unavailable_models is set."""
    return request.param


@pytest.fixture
def server(tmp_path, free):
    """A server of the versions 1 and 2 of `m`, without labels."""
    for number in (1, 2):
        put(tmp_path / "m", number)
    flags = {"allow_version_labels_for_unavailable_models": free}
    with operate(tmp_path, model("m", tmp_path / "m", BOTH), **flags) as server:
        server.await_states("m", {2: "AVAILABLE", 1: "AVAILABLE"})
        yield server


@pytest.fixture
def label(server, tmp_path):
    """Reloads with labels of `m`; `versions` is its policy."""

    def label(versions=BOTH, **labels):
        return server.reload(model("m", tmp_path / "m", versions, labels))

    return label


@pytest.fixture
def refused(server, tmp_path):
    """Reloads with labels of `m` that must be refused."""
    return lambda versions=BOTH, **labels: server.refused_reload(model("m", tmp_path / "m", versions, labels))


# Whatever the flag.


@pytest.mark.behaviour("1.3", "labels come from the model config")
@pytest.mark.behaviour(
    "6.3", "labels are swapped with every config, several may share a version, those left out are gone"
)
@pytest.mark.behaviour("13.14", "270 ModelSpecMultipleVersionsAvailable")
def test_a_label_answers_with_its_version_and_several_may_share_one(server, label):
    label(stable=1, canary=2, latest=2)
    assert [server.version("m", label=each) for each in ("stable", "canary", "latest")] == [1, 2, 2]


@pytest.mark.behaviour("6.3", "stable and canary have no meaning of their own")
@pytest.mark.behaviour("13.14", "270 ModelSpecMultipleVersionsAvailable")
@pytest.mark.parametrize("name", ["stable", "canary", "Stable", ""])
def test_no_label_means_anything_by_itself(server, name):
    assert server.refused_call("m", label=name) == unrecognized(name)


@pytest.mark.behaviour(
    "6.3", "labels are swapped with every config, several may share a version, those left out are gone"
)
def test_an_empty_label_is_one_like_any_other(server, tmp_path):
    server.reload(model("m", tmp_path / "m", BOTH, {"": 1}))
    assert server.version("m", label="") == 1
    assert server.version("m") == 2


@pytest.mark.behaviour(
    "6.3", "labels are swapped with every config, several may share a version, those left out are gone"
)
def test_a_label_moves_to_another_version_that_serves(server, label):
    label(stable=1)
    label(stable=2)
    assert server.version("m", label="stable") == 2


@pytest.mark.behaviour("4.2", "the list replaces models, policies and labels")
@pytest.mark.behaviour(
    "6.3", "labels are swapped with every config, several may share a version, those left out are gone"
)
def test_a_label_that_is_left_out_of_the_next_config_is_gone(server, label):
    label(stable=1, canary=2)
    label(canary=2)
    assert server.refused_call("m", label="stable") == unrecognized("stable")
    assert server.version("m", label="canary") == 2
    label()
    assert server.refused_call("m", label="canary") == unrecognized("canary")


@pytest.mark.behaviour("1.3", "step 3b: an applied config of no models knows labels, and so says step 3")
@pytest.mark.behaviour(
    "6.3", "labels are swapped with every config, several may share a version, those left out are gone"
)
def test_after_an_empty_list_no_label_is_known(server, label):
    label(stable=1)
    server.reload()
    assert server.refused_call("m", label="stable") == unrecognized("stable")


@pytest.mark.behaviour("6.3", "with the flag and without, a label moves to an AVAILABLE version only")
@pytest.mark.behaviour("13.14", "271 to 273, labels of unavailable versions")
def test_a_label_that_is_set_may_not_move_to_a_version_that_does_not_serve(server, label, refused):
    label(stable=1)
    assert refused(stable=3) == may_not_be_set(3)
    assert server.version("m", label="stable") == 1


@pytest.mark.behaviour("4.2", "a label error is FAILED_PRECONDITION; ours: nothing has changed")
@pytest.mark.behaviour("6.3", "one bad label rejects the whole config")
def test_one_label_that_may_not_be_set_refuses_the_whole_config(server, label, refused, tmp_path):
    label(stable=1, canary=2)
    put(tmp_path / "new", 1)
    models = [
        model("new", tmp_path / "new"),
        model("m", tmp_path / "m", "specific { versions: 1 }", {"stable": 1, "canary": 3}),
    ]
    assert server.refused_reload(*models) == may_not_be_set(3)
    assert [server.version("m", label=each) for each in ("stable", "canary")] == [1, 2]
    assert server.states("m") == {2: "AVAILABLE", 1: "AVAILABLE"}
    assert server.states("new") == {}


@pytest.mark.behaviour(
    "6.3", "labels are swapped with every config, several may share a version, those left out are gone"
)
def test_labels_are_each_model_s_own(server, tmp_path):
    put(tmp_path / "other", 2)
    server.reload(model("m", tmp_path / "m", BOTH, {"stable": 1}), model("other", tmp_path / "other"))
    assert server.refused_call("other", label="stable") == unrecognized("stable")


@pytest.mark.behaviour("6.3", "a label whose version is unloaded stays, and is not found")
def test_a_label_stays_when_its_version_leaves_and_answers_again_when_it_is_back(server, label, tmp_path):
    label(stable=1)
    remove(tmp_path / "m" / "1")
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    assert server.refused_call("m", label="stable") == not_found(1)
    put(tmp_path / "m", 1, answer=10)
    server.await_states("m", {2: "AVAILABLE", 1: "AVAILABLE"})
    assert server.answer("m", label="stable") == 10


@pytest.mark.behaviour("6.3", "a label whose version is unloaded stays, and is not found")
def test_a_label_may_name_a_version_that_the_same_config_lets_go(server, label):
    label("specific { versions: 2 }", stable=1)
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    assert server.refused_call("m", label="stable") == not_found(1)


# By default.

by_default = pytest.mark.parametrize("free", [False], indirect=True)
with_the_flag = pytest.mark.parametrize("free", [True], indirect=True)


@pytest.mark.behaviour("6.3", "a label needs a version that is AVAILABLE before the models of its config load")
@pytest.mark.behaviour("13.14", "271 to 273, labels of unavailable versions")
@by_default
@pytest.mark.parametrize("version", [3, 0, -1])
def test_a_label_needs_a_version_that_serves(server, refused, version):
    assert refused(stable=version) == may_not_be_set(version)
    assert server.refused_call("m", label="stable") == unrecognized("stable")


@pytest.mark.behaviour("6.3", "a label needs a version that is AVAILABLE before the models of its config load")
@by_default
def test_a_label_needs_its_version_before_the_models_of_its_config_load(server, label, tmp_path):
    put(tmp_path / "new", 1)
    models = [model("m", tmp_path / "m", BOTH), model("new", tmp_path / "new", labels={"stable": 1})]
    assert server.refused_reload(*models) == may_not_be_set(1, "new")
    server.reload(models[0], model("new", tmp_path / "new"))
    server.reload(*models)
    assert server.version("new", label="stable") == 1


@pytest.mark.behaviour("6.3", "a label needs a version that is AVAILABLE before the models of its config load")
@by_default
def test_a_label_whose_version_has_left_may_not_be_set_again(server, label, refused):
    label(stable=1)
    label("specific { versions: 2 }", stable=1)
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    assert refused("specific { versions: 2 }", stable=1) == may_not_be_set(1)


@pytest.mark.behaviour("6.3", "a label needs a version that is AVAILABLE before the models of its config load")
@by_default
def test_a_label_of_a_version_that_failed_may_not_be_set(server, refused, tmp_path):
    path = put(tmp_path / "m", 3)
    (path / "answer").unlink()
    server.reload(model("m", tmp_path / "m", "all {}"))
    server.await_states("m", {3: ("END", 5, f"no answer in {path}"), 2: "AVAILABLE", 1: "AVAILABLE"})
    assert refused("all {}", stable=3) == may_not_be_set(3)


@pytest.mark.behaviour("6.3", "labels in the config of the start fail it, but with the flag")
def test_labels_in_the_config_of_the_start_end_the_start(tmp_path):
    put(tmp_path / "m", 1)
    with pytest.raises(FailedPrecondition) as caught, operate(tmp_path, model("m", tmp_path / "m", labels={"a": 1})):
        pass
    assert caught.value.message == may_not_be_set(1)[1]


# With --allow_version_labels_for_unavailable_models.


@pytest.mark.behaviour("1.3", "labels come from the model config")
@pytest.mark.behaviour("5", "--allow_version_labels_for_unavailable_models")
@pytest.mark.behaviour("6.3", "labels in the config of the start fail it, but with the flag")
def test_with_the_flag_labels_may_stand_in_the_config_of_the_start(tmp_path):
    put(tmp_path / "m", 1)
    config = model("m", tmp_path / "m", labels={"stable": 1, "next": 2})
    with operate(tmp_path, config, allow_version_labels_for_unavailable_models=True) as server:
        assert server.version("m", label="stable") == 1
        assert server.refused_call("m", label="next") == not_found(2)


@pytest.mark.behaviour("5", "--allow_version_labels_for_unavailable_models")
@pytest.mark.behaviour("6.3", "with the flag a new label, or one that stays, may name a version that is not AVAILABLE")
@pytest.mark.behaviour("13.14", "271 to 273, labels of unavailable versions")
@with_the_flag
def test_a_new_label_may_name_a_version_that_comes_later(server, label, tmp_path):
    label("all {}", canary=3)
    assert server.refused_call("m", label="canary") == not_found(3)
    put(tmp_path / "m", 3)
    server.await_states("m", {3: "AVAILABLE", 2: "AVAILABLE", 1: "AVAILABLE"})
    assert server.version("m", label="canary") == 3


@pytest.mark.behaviour("6.3", "with the flag a new label, or one that stays, may name a version that is not AVAILABLE")
@with_the_flag
def test_a_label_may_stay_at_a_version_that_does_not_serve(server, label):
    label(canary=3)
    label(canary=3, stable=1)
    assert server.refused_call("m", label="canary") == not_found(3)
    assert server.version("m", label="stable") == 1


@pytest.mark.behaviour("6.3", "with the flag and without, a label moves to an AVAILABLE version only")
@with_the_flag
def test_a_label_of_a_version_that_does_not_serve_moves_to_one_that_does_only(server, label, refused):
    label(canary=3)
    assert refused(canary=4) == may_not_be_set(4)
    label(canary=2)
    assert server.version("m", label="canary") == 2
    assert refused(canary=3) == may_not_be_set(3)


@pytest.mark.behaviour("6.3", "with the flag a new label, or one that stays, may name a version that is not AVAILABLE")
@with_the_flag
def test_a_label_that_was_gone_for_one_config_is_new(server, label):
    label(canary=1)
    label()
    label(canary=3)
    assert server.refused_call("m", label="canary") == not_found(3)


@pytest.mark.behaviour("6.3", "with the flag a new label, or one that stays, may name a version that is not AVAILABLE")
@with_the_flag
def test_a_label_of_a_new_model_may_come_with_it(server, tmp_path):
    put(tmp_path / "new", 7)
    server.reload(model("new", tmp_path / "new", labels={"stable": 7}))
    assert server.version("new", label="stable") == 7
