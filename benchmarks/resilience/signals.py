"""SIGKILL, SIGTERM and SIGSTOP under load."""

from __future__ import annotations

import signal
import time

from benchmarks.resilience.callers import RIGHT, Callers, describe_losses, wrong
from benchmarks.resilience.lab import Lab
from benchmarks.resilience.results import Result
from benchmarks.resilience.servers import LONGEST_START_S

# What callers of a server that dies or drains may see; everything else is a fault.
_OF_A_DEATH = {RIGHT, "UNAVAILABLE", "ConnectionRefusedError", "ConnectionResetError", "BrokenPipeError"}
_OF_A_DEATH |= {"RemoteDisconnected", "IncompleteRead"}
_OF_A_DRAIN = {RIGHT, "UNAVAILABLE", "ConnectionRefusedError", "RemoteDisconnected", "HTTP 503"}


def kill(lab: Lab) -> Result:
    """SIGKILL under load, and a start on the same ports at once."""
    return _end(lab, signal.SIGKILL, "SIGKILL under load, started again", _OF_A_DEATH)


def terminate(lab: Lab) -> Result:
    """SIGTERM under load, and a start on the same ports when the process has ended."""
    return _end(lab, signal.SIGTERM, "SIGTERM under load, started again", _OF_A_DRAIN)


def stop_and_go_on(lab: Lab) -> Result:
    """SIGSTOP for a while, then SIGCONT: every call is answered, if late."""
    size = lab.size
    with lab.server(lab.place(1)) as server, Callers(server, timeout_s=2 * size.stopped_s + 10) as callers:
        callers.wait_until_right(time.monotonic(), 10)
        server.send_signal(signal.SIGSTOP)
        time.sleep(size.stopped_s)
        went_on_s = time.monotonic()
        server.send_signal(signal.SIGCONT)
        served_again_s = callers.wait_until_right(went_on_s, 30)
        time.sleep(size.settle_s)
    outcomes = callers.outcomes()
    faults = [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome != RIGHT]
    figures = {"calls": outcomes.total(), "longest gap, s": callers.longest_gap_s()}
    scenario = f"SIGSTOP for {size.stopped_s:g} s, SIGCONT"
    return Result(scenario, describe_losses(outcomes), served_again_s, faults, figures)


def _end(lab: Lab, number: signal.Signals, scenario: str, expected: set[str]) -> Result:
    with lab.server(lab.place(1)) as server, Callers(server) as callers:
        callers.wait_until_right(time.monotonic(), 10)
        time.sleep(lab.size.settle_s)
        server.send_signal(number)
        signalled_s = time.monotonic()
        status = server.wait()
        ended_s = time.monotonic()
        server.start()
        server.wait_until_open()
        served_again_s = callers.wait_until_right(ended_s, LONGEST_START_S)
        time.sleep(lab.size.settle_s)
    outcomes = callers.outcomes()
    faults = wrong(outcomes) + [f"{count} {what}" for what, count in outcomes.items() if what not in expected]
    if status != (0 if number == signal.SIGTERM else -number):
        faults.append(f"exit status {status}")
    figures = {"calls": outcomes.total(), "ended after, s": ended_s - signalled_s}
    return Result(scenario, describe_losses(outcomes), served_again_s, faults, figures)
