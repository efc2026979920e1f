"""Versions that appear, change, disappear and fail, over a socket: sections 6.4 and 6.5, and their suites of 13.14."""

import pytest

from tests.conformance.calls import NOT_FOUND, TIMEOUT_S
from tests.conformance.operating import begin_copy, end_copy, eventually, model, operate, put, remove

CANCELLED = ("END", 1, "Loading of servable cancelled")


def missing(path):
    return "END", 5, f"no answer in {path}"


def not_found(*version):
    wanted = f"Specific(m, {version[0]})" if version else "Latest(m)"
    return NOT_FOUND, f"Servable not found for request: {wanted}"


@pytest.fixture
def base(tmp_path):
    """The base path of `m`."""
    return tmp_path / "m"


@pytest.fixture
def beacon(tmp_path):
    """The base path of `beacon`, a model that shows a test that the base paths were polled."""
    put(tmp_path / "beacon", 1)
    return tmp_path / "beacon"


@pytest.fixture
def serve(tmp_path, base, beacon, request):
    """Serves `m` with a policy, and `beacon`."""
    contexts = []

    def serve(policy="", **flags):
        contexts.append(operate(tmp_path, model("m", base, policy), model("beacon", beacon), **flags))
        request.addfinalizer(lambda: contexts[-1].__exit__(None, None, None))
        return contexts[-1].__enter__()

    return serve


@pytest.fixture
def follow(base, beacon):
    """Reloads with another policy of `m`."""
    return lambda server, policy: server.reload(model("m", base, policy), model("beacon", beacon))


# A version appears.


@pytest.mark.behaviour("4.1", "AVAILABLE: in the serving map")
@pytest.mark.behaviour("4.1", "END: unloaded with status OK")
@pytest.mark.behaviour("5", "--file_system_poll_wait_seconds")
@pytest.mark.behaviour("6.4", "polling: at once, then every file_system_poll_wait_seconds")
@pytest.mark.behaviour(
    "6.5", "availability preserving: the old version serves until the new one does, and on if that fails"
)
@pytest.mark.behaviour("12", "Predict: unknown, unloaded version")
def test_a_new_version_takes_the_place_of_the_old_one_once_it_serves(serve, base):
    put(base, 1)
    server = serve()
    new = base / "2"
    held = server.loader.hold_load(new)
    put(base, 2)
    held.await_arrival()
    assert server.states("m") == {2: "LOADING", 1: "AVAILABLE"}
    assert (server.version("m"), server.is_serving("m")) == (1, True)
    assert server.refused_call("m", version=2) == not_found(2)
    held.open()
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    assert (server.version("m"), server.is_serving("m")) == (2, True)
    assert server.refused_call("m", version=1) == not_found(1)
    assert server.loader.servables[base / "1"].closed.is_set()


@pytest.mark.behaviour(
    "6.5", "availability preserving: the old version serves until the new one does, and on if that fails"
)
def test_calls_are_answered_all_the_while_a_version_takes_the_place_of_another(serve, base):
    put(base, 1)
    server = serve()
    for number in range(2, 8):
        put(base, number)
        eventually(lambda: server.version("m"), number)


@pytest.mark.behaviour("6.4", "the policies latest, all and specific")
def test_a_lower_version_that_appears_is_not_loaded(serve, base, beacon):
    put(base, 5)
    server = serve()
    put(base, 4)
    server.await_poll(beacon)
    assert server.states("m") == {5: "AVAILABLE"}


@pytest.mark.behaviour("6.4", "a child whose name is an int64 is a version, by absl's rules, file or directory")
@pytest.mark.behaviour("13.14", "291 ParseTimestampedVersion")
def test_a_version_number_of_a_timestamp(serve, base):
    put(base, 20170111173521)
    assert serve().version("m") == 20170111173521


