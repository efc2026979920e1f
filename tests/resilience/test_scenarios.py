"""What kills other servers: what was acknowledged was right, what was lost is said, and it serves again in seconds.

The scenarios, and what each holds for a fault, stand in benchmarks/resilience; `python -m benchmarks.resilience` plays
them at full size. Each starts real servers, calls them over both protocols without a pause, and checks every answer.
"""

import re

import pytest

from benchmarks.resilience import (
    clocks,
    connections,
    disks,
    exhaustion,
    mutations,
    names,
    results,
    signals,
    soak,
)

# A start imports TensorFlow, and the machine may be busy.
LONGEST_START_S = 60
# A poll of a base path, and a load.
LONGEST_HEALING_S = 30


def faultless(result):
    """A result without faults; a scenario that this machine does not allow is skipped."""
    if result.lost.startswith("not measured"):
        pytest.skip(result.lost)
    assert result.faults == [], results.write_table([result])
    return result


@pytest.mark.parametrize("end", [signals.kill, signals.terminate])
def test_a_server_that_ends_under_load_fails_calls_as_unavailable_and_serves_again_once_started(lab, end):
    assert faultless(end(lab)).served_again_s < LONGEST_START_S


def test_a_stopped_server_answers_every_call_when_it_goes_on(lab):
    assert faultless(signals.stop_and_go_on(lab)).served_again_s < LONGEST_HEALING_S


def test_a_full_disk_costs_no_call_and_a_version_loads_once_there_is_room(lab):
    assert faultless(disks.fill(lab)).figures["a new version served after, s"] < LONGEST_HEALING_S


def test_served_versions_serve_on_while_their_directory_is_away_and_polling_finds_it_again(lab):
    assert faultless(disks.take_models_away(lab)).figures["a new version served after, s"] < LONGEST_HEALING_S


def test_models_are_served_from_a_directory_that_cannot_be_written(lab):
    assert faultless(disks.make_read_only(lab)).figures["a new version served after, s"] < LONGEST_HEALING_S


def test_a_wall_clock_that_jumps_stops_neither_calls_nor_polling(lab):
    assert faultless(clocks.jump(lab)).served_again_s < LONGEST_HEALING_S


def test_connections_that_stand_are_served_without_files_and_new_ones_once_others_close(lab):
    assert faultless(exhaustion.take_all_files(lab)).served_again_s < LONGEST_HEALING_S


def test_a_request_that_hits_a_limit_of_memory_is_refused_alone(lab):
    faultless(exhaustion.take_all_memory(lab))


def test_a_server_that_the_kernel_kills_for_its_memory_serves_again_once_started(lab):
    assert faultless(exhaustion.take_all_memory_of_a_cgroup(lab)).served_again_s < LONGEST_START_S


def test_a_late_dns_holds_up_those_who_ask_it_no_longer_than_their_timeout_and_nobody_else(lab):
    faultless(names.answer_late(lab))


@pytest.mark.parametrize("connect", [connections.connect_many, connections.connect_many_over_tls])
def test_calls_are_answered_beside_connections_that_want_nothing(lab, connect):
    """That the p99 stays the usual is for a machine of its own to show."""
    result = connect(lab)
    assert [fault for fault in result.faults if not re.match("p99 ", fault)] == []
    assert all(value < 1000 for name, value in result.figures.items() if name.endswith("p99 beside, ms"))


def test_mutated_requests_are_answered_or_refused_over_both_protocols(lab):
    result = faultless(mutations.mutate(lab))
    assert result.figures["OK"] > 0
    assert result.figures["INVALID_ARGUMENT"] > 0


@pytest.mark.timeout(180)
def test_nothing_is_wrong_while_versions_and_configs_change_under_right_malformed_and_cancelled_calls(lab):
    result = faultless(soak.soak(lab))
    assert result.figures["swaps"] > 0
    assert result.figures["reloads"] > 0
