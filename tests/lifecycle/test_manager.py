"""The manager, stepped: what loads when, what is retried, what becomes of versions that come and go."""

from pathlib import Path

import pytest

from servable import wire
from servable.errors import DataLoss, NotFound, Unavailable
from servable.lifecycle import manager as manager_module
from servable.lifecycle.manager import LoadSettings
from tests.lifecycle.stepping import Bench

PATH = Path("/base/1")
CUT = DataLoss("cut")
CANCELLED = "CANCELLED: Loading of servable cancelled"


@pytest.fixture
def bench():
    return Bench()


def spec_of(number):
    return wire.ModelSpec(name="m", version={"value": number})


# Loads: their order and their number.


@pytest.mark.behaviour("4.1", "LOADING: the load runs")
def test_a_version_goes_from_start_over_loading_to_available(bench):
    bench.aspire(1)
    assert (bench.states(), bench.loader.asked) == ({1: "LOADING"}, [])
    bench.settle()
    assert bench.published == [(1, "START"), (1, "LOADING"), (1, "AVAILABLE")]
    assert (bench.routed(), bench.loader.asked) == ([1], [PATH])


@pytest.mark.behaviour("4.1", "START: aspired, not yet picked")
def test_all_versions_start_before_the_first_loads_and_the_highest_loads_first(bench):
    bench.serve(2, 10, 1)
    assert bench.published == [
        (10, "START"), (2, "START"), (1, "START"),
        (10, "LOADING"), (10, "AVAILABLE"),
        (2, "LOADING"), (2, "AVAILABLE"),
        (1, "LOADING"), (1, "AVAILABLE"),
    ]  # fmt: skip


@pytest.mark.behaviour("4.1", "AVAILABLE: in the serving map")
def test_a_version_is_routed_before_it_is_published_as_available(bench):
    routed = []
    bench.monitor.listen(lambda servable, known: routed.append((known.state.name, bench.routed())))
    bench.serve(1)
    assert routed == [("START", []), ("LOADING", []), ("AVAILABLE", [1])]


@pytest.mark.behaviour("5", "--num_load_threads")
@pytest.mark.behaviour("13.14", "aspired_versions_manager_test: what was aspired, given up, failed and aspired again")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_no_more_loads_run_than_there_are_threads(threads):
    bench = Bench(threads=threads)
    bench.aspire(1, 2, 3, 4)
    assert bench.loading() == [4, 3, 2, 1][:threads]
    bench.end_load()
    assert len(bench.loading()) == threads


def test_more_threads_from_now_on_start_more_loads(bench):
    bench.aspire(1, 2, 3)
    bench.manager.settings = LoadSettings(threads=2)
    bench.manager.run()
    assert bench.loading() == [3, 2]


def test_models_load_side_by_side_in_the_order_in_which_they_came():
    bench = Bench(threads=3)
    for name in "bac":
        bench.aspire(1, name=name)
    assert [servable.name for servable, _ in bench.workers.loads] == ["b", "a", "c"]


@pytest.mark.behaviour("6.5", "unloads go before loads, one action a step, the highest version loads first")
@pytest.mark.behaviour("6.5", "at most one action an iteration, unloads before loads, the highest version first")
def test_one_step_is_one_action_and_an_unload_goes_before_a_load():
    bench = Bench(threads=2)
    bench.serve(1)
    bench.manager.aspire("n", {1: Path("/n/1"), 2: Path("/n/2")})
    bench.manager.aspire("m", {})
    seen = []
    while bench.manager.step():
        seen.append((bench.routed(), bench.states("n")))
    assert seen == [
        ([], {2: "START", 1: "START"}),
        ([], {2: "LOADING", 1: "START"}),
        ([], {2: "LOADING", 1: "LOADING"}),
    ]


@pytest.mark.behaviour("6.5", "ours: a load that lasts longer than a minute keeps no other from loading")
def test_a_load_that_lasts_longer_than_a_minute_keeps_no_other_from_loading(bench):
    bench.aspire(1, 2, 3)
    assert bench.pass_time(59.9) == pytest.approx(bench.clock.now_s + 0.1)
    assert bench.loading() == [3]
    bench.pass_time(0.1)
    assert bench.loading() == [3, 2]
    # The second counts in its turn, and the first still serves when it ends at last.
    bench.pass_time(59)
    assert bench.loading() == [3, 2]
    bench.pass_time(1)
    bench.settle()
    assert bench.routed() == [1, 2, 3]