@pytest.mark.behaviour("6.4", "a child whose name is an int64 is a version, by absl's rules, file or directory")
def test_zeros_in_front_do_not_count_and_what_is_no_number_is_passed_over(serve, base):
    for name in ("first", "1.5", "0x10", "1e3", ".hidden"):
        put(base, name, answer=0)
    put(base, "00000123")
    server = serve("all {}")
    assert server.states("m") == {123: "AVAILABLE"}
    assert server.answer("m", version=123) == 123


@pytest.mark.behaviour("6.4", "of two names for one number the last counts, with a warning")
@pytest.mark.behaviour("13.14", "293 DuplicateVersions")
@pytest.mark.parametrize("policy", ["", "all {}", "specific { versions: 1 }"])
def test_of_two_folders_of_one_number_the_last_in_order_counts(serve, base, policy):
    put(base, "1", answer=10)
    put(base, "001", answer=20)
    assert serve(policy).answer("m", version=1) == 10


# A version fails.


@pytest.mark.behaviour("4.1", "a failed load is END with its error")
@pytest.mark.behaviour(
    "6.5", "availability preserving: the old version serves until the new one does, and on if that fails"
)
@pytest.mark.behaviour(
    "6.5", "a failed version is not tried again while it stays aspired, but once it was removed and added again"
)
def test_a_version_that_fails_leaves_the_old_one_serving_and_is_not_tried_again_while_it_stays(serve, base, beacon):
    put(base, 1)
    server = serve()
    bad = begin_copy(base, 2)
    server.await_states("m", {2: missing(bad), 1: "AVAILABLE"})
    end_copy(bad, 2)
    server.await_poll(beacon)
    assert server.states("m") == {2: missing(bad), 1: "AVAILABLE"}
    assert (server.version("m"), server.loader.tries.count(bad)) == (1, 1)


@pytest.mark.behaviour(
    "6.5", "a failed version is not tried again while it stays aspired, but once it was removed and added again"
)
def test_a_version_that_failed_is_tried_again_once_it_went_and_came_back(serve, base, beacon):
    put(base, 1)
    server = serve()
    bad = begin_copy(base, 2)
    server.await_states("m", {2: missing(bad), 1: "AVAILABLE"})
    remove(bad)
    server.await_poll(beacon)
    put(base, 2)
    server.await_states("m", {2: "AVAILABLE", 1: "END"})


@pytest.mark.behaviour("4.1", "LOADING lasts the whole loop of retries")
@pytest.mark.behaviour("5", "--load_retry_interval_micros")
@pytest.mark.behaviour("6.4", "a version is loaded as soon as its folder is there, complete or not")
@pytest.mark.behaviour("6.5", "loads are tried again, as often and as far apart as the flags say")
def test_a_half_copied_version_is_tried_again_and_serves_once_it_is_complete(serve, base):
    put(base, 1)
    server = serve(max_num_load_retries=10**6, load_retry_interval_micros=5000)
    new = begin_copy(base, 2)
    eventually(lambda: server.loader.tries.count(new) > 3, True)
    assert server.states("m") == {2: "LOADING", 1: "AVAILABLE"}
    assert server.version("m") == 1
    end_copy(new, 2)
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    assert server.version("m") == 2


@pytest.mark.behaviour("5", "--max_num_load_retries")
@pytest.mark.behaviour("5", "--load_retry_interval_micros")
@pytest.mark.behaviour("6.5", "loads are tried again, as often and as far apart as the flags say")
@pytest.mark.behaviour("13.14", "loader_harness_test: retries and their end")
def test_a_load_is_tried_as_often_as_the_flag_says(serve, base):
    put(base, 1)
    server = serve(max_num_load_retries=3, load_retry_interval_micros=-1)
    bad = begin_copy(base, 2)
    server.await_states("m", {2: missing(bad), 1: "AVAILABLE"})
    assert server.loader.tries.count(bad) == 4


