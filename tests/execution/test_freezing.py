"""Which models lose their variables at load, that they answer as before, and why the others keep theirs."""

import logging
import shutil

import numpy as np
import pytest
import tensorflow as tf

from servable import process
from servable.config.batching import BatchingConfig
from servable.errors import FailedPrecondition, ServingError
from servable.execution import loaded_model
from servable.execution.graph_import import best_import
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns
from servable.execution.stored_graph import GraphIndex, node_name
from servable.options import ServerOptions
from tests.execution.running import floats, run
from tests.models.exporting import edited, placeholder, save_tf1, save_tf2, signature, tf1_session

MANY_BYTES = 1 << 20
KEEPS = " keeps its variables: "
X = tf.TensorSpec([None, 1], tf.float32, "x")


@pytest.fixture(params=[PrivateRuns, PublicRuns], ids=["private", "public"])
def runs(request):
    return request.param()


@pytest.fixture
def load(runs, caplog):
    """Loads a model with freezing; returns it with the logged reasons why it was not frozen."""
    caplog.set_level(logging.DEBUG, "servable.execution")
    opened = []

    def load(directory, most_bytes=MANY_BYTES):
        caplog.clear()
        opened.append(SavedModelLoader(runs=runs, freeze_up_to_bytes=most_bytes)(directory))
        logged = [record.getMessage() for record in caplog.records if KEEPS in record.getMessage()]
        prefix = f"{directory}{KEEPS}"
        assert [text.startswith(prefix) for text in logged] == [True] * len(logged)
        return opened[-1], [text.removeprefix(prefix) for text in logged]

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
    assert "VarHandleOp" not in _served_ops(model)
    assert "VarHandleOp" in _served_ops(kept)


class Large(tf.Module):
    def __init__(self):
        self.served, self.unused = tf.Variable(tf.ones([1 << 14])), tf.Variable(tf.ones([1 << 14]))

    @tf.function(input_signature=[X])
    def serve(self, x):
        return {"y": x * tf.reduce_sum(self.served)}


def test_frozen_and_unused_variables_are_freed(load, tmp_path):
    module = Large()
    model, _ = load(save_tf2(module, tmp_path / "1", module.serve))
    assert run(model, "serving_default", {"x": floats(2.0)}) == {"y": [[2.0 * (1 << 14)]]}
    session = model._session._session
    names = [node.attr["shared_name"].s for node in session.graph.as_graph_def().node if node.op == "VarHandleOp"]
    assert len(set(names)) == 2
    with session.graph.as_default():
        handles = [tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[1 << 14], shared_name=name) for name in names]
        are_there = [tf.raw_ops.VarIsInitializedOp(resource=handle) for handle in handles]
    assert session.run(are_there) == [False, False]


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
    "words",
    # The path of an asset is a variable of text, which the init op assigns; only the load needs it.
    [words_of_graph, words_of_file],
)
def test_tables_beside_variables_are_filled(load, tmp_path, words):
    module = Words(words(tmp_path))
    model, got = load(save_tf2(module, tmp_path / "1", module.serve))
    assert got == []
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
    (reason,) = reasons
    assert reason.endswith("(AssignAddVariableOp) takes a variable")
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
    assert reasons == (["they take 14 bytes, more than 13"] if is_kept else [])
    assert run(model, "serving_default", {"x": floats(1.0)}) == {"y": [[7.5]]}


def test_a_model_whose_variables_get_no_values_loads_as_it_does_otherwise(load, layers, tmp_path):
    directory = shutil.copytree(layers, tmp_path / "1")
    with edited(directory) as saved_model:
        saved_model.meta_graphs[0].ClearField("saver_def")
    model, (reason,) = load(directory)
    assert reason.startswith("they cannot be read: ")
    with pytest.raises(FailedPrecondition):
        run(model, "serving_default", {"x": floats(1.0)})


