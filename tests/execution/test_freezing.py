"""Which models lose their variables at load, that they answer as before, and why the others keep theirs."""

import logging
import shutil

import numpy as np
import pytest
import tensorflow as tf

from servable.config.batching import BatchingConfig
from servable.errors import FailedPrecondition
from servable.execution import freezing, loaded_model
from servable.execution.graph_import import best_import
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns
from tests.execution.running import floats, run
from tests.models.exporting import placeholder, save_tf1, save_tf2, signature, tf1_session

MANY_BYTES = 1 << 20
KEEPS = "the model keeps its variables: "
X = tf.TensorSpec([None, 1], tf.float32, "x")


@pytest.fixture(params=[PrivateRuns, PublicRuns], ids=["private", "public"])
def runs(request):
    return request.param()


@pytest.fixture
def load(runs, caplog):
    """Loads a model with freezing; gives it with the reasons why it was not frozen."""
    caplog.set_level(logging.INFO, freezing.__name__)
    opened = []

    def load(directory, most_bytes=MANY_BYTES):
        caplog.clear()
        opened.append(SavedModelLoader(runs=runs, freeze_up_to_bytes=most_bytes)(directory))
        return opened[-1], [r.getMessage() for r in caplog.records if r.name == freezing.__name__]

    yield load
    for model in opened:
        model.close()


class Layers(tf.Module):
    """A function that two calls share, each with its own variables, and that calls another one."""

    def __init__(self):
        self.first = tf.Variable([[2.0]])
        self.second = tf.Variable([[5.0]])
        self.bias = tf.Variable([1.0])
        self.half = tf.Variable(0.5, dtype=tf.bfloat16)

    @tf.function(autograph=False)
    def _line(self, x, weights):
        return tf.linalg.matmul(x, weights)

    @tf.function(input_signature=[X])
    def serve(self, x):
        low = self._line(x, self.first) + self.bias
        return {"y": self._line(low, self.second.read_value()) * tf.cast(self.half, tf.float32)}


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    module = Layers()
    return save_tf2(module, tmp_path_factory.mktemp("layers") / "1", module.serve)


def test_reads_through_functions_of_functions_become_constants(load, layers):
    model, reasons = load(layers)
    assert reasons == []
    assert run(model, "serving_default", {"x": floats(1.0, 3.0)}) == {"y": [[7.5], [17.5]]}


def test_a_frozen_model_has_no_variable_left(load, layers):
    model, _ = load(layers)
    kept, _ = load(layers, most_bytes=0)
    assert "VarHandleOp" not in _ops(model)
    assert "VarHandleOp" in _ops(kept)


class Shared(tf.Module):
    """One function of a resource, called with two variables."""

    def __init__(self):
        self.low, self.high = tf.Variable(10.0), tf.Variable(100.0)

    def signatures(self):
        @tf.function(input_signature=[X])
        def low(x):
            return {"y": x + self.low}

        @tf.function(input_signature=[X])
        def both(x):
            return {"y": low(x)["y"] * self.high, "low": low(2 * x)["y"]}

        return {"low": low, "both": both}


def test_signatures_share_functions_and_variables(load, tmp_path):
    module = Shared()
    model, reasons = load(save_tf2(module, tmp_path / "1", module.signatures()))
    assert reasons == []
    assert run(model, "low", {"x": floats(1.0)}) == {"y": [[11.0]]}
    assert run(model, "both", {"x": floats(1.0)}) == {"y": [[1100.0]], "low": [[12.0]]}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("name", "width"), [("keras_softmax", 3), ("keras_sigmoid", 4)])
def test_a_keras_model_answers_nearly_as_before(load, models, name, width, batch):
    directory = models.version_path(name)
    model, reasons = load(directory)
    assert reasons == []
    plain = SavedModelLoader()(directory)
    (feed,) = plain.signatures["serving_default"].inputs
    x = np.random.default_rng(0).random((batch, width), np.float32)
    before, after = (run(of, "serving_default", {feed: x}) for of in (plain, model))
    plain.close()
    for alias, value in before.items():
        np.testing.assert_allclose(after[alias], value, rtol=1e-5)


class Words(tf.Module):
    def __init__(self, initializer):
        self.scale = tf.Variable(10, dtype=tf.int64)
        self.table = tf.lookup.StaticHashTable(initializer, -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "x")])
    def serve(self, x):
        return {"y": self.table.lookup(x) * self.scale}


def words_of_graph(folder):
    del folder
    return tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))


def words_of_file(folder):
    (folder / "words.txt").write_text("a\nb\n")
    line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    return tf.lookup.TextFileInitializer(str(folder / "words.txt"), tf.string, line, tf.int64, number)


@pytest.mark.parametrize(
    ("words", "reasons"),
    # The path of an asset is a variable of text, which the init op assigns.
    [(words_of_graph, []), (words_of_file, [f"{KEEPS}the size of Variable is not known"])],
)
def test_tables_beside_variables_are_filled(load, tmp_path, words, reasons):
    module = Words(words(tmp_path))
    model, got = load(save_tf2(module, tmp_path / "1", module.serve))
    assert got == reasons
    assert run(model, "serving_default", {"x": np.array([b"b", b"?"], object)}) == {"y": [10, -10]}


class Counter(tf.Module):
    def __init__(self):
        self.count = tf.Variable(0.0)
        self.step = tf.Variable(1.0)

    @tf.function(input_signature=[X])
    def serve(self, x):
        return {"y": x + self.count.assign_add(self.step)}

    @tf.function(input_signature=[X])
    def read(self, x):
        return {"y": x + self.count}