@pytest.mark.behaviour("4.1", "LOADING lasts the whole loop of retries")
@pytest.mark.behaviour("5", "--load_retry_interval_micros")
@pytest.mark.behaviour(
    "6.5", "tries end when the version is no longer aspired; a load that then succeeds is unloaded, CANCELLED"
)
def test_a_version_that_goes_is_not_tried_any_more(serve, base, beacon):
    put(base, 1)
    server = serve(max_num_load_retries=10**6, load_retry_interval_micros=3600 * 10**6)
    bad = begin_copy(base, 2)
    eventually(lambda: server.loader.tries.count(bad), 1)
    server.await_states("m", {2: "LOADING", 1: "AVAILABLE"})
    bad.rmdir()
    server.await_states("m", {2: missing(bad), 1: "AVAILABLE"})
    put(base, 2)
    server.await_states("m", {2: "AVAILABLE", 1: "END"})


@pytest.mark.behaviour(
    "6.5", "tries end when the version is no longer aspired; a load that then succeeds is unloaded, CANCELLED"
)
def test_a_version_that_goes_while_it_loads_fails_and_holds_up_no_other(serve, base):
    put(base, 1)
    server = serve("all {}")
    held = server.loader.hold_load(base / "2")
    gone = put(base, 2)
    held.await_arrival()
    remove(gone)
    put(base, 3)
    server.await_states("m", {3: "START", 2: "LOADING", 1: "AVAILABLE"})
    held.open()
    server.await_states("m", {3: "AVAILABLE", 2: missing(gone), 1: "AVAILABLE"})


@pytest.mark.behaviour(
    "6.5", "tries end when the version is no longer aspired; a load that then succeeds is unloaded, CANCELLED"
)
def test_a_version_that_a_policy_gives_up_while_it_loads_is_cancelled_and_closed(serve, base, follow):
    put(base, 1)
    server = serve()
    held = server.loader.hold_load(base / "2")
    put(base, 2)
    held.await_arrival()
    follow(server, "specific { versions: 1 }")
    held.open()
    server.await_states("m", {2: CANCELLED, 1: "AVAILABLE"})
    assert server.loader.servables[base / "2"].closed.is_set()
    assert server.version("m") == 1


@pytest.mark.behaviour("6.5", "a file instead of a directory fails in the words of the resource estimate")
def test_a_file_instead_of_a_folder_fails_in_the_words_of_the_original(serve, base):
    put(base, 1)
    server = serve()
    (base / "2").write_text("no folder")
    text = (
        "Error while attempting to reserve resources to load servable {name: m version: 2}: "
        f"{base / '2'}; Not a directory"
    )
    server.await_states("m", {2: ("END", 9, text), 1: "AVAILABLE"})


# A version leaves.


@pytest.mark.behaviour("1.3", "a version that is unloading is not found, one that is still loaded answers")
@pytest.mark.behaviour(
    "6.5", "availability preserving: the old version serves until the new one does, and on if that fails"
)
def test_a_version_that_is_removed_leaves_once_the_one_below_serves(serve, base):
    for number in (1, 2):
        put(base, number)
    server = serve()
    assert server.states("m") == {2: "AVAILABLE"}
    held = server.loader.hold_load(base / "1")
    remove(base / "2")
    held.await_arrival()
    assert server.version("m") == 2
    held.open()
    server.await_states("m", {2: "END", 1: "AVAILABLE"})
    assert server.version("m") == 1


@pytest.mark.behaviour("4.1", "a version that comes back overwrites its entry")
@pytest.mark.behaviour("4.1", "an unload and a removed model are published")
@pytest.mark.behaviour("6.4", "without a numeric child all versions are unloaded")
@pytest.mark.behaviour("6.5", "ours: health of a model follows its versions")
def test_with_the_last_version_the_model_leaves_and_with_a_new_one_it_comes_back(serve, base):
    put(base, 1)
    server = serve()
    remove(base / "1")
    server.await_states("m", {1: "END"})
    assert server.refused_call("m") == not_found()
    assert not server.is_serving("m")
    assert server.is_serving("")
    put(base, 1, answer=10)
    server.await_states("m", {1: "AVAILABLE"})
    assert (server.answer("m"), server.is_serving("m")) == (10, True)