def test_nothing_is_due_where_nothing_waits(bench):
    assert bench.aspire(1) is None
    assert bench.end_load() is None


@pytest.mark.behaviour("4.1", "AVAILABLE: in the serving map")
def test_versions_that_are_aspired_later_join_those_that_serve(bench):
    bench.serve(1)
    bench.serve(1, 2)
    assert bench.states() == {2: "AVAILABLE", 1: "AVAILABLE"}
    assert bench.routed() == [1, 2]
    assert len(bench.loader.asked) == 2


# Failures and retries.


@pytest.mark.behaviour("4.1", "a failed load is END with its error")
def test_a_version_that_fails_goes_to_end_with_its_error(bench):
    bench.loader.errors[PATH] = CUT
    bench.serve(1)
    assert bench.published == [(1, "START"), (1, "LOADING"), (1, "END")]
    assert bench.states() == {1: ("END", "DATA_LOSS: cut")}


@pytest.mark.behaviour("4.1", "a failed load is END with its error")
def test_a_failure_holds_up_no_other_version_and_the_highest_that_loaded_answers(bench):
    bench.loader.errors[Path("/base/3")] = CUT
    bench.serve(1, 2, 3)
    assert bench.states() == {3: ("END", "DATA_LOSS: cut"), 2: "AVAILABLE", 1: "AVAILABLE"}
    assert bench.router.resolve(wire.ModelSpec(name="m")).version == 2
    assert bench.router.resolve(spec_of(1)).servable.path == PATH
    with pytest.raises(NotFound, match=r"^NOT_FOUND: Servable not found for request: Specific\(m, 3\)$"):
        bench.router.resolve(spec_of(3))


@pytest.mark.behaviour("6.5", "what serves stays until a wanted version is ready")
def test_a_version_that_fails_leaves_the_old_one_serving(bench):
    bench.serve(1)
    bench.loader.errors[Path("/base/2")] = CUT
    bench.serve(2)
    assert bench.routed() == [1]
    assert bench.states() == {2: ("END", "DATA_LOSS: cut"), 1: "AVAILABLE"}
    bench.serve(1)
    assert (bench.routed(), bench.closed()) == ([1], [0])


@pytest.mark.behaviour("4.1", "a failed load is END with its error")
def test_an_unexpected_error_ends_as_internal_and_names_the_fault(bench, caplog):
    bench.loader.errors[Path("/base/2")] = KeyError("weights")
    bench.serve(1, 2)
    assert bench.states() == {2: ("END", "INTERNAL: KeyError: 'weights'"), 1: "AVAILABLE"}
    assert any(record.exc_info and "version: 2" in record.getMessage() for record in caplog.records)


@pytest.mark.behaviour("4.1", "LOADING lasts the whole loop of retries")
@pytest.mark.behaviour("6.5", "loads are tried again, as often and as far apart as the flags say")
@pytest.mark.behaviour("6.5", "retries and their interval")
@pytest.mark.behaviour("13.14", "loader_harness_test: retries and their end")
def test_a_failed_load_is_tried_again_after_the_interval_and_is_loading_meanwhile():
    bench = Bench(max_retries=2, retry_interval_s=60)
    bench.loader.errors[PATH] = CUT
    bench.aspire(1)
    assert bench.end_load() == bench.clock.now_s + 60
    assert bench.states() == {1: ("LOADING", "DATA_LOSS: cut")}
    bench.pass_time(59.9)
    assert bench.loading() == []
    bench.pass_time(0.1)
    assert bench.loading() == [1]
    bench.end_load()
    bench.pass_time(60)
    bench.end_load()
    assert bench.states() == {1: ("END", "DATA_LOSS: cut")}
    assert len(bench.loader.asked) == 3
    assert bench.pass_time(3600) is None
    assert bench.loading() == []


def test_a_retry_that_succeeds_serves_without_an_error():
    bench = Bench(max_retries=1, retry_interval_s=1)
    bench.loader.errors[PATH] = CUT
    bench.serve(1)
    bench.loader.errors.clear()
    bench.pass_time(1)
    bench.settle()
    assert (bench.states(), bench.routed()) == ({1: "AVAILABLE"}, [1])


def test_while_one_version_waits_for_its_retry_others_load():
    bench = Bench(max_retries=5, retry_interval_s=60)
    bench.loader.errors[Path("/base/2")] = CUT
    bench.serve(1, 2)
    assert bench.states() == {2: ("LOADING", "DATA_LOSS: cut"), 1: "AVAILABLE"}


