"""Logs on stores: files that arrive, stores that fail or hang."""

import threading

import fsspec
import pytest

from servable.execution.tf_records import read
from servable.request_log import uploads
from servable.request_log.files import Limits
from tests.request_log.calling import config, follow_fake, make_log
from tests.request_log.test_follower import dropped, records, wait_until

ONE_RECORD_A_FILE = Limits(file_bytes=1, file_s=3600.0, total_bytes=1 << 20)


class FakeStore:
    """Remembers files; fails, or waits, as long as it is told to."""

    def __init__(self, failures=0):
        self.files, self.failures, self.may_go_on, self.called = {}, failures, threading.Event(), threading.Event()
        self.may_go_on.set()

    def put(self, path, name):
        self.called.set()
        assert self.may_go_on.wait(60)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("secret-token")
        self.files[name] = path.read_bytes()


@pytest.fixture
def memory():
    """fsspec's file system in memory, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(uploads, "_FIRST_PAUSE_S", 0.01)


def test_files_of_a_uri_arrive_whole_at_the_store(memory, tmp_path):
    log = make_log(limits=ONE_RECORD_A_FILE)
    log.apply([config("m", "memory://bucket/logs/m")])
    for _ in range(3):
        follow_fake(log)
    log.stop()
    names = memory.ls("/bucket/logs", detail=False)
    assert len(names) == 3
    assert all(name.startswith("/bucket/logs/m.") and name.endswith(".tfrecord") for name in names)
    memory.get(names[0], str(tmp_path / "file"))
    assert len(list(read(tmp_path / "file"))) == 1


def test_a_file_uri_is_a_local_path(tmp_path):
    log = make_log()
    log.apply([config("m", f"file://{tmp_path}/log")])
    follow_fake(log)
    log.stop()
    assert len(records(tmp_path)) == 1


def test_a_store_that_fails_is_tried_again_and_told_of_once_without_its_words(caplog):
    caplog.set_level("INFO")
    store = FakeStore(failures=3)
    log = make_log(make_store=lambda uri: store, limits=ONE_RECORD_A_FILE)
    log.apply([config("m", "fake://b/log")])
    follow_fake(log)
    wait_until(lambda: store.files)
    wait_until(lambda: len(caplog.messages) == 2)
    log.stop()
    assert caplog.messages[0].startswith("The store of the request log fake://b/log fails (ConnectionError)")
    assert caplog.messages[1] == "The store of the request log fake://b/log takes files again"


def test_a_store_that_hangs_drops_the_oldest_files_and_holds_up_no_call():
    store = FakeStore()
    store.may_go_on.clear()
    limits = Limits(file_bytes=200, file_s=3600.0, total_bytes=1000)
    log = make_log(make_store=lambda uri: store, limits=limits)
    log.apply([config("m", "fake://b/log")])
    for _ in range(20):
        assert follow_fake(log, message=b"x" * 200)
    wait_until(lambda: dropped(log).get(("m", "store"), 0) >= 15)
    store.may_go_on.set()
    log.stop()
    assert len(store.files) + dropped(log)["m", "store"] >= 20


def test_files_that_a_store_does_not_take_before_the_stop_are_left_here(caplog):
    store = FakeStore()
    store.may_go_on.clear()
    log = make_log(make_store=lambda uri: store)
    log.apply([config("m", "fake://b/log")])
    follow_fake(log)
    log.stop(0.3)
    (message,) = caplog.messages
    assert message.startswith("1 files of the request log fake://b/log are left in ")
    store.may_go_on.set()
