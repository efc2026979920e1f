"""The source, stepped: when it polls which models, what they then aspire to, and what it logs."""

import logging
from pathlib import Path

import pytest

from servable.config.models import All, Latest, ModelConfig, Specific
from servable.errors import Internal, NotFound, Unimplemented
from servable.sources import Listing, Source, Version


class FakeFileSystem:
    """Base paths with the numbers below them; an error instead of numbers is raised."""

    def __init__(self, **numbers):
        self.numbers, self.warnings, self.polled = numbers, {}, []

    def __call__(self, model, base_path):
        self.polled.append((model, base_path))
        numbers = self.numbers.get(base_path.strip("/"), ())
        if isinstance(numbers, Exception):
            raise numbers
        return Listing(
            [Version(number, Path(base_path, str(number))) for number in sorted(numbers)], self.warnings.get(model, ())
        )


class Watched:
    """A source, and what models aspired to since the last call of `aspired`."""

    def __init__(self, poll_interval_s=1, **numbers):
        self.files, self._aspired = FakeFileSystem(**numbers), []
        self.source = Source(lambda name, paths: self._aspired.append((name, dict(paths))), poll_interval_s, self.files)

    def aspired(self):
        aspired, self._aspired = self._aspired, []
        assert all(path.name == str(number) for _, paths in aspired for number, path in paths.items())
        return [(name, sorted(paths)) for name, paths in aspired]

    def polled(self):
        polled, self.files.polled = self.files.polled, []
        return [name for name, _ in polled]


def model(name, base_path=None, policy=None, **labels):
    return ModelConfig(name, base_path or f"/{name}", policy or Latest(1), labels)


A, B = model("a"), model("b")


def test_a_new_model_is_polled_at_once():
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


def test_a_model_that_did_not_change_is_not_polled_when_others_do():
    watched = Watched(a={1}, b={1})
    watched.source.watch([A])
    watched.polled()
    watched.source.watch([A, B])
    assert watched.polled() == ["b"]


@pytest.mark.behaviour("13.14", "277-289 of file_system_storage_path_source_test")
@pytest.mark.parametrize(
    ("changed", "expected"), [(model("a", base_path="/b"), [9]), (model("a", policy=All()), [1, 2])]
)
def test_a_model_that_changed_is_polled_at_once(changed, expected):
    watched = Watched(a={1, 2}, b={9})
    watched.source.watch([A])
    watched.aspired()
    watched.source.watch([changed])
    assert watched.aspired() == [("a", expected)]


@pytest.mark.behaviour("13.14", "287 MultipleServables, 288 ChangeSetOfServables, 289 ChangeVersionPolicy")
@pytest.mark.behaviour("13.14", "277-289 of file_system_storage_path_source_test")
def test_a_dropped_model_aspires_to_no_versions():
    watched = Watched(a={1}, b={1})
    watched.source.watch([A, B])
    watched.aspired()
    watched.source.watch([B])
    assert watched.aspired() == [("a", [])]
    watched.source.turn(0)
    watched.source.turn(1)
    assert watched.aspired() == [("b", [1])]


def test_dropped_models_lose_their_versions_before_new_ones_are_polled():
    watched = Watched(a={1}, b={1})
    watched.source.watch([A])
    watched.aspired()
    watched.source.watch([B])
    assert watched.aspired() == [("a", []), ("b", [1])]


def test_a_model_that_is_added_again_is_polled_again():
    watched = Watched(a={1})
    watched.source.watch([A])
    watched.source.watch([])
    watched.aspired()
    watched.source.watch([A])
    assert watched.aspired() == [("a", [1])]


# When it polls.


@pytest.mark.behaviour("6.4", "polling: at once, then every file_system_poll_wait_seconds")
def test_all_models_are_polled_when_the_interval_is_over_and_not_before():
    watched = Watched(poll_interval_s=2, a={1}, b={1})
    # `watch` made the first poll.
    assert watched.source.turn(100) == 102
    watched.source.watch([A, B])
    watched.polled()
    assert watched.source.turn(100.5) == 102
    assert watched.source.turn(101.9) == 102
    assert watched.polled() == []
    assert watched.source.turn(102) == 104
    assert watched.polled() == ["a", "b"]
    assert watched.source.turn(110) == 112
    assert watched.polled() == ["a", "b"]


@pytest.mark.behaviour("6.4", "0 polls once; ours: and once at each reload that changes a model; below 0 the same")
@pytest.mark.behaviour("6.4", "0 or less: no polling; ours: the base paths of a changed config are listed all the same")
@pytest.mark.parametrize("poll_interval_s", [0, -1])
def test_without_an_interval_only_changes_of_the_config_are_polled(poll_interval_s):
    watched = Watched(poll_interval_s, a={1})
    watched.source.watch([A])
    assert watched.polled() == ["a"]
    assert watched.source.turn(0) is None
    assert watched.source.turn(1e9) is None
    assert watched.polled() == []