@pytest.mark.behaviour("6.5", "ours: health of a model follows its versions")
def test_who_watches_its_health_hears_of_a_model_that_leaves_and_comes_back_and_of_no_swap(serve, base):
    put(base, 1)
    server = serve()
    watch = server.watch_health("m")
    assert next(watch) is True
    put(base, 2)
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    remove(base / "1")
    remove(base / "2")
    assert next(watch) is False
    put(base, 3)
    assert next(watch) is True
    assert server.version("m") == 3


@pytest.mark.behaviour("6.4", "a folder that is renamed is another version")
@pytest.mark.behaviour("13.14", "292 ServableVersionDirRenamed")
def test_a_version_whose_folder_is_renamed_leaves_and_comes_under_its_new_number(serve, base):
    put(base, 1)
    server = serve()
    (base / "1").rename(base / "7")
    server.await_states("m", {7: "AVAILABLE", 1: "END"})
    assert server.answer("m", version=7) == 1


@pytest.mark.behaviour("4.1", "all versions ever seen, by descending number")
@pytest.mark.behaviour("4.1", "a state is never forgotten")
def test_every_version_of_a_model_that_left_is_remembered(serve, base, beacon):
    for number in (1, 2, 3):
        put(base, number)
    server = serve("all {}")
    server.await_states("m", dict.fromkeys((3, 2, 1), "AVAILABLE"))
    server.reload(model("beacon", beacon))
    server.await_states("m", dict.fromkeys((3, 2, 1), "END"))


# The base path.


@pytest.mark.behaviour("6.4", "a base path that disappears unloads nothing; ours: the other models are still polled")
def test_a_base_path_that_vanishes_changes_nothing_for_any_model_and_is_followed_again_once_it_is_back(
    serve, base, beacon, caplog
):
    put(base, 1)
    server = serve()
    away = base.rename(base.with_name("away"))
    server.await_poll(beacon)
    assert (server.states("m"), server.version("m")) == ({1: "AVAILABLE"}, 1)
    reported = f"FileSystemStoragePathSource encountered a filesystem access error: Could not find base path {base}"
    assert reported in caplog.text
    away.rename(base)
    put(base, 2)
    server.await_states("m", {2: "AVAILABLE", 1: "END"})


@pytest.mark.behaviour("6.4", "a base path that is missing; ours: it holds up no start of others, and alone ends it")
@pytest.mark.behaviour("13.14", "277 NoVersionsAtStartup, 278 FilesAppearAfterStartup")
def test_a_base_path_that_is_missing_at_the_start_is_followed_once_it_is_there(serve, base):
    server = serve()
    assert server.states("m") == {}
    assert server.refused_call("m") == not_found()
    assert not server.is_serving("m")
    put(base, 1)
    server.await_states("m", {1: "AVAILABLE"})
    assert (server.version("m"), server.is_serving("m")) == (1, True)


@pytest.mark.behaviour(
    "6.4", "no numeric child is a warning with advice; ours: it holds up no start of others, and alone ends it"
)
@pytest.mark.behaviour("13.14", "277 NoVersionsAtStartup, 278 FilesAppearAfterStartup")
def test_a_base_path_without_versions_at_the_start_is_followed_once_there_is_one(serve, base):
    base.mkdir()
    server = serve()
    assert not server.is_serving("m")
    put(base, 1)
    server.await_states("m", {1: "AVAILABLE"})


@pytest.mark.behaviour(
    "6.4", "ours: a number that moves to another base path is loaded from there, and takes the place of the old one"
)
@pytest.mark.behaviour("13.14", "251 ReloadConfigChangeModelBasePath")
def test_a_number_that_moves_to_another_base_path_is_another_version(serve, base, beacon, tmp_path):
    put(base, 1)
    put(tmp_path / "moved", 1, answer=10)
    server = serve()
    old = server.loader.servables[base / "1"]
    held = server.loader.hold_load(tmp_path / "moved" / "1")
    server.reload(model("m", tmp_path / "moved"), model("beacon", beacon))
    held.await_arrival()
    assert server.answer("m") == 1
    held.open()
    eventually(lambda: server.answer("m"), 10)
    assert server.states("m") == {1: "AVAILABLE"}
    assert server.is_serving("m")
    assert old.closed.wait(TIMEOUT_S)


