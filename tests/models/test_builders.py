"""Every test model is what its docstring says: its signatures, and a few values that other tests rely on."""

import threading

import numpy as np
import pytest

from tests.models import broken_models
from tests.models.exporting import saved_model_pb2, tf, tf1_session, v1
from tests.models.notation import documented_signatures, read_saved_model, written_signatures
from tests.models.store import ModelStore, load_builders, shared_root

BOUND = v1.RunOptions(timeout_in_ms=20_000)
BUILDERS = load_builders()
BROKEN = sorted(name for name, builder in BUILDERS.items() if builder.__module__ == broken_models.__name__)
WHOLE = sorted(BUILDERS.keys() - set(BROKEN))
LOADS_AND_FAILS_LATER = {"python_function"}

X = np.array([[2.0]], np.float32)
FEATURES = np.array([[1.0, 2.0, 3.0]], np.float32)
VALUES = [
    ("half_plus_two", "serving_default", {"x": X}, {"y": [[3.0]]}),
    ("half_plus_two", "regress_x2_to_y3", {"inputs": X}, {"outputs": [[4.0]]}),
    ("half_plus_three", "serving_default", {"x": X}, {"y": [[4.0]]}),
    ("half_plus_two_text", "classify_x2_to_y3", {"inputs": X}, {"scores": [[4.0]]}),
    ("half_plus_two_tf2", "serving_default", {"x": X}, {"y": [[3.0]]}),
    ("single_function", "serving_default", {"x": [2.0]}, {"y": [12.0]}),
    ("two_signatures", "predict_three", {"x": [2.0]}, {"output_0": [6.0]}),
    ("strings", "serving_default", {"text": ["a", "bc"]}, {"loud": [b"a!", b"bc!"], "bytes": [1, 2]}),
    ("strings", "serving_default", {"text": ["a", "bc"]}, {"joined": b"a,bc"}),
    ("vocabulary", "serving_default", {"words": ["bird", "fish"]}, {"ids": [2, -1]}),
    ("default_values", "serving_default", {"x": [1.0], "scale": 3.0, "offset": 4.0}, {"y": [7.0]}),
    ("tf1_predict", "predict", {"x": [[1.0, 1.0, 1.0]]}, {"product": [[6.0, 60.0]]}),
    (
        "scalar_beside_vector",
        "serving_default",
        {"values": [1, 2, 3], "count": 2},
        {"head": [1, 2], "total": 3},
    ),
    ("custom_method", "preprocess", {"pixels": [[3]]}, {"scaled": [[1.5]]}),
    ("keras_regression", "serving_default", {"features": FEATURES}, {"output_0": [[6.0]]}),
    ("keras_sigmoid", "serving_default", {"features": np.zeros((1, 4))}, {"output_0": [[0.5]]}),
    ("keras_softmax", "serving_default", {"features": 0 * FEATURES}, {"output_0": np.full((1, 3), 1 / 3)}),
    ("slow", "serving_default", {"iterations": [5, 2]}, {"counted": [5, 5]}),
    ("odd_heads", "classify_ok", {"inputs": ["", ""]}, {"classes": [[b"0a", b"0b"], [b"1a", b"1b"]]}),
    ("odd_heads", "regress_batch_plus_one", {"inputs": ["", ""]}, {"outputs": [0, 1, 2]}),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return ModelStore(shared_root(tmp_path_factory.getbasetemp()))


class Runner:
    """A model loaded into a TF1 session, run by signature key and alias."""

    def __init__(self, session, directory, tags=("serve",)):
        self._session = session
        self.meta_graph = v1.saved_model.load(session, list(tags), str(directory))

    def __call__(self, key, **inputs):
        signature = self.meta_graph.signature_def[key]
        feeds = {signature.inputs[alias].name: value for alias, value in inputs.items()}
        fetches = {alias: info.name for alias, info in signature.outputs.items()}
        return self._session.run(fetches, feeds, BOUND)


@pytest.mark.parametrize("name", WHOLE)
def test_the_written_signatures_are_those_of_the_docstring(store, name):
    assert "Signatures:" in BUILDERS[name].__doc__
    assert written_signatures(store.version_path(name)) == documented_signatures(BUILDERS[name])


@pytest.mark.parametrize("name", [*WHOLE, *LOADS_AND_FAILS_LATER])
def test_tensorflow_loads_a_whole_model(store, name):
    # Built before the session is entered: Keras does not build inside a graph.
    path = store.version_path(name)
    with tf1_session() as session:
        assert Runner(session, path).meta_graph.graph_def.node


@pytest.mark.parametrize("name", sorted(set(BROKEN) - LOADS_AND_FAILS_LATER))
def test_tensorflow_refuses_a_broken_model(store, name):
    path = store.version_path(name)
    with tf1_session() as session, pytest.raises((tf.errors.OpError, RuntimeError, OSError, ValueError)):
        Runner(session, path)


@pytest.mark.parametrize(("name", "key", "inputs", "outputs"), VALUES)
def test_a_signature_computes_what_the_docstring_says(store, name, key, inputs, outputs):
    path = store.version_path(name)
    with tf1_session() as session:
        answer = Runner(session, path)(key, **inputs)
    for alias, expected in outputs.items():
        if np.asarray(expected).dtype.kind == "S":
            np.testing.assert_array_equal(answer[alias], np.asarray(expected, object))
        else:
            np.testing.assert_allclose(answer[alias], expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["half_plus_two", "half_plus_two_tf2"])
def test_half_plus_two_regresses_the_feature_x_and_keeps_its_asset(store, name):
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(2.0)
    directory = store.version_path(name)
    with tf1_session() as session:
        answer = Runner(session, directory)("regress_x_to_y", inputs=[example.SerializeToString()])
    assert answer["outputs"].tolist() == [[3.0]]
    assert (directory / "assets" / "foo.txt").read_text() == "asset-file-contents"


def test_the_counter_keeps_its_state_from_run_to_run(store):
    with tf1_session() as session:
        run = Runner(session, store.version_path("counter"))
        calls = [run("get_counter"), run("incr_counter"), run("reset_counter"), run("incr_counter")]
        calls.append(run("incr_counter_by", delta=3.0))
    assert [float(call["output"]) for call in calls] == [0, 1, 0, 1, 4]


def test_a_pass_through_the_gate_waits_for_its_opening(store):
    answers = []
    with tf1_session() as session:
        run = Runner(session, store.version_path("gate"))
        caller = threading.Thread(target=lambda: answers.append(run("pass", x=[1.0])))
        caller.start()
        assert run("await_arrival")["arrived"]
        assert not answers
        assert run("open")["opened"]
        caller.join(timeout=20)
    assert answers[0]["y"].tolist() == [1.0]


def test_a_deadline_frees_a_pass_through_the_gate_and_stops_the_slow_model(store):
    soon = v1.RunOptions(timeout_in_ms=50)
    for name, key, feed in [("gate", "pass", [1.0]), ("slow", "serving_default", [10**12])]:
        with tf1_session() as session:
            signature = Runner(session, store.version_path(name)).meta_graph.signature_def[key]
            (fetch,), (target,) = signature.outputs.values(), signature.inputs.values()
            with pytest.raises(tf.errors.DeadlineExceededError):
                session.run(fetch.name, {target.name: feed}, soon)


def test_each_tag_set_has_its_own_graph(store):
    with tf1_session() as session:
        run = Runner(session, store.version_path("two_meta_graphs"), ["serve", "triple"])
        assert run("serving_default", x=[2.0])["tripled"].tolist() == [6.0]


def test_the_defaults_are_stored_in_the_signature_and_not_in_the_graph(store):
    meta_graph = read_saved_model(store.version_path("default_values")).meta_graphs[0]
    defaults = meta_graph.signature_def["serving_default"].defaults
    assert {alias: tf.make_ndarray(value).item() for alias, value in defaults.items()} == {
        "scale": 2,
        "offset": 1,
    }


def test_the_python_function_is_in_the_graph_by_a_token_only(store):
    saved_model = read_saved_model(store.version_path("python_function"))
    functions = saved_model.meta_graphs[0].graph_def.library.function
    assert any(node.op == "PyFunc" for function in functions for node in function.node_def)


def test_no_signature_at_all_lacks_even_the_initialiser(store):
    path = store.version_path("no_signature_at_all") / "saved_model.pb"
    assert not saved_model_pb2.SavedModel.FromString(path.read_bytes()).meta_graphs[0].signature_def