@pytest.mark.parametrize("interval_s", [0, -5])
def test_without_an_interval_the_retry_comes_at_once(interval_s):
    bench = Bench(max_retries=3, retry_interval_s=interval_s)
    bench.loader.errors[PATH] = CUT
    bench.serve(1)
    assert len(bench.loader.asked) == 4
    assert bench.states() == {1: ("END", "DATA_LOSS: cut")}


@pytest.mark.behaviour("6.5", "a failed version is tried again only once it was removed and added again")
def test_a_failed_version_is_not_tried_again_while_it_stays_wanted(bench):
    bench.loader.errors[PATH] = CUT
    bench.serve(1)
    for _ in range(3):
        bench.serve(1)
    bench.serve(1, 2)
    assert bench.loader.asked.count(PATH) == 1


@pytest.mark.behaviour("6.5", "a failed version is tried again only once it was removed and added again")
@pytest.mark.behaviour("13.14", "aspired_versions_manager_test: what was aspired, given up, failed and aspired again")
def test_a_failed_version_is_tried_again_once_it_went_and_came_back(bench):
    bench.loader.errors[PATH] = CUT
    bench.serve(1)
    bench.loader.errors.clear()
    bench.serve()
    assert bench.states() == {1: ("END", "DATA_LOSS: cut")}
    bench.serve(1)
    assert bench.states() == {1: "AVAILABLE"}


# Versions that are not wanted any more before they serve.


@pytest.mark.behaviour("6.5", "ours: a queued version that is not wanted any more is CANCELLED")
def test_a_version_that_waits_for_its_turn_is_cancelled(bench):
    bench.aspire(1, 2)
    bench.aspire(2)
    assert bench.states() == {2: "LOADING", 1: ("END", CANCELLED)}
    bench.settle()
    assert bench.routed() == [2]


@pytest.mark.behaviour("6.5", "a retry loop is cancelled; a load that comes too late is CANCELLED")
@pytest.mark.behaviour("13.14", "loader_harness_test: retries and their end")
def test_between_two_tries_a_version_that_is_not_wanted_ends_with_its_last_error():
    bench = Bench(max_retries=5, retry_interval_s=60)
    bench.loader.errors[PATH] = CUT
    bench.serve(1)
    bench.aspire()
    assert bench.states() == {1: ("END", "DATA_LOSS: cut")}
    bench.pass_time(3600)
    assert bench.loading() == []


def test_a_load_that_fails_when_it_is_not_wanted_is_the_last():
    bench = Bench(max_retries=5, retry_interval_s=60)
    bench.loader.errors[PATH] = CUT
    bench.aspire(1)
    bench.aspire()
    assert bench.states() == {1: "LOADING"}
    bench.end_load()
    assert bench.states() == {1: ("END", "DATA_LOSS: cut")}
    assert bench.pass_time(3600) is None


@pytest.mark.behaviour(
    "6.5", "tries end when the version is no longer aspired; a load that then succeeds is unloaded, CANCELLED"
)
@pytest.mark.behaviour("6.5", "a retry loop is cancelled; a load that comes too late is CANCELLED")
def test_a_load_that_ends_too_late_is_closed_and_cancelled_and_never_routed(bench):
    bench.aspire(1)
    bench.aspire()
    bench.end_load()
    assert (bench.routed(), bench.states()) == ([], {1: ("UNLOADING", CANCELLED)})
    assert bench.closed() == [0]
    bench.end_unload()
    assert (bench.closed(), bench.states()) == ([1], {1: ("END", CANCELLED)})
    assert bench.published == [(1, "START"), (1, "LOADING"), (1, "UNLOADING"), (1, "END")]


# Versions that serve and leave.


@pytest.mark.behaviour("6.5", "what serves stays until a wanted version is ready")
@pytest.mark.behaviour("13.14", "aspired_versions_manager_test: what was aspired, given up, failed and aspired again")
def test_the_old_version_serves_until_the_new_one_does(bench):
    bench.serve(1)
    bench.aspire(2)
    assert bench.routed() == [1]
    routed = []
    bench.monitor.listen(lambda servable, known: routed.append((servable.version, known.state.name, bench.routed())))
    bench.end_load()
    assert routed[:2] == [(2, "AVAILABLE", [1, 2]), (1, "UNLOADING", [1, 2])]
    bench.settle()
    assert (bench.routed(), bench.states()) == ([2], {2: "AVAILABLE", 1: "END"})
    assert bench.closed() == [1, 0]


