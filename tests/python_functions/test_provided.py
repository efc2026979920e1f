"""Which function a model's Python op gets: by name or token, for all models or for those below a directory."""

from pathlib import Path

import pytest

from servable.python_functions import Provided


def make(name):
    def function():
        return name

    return function


@pytest.fixture
def provided():
    return Provided()


def test_the_decorator_leaves_the_function_as_it_is(provided):
    function = make("one")
    assert provided.provide("normalise")(function) is function
    assert provided.find(["normalise"], Path("/models/a/1")) is function


def test_the_first_name_that_has_a_function_counts(provided):
    by_token, by_name = provided.provide("pyfunc_0")(make("token")), provided.provide("normalise")(make("name"))
    assert provided.find(["scope/normalise", "normalise", "pyfunc_0"], Path("/m/1")) is by_name
    assert provided.find(["other", "pyfunc_0"], Path("/m/1")) is by_token
    assert provided.find(["other"], Path("/m/1")) is None


def test_the_nearest_directory_goes_first(provided):
    everywhere = provided.provide("pyfunc_0")(make("everywhere"))
    of_all = provided.provide("pyfunc_0", base_path="/models")(make("all"))
    of_a = provided.provide("pyfunc_0", base_path="/models/a")(make("a"))
    assert provided.find(["pyfunc_0"], Path("/models/a/1")) is of_a
    assert provided.find(["pyfunc_0"], Path("/models/b/1")) is of_all
    assert provided.find(["pyfunc_0"], Path("/models_of_others/1")) is everywhere


def test_a_directory_goes_before_a_better_name(provided):
    near = provided.provide("pyfunc_0", base_path="/models/a")(make("near"))
    provided.provide("normalise")(make("far"))
    assert provided.find(["normalise", "pyfunc_0"], Path("/models/a/1")) is near


def test_two_functions_of_one_name_are_refused(provided):
    function = make("one")
    provided.provide("normalise")(function)
    provided.provide("normalise")(function)
    provided.provide("normalise", base_path="/models/a")(make("another"))
    with pytest.raises(ValueError, match="two Python functions for 'normalise'"):
        provided.provide("normalise")(make("two"))