@pytest.mark.behaviour(
    "6.4", "ours: a number that moves to another base path is loaded from there, and takes the place of the old one"
)
def test_a_number_that_moves_to_a_base_path_where_it_fails_goes_on_serving(serve, base, beacon, tmp_path):
    put(base, 1)
    (tmp_path / "moved" / "1").mkdir(parents=True)
    server = serve()
    server.reload(model("m", tmp_path / "moved"), model("beacon", beacon))
    eventually(lambda: server.loader.tries.count(tmp_path / "moved" / "1"), 1)
    server.await_poll(beacon)
    assert (server.answer("m"), server.is_serving("m")) == (1, True)
    server.reload(model("m", base), model("beacon", beacon))
    server.await_poll(beacon)
    assert (server.answer("m"), server.states("m")) == (1, {1: "AVAILABLE"})


# The policy.

THREE = "AVAILABLE"


@pytest.mark.behaviour("6.4", "the policies latest, all and specific")
@pytest.mark.behaviour("13.14", "270 ModelSpecMultipleVersionsAvailable")
@pytest.mark.behaviour("13.14", "279 to 281, 285 and 286, several versions and the latest of them")
@pytest.mark.behaviour("13.14", "287 MultipleServables, 288 ChangeSetOfServables, 289 ChangeVersionPolicy")
def test_a_policy_that_changes_is_followed_at_once(serve, base, follow):
    for number in (1, 2, 3):
        put(base, number)
    server = serve()
    steps = [
        ("all {}", {3: THREE, 2: THREE, 1: THREE}),
        ("specific { versions: 1 versions: 3 versions: 9 }", {3: THREE, 2: "END", 1: THREE}),
        ("latest { num_versions: 2 }", {3: THREE, 2: THREE, 1: "END"}),
        ("latest { num_versions: 0 }", {3: THREE, 2: "END", 1: "END"}),
        ("specific { versions: 2 }", {3: "END", 2: THREE, 1: "END"}),
        ("latest {}", {3: THREE, 2: "END", 1: "END"}),
    ]
    assert server.states("m") == {3: THREE}
    for policy, states in steps:
        follow(server, policy)
        server.await_states("m", states)
        served = [number for number, state in states.items() if state == THREE]
        assert server.version("m") == max(served)
        assert [server.version("m", version=number) for number in served] == served


@pytest.mark.behaviour("6.4", "specific without a version serves nothing, with a warning")
@pytest.mark.behaviour("13.14", "282 to 284, specific versions")
def test_a_specific_policy_that_names_no_version_unloads_the_model(serve, base, follow, caplog):
    put(base, 1)
    server = serve()
    follow(server, "specific {}")
    server.await_states("m", {1: "END"})
    assert not server.is_serving("m")
    assert "The version policy of servable m names no specific version, so nothing is served." in caplog.text


@pytest.mark.behaviour("6.4", "a specific version is found under a name with zeros")
@pytest.mark.behaviour("13.14", "282 to 284, specific versions")
def test_specific_versions_are_found_under_names_with_zeros_and_come_when_they_are_there(serve, base):
    put(base, "0001")
    server = serve("specific { versions: 1 versions: 5 }")
    assert server.states("m") == {1: "AVAILABLE"}
    put(base, 9)
    put(base, 5)
    server.await_states("m", {5: "AVAILABLE", 1: "AVAILABLE"})


@pytest.mark.behaviour("6.4", "the policies latest, all and specific")
@pytest.mark.behaviour("13.14", "279 to 281, 285 and 286, several versions and the latest of them")
def test_the_latest_two_move_on_with_each_new_version(serve, base):
    for number in (1, 2):
        put(base, number)
    server = serve("latest { num_versions: 2 }")
    server.await_states("m", {2: "AVAILABLE", 1: "AVAILABLE"})
    put(base, 3)
    server.await_states("m", {3: "AVAILABLE", 2: "AVAILABLE", 1: "END"})