@pytest.mark.behaviour("4.1", "an unload and a removed model are published")
def test_a_model_that_is_not_wanted_unloads_and_stays_published_as_ended(bench):
    bench.serve(1, 2)
    bench.aspire()
    assert (bench.routed(), bench.states()) == ([], {2: "UNLOADING", 1: "UNLOADING"})
    bench.settle()
    assert bench.states() == {2: "END", 1: "END"}
    assert bench.closed() == [1, 1]


@pytest.mark.behaviour("4.1", "UNLOADING: removed, waiting for those in flight")
@pytest.mark.behaviour("6.5", "an unload waits for the calls in flight; ours: for those of its own version only")
def test_a_version_that_is_removed_waits_for_those_that_hold_its_handle(bench):
    bench.serve(1)
    calls = [bench.hold(), bench.hold()]
    bench.aspire()
    assert (bench.routed(), bench.states()) == ([], {1: "UNLOADING"})
    calls.pop()
    bench.take_posts()
    assert bench.workers.unloads == []
    calls.pop()
    assert len(bench.workers.posted) == 1
    bench.take_posts()
    assert len(bench.workers.unloads) == 1
    bench.end_unload()
    assert (bench.closed(), bench.states()) == ([1], {1: "END"})


def test_a_call_that_read_the_routes_of_before_still_holds_what_it_found(bench):
    bench.serve(1)
    routes = bench.router.routes
    bench.serve()
    assert bench.closed() == [0]
    del routes
    bench.settle()
    assert bench.closed() == [1]


@pytest.mark.behaviour("6.5", "ours: a call in flight holds up its own version only")
@pytest.mark.behaviour("6.5", "an unload waits for the calls in flight; ours: for those of its own version only")
def test_a_version_that_is_held_holds_up_no_other(bench):
    bench.serve(1)
    call = bench.hold()
    bench.serve(2)
    bench.serve(3)
    assert (bench.routed(), bench.states()) == ([3], {3: "AVAILABLE", 2: "END", 1: "UNLOADING"})
    del call
    bench.settle()
    assert bench.closed() == [1, 1, 0]


def test_an_unload_that_fails_is_logged_and_ends_the_version_all_the_same(bench, caplog):
    bench.loader.close_errors[PATH] = RuntimeError("stuck")
    bench.serve(1)
    bench.serve()
    assert (bench.closed(), bench.states()) == ([1], {1: "END"})
    assert any(record.exc_info and record.exc_info[1].args == ("stuck",) for record in caplog.records)


def test_a_manager_keeps_nothing_of_models_that_have_ended(bench):
    bench.loader.errors[Path("/base/2")] = CUT
    for _ in range(3):
        bench.serve(1, 2)
        bench.serve()
    assert (bench.manager._models, bench.manager._handles, bench.manager._load_begun_s) == ({}, {}, {})
    assert bench.closed() == [1, 1, 1]


# Versions that are wanted again, in every phase.


def test_wanted_again_while_it_loads_a_version_goes_on_and_is_published_again(bench):
    bench.aspire(1)
    bench.aspire()
    bench.published.clear()
    bench.aspire(1)
    assert bench.published == [(1, "LOADING")]
    bench.settle()
    assert (bench.routed(), len(bench.loader.asked), bench.closed()) == ([1], 1, [0])


@pytest.mark.behaviour("6.5", "ours: wanted again while it still serves, a version just stays")
def test_wanted_again_while_it_still_serves_a_version_just_stays(bench):
    bench.serve(1)
    bench.aspire(2)
    bench.aspire(1)
    bench.settle()
    assert (bench.routed(), bench.closed()) == ([1], [0, 1])
    assert bench.states() == {2: ("END", CANCELLED), 1: "AVAILABLE"}


@pytest.mark.behaviour("6.5", "a version that comes back while it is loaded is unloaded first")
@pytest.mark.behaviour("6.5", "wanted again while it leaves: unloaded first, and what serves stays till then")
@pytest.mark.behaviour("13.14", "aspired_versions_manager_test: what was aspired, given up, failed and aspired again")
def test_wanted_again_while_it_drains_a_version_comes_back_after_its_end(bench):
    bench.serve(1)
    call = bench.hold()
    bench.aspire()
    bench.aspire(1)
    assert (bench.loading(), bench.routed(), bench.states()) == ([], [], {1: "UNLOADING"})
    del call
    bench.take_posts()
    assert bench.loading() == []
    bench.published.clear()
    bench.settle()
    assert bench.published == [(1, "END"), (1, "START"), (1, "LOADING"), (1, "AVAILABLE")]
    assert (bench.routed(), bench.closed()) == ([1], [1, 0])


