"""The source, stepped: when it looks, at what, what it then aspires, and what it says of it."""

import logging
from pathlib import Path

import pytest

from servable.config.models import ModelConfig
from servable.config.version_policy import All, Latest, Specific
from servable.errors import Internal, NotFound, Unimplemented
from servable.sources.base_path import Listing, Version
from servable.sources.source import Source


class FakeFileSystem:
    """Base paths with the numbers below them; an error instead of numbers is raised."""

    def __init__(self, **there):
        self.there, self.warnings, self.looks = there, {}, []

    def __call__(self, model, base_path):
        self.looks.append((model, base_path))
        numbers = self.there.get(base_path.strip("/"), ())
        if isinstance(numbers, Exception):
            raise numbers
        return Listing(
            [Version(number, Path(base_path, str(number))) for number in sorted(numbers)], self.warnings.get(model, ())
        )


class Watched:
    """A source, and what it aspired since it was last asked."""

    def __init__(self, poll_interval_s=1, **there):
        self.files, self._aspired = FakeFileSystem(**there), []
        self.source = Source(lambda name, paths: self._aspired.append((name, dict(paths))), poll_interval_s, self.files)

    def aspired(self):
        aspired, self._aspired = self._aspired, []
        assert all(path.name == str(number) for _, paths in aspired for number, path in paths.items())
        return [(name, sorted(paths)) for name, paths in aspired]

    def looks(self):
        looks, self.files.looks = self.files.looks, []
        return [name for name, _ in looks]


def model(name, base_path=None, policy=None, **labels):
    return ModelConfig(name, base_path or f"/{name}", policy or Latest(1), labels)


A, B = model("a"), model("b")


def test_a_new_model_is_looked_at_at_once():
    watched = Watched(a={1, 2}, b={3})
    assert watched.source.watch([A, B]) == {}
    assert watched.aspired() == [("a", [2]), ("b", [3])]


def test_each_version_is_aspired_with_its_path():
    aspired = {}
    files = FakeFileSystem(a={7, 8})
    Source(aspired.__setitem__, 1, files).watch([model("a", policy=All())])
    assert aspired == {"a": {7: Path("/a/7"), 8: Path("/a/8")}}


@pytest.mark.behaviour("13.14", "287 MultipleServables, 288 ChangeSetOfServables, 289 ChangeVersionPolicy")
@pytest.mark.behaviour("13.14", "277-289 of file_system_storage_path_source_test")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [(Latest(1), [9]), (Latest(2), [5, 9]), (All(), [1, 5, 9]), (Specific((5, 6)), [5]), (Specific(()), [])],
)
def test_the_policy_chooses_what_is_aspired(policy, expected):
    watched = Watched(a={1, 5, 9})
    watched.source.watch([model("a", policy=policy)])
    assert watched.aspired() == [("a", expected)]


def test_a_model_that_did_not_change_is_not_looked_at_when_others_do():
    watched = Watched(a={1}, b={1})
    watched.source.watch([A])
    watched.looks()
    watched.source.watch([A, B])
    assert watched.looks() == ["b"]


@pytest.mark.behaviour("13.14", "277-289 of file_system_storage_path_source_test")
@pytest.mark.parametrize(
    ("changed", "expected"), [(model("a", base_path="/b"), [9]), (model("a", policy=All()), [1, 2])]
)
def test_a_model_that_changed_is_looked_at_at_once(changed, expected):
    watched = Watched(a={1, 2}, b={9})
    watched.source.watch([A])
    watched.aspired()
    watched.source.watch([changed])
    assert watched.aspired() == [("a", expected)]


@pytest.mark.behaviour("13.14", "287 MultipleServables, 288 ChangeSetOfServables, 289 ChangeVersionPolicy")
@pytest.mark.behaviour("13.14", "277-289 of file_system_storage_path_source_test")
def test_of_a_model_that_left_nothing_is_aspired_any_more():
    watched = Watched(a={1}, b={1})
    watched.source.watch([A, B])
    watched.aspired()
    watched.source.watch([B])
    assert watched.aspired() == [("a", [])]
    watched.source.turn(0)
    watched.source.turn(1)
    assert watched.aspired() == [("b", [1])]


def test_what_leaves_does_so_before_anything_new_is_looked_at():
    watched = Watched(a={1}, b={1})
    watched.source.watch([A])
    watched.aspired()
    watched.source.watch([B])
    assert watched.aspired() == [("a", []), ("b", [1])]


def test_a_model_that_comes_back_is_looked_at_again():
    watched = Watched(a={1})
    watched.source.watch([A])
    watched.source.watch([])
    watched.aspired()
    watched.source.watch([A])
    assert watched.aspired() == [("a", [1])]


# When it looks.


@pytest.mark.behaviour("6.4", "polling: a look at once, then every file_system_poll_wait_seconds")
def test_all_models_are_looked_at_when_the_interval_is_over_and_not_before():
    watched = Watched(poll_interval_s=2, a={1}, b={1})
    # The first look is that of watch.
    assert watched.source.turn(100) == 102
    watched.source.watch([A, B])
    watched.looks()
    assert watched.source.turn(100.5) == 102
    assert watched.source.turn(101.9) == 102
    assert watched.looks() == []
    assert watched.source.turn(102) == 104
    assert watched.looks() == ["a", "b"]
    assert watched.source.turn(110) == 112
    assert watched.looks() == ["a", "b"]