def test_versions_that_come_and_go_are_seen_at_the_next_poll():
    watched = Watched(a={1})
    watched.source.watch([A])
    watched.source.turn(0)
    watched.aspired()
    for now_s, numbers, expected in [(1, {1, 2}, [2]), (2, {1}, [1]), (3, set(), []), (4, {3}, [3])]:
        watched.files.numbers["a"] = numbers
        watched.source.turn(now_s)
        assert watched.aspired() == [("a", expected)]


# What goes wrong.


@pytest.mark.behaviour("6.4", "a base path that disappears unloads nothing; ours: the other models are still polled")
@pytest.mark.behaviour("6.4", "a base path that fails changes nothing; ours: other models are polled all the same")
def test_a_base_path_that_fails_leaves_all_models_as_they_are():
    watched = Watched(a={1}, b={1})
    watched.source.watch([A, B])
    watched.source.turn(0)
    watched.aspired()
    watched.files.numbers["a"] = NotFound("gone")
    watched.source.turn(1)
    # Nothing is aspired for `a`, so its versions stay; `b` is polled all the same.
    assert watched.aspired() == [("b", [1])]
    watched.files.numbers["a"] = {2}
    watched.source.turn(2)
    assert watched.aspired() == [("a", [2]), ("b", [1])]


def test_the_reason_why_a_model_has_no_version_is_returned():
    gone = Unimplemented("not here")
    watched = Watched(gone=gone, empty=set(), sound={1}, odd=KeyError("odd"))
    problems = watched.source.watch([model(name) for name in ("gone", "empty", "sound", "odd")])
    assert list(problems) == ["gone", "empty", "odd"]
    assert problems["gone"] is gone
    assert str(problems["empty"]) == "NOT_FOUND: no versions found under base path /empty"
    assert isinstance(problems["odd"], Internal)
    assert str(problems["odd"]) == "INTERNAL: KeyError: 'odd'"
    assert watched.aspired() == [("empty", []), ("sound", [1])]


def test_only_models_that_were_polled_have_problems():
    watched = Watched(b={1})
    assert list(watched.source.watch([A])) == ["a"]
    assert watched.source.watch([A, B]) == {}


# What it logs.


@pytest.fixture
def logged(caplog):
    """Returns the messages that were logged since the last call."""

    def logged():
        messages = caplog.messages[:]
        caplog.clear()
        return messages

    with caplog.at_level(logging.INFO, "servable.sources"):
        yield logged


def test_a_base_path_without_problems_logs_nothing(logged):
    watched = Watched(a={1})
    watched.source.watch([A])
    watched.source.turn(0)
    watched.source.turn(1)
    assert logged() == []


@pytest.mark.behaviour("6.4", "a base path that fails changes nothing; ours: other models are polled all the same")
def test_a_base_path_that_fails_is_logged_once_until_it_recovers(logged):
    error = NotFound("Could not find base path /a for servable a with error NOT_FOUND: /a; gone")
    text = f"FileSystemStoragePathSource encountered a filesystem access error: {error.message}"
    watched = Watched(a=error)
    watched.source.watch([A])
    assert logged() == [text]
    for now_s in range(5):
        watched.source.turn(now_s)
    assert logged() == []
    watched.files.numbers["a"] = {1}
    watched.source.turn(5)
    watched.source.turn(6)
    assert logged() == ["the base path of a has no problems any more"]
    watched.files.numbers["a"] = error
    watched.source.turn(7)
    assert logged() == [text]


def test_warnings_are_logged_once_and_again_when_they_change(logged):
    watched = Watched(a={1})
    missing = "Version {} of servable a, which was requested specifically, was not found on the file system"
    watched.files.warnings["a"] = ["Duplicate"]
    watched.source.watch([model("a", policy=Specific((1, 2)))])
    assert logged() == ["Duplicate", missing.format(2)]
    watched.source.turn(0)
    watched.source.turn(1)
    assert logged() == []
    watched.files.numbers["a"] = set()
    watched.source.turn(2)
    assert logged() == ["Duplicate", missing.format(1), missing.format(2)]


def test_each_model_s_warnings_are_its_own(logged):
    watched = Watched(a={1}, b={1})
    watched.files.warnings = {"a": ["first"], "b": ["second"]}
    watched.source.watch([A, B])
    assert logged() == ["first", "second"]
    watched.files.warnings["b"] = ["third"]
    watched.source.turn(0)
    watched.source.turn(1)
    assert logged() == ["third"]


def test_a_model_that_is_added_again_is_warned_of_again(logged):
    watched = Watched(a={1})
    watched.files.warnings["a"] = ["Duplicate"]
    watched.source.watch([A])
    watched.source.watch([])
    logged()
    watched.source.watch([A])
    assert logged() == ["Duplicate"]


def test_an_unexpected_error_is_logged_once_with_its_traceback(logged, caplog):
    watched = Watched(a=KeyError("odd"))
    watched.source.watch([A])
    assert [record.exc_info[1].args for record in caplog.records] == [("odd",)]
    assert logged() == ["listing /a failed unexpectedly: INTERNAL: KeyError: 'odd'"]
    watched.source.turn(0)
    watched.source.turn(1)
    assert logged() == []