def test_wanted_again_while_a_late_load_is_unloaded_a_version_comes_back(bench):
    bench.aspire(1)
    bench.aspire()
    bench.end_load()
    bench.aspire(1)
    bench.settle()
    assert (bench.routed(), bench.states(), bench.closed()) == ([1], {1: "AVAILABLE"}, [1, 0])


def test_wanted_again_and_given_up_again_while_it_drains_a_version_does_not_come_back(bench):
    bench.serve(1)
    call = bench.hold()
    bench.aspire()
    bench.aspire(1)
    bench.aspire()
    del call
    bench.take_posts()
    bench.settle()
    assert (bench.loading(), bench.states(), bench.closed()) == ([], {1: "END"}, [1])


@pytest.mark.behaviour("6.5", "wanted again while it leaves: unloaded first, and what serves stays till then")
def test_the_version_that_serves_stays_until_one_that_comes_back_has_come(bench):
    # Version 1 is wanted again while a call still holds it: version 2 is all there is until then.
    bench.serve(1)
    call = bench.hold()
    bench.serve(2)
    bench.aspire(1)
    assert bench.routed() == [2]
    del call
    bench.take_posts()
    bench.end_unload()
    assert (bench.routed(), bench.loading()) == ([2], [1])
    bench.settle()
    assert (bench.routed(), bench.states()) == ([1], {2: "END", 1: "AVAILABLE"})


def test_wanted_again_after_it_was_cancelled_a_version_starts_anew(bench):
    bench.aspire(1, 2)
    bench.aspire(2)
    bench.aspire(1, 2)
    bench.settle()
    assert bench.states() == {2: "AVAILABLE", 1: "AVAILABLE"}


def test_wanted_again_between_two_tries_a_version_starts_anew_with_all_its_tries():
    bench = Bench(max_retries=1, retry_interval_s=60)
    bench.loader.errors[PATH] = CUT
    bench.serve(1)
    bench.aspire()
    bench.serve(1)
    assert bench.states() == {1: ("LOADING", "DATA_LOSS: cut")}
    bench.pass_time(60)
    bench.settle()
    assert len(bench.loader.asked) == 3
    assert bench.states() == {1: ("END", "DATA_LOSS: cut")}


# Numbers that move to another path.


MOVED = Path("/moved/1")


@pytest.mark.behaviour("6.5", "ours: a number that moves to another path is replaced once the version there is ready")
def test_a_number_that_moves_is_served_from_its_new_path_once_that_is_ready(bench):
    bench.serve(1)
    bench.aspire(1, base="/moved")
    assert (bench.hold().servable.path, bench.states()) == (PATH, {1: "AVAILABLE"})
    bench.published.clear()
    bench.settle()
    assert (bench.hold().servable.path, bench.states()) == (MOVED, {1: "AVAILABLE"})
    # The number is never published as ended.
    assert set(bench.published) == {(1, "AVAILABLE")}
    assert bench.closed() == [1, 0]


@pytest.mark.behaviour("6.5", "ours: a number that moves to another path is replaced once the version there is ready")
def test_a_number_whose_new_path_cannot_be_loaded_is_served_from_the_old_one(bench):
    bench.serve(1)
    bench.loader.errors[MOVED] = CUT
    bench.serve(1, base="/moved")
    assert (bench.hold().servable.path, bench.states()) == (PATH, {1: "AVAILABLE"})


def test_a_number_that_moves_back_before_its_new_path_is_ready_stays_as_it_was(bench):
    bench.serve(1)
    bench.aspire(1, base="/moved")
    bench.aspire(1)
    bench.settle()
    assert (bench.hold().servable.path, bench.closed()) == (PATH, [0, 1])
    assert bench.states() == {1: "AVAILABLE"}


def test_a_number_that_moves_back_while_it_loads_is_not_published_as_ended(bench):
    bench.aspire(1)
    bench.published.clear()
    bench.aspire(1, base="/moved")
    bench.aspire(1)
    assert bench.states() == {1: "LOADING"}
    bench.settle()
    assert (bench.hold().servable.path, bench.states()) == (PATH, {1: "AVAILABLE"})
    assert (1, "END") not in bench.published