@pytest.mark.behaviour("6.4", "0 is one look; ours: and one at each reload that changes a model; below 0 the same")
@pytest.mark.behaviour("6.4", "0 or less: no polling; ours: a config that changes is looked at all the same")
@pytest.mark.parametrize("poll_interval_s", [0, -1])
def test_without_an_interval_only_changes_of_the_config_are_looked_at(poll_interval_s):
    watched = Watched(poll_interval_s, a={1})
    watched.source.watch([A])
    assert watched.looks() == ["a"]
    assert watched.source.turn(0) is None
    assert watched.source.turn(1e9) is None
    assert watched.looks() == []


def test_what_comes_and_goes_is_seen_at_the_next_look():
    watched = Watched(a={1})
    watched.source.watch([A])
    watched.source.turn(0)
    watched.aspired()
    for now_s, there, expected in [(1, {1, 2}, [2]), (2, {1}, [1]), (3, set(), []), (4, {3}, [3])]:
        watched.files.there["a"] = there
        watched.source.turn(now_s)
        assert watched.aspired() == [("a", expected)]


# What goes wrong.


@pytest.mark.behaviour("6.4", "a base path that vanishes unloads nothing; ours: the other models are still looked at")
@pytest.mark.behaviour("6.4", "a base path that fails changes nothing; ours: other models are looked at all the same")
def test_a_base_path_that_fails_is_told_and_leaves_all_models_as_they_are():
    watched = Watched(a={1}, b={1})
    watched.source.watch([A, B])
    watched.source.turn(0)
    watched.aspired()
    watched.files.there["a"] = NotFound("gone")
    watched.source.turn(1)
    # Nothing is said of `a`, so that what serves stays; `b` is looked at all the same.
    assert watched.aspired() == [("b", [1])]
    watched.files.there["a"] = {2}
    watched.source.turn(2)
    assert watched.aspired() == [("a", [2]), ("b", [1])]


def test_what_keeps_a_model_without_a_version_is_told():
    gone = Unimplemented("not here")
    watched = Watched(gone=gone, empty=set(), sound={1}, odd=KeyError("odd"))
    problems = watched.source.watch([model(name) for name in ("gone", "empty", "sound", "odd")])
    assert list(problems) == ["gone", "empty", "odd"]
    assert problems["gone"] is gone
    assert str(problems["empty"]) == "NOT_FOUND: no versions found under base path /empty"
    assert isinstance(problems["odd"], Internal)
    assert str(problems["odd"]) == "INTERNAL: KeyError: 'odd'"
    assert watched.aspired() == [("empty", []), ("sound", [1])]


def test_only_what_was_looked_at_has_problems():
    watched = Watched(b={1})
    assert list(watched.source.watch([A])) == ["a"]
    assert watched.source.watch([A, B]) == {}


# What it says.


@pytest.fixture
def said(caplog):
    """Gives what was logged since it was last called."""

    def said():
        messages = caplog.messages[:]
        caplog.clear()
        return messages

    with caplog.at_level(logging.INFO, "servable.sources"):
        yield said


def test_of_a_base_path_in_order_nothing_is_said(said):
    watched = Watched(a={1})
    watched.source.watch([A])
    watched.source.turn(0)
    watched.source.turn(1)
    assert said() == []


@pytest.mark.behaviour("6.4", "a base path that fails changes nothing; ours: other models are looked at all the same")
def test_a_base_path_that_fails_is_told_once_until_it_is_in_order_again(said):
    error = NotFound("Could not find base path /a for servable a with error NOT_FOUND: /a; gone")
    text = f"FileSystemStoragePathSource encountered a filesystem access error: {error.message}"
    watched = Watched(a=error)
    watched.source.watch([A])
    assert said() == [text]
    for now_s in range(5):
        watched.source.turn(now_s)
    assert said() == []
    watched.files.there["a"] = {1}
    watched.source.turn(5)
    watched.source.turn(6)
    assert said() == ["the base path of a is in order again"]
    watched.files.there["a"] = error
    watched.source.turn(7)
    assert said() == [text]


def test_warnings_are_said_once_and_again_when_they_change(said):
    watched = Watched(a={1})
    missing = "Version {} of servable a, which was requested specifically, was not found on the file system"
    watched.files.warnings["a"] = ["Duplicate"]
    watched.source.watch([model("a", policy=Specific((1, 2)))])
    assert said() == ["Duplicate", missing.format(2)]
    watched.source.turn(0)
    watched.source.turn(1)
    assert said() == []
    watched.files.there["a"] = set()
    watched.source.turn(2)
    assert said() == ["Duplicate", missing.format(1), missing.format(2)]


def test_each_model_s_warnings_are_its_own(said):
    watched = Watched(a={1}, b={1})
    watched.files.warnings = {"a": ["first"], "b": ["second"]}
    watched.source.watch([A, B])
    assert said() == ["first", "second"]
    watched.files.warnings["b"] = ["third"]
    watched.source.turn(0)
    watched.source.turn(1)
    assert said() == ["third"]


def test_a_model_that_comes_back_is_warned_of_again(said):
    watched = Watched(a={1})
    watched.files.warnings["a"] = ["Duplicate"]
    watched.source.watch([A])
    watched.source.watch([])
    said()
    watched.source.watch([A])
    assert said() == ["Duplicate"]


def test_what_nobody_foresaw_is_said_once_with_its_traceback(said, caplog):
    watched = Watched(a=KeyError("odd"))
    watched.source.watch([A])
    assert [record.exc_info[1].args for record in caplog.records] == [("odd",)]
    assert said() == ["looking at /a failed in an unforeseen way: INTERNAL: KeyError: 'odd'"]
    watched.source.turn(0)
    watched.source.turn(1)
    assert said() == []
