"""Models that call Python: with functions that are provided, by name or token, and without."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from servable.errors import DeadlineExceeded, InvalidArgument, Unimplemented, Unknown
from servable.execution import python_ops
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns
from servable.python_functions import PROVIDED, Provided, provide
from tests.execution.running import run
from tests.models.exporting import placeholder, save_tf1, save_tf2, signature, tf, tf1_session

X = {"x": np.array([2, 4], np.float32)}
VECTOR = tf.TensorSpec([None], tf.float32, name="x")
PATIENCE_S = 30.0


def unlike_the_export(*_):
    raise AssertionError("the function of the export ran, not the one that was provided")


class Calling(tf.Module):
    """A signature for each kind of Python op."""

    @tf.function(input_signature=[VECTOR])
    def array(self, x):
        return {"y": tf.numpy_function(unlike_the_export, [x], tf.float32, name="the_array_function")}

    @tf.function(input_signature=[VECTOR])
    def stateless(self, x):
        function = tf.numpy_function(unlike_the_export, [x], tf.float32, stateful=False, name="the_stateless_function")
        return {"y": function}

    @tf.function(input_signature=[VECTOR])
    def eager(self, x):
        return {"y": tf.py_function(unlike_the_export, [x], tf.float32, name="the_eager_function")}

    @tf.function(input_signature=[VECTOR])
    def ragged(self, x):
        rows = tf.RaggedTensor.from_row_lengths(x, [1, tf.size(x) - 1])
        spec = tf.RaggedTensorSpec([None, None], tf.float32)
        return {"y": tf.py_function(unlike_the_export, [rows], spec, name="the_ragged_function").flat_values}


KINDS = ("array", "stateless", "eager", "ragged")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    calling = Calling()
    signatures = {kind: getattr(calling, kind) for kind in KINDS}
    return save_tf2(calling, tmp_path_factory.mktemp("calling") / "1", signatures)


@pytest.fixture(params=[PrivateRuns, PublicRuns], ids=["private", "public"])
def load(request, monkeypatch):
    """Loads a version directory with functions by name. The functions are dropped after the test."""
    monkeypatch.setattr(PROVIDED, "_functions", {})
    models = []

    def load(directory, **functions):
        for name, function in functions.items():
            provide(name, base_path=str(directory))(function)
        models.append(SavedModelLoader(runs=request.param())(directory))
        return models[-1]

    yield load
    for model in models:
        model.close()


def triple(x, *parts):
    return (x * 3, *parts) if parts else x * 3


def fail(model, kind, error, timeout_s=None):
    with pytest.raises(error) as caught:
        run(model, kind, X, timeout_s)
    assert type(caught.value) is error
    assert "Traceback" not in caught.value.message
    assert ".py" not in caught.value.message
    return caught.value.message


@pytest.mark.behaviour(
    "7.1",
    "ours: models with Python ops run the functions that a module of --import provides; what nobody "
    "provides is told at load",
)
@pytest.mark.parametrize("timeout_s", [None, PATIENCE_S])
@pytest.mark.parametrize("kind", KINDS)
def test_a_function_that_is_provided_by_name_is_called(load, directory, kind, timeout_s):
    model = load(directory, **{f"the_{kind}_function": triple})
    assert run(model, kind, X, timeout_s) == {"y": [6.0, 12.0]}


def test_a_token_names_a_function_too(load, directory):
    stored = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    functions = stored.meta_graphs[0].graph_def.library.function
    (token,) = (
        node.attr["token"].s.decode()
        for function in functions
        for node in function.node_def
        if node.name == "the_array_function"
    )
    model = load(directory, **{token: triple})
    assert run(model, "array", X) == {"y": [6.0, 12.0]}


def test_a_name_below_a_scope_may_be_given_by_its_last_part(load, tmp_path):
    with tf1_session() as session, tf.name_scope("scope"):
        x = placeholder(tf.float32, [None], "x")
        y = tf.numpy_function(unlike_the_export, [x], tf.float32, name="function")
        save_tf1(session, tmp_path / "1", {"array": signature({"x": x}, {"y": y})})
    assert run(load(tmp_path / "1", function=triple), "array", X) == {"y": [6.0, 12.0]}


@pytest.mark.behaviour(
    "7.1",
    "ours: models with Python ops run the functions that a module of --import provides; what nobody "
    "provides is told at load",
)
def test_models_with_the_same_names_keep_their_own_functions(load, directory, tmp_path):
    save_tf2(calling := Calling(), tmp_path / "1", {"array": calling.array})
    first = load(directory, the_array_function=triple)
    second = load(tmp_path / "1", the_array_function=lambda x: x + 1)
    assert run(second, "array", X) == {"y": [3.0, 5.0]}
    assert run(first, "array", X) == {"y": [6.0, 12.0]}


def test_functions_outlive_the_close_of_a_model_that_shares_them(load, directory):
    first, second = (load(directory, the_eager_function=triple) for _ in range(2))
    first.close()
    assert run(second, "eager", X) == {"y": [6.0, 12.0]}


def test_a_model_that_is_loaded_again_registers_nothing_again(load, directory, monkeypatch):
    load(directory, the_array_function=triple)
    monkeypatch.delattr(python_ops, "_add_to_registry")
    model = load(directory, the_array_function=triple)
    assert run(model, "array", X) == {"y": [6.0, 12.0]}


@pytest.mark.behaviour(
    "7.1",
    "ours: models with Python ops run the functions that a module of --import provides; what nobody "
    "provides is told at load",
)
def test_an_op_without_a_function_is_logged_at_load_and_refused_when_it_is_run(load, directory, caplog):
    model = load(directory, the_array_function=triple, the_stateless_function=triple)
    (warning,) = [record.getMessage() for record in caplog.records if record.name == python_ops.__name__]
    names = r"the_eager_function \(pyfunc_\d+\), the_ragged_function \(pyfunc_\d+\)"
    assert re.search(
        rf"^{re.escape(str(directory))} calls Python functions that nothing provides, .*: {names}\. ", warning
    )
    assert "in a module for --import, with servable.python_functions.provide" in warning
    assert run(model, "array", X) == {"y": [6.0, 12.0]}
    for kind in ("eager", "ragged"):
        message = fail(model, kind, Unimplemented)
        assert re.search(rf"the server has no Python function for the_{kind}_function \(pyfunc_\d+\)", message)


def test_a_function_of_the_exporting_process_is_never_called_by_chance(load, directory):
    # It is alive in this process, under the very token that the model holds.
    fail(load(directory), "array", Unimplemented)


@pytest.mark.parametrize("timeout_s", [None, PATIENCE_S])
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_error_is_the_caller_s_mistake_in_the_function_s_words(load, directory, kind, timeout_s):
    def refuse(*_):
        raise ValueError("x must be odd")

    model = load(directory, **{f"the_{kind}_function": refuse})
    assert fail(model, kind, InvalidArgument, timeout_s) == "ValueError: x must be odd"


def test_what_tensorflow_refuses_within_an_eager_function_is_the_caller_s_mistake(load, directory):
    def check(x):
        tf.debugging.assert_less(x, 0.0, message="x must be negative")
        return x

    message = fail(load(directory, the_eager_function=check), "eager", InvalidArgument)
    assert "x must be negative" in message


@pytest.mark.behaviour(
    "7.1",
    "ours: models with Python ops run the functions that a module of --import provides; what nobody "
    "provides is told at load",
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", [KeyError("secret"), RuntimeError("secret"), TypeError("secret"), AssertionError()])
def test_any_other_exception_is_only_logged(load, directory, kind, error, caplog):
    def break_down(*_):
        raise error

    message = fail(load(directory, **{f"the_{kind}_function": break_down}), kind, Unknown)
    assert re.fullmatch(
        rf"RuntimeError: the Python function the_{kind}_function \(pyfunc_\d+\) failed; the server's log says why",
        message,
    )
    assert any(record.exc_info and record.exc_info[1] is error for record in caplog.records)


@pytest.mark.parametrize("kind", ["array", "stateless", "eager"])
def test_a_result_of_another_dtype_or_count_is_an_error_without_a_traceback(load, directory, kind):
    wrong = {"array": InvalidArgument, "stateless": InvalidArgument, "eager": (InvalidArgument, Unknown)}[kind]
    with pytest.raises(wrong) as caught:
        run(load(directory, **{f"the_{kind}_function": lambda x: b"text"}), kind, X)
    assert "Traceback" not in caught.value.message


@pytest.mark.behaviour(
    "7.1",
    "ours: models with Python ops run the functions that a module of --import provides; what nobody "
    "provides is told at load",
)
@pytest.mark.parametrize("kind", ["array", "eager"])
def test_many_threads_get_their_own_results(load, directory, kind):
    model = load(directory, **{f"the_{kind}_function": triple})

    def call(value):
        timeout_s = PATIENCE_S if value % 2 else None
        return run(model, kind, {"x": np.array([value], np.float32)}, timeout_s)["y"][0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(400), timeout=PATIENCE_S)) == [value * 3.0 for value in range(400)]


def test_a_function_that_waits_holds_up_no_other_run(load, directory):
    entered, leave = threading.Event(), threading.Event()

    def wait(x):
        entered.set()
        assert leave.wait(PATIENCE_S)
        return x

    model = load(directory, the_array_function=wait, the_eager_function=triple)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run, model, "array", X)
        try:
            assert entered.wait(PATIENCE_S)
            assert run(model, "eager", X) == {"y": [6.0, 12.0]}
        finally:
            leave.set()
        assert waiting.result(PATIENCE_S) == {"y": [2.0, 4.0]}


def test_a_deadline_that_passed_is_reported_when_the_function_returns(load, directory):
    # TensorFlow cannot leave a Python function behind.
    leave = threading.Event()
    model = load(directory, the_array_function=lambda x: leave.wait(0.5) or x)
    fail(model, "array", DeadlineExceeded, 0.05)


def test_a_model_without_python_ops_is_left_as_it_is(directory):
    graph_def = tf.compat.v1.GraphDef()
    graph_def.node.add(name="y", op="NoOp")
    before = graph_def.SerializeToString()
    python_ops.bind(graph_def, directory, Provided())
    assert graph_def.SerializeToString() == before


@pytest.mark.parametrize("text", ["", "plain", "two\nlines"])
def test_a_text_without_a_traceback_stays(text):
    assert python_ops.without_traceback(text) == text