def test_a_variable_that_any_signature_assigns_is_kept(load, tmp_path):
    module = Counter()
    signatures = {"serving_default": module.serve, "read": module.read}
    model, reasons = load(save_tf2(module, tmp_path / "1", signatures))
    assert [reason.startswith(KEEPS) and "(AssignAddVariableOp) takes a variable" in reason for reason in reasons] == [
        True
    ]
    for count in (1.0, 2.0):
        assert run(model, "serving_default", {"x": floats(0.0)}) == {"y": [[count]]}
        assert run(model, "read", {"x": floats(0.0)}) == {"y": [[count]]}


class Loop(tf.Module):
    def __init__(self):
        self.step = tf.Variable(2.0)

    @tf.function(input_signature=[X])
    def serve(self, x):
        return {"y": tf.while_loop(lambda y: tf.reduce_sum(y) < 10, lambda y: (y + self.step,), (x,))[0]}


def test_a_variable_that_control_flow_takes_is_kept(load, tmp_path):
    module = Loop()
    model, (reason,) = load(save_tf2(module, tmp_path / "1", module.serve))
    assert reason.startswith(KEEPS)
    assert "While) takes a variable" in reason
    assert run(model, "serving_default", {"x": floats(1.0)}) == {"y": [[11.0]]}


@pytest.mark.parametrize(("resource", "reason"), [(True, None), (False, "it has variables of TensorFlow 1")])
def test_variables_of_tensorflow_1_are_kept_unless_they_are_resources(load, tmp_path, resource, reason):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, 1], "x")
        y = x * tf.compat.v1.get_variable("a", initializer=3.0, use_resource=resource)
        save_tf1(session, tmp_path / "1", {"serving_default": signature({"x": x}, {"y": y})})
    model, reasons = load(tmp_path / "1")
    assert [reason in text for text in reasons] == ([True] if reason else [])
    assert run(model, "serving_default", {"x": floats(2.0)}) == {"y": [[6.0]]}


@pytest.mark.parametrize(("most_bytes", "is_kept"), [(13, True), (14, False)])
def test_the_limit_counts_the_bytes_of_all_variables(load, layers, most_bytes, is_kept):
    # Three floats and a bfloat16.
    model, reasons = load(layers, most_bytes)
    assert reasons == ([f"{KEEPS}they take 14 bytes, more than 13"] if is_kept else [])
    assert run(model, "serving_default", {"x": floats(1.0)}) == {"y": [[7.5]]}


def test_a_model_without_its_variables_loads_as_it_does_otherwise(load, layers, tmp_path):
    directory = shutil.copytree(layers, tmp_path / "1")
    shutil.rmtree(directory / "variables")
    model, (reason,) = load(directory)
    assert reason.startswith("the model keeps its variables, since they cannot be read: ")
    with pytest.raises(FailedPrecondition):
        run(model, "serving_default", {"x": floats(1.0)})


def test_nothing_is_frozen_unless_it_is_asked_for(load, layers):
    assert SavedModelLoader().freeze_up_to_bytes == 0
    _, reasons = load(layers, 0)
    assert reasons == []


@pytest.mark.parametrize(
    ("batching", "most_bytes", "is_frozen"),
    [(None, None, False), (BatchingConfig(), None, True), (BatchingConfig(), 0, False), (None, MANY_BYTES, True)],
)
def test_unless_it_is_said_only_models_that_are_batched_are_frozen(runs, layers, batching, most_bytes, is_frozen):
    model = SavedModelLoader(runs=runs, batching=batching, freeze_up_to_bytes=most_bytes)(layers)
    assert ("VarHandleOp" not in _ops(model)) is is_frozen
    model.close()


def test_a_batched_model_that_is_too_large_keeps_its_variables(layers, monkeypatch):
    monkeypatch.setattr(freezing, "MOST_BYTES_OF_BATCHED", 13)
    model = SavedModelLoader(batching=BatchingConfig(), freeze_up_to_bytes=None)(layers)
    assert "VarHandleOp" in _ops(model)
    model.close()


def test_a_model_whose_graph_cannot_be_imported_without_its_variables_keeps_them(layers, caplog):
    def import_with_variables(graph, named, producer_ops):
        if "VarHandleOp" not in graph.ops:
            raise ValueError("no such graph")
        return best_import()(graph, named, producer_ops)

    model = SavedModelLoader(imports=import_with_variables, freeze_up_to_bytes=MANY_BYTES)(layers)
    assert run(model, "serving_default", {"x": floats(1.0, 3.0)}) == {"y": [[7.5], [17.5]]}
    model.close()
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage().startswith(
        f"{KEEPS.removesuffix(': ')}, since its graph without them cannot be imported: INVALID_ARGUMENT: no such graph"
    )


def _ops(model):
    graph = model._session._session.graph
    return {operation.type for operation in graph.get_operations()} | {node.op for node in graph.as_graph_def().node}


def test_a_frozen_model_keeps_few_prepared_graphs(load, layers, monkeypatch):
    monkeypatch.setattr(loaded_model, "MAX_FROZEN_RUNNERS", 2)
    model, _ = load(layers)
    (feed,), (fetch,) = (list(names.values()) for names in _names(model))
    made = [model.runner((feed,), (fetch,) * count) for count in (1, 2, 3)]
    assert model.ready_runner((feed,), (fetch,)) is None
    assert model.ready_runner((feed,), (fetch,) * 3) is made[2]


def _names(model):
    found = model.signatures["serving_default"]
    return found.inputs, found.outputs