def test_a_number_that_moves_back_while_a_call_holds_it_is_served_from_the_new_path_till_then(bench):
    bench.serve(1)
    call = bench.hold()
    bench.serve(1, base="/moved")
    bench.aspire(1)
    assert bench.hold().servable.path == MOVED
    del call
    bench.take_posts()
    bench.settle()
    assert (bench.hold().servable.path, bench.states()) == (PATH, {1: "AVAILABLE"})
    assert bench.closed() == [1, 1, 0]


def test_a_number_that_moves_before_it_loads_does_not_end(bench):
    bench.aspire(1, 2)
    bench.published.clear()
    bench.aspire_paths({1: MOVED, 2: Path("/base/2")})
    assert set(bench.published) == {(1, "START")}
    bench.settle()
    assert (bench.states(), bench.loader.asked) == ({2: "AVAILABLE", 1: "AVAILABLE"}, [Path("/base/2"), MOVED])


def test_the_end_of_what_was_at_the_old_path_hides_no_load_at_the_new_one(bench):
    bench.serve(1)
    call = bench.hold()
    bench.aspire()
    bench.aspire(1, base="/moved")
    assert bench.states() == {1: "LOADING"}
    del call
    bench.take_posts()
    bench.end_unload()
    assert bench.states() == {1: "LOADING"}
    bench.settle()
    assert bench.states() == {1: "AVAILABLE"}


def test_the_end_of_what_was_at_the_old_path_hides_nothing_that_serves(bench):
    bench.serve(1)
    call = bench.hold()
    bench.serve(1, base="/moved")
    del call
    bench.take_posts()
    bench.settle()
    assert bench.states() == {1: "AVAILABLE"}


def test_a_number_that_leaves_its_old_path_before_its_new_one_is_ready_is_loading(bench):
    # Version 2 serves, so that nothing keeps version 1 at its old path.
    bench.serve(1, 2)
    bench.aspire_paths({1: MOVED, 2: Path("/base/2")})
    assert (bench.routed(), bench.states()) == ([2], {2: "AVAILABLE", 1: "LOADING"})
    bench.settle()
    assert (bench.routed(), bench.states()) == ([1, 2], {2: "AVAILABLE", 1: "AVAILABLE"})


# What lies at the path.


@pytest.mark.behaviour("6.5", "a file instead of a directory")
@pytest.mark.behaviour("6.5", "a file instead of a directory fails in the words of the resource estimate")
def test_a_file_instead_of_a_directory_is_refused_before_the_loader_sees_it(bench, tmp_path):
    (tmp_path / "1").write_text("no directory")
    bench.serve(1, base=tmp_path)
    assert bench.loader.asked == []
    assert bench.states() == {
        1: (
            "END",
            "FAILED_PRECONDITION: Error while attempting to reserve resources to load servable "
            f"{{name: m version: 1}}: {tmp_path}/1; Not a directory",
        )
    }


def test_a_directory_is_left_to_the_loader(bench, tmp_path):
    (tmp_path / "1").mkdir()
    bench.loader.errors[tmp_path / "1"] = NotFound("no model in it")
    bench.serve(1, base=tmp_path)
    assert bench.states() == {1: ("END", "NOT_FOUND: no model in it")}


# Many models.


@pytest.fixture
def evaluations(monkeypatch):
    """Counts how many versions the policy was shown."""
    shown = []
    evaluate = manager_module.next_action

    def counted(versions):
        shown.append(len(versions))
        return evaluate(versions)

    monkeypatch.setattr(manager_module, "next_action", counted)
    return shown


@pytest.mark.parametrize("models", [10, 1000])
def test_the_work_for_each_model_does_not_grow_with_their_number(evaluations, models):
    bench = Bench(threads=4)
    for number in range(models):
        bench.aspire(1, name=f"model{number}")
    bench.settle()
    assert sum(evaluations) <= 5 * models
    evaluations.clear()
    for number in range(models):
        bench.aspire(1, name=f"model{number}")
    assert sum(evaluations) <= 2 * models
    evaluations.clear()
    for number in range(models):
        bench.aspire(name=f"model{number}")
    bench.settle()
    assert sum(evaluations) <= 5 * models
    assert bench.closed() == [1] * models


def test_a_failure_of_one_model_leaves_the_others_alone(bench):
    bench.loader.errors[Path("/broken/1")] = Unavailable("gone")
    bench.aspire(1, name="broken", base="/broken")
    bench.serve(1, name="sound")
    assert bench.routed("sound") == [1]
    assert bench.states("broken") == {1: ("END", "UNAVAILABLE: gone")}