def test_the_init_op_is_as_unknown_to_requests_as_without_freezing(load, layers):
    refusals = []
    for most_bytes in (0, MANY_BYTES):
        model, _ = load(layers, most_bytes)
        with pytest.raises(ServingError) as refused:
            run(model, "__saved_model_init_op")
        refusals.append((refused.value.code, refused.value.message))
    assert "does not have output 0" in refusals[0][1]
    assert refusals[0] == refusals[1]


class Strict(tf.Module):
    def __init__(self):
        self.weights = tf.Variable([[2.0]])

    @tf.function(input_signature=[X])
    def serve(self, x):
        checked = tf.debugging.check_numerics(x, "x is bad", name="look")
        return {"y": tf.linalg.matmul(checked, self.weights)}


def test_errors_name_the_same_function_and_node_as_without_freezing(load, tmp_path):
    module, texts = Strict(), []
    directory = save_tf2(module, tmp_path / "1", module.serve)
    for most_bytes in (0, MANY_BYTES):
        model, reasons = load(directory, most_bytes)
        assert reasons == []
        with pytest.raises(ServingError) as refused:
            run(model, "serving_default", {"x": floats(float("nan"))})
        texts.append(refused.value.message)
    assert "function_node" in texts[0]
    assert texts[0] == texts[1]


def test_nothing_is_frozen_unless_it_is_asked_for(load, layers):
    assert SavedModelLoader().freeze_up_to_bytes == 0
    _, reasons = load(layers, 0)
    assert reasons == []


@pytest.mark.parametrize("batching", [None, BatchingConfig()], ids=["unbatched", "batched"])
@pytest.mark.parametrize(
    ("megabytes", "is_frozen"),
    [({}, True), ({"freeze_variables_up_to_mb": 0}, False), ({"freeze_variables_up_to_mb": -1}, False)],
)
def test_a_server_freezes_small_models_in_every_mode_unless_the_flag_is_0(layers, batching, megabytes, is_frozen):
    model = process.make_cold_loader(ServerOptions(**megabytes), batching)(layers)
    assert ("VarHandleOp" not in _served_ops(model)) is is_frozen
    model.close()


def test_a_model_whose_graph_cannot_be_imported_without_its_variables_keeps_them(layers, caplog):
    def import_once(graph, named, producer_ops, onto=None):
        if onto is not None:
            raise ValueError("no such graph")
        return best_import()(graph, named, producer_ops)

    model = SavedModelLoader(imports=import_once, freeze_up_to_bytes=MANY_BYTES)(layers)
    assert run(model, "serving_default", {"x": floats(1.0, 3.0)}) == {"y": [[7.5], [17.5]]}
    model.close()
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage().startswith(f"{layers}{KEEPS}INVALID_ARGUMENT: no such graph")


def _served_ops(model):
    outputs = {name for found in model.signatures.values() for name in found.outputs.values()}
    graph = model._session._session.graph.as_graph_def()
    return GraphIndex(graph.SerializeToString()).prune_to(map(node_name, outputs)).ops


@pytest.mark.parametrize(("megabytes", "runners"), [(0, 128), (1, 128), (10, 50), (64, 8), (1000, 8)])
def test_prepared_graphs_of_a_frozen_model_take_a_bounded_amount_of_memory(megabytes, runners):
    assert loaded_model.max_runners(megabytes * 1_000_000) == runners


def test_a_frozen_model_keeps_few_prepared_graphs(load, layers, monkeypatch):
    monkeypatch.setattr(loaded_model, "max_runners", lambda frozen_bytes: 2 if frozen_bytes else 128)
    model, _ = load(layers)
    (feed,), (fetch,) = (list(names.values()) for names in _names(model))
    made = [model.runner((feed,), (fetch,) * count) for count in (1, 2, 3)]
    assert model.ready_runner((feed,), (fetch,)) is None
    assert model.ready_runner((feed,), (fetch,) * 3) is made[2]


def _names(model):
    found = model.signatures["serving_default"]
    return found.inputs, found.outputs