# States, and calls in flight.


@pytest.mark.behaviour("4.1", "START: aspired, not yet picked")
@pytest.mark.behaviour("4.1", "LOADING: the load runs")
@pytest.mark.behaviour("4.1", "UNLOADING: removed, waiting for those in flight")
@pytest.mark.behaviour("5", "--num_load_threads")
def test_a_version_goes_through_every_state(serve, base):
    put(base, 1)
    server = serve("latest { num_versions: 2 }")
    gates = {number: server.loader.hold_load(base / str(number)) for number in (2, 3)}
    calls = server.loader.hold_calls(base / "2")
    put(base, 2)
    gates[2].await_arrival()
    put(base, 3)
    server.await_states("m", {3: "START", 2: "LOADING", 1: "AVAILABLE"})
    gates[2].open()
    gates[3].await_arrival()
    server.await_states("m", {3: "LOADING", 2: "AVAILABLE", 1: "END"})
    call = server.begin_call("m", version=2)
    calls.await_arrival()
    gates[3].open()
    server.await_states("m", {3: "AVAILABLE", 2: "AVAILABLE", 1: "END"})
    put(base, 4)
    server.await_states("m", {4: "AVAILABLE", 3: "AVAILABLE", 2: "UNLOADING", 1: "END"})
    assert all(entry.HasField("status") for entry in server.status("m").values())
    calls.open()
    server.await_states("m", {4: "AVAILABLE", 3: "AVAILABLE", 2: "END", 1: "END"})
    assert call.result(TIMEOUT_S).model_spec.version.value == 2


@pytest.mark.behaviour("1.3", "a version that is unloading is not found, one that is still loaded answers")
@pytest.mark.behaviour("4.1", "UNLOADING: removed, waiting for those in flight")
@pytest.mark.behaviour("6.3", "a label whose version is unloaded stays, and is not found")
@pytest.mark.behaviour("6.5", "an unload: UNLOADING, out of the map, calls in flight end, then the memory")
@pytest.mark.behaviour("12", "Predict: unknown, unloaded version")
def test_a_call_in_flight_ends_with_the_answer_of_the_version_that_leaves(serve, base):
    put(base, 1)
    server = serve()
    calls = server.loader.hold_calls(base / "2")
    put(base, 2)
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    leaving = server.loader.servables[base / "2"]
    server.reload(*_labelled(base))
    flying = [server.begin_call("m", **spec) for spec in ({}, {"version": 2}, {"label": "stable"})]
    for _ in flying:
        calls.await_arrival()
    put(base, 3)
    server.await_states("m", {3: "AVAILABLE", 2: "UNLOADING", 1: "END"})
    for spec in ({"version": 2}, {"label": "stable"}):
        assert server.refused_call("m", **spec) == not_found(2)
    assert server.version("m") == 3
    assert not leaving.closed.is_set()
    calls.open()
    replies = [call.result(TIMEOUT_S) for call in flying]
    assert [reply.model_spec.version.value for reply in replies] == [2, 2, 2]
    server.await_states("m", {3: "AVAILABLE", 2: "END", 1: "END"})
    assert leaving.closed.is_set()


def _labelled(base):
    return [model("m", base, labels={"stable": 2})]


