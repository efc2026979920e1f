"""A disk that fills up, and models that vanish or cannot be written."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.resilience.callers import RIGHT, Callers, describe_losses
from benchmarks.resilience.lab import Lab
from benchmarks.resilience.results import Figure, Result

_POLL: Final = "--file_system_poll_wait_seconds=1"
_LONGEST_S: Final = 30.0
_DISK: Final = "16m"


def fill(lab: Lab) -> Result:
    """The disk with log, temporary files and models is full; a version is half copied; then there is room again.

    A tmpfs of the scenario's own where this process may mount one; otherwise only the log is lost, to /dev/full.
    """
    with small_disk(lab.new_folder()) as disk:
        place = disk or lab.new_folder()
        base_path, log = place / "echo", place / "log" if disk else Path("/dev/full")
        base_path.mkdir()
        lab.add(base_path, 1)
        flags = _POLL, "--max_num_load_retries=0", "--log_level=debug"
        environment = {"TMPDIR": str(place)}
        with lab.server(base_path, *flags, environment=environment, log=log) as server, Callers(server) as callers:
            callers.wait_until_right(time.monotonic(), _LONGEST_S)
            filler = place / "filler"
            if disk:
                _fill(filler)
            is_half_copied = _half_copy(lab, base_path)
            # Until it has been polled, and could not be loaded.
            time.sleep(2 + lab.size.settle_s)
            healed_s = time.monotonic()
            filler.unlink(missing_ok=True)
            (base_path / "2" / "saved_model.pb").unlink()
            (base_path / "2").rmdir()
            lab.add(base_path, 3)
            serves_new_s = callers.wait_until_right(healed_s, _LONGEST_S, version=3)
            time.sleep(lab.size.settle_s)
            logs_again = not disk or "version: 3" in server.text()
    faults = _find_faults(callers, serves_new_s)
    faults += ["the log did not go on"] * (not logs_again) + ["the disk was not full"] * (not is_half_copied)
    what = "log, temporary files and models on a full tmpfs" if disk else "the log to /dev/full"
    return _result(f"a full disk ({what}), a version half copied", callers, serves_new_s, faults)


def take_models_away(lab: Lab) -> Result:
    """The base path vanishes for some polls, and comes back with a new version."""
    base_path = lab.place(1)
    with lab.server(base_path, _POLL) as server, Callers(server) as callers:
        callers.wait_until_right(time.monotonic(), _LONGEST_S)
        away = base_path.with_name("away")
        base_path.rename(away)
        time.sleep(2 + lab.size.settle_s)
        lab.add(away, 2)
        back_s = time.monotonic()
        away.rename(base_path)
        serves_new_s = callers.wait_until_right(back_s, _LONGEST_S, version=2)
    faults = _find_faults(callers, serves_new_s)
    return _result("the model directory vanishes, comes back with a version", callers, serves_new_s, faults)


def make_read_only(lab: Lab) -> Result:
    """The disk with the models becomes read-only; a server starts from it; then it can be written again."""
    with small_disk(lab.new_folder()) as disk:
        base_path = (disk or lab.new_folder()) / "echo"
        base_path.mkdir()
        lab.add(base_path, 1)
        with lab.server(base_path, _POLL) as server, Callers(server) as callers:
            callers.wait_until_right(time.monotonic(), _LONGEST_S)
            _set_writable(disk, base_path, is_writable=False)
            time.sleep(1 + lab.size.settle_s)
            with lab.server(base_path, _POLL) as second, Callers(second, each=1) as more:
                starts_s = more.wait_until_right(time.monotonic(), _LONGEST_S)
            _set_writable(disk, base_path, is_writable=True)
            healed_s = time.monotonic()
            lab.add(base_path, 2)
            serves_new_s = callers.wait_until_right(healed_s, _LONGEST_S, version=2)
    faults = _find_faults(callers, serves_new_s) + ["no start from it"] * (starts_s == float("inf"))
    return _result("the model directory is read-only", callers, serves_new_s, faults)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A tmpfs in the folder, until the end of the `with`; None where this process may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "resilience", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    try:
        yield folder if done else None
    finally:
        if done:
            # Lazily: a process that just ended may still hold a file.
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            # The last pages go one by one.
            if file.write(bytes(1 << 16)) < 1 << 16:
                break


def _half_copy(lab: Lab, base_path: Path) -> bool:
    """What someone who copies a version onto a full disk leaves; whether the disk was full, as far as that is so."""
    graph = (lab.versions(3) / "2" / "saved_model.pb").read_bytes()
    (base_path / "2").mkdir()
    target = base_path / "2" / "saved_model.pb"
    if base_path.parent.is_mount():
        with contextlib.suppress(OSError):
            target.write_bytes(graph)
        return target.stat().st_size < len(graph)
    target.write_bytes(graph[: len(graph) // 2])
    return True


def _set_writable(disk: Path | None, base_path: Path, *, is_writable: bool) -> None:
    if disk:
        option = "remount," + ("rw" if is_writable else "ro")
        subprocess.run(["mount", "-o", option, str(disk)], check=True)
    else:
        os.chmod(base_path, 0o755 if is_writable else 0o555)


def _find_faults(callers: Callers, serves_new_s: float) -> list[str]:
    failed = {outcome: count for outcome, count in callers.outcomes().items() if outcome != RIGHT}
    faults = [f"{count} {outcome}" for outcome, count in failed.items()]
    return faults + ["the new version never served"] * (serves_new_s == float("inf"))


def _result(scenario: str, callers: Callers, serves_new_s: float, faults: list[str]) -> Result:
    figures: dict[str, Figure] = {"calls": callers.outcomes().total(), "longest gap, s": callers.longest_gap_s()}
    figures["a new version served after, s"] = serves_new_s
    return Result(scenario, describe_losses(callers.outcomes()), None, faults, figures)
