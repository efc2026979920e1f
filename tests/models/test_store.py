"""The store builds a model once, however many workers ask for it, and never shows half of one."""

import threading

import pytest

from tests.models.store import ModelStore, shared_root


def _write(directory):
    directory.mkdir()
    (directory / "saved_model.pb").write_bytes(b"model")


def test_a_base_path_holds_the_one_version(tmp_path):
    store = ModelStore(tmp_path, lambda: {"plain": _write})
    assert store.version_path("plain") == store.base_path("plain") / "1"
    assert (store.version_path("plain") / "saved_model.pb").read_bytes() == b"model"


def test_workers_that_ask_together_build_once(tmp_path):
    built = []
    together = threading.Barrier(4, timeout=20)

    def build(directory):
        built.append(directory)
        _write(directory)

    def ask():
        together.wait()
        ModelStore(tmp_path, lambda: {"plain": build}).base_path("plain")

    workers = [threading.Thread(target=ask) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=20)
    assert len(built) == 1


def test_a_build_that_failed_leaves_nothing_and_the_next_starts_afresh(tmp_path):
    def fail(directory):
        _write(directory)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        ModelStore(tmp_path, lambda: {"plain": fail}).base_path("plain")
    assert not (tmp_path / "plain").exists()
    assert ModelStore(tmp_path, lambda: {"plain": _write}).version_path("plain").exists()


def test_an_unknown_name_is_answered_with_the_names_there_are(tmp_path):
    with pytest.raises(LookupError, match=r"no test model is named 'plane'; there are other, plain"):
        ModelStore(tmp_path, lambda: {"plain": _write, "other": _write}).base_path("plane")


def test_the_workers_of_one_run_share_a_root_and_a_lone_process_has_its_own(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    assert shared_root(tmp_path) == tmp_path / "models"
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert shared_root(tmp_path / "popen-gw0") == tmp_path / "models"
