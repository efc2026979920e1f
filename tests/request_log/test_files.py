"""Files of a log: names, ends, bounds, and what happens to disks."""

import errno
import os
import re
import stat
from collections import Counter

import pytest

from servable.request_log.files import Events, Limits, LogFiles

LIMITS = Limits(file_bytes=100, file_s=60.0, total_bytes=1000)


class Told:
    def __init__(self):
        self.finished, self.removed, self.lost = [], [], Counter()
        self.events = Events(lambda path, models: self.finished.append((path, dict(models))), self.removed.append,
                             self.lost.update)  # fmt: skip


@pytest.fixture
def told():
    return Told()


def make(folder, told, limits=LIMITS):
    return LogFiles(f"{folder}/log", ".jsonl", limits, told.events)


def names(folder):
    return sorted(os.listdir(folder))


def test_a_file_has_its_name_when_it_is_finished_and_another_before(tmp_path, told):
    files = make(tmp_path, told)
    files.append(b"one\n", "m")
    (part,) = names(tmp_path)
    assert part.endswith(".jsonl.part")
    files.finish()
    (name,) = names(tmp_path)
    assert re.fullmatch(rf"log\.[\w-]+\.{os.getpid()}\.\d{{8}}T\d{{12}}Z\.000001\.jsonl", name)
    assert told.finished == [(tmp_path / name, {"m": 1})]


def test_only_the_owner_reads_the_files(tmp_path, told):
    files = make(tmp_path / "new", told)
    files.append(b"secret\n", "m")
    files.finish()
    (path,) = (tmp_path / "new").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_file_ends_when_it_is_large_enough(tmp_path, told):
    files = make(tmp_path, told)
    for _ in range(5):
        files.append(b"x" * 50, "m")
        files.finish_if_due(0.0)
    assert [models for _, models in told.finished] == [{"m": 2}, {"m": 2}]


def test_a_file_ends_when_it_is_old_enough(tmp_path, told):
    files = make(tmp_path, told)
    files.append(b"x", "m")
    files.finish_if_due(files.due_s - 0.1)
    assert told.finished == []
    files.finish_if_due(files.due_s)
    assert len(told.finished) == 1
    assert files.due_s is None


def test_the_oldest_files_of_the_log_are_removed_and_no_others(tmp_path, told):
    others = ["log", "log.other-host.1.20260101T000000000000Z.000001.jsonl", "notes.jsonl", "log.jsonl.part"]
    for name in others:
        (tmp_path / name).write_bytes(b"o" * 5000)
    files = make(tmp_path, told, Limits(file_bytes=100, file_s=60.0, total_bytes=300))
    for _ in range(10):
        files.append(b"x" * 100, "m")
        files.finish_if_due(0.0)
    left = [name for name in names(tmp_path) if name not in others]
    assert sum((tmp_path / name).stat().st_size for name in left) <= 300
    assert [path.name for path in told.removed] == [path.name for path, _ in told.finished[: len(told.removed)]]
    assert set(others) <= set(names(tmp_path))


def test_files_of_an_earlier_server_on_this_host_count_and_are_removed_first(tmp_path, told):
    files = make(tmp_path, told, Limits(file_bytes=100, file_s=60.0, total_bytes=300))
    files.append(b"x", "m")
    files.finish()
    host = told.finished[0][0].name.split(".")[1]
    old = tmp_path / f"log.{host}.1.20260101T000000000000Z.000001.jsonl"
    old.write_bytes(b"o" * 5000)
    os.utime(old, (1, 1))
    files.append(b"x", "m")
    assert not old.exists()


def test_a_record_that_fits_no_more_leaves_whole_records(tmp_path, told, monkeypatch):
    files = make(tmp_path, told)
    files.append(b"whole\n", "m")
    write = os.write

    def full(descriptor, data):
        write(descriptor, bytes(data)[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        files.append(b"broken\n", "m")
    monkeypatch.undo()
    assert told.finished[0][0].read_bytes() == b"whole\n"
    files.append(b"again\n", "m")
    files.finish()
    assert told.finished[1][0].read_bytes() == b"again\n"


def test_records_in_a_directory_that_vanished_are_told_of_and_it_is_made_anew(tmp_path, told):
    folder = tmp_path / "logs"
    files = make(folder, told)
    files.append(b"lost\n", "m")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    files.append(b"kept\n", "m")
    files.finish()
    assert dict(told.lost) == {"m": 1}
    assert told.finished[0][0].read_bytes() == b"kept\n"


def test_a_prefix_that_is_a_folder_gives_names_in_it(tmp_path, told):
    files = LogFiles(f"{tmp_path}/logs/", ".tfrecord", LIMITS, told.events)
    files.append(b"x", "m")
    assert names(tmp_path / "logs")[0].startswith("requests.")