@pytest.mark.behaviour("6.5", "ours: a call in flight holds up its own version only")
def test_a_call_in_flight_holds_up_no_other_version_and_no_other_model(serve, base, beacon):
    for number in (1, 2):
        put(base, number)
    server = serve("specific { versions: 1 versions: 2 }")
    server.await_states("m", {2: "AVAILABLE", 1: "AVAILABLE"})
    calls = server.loader.hold_calls(base / "3")
    put(base, 3)
    server.reload(model("m", base, "specific { versions: 3 }"), model("beacon", beacon))
    server.await_states("m", {3: "AVAILABLE", 2: "END", 1: "END"})
    call = server.begin_call("m")
    calls.await_arrival()
    server.reload(model("m", base, "specific { versions: 1 }"), model("beacon", beacon))
    server.await_states("m", {3: "UNLOADING", 2: "END", 1: "AVAILABLE"})
    for _ in range(2):
        server.await_poll(beacon)
    server.reload(model("m", base, "specific { versions: 2 }"), model("beacon", beacon))
    server.await_states("m", {3: "UNLOADING", 2: "AVAILABLE", 1: "END"})
    calls.open()
    server.await_states("m", {3: "END", 2: "AVAILABLE", 1: "END"})
    assert call.result(TIMEOUT_S).model_spec.version.value == 3


@pytest.mark.behaviour("6.5", "a version that comes back while it is loaded is unloaded first")
@pytest.mark.behaviour("13.14", "aspired_versions_manager_test: what was aspired, given up, failed and aspired again")
def test_a_version_that_comes_back_while_a_call_holds_it_is_loaded_anew_after_its_end(serve, base, beacon):
    put(base, 1)
    put(base, 2)
    server = serve("specific { versions: 2 }")
    calls = server.loader.hold_calls(base / "1")
    server.reload(model("m", base, "specific { versions: 1 }"), model("beacon", beacon))
    server.await_states("m", {2: "END", 1: "AVAILABLE"})
    first = server.loader.servables[base / "1"]
    call = server.begin_call("m")
    calls.await_arrival()
    server.reload(model("m", base, "specific { versions: 2 }"), model("beacon", beacon))
    server.await_states("m", {2: "AVAILABLE", 1: "UNLOADING"})
    server.reload(model("m", base, "all {}"), model("beacon", beacon))
    server.await_poll(beacon)
    assert server.states("m") == {2: "AVAILABLE", 1: "UNLOADING"}
    assert server.loader.tries.count(base / "1") == 1
    calls.open()
    server.await_states("m", {2: "AVAILABLE", 1: "AVAILABLE"})
    assert call.result(TIMEOUT_S).model_spec.version.value == 1
    assert server.loader.servables[base / "1"] is not first
    assert first.closed.is_set()


@pytest.mark.behaviour("6.5", "an unload: UNLOADING, out of the map, calls in flight end, then the memory")
def test_a_call_that_fails_or_is_cancelled_lets_its_version_go(serve, base):
    put(base, 1)
    server = serve()
    calls = server.loader.hold_calls(base / "2")
    put(base, 2)
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    cancelled = server.begin_call("m")
    calls.await_arrival()
    cancelled.cancel()
    assert server.refused_call("m", signature="nope")[1] == 'Serving signature key "nope" not found.'
    put(base, 3)
    server.await_states("m", {3: "AVAILABLE", 2: "UNLOADING", 1: "END"})
    calls.open()
    server.await_states("m", {3: "AVAILABLE", 2: "END", 1: "END"})


# How often base paths are polled.


@pytest.mark.behaviour("5", "--file_system_poll_wait_seconds")
@pytest.mark.behaviour("6.4", "0 polls once; ours: and once at each reload that changes a model; below 0 the same")
@pytest.mark.behaviour("13.14", "295 PollFilesystemOnlyOnce")
@pytest.mark.parametrize("seconds", [0, -1])
def test_without_polling_base_paths_are_looked_at_at_the_start_and_at_reloads_that_change_them(
    serve, base, tmp_path, beacon, seconds
):
    put(base, 1)
    server = serve(file_system_poll_wait_seconds=seconds)
    put(base, 2)
    put(tmp_path / "new", 1)
    models = [model("m", base), model("beacon", beacon), model("new", tmp_path / "new")]
    server.reload(*models)
    assert server.version("new") == 1
    server.reload(*models)
    assert server.states("m") == {1: "AVAILABLE"}
    server.reload(model("m", base, "all {}"), *models[1:])
    server.await_states("m", {2: "AVAILABLE", 1: "AVAILABLE"})
