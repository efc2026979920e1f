"""Models of each kind of state that TensorFlow saves, restores or initialises, beside a variable that is only read.

A builder writes a model whose `serving_default` takes `x`. Where TensorFlow 1 writes a model, variables are resources
unless the kind says otherwise. The value of `scale` comes from the checkpoint, so it is known only after the load.
"""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.models.exporting import placeholder, save_tf1, save_tf2, signature, tf, tf1_session, v1

WORDS = [np.array(words, object) for words in ([b"b"], [b"a", b"?"], [b"b", b"b", b"c"], [b"b"])]
NUMBERS = [np.array(numbers, np.float32).reshape(-1, 1) for numbers in ([2.0], [1.0, -1.0], [4.0, 0.5, 3.0], [2.0])]
_X = tf.TensorSpec([None, 1], tf.float32, "x")
_TEXT = tf.TensorSpec([None], tf.string, "x")


@dataclass(frozen=True)
class Kind:
    """A kind of state.

    Attributes:
        build: Writes a model into a directory.
        calls: What `x` is in each call, in order.
        is_frozen: Whether the model's variables are frozen.
        in_rows: Whether the rows of several calls may be run together.
    """

    build: Callable
    calls: list
    is_frozen: bool = True
    in_rows: bool = True


KINDS: dict[str, Kind] = {}


def _kind(calls, name="", **options):
    def add(build):
        KINDS[name or build.__name__.removeprefix("build_")] = Kind(build, calls, **options)
        return build

    return add


def _save_tf1(session, directory, x, y, **meta_graph):
    return save_tf1(session, directory, {"serving_default": signature({"x": x}, {"y": y})}, **meta_graph)


def _scale(use_resource=True):
    return v1.get_variable("scale", initializer=np.float32(10), use_resource=use_resource)


@contextlib.contextmanager
def _words_tf1():
    """A session, text to look up, and a factor for what is found."""
    with tf1_session() as session:
        yield session, placeholder(tf.string, [None], "x"), _scale()


class _Module(tf.Module):
    """The state that a function of `x` tracks besides `scale`."""

    def __init__(self, **tracked):
        super().__init__()
        self.scale = tf.Variable(10.0)
        for name, value in tracked.items():
            setattr(self, name, value)


def _save_tf2(directory, module, answer, spec=_X):
    def serve(x):
        return {"y": answer(x)}

    module.serve = tf.function(serve, input_signature=[spec])
    return save_tf2(module, directory, module.serve)


# Variables


@_kind(NUMBERS, "tf1 ref variable", is_frozen=False)
def build_reference(directory):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, 1], "x")
        return _save_tf1(session, directory, x, x * _scale(use_resource=False))


@_kind(NUMBERS, "tf1 resource and ref variables", is_frozen=False)
def build_both(directory):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, 1], "x")
        shift = v1.get_variable("shift", initializer=np.float32(3), use_resource=False)
        return _save_tf1(session, directory, x, x * _scale() + shift)


@_kind(NUMBERS, "tf1 resource variable")
def build_resource(directory):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, 1], "x")
        return _save_tf1(session, directory, x, x * _scale())


@_kind(NUMBERS, "tf1 partitioned variable", is_frozen=False)
def build_partitioned(directory, use_resource=True):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, 1], "x")
        parts = v1.get_variable(
            "parts",
            shape=[1, 6],
            initializer=v1.random_uniform_initializer(seed=1),
            partitioner=v1.fixed_size_partitioner(3, axis=1),
            use_resource=use_resource,
        )
        return _save_tf1(session, directory, x, tf.matmul(x, tf.convert_to_tensor(parts)))


@_kind(NUMBERS, "tf1 partitioned ref variable", is_frozen=False)
def build_partitioned_reference(directory):
    return build_partitioned(directory, use_resource=False)


def _build_dtype(directory, value):
    module = _Module(variable=tf.Variable(value))
    return _save_tf2(directory, module, lambda x: tf.cast(module.variable, tf.float32) * x * module.scale)


for _dtype in (tf.int64, tf.uint8, tf.bool, tf.float16, tf.bfloat16, tf.complex64, tf.float64):
    KINDS[f"tf2 {_dtype.name} variable"] = Kind(
        lambda directory, dtype=_dtype: _build_dtype(directory, tf.cast([[1, 0, 1]], dtype)), NUMBERS
    )


@_kind(NUMBERS, "tf2 string variable", is_frozen=False)
def build_text(directory):
    module = _Module(text=tf.Variable(["1.5", "2"]))
    return _save_tf2(directory, module, lambda x: x * module.scale * tf.strings.to_number(module.text))


@_kind(NUMBERS, "tf2 variable of an open shape", is_frozen=False)
def build_open(directory):
    module = _Module(open=tf.Variable([1.0, 2.0], shape=[None]))
    return _save_tf2(directory, module, lambda x: x * module.scale * module.open)


@_kind(NUMBERS, "tf2 counter", is_frozen=False, in_rows=False)
def build_counter(directory):
    module = _Module(count=tf.Variable(5.0))
    return _save_tf2(directory, module, lambda x: x * module.scale + module.count.assign_add(1.0))


@_kind(NUMBERS, "tf2 random generator", is_frozen=False, in_rows=False)
def build_generator(directory):
    module = _Module(generator=tf.random.Generator.from_seed(7))
    return _save_tf2(directory, module, lambda x: x * module.scale + module.generator.normal([]))


@_kind(NUMBERS, "tf2 variable in a conditional", is_frozen=False, in_rows=False)
def build_conditional(directory):
    module = _Module()
    return _save_tf2(
        directory, module, lambda x: tf.cond(tf.reduce_sum(x) > 3, lambda: x * module.scale, lambda: -x * module.scale)
    )


@_kind(NUMBERS, "tf2 gathered variable", is_frozen=False)
def build_gathered(directory):
    module = _Module(rows=tf.Variable([1.0, 20.0, 300.0]))
    return _save_tf2(
        directory, module, lambda x: tf.gather(module.rows, tf.cast(tf.abs(x), tf.int32) % 3) * module.scale
    )


@_kind(NUMBERS, "tf1 random op with a seed", in_rows=False)
def build_random(directory):
    with tf1_session() as session:
        v1.set_random_seed(1)
        x = placeholder(tf.float32, [None, 1], "x")
        return _save_tf1(session, directory, x, x * _scale() + v1.random.uniform([], seed=2))


# What the init op does


@_kind(NUMBERS, "tf1 variable that the init op assigns")
def build_assigned(directory):
    with tf1_session() as session:
        x, scale = placeholder(tf.float32, [None, 1], "x"), _scale()
        return _save_tf1(session, directory, x, x * scale, main_op=scale.assign(7.0, read_value=False))


@_kind(NUMBERS, "tf1 variable that the init op assigns from another")
def build_derived(directory):
    with tf1_session() as session:
        x, scale = placeholder(tf.float32, [None, 1], "x"), _scale()
        twice = v1.get_variable("twice", initializer=np.float32(0), use_resource=True)
        main_op = tf.group(twice.assign(scale.read_value() * 2))
        return _save_tf1(session, directory, x, x * scale + twice, main_op=main_op)


@_kind(NUMBERS, "tf1 variable that the init op assigns at random", in_rows=False)
def build_drawn(directory):
    with tf1_session() as session:
        x, scale = placeholder(tf.float32, [None, 1], "x"), _scale()
        twice = v1.get_variable("twice", initializer=np.float32(0), use_resource=True)
        with tf.control_dependencies([scale.assign(v1.random.uniform([]))]):
            main_op = tf.group(twice.assign(scale.read_value() * 2))
        return _save_tf1(session, directory, x, x * (twice - 2 * scale), main_op=main_op)


@_kind(NUMBERS, "tf1 read that init op and signature share", is_frozen=False)
def build_shared_read(directory):
    with tf1_session() as session:
        x, scale = placeholder(tf.float32, [None, 1], "x"), _scale()
        value = scale.read_value()
        twice = v1.get_variable("twice", initializer=np.float32(0), use_resource=True)
        return _save_tf1(session, directory, x, x * value + twice, main_op=tf.group(twice.assign(value * 2)))


@_kind(NUMBERS, "tf1 variable of two handles, one of which is assigned", is_frozen=False, in_rows=False)
def build_two_handles(directory):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, 1], "x")
        scale = _scale()
        other = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name=scale.handle.op.get_attr("shared_name"))
        with tf.control_dependencies([tf.raw_ops.AssignAddVariableOp(resource=other, value=1.0)]):
            y = x * scale.read_value()
        return _save_tf1(session, directory, x, y)


@_kind(NUMBERS, "tf1 variable of two handles, one of which the init op assigns")
def build_other_handle(directory):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, 1], "x")
        scale = _scale()
        other = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name=scale.handle.op.get_attr("shared_name"))
        main_op = tf.group(tf.raw_ops.AssignAddVariableOp(resource=other, value=1.0))
        return _save_tf1(session, directory, x, x * scale, main_op=main_op)


@_kind(NUMBERS, "tf1 iterator that the init op makes", in_rows=False)
def build_iterator(directory):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, 1], "x")
        iterator = v1.data.make_initializable_iterator(tf.data.Dataset.range(100))
        y = x * _scale() + tf.cast(iterator.get_next(), tf.float32)
        return _save_tf1(session, directory, x, y, main_op=tf.group(iterator.initializer))


def _nothing_ahead():
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.inject_prefetch = False
    return options


@_kind(NUMBERS, "tf1 iterator that assigns a variable", is_frozen=False, in_rows=False)
def build_writing_iterator(directory):
    """The signature names the iterator, and not the variable that the iterator's function takes."""

    def iterator():
        return tf.raw_ops.IteratorV2(
            shared_name="shared", container="", output_types=[tf.float32], output_shapes=[tf.TensorShape([])]
        )

    with tf1_session() as session:
        x, scale = placeholder(tf.float32, [None, 1], "x"), _scale()
        dataset = tf.data.Dataset.range(100).map(lambda _: scale.assign_add(1.0)).with_options(_nothing_ahead())
        main_op = tf.raw_ops.MakeIterator(dataset=dataset._variant_tensor, iterator=iterator())
        got = tf.raw_ops.IteratorGetNext(
            iterator=iterator(), output_types=[tf.float32], output_shapes=[tf.TensorShape([])]
        )
        with tf.control_dependencies(got):
            y = x * scale.read_value()
        return _save_tf1(session, directory, x, y, main_op=main_op)


@_kind(NUMBERS, "tf1 queue that the init op fills", in_rows=False)
def build_queue(directory):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, 1], "x")
        queue = tf.queue.FIFOQueue(10, tf.float32, [])
        main_op = queue.enqueue_many([np.arange(10, dtype=np.float32)])
        return _save_tf1(session, directory, x, x * _scale() + queue.dequeue(), main_op=main_op)


# Tables


def _mutable():
    return tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0)


def _dense():
    return tf.lookup.experimental.DenseHashTable(tf.string, tf.float32, -1.0, empty_key="<", deleted_key=">")


def _of_tensors():
    return tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, [-1.0, -2.0])


def _build_table_tf1(directory, make):
    with _words_tf1() as (session, x, scale):
        table = make()
        session.run(_insert(table))
        return _save_tf1(session, directory, x, table.lookup(x) * scale)


def _build_table_tf2(directory, make):
    module = _Module(table=make())
    _insert(module.table)
    return _save_tf2(directory, module, lambda x: module.table.lookup(x) * module.scale, _TEXT)


def _build_growing_tf1(directory, make):
    with _words_tf1() as (session, x, scale):
        table = make()
        session.run(_insert(table))
        found = table.lookup(x)
        with tf.control_dependencies([table.insert(x, found + scale)]):
            y = tf.identity(found)
        return _save_tf1(session, directory, x, y)


def _insert(table):
    values = [[1.0, 5.0], [2.0, 6.0]] if table._default_value.shape.rank else [1.0, 2.0]
    return table.insert(tf.constant(["a", "b"]), tf.constant(values))


for _name, _make in {"mutable": _mutable, "dense": _dense, "of tensors": _of_tensors}.items():
    KINDS[f"tf1 {_name} table"] = Kind(lambda directory, make=_make: _build_table_tf1(directory, make), WORDS)
    KINDS[f"tf2 {_name} table"] = Kind(lambda directory, make=_make: _build_table_tf2(directory, make), WORDS)
    KINDS[f"tf1 {_name} table that grows"] = Kind(
        lambda directory, make=_make: _build_growing_tf1(directory, make), WORDS, in_rows=False
    )


@_kind(WORDS, "tf1 table that the init op fills from a variable")
def build_filled_table(directory):
    with _words_tf1() as (session, x, scale):
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0)
        main_op = tf.group(table.insert(tf.constant(["a", "b"]), tf.stack([scale.read_value(), 2.0])))
        return _save_tf1(session, directory, x, table.lookup(x) * scale, main_op=main_op)


def _file(directory):
    path = directory.parent / "words.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a\nb\n")
    line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    return tf.lookup.TextFileInitializer(str(path), tf.string, line, tf.int64, number)


def _pairs(_directory):
    return tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))


def _build_static_tf1(directory, entries):
    with _words_tf1() as (session, x, scale):
        table = tf.lookup.StaticHashTable(entries(directory), -1)
        y = tf.cast(table.lookup(x), tf.float32) * scale
        assets = v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)
        return _save_tf1(session, directory, x, y, main_op=v1.tables_initializer(), assets_collection=assets)


def _build_static_tf2(directory, entries):
    module = _Module(table=tf.lookup.StaticHashTable(entries(directory), -1))
    return _save_tf2(directory, module, lambda x: tf.cast(module.table.lookup(x), tf.float32) * module.scale, _TEXT)


for _name, _make in {"assets": _file, "tensors": _pairs}.items():
    KINDS[f"tf1 static table of {_name}"] = Kind(
        lambda directory, make=_make: _build_static_tf1(directory, make), WORDS
    )
    KINDS[f"tf2 static table of {_name}"] = Kind(
        lambda directory, make=_make: _build_static_tf2(directory, make), WORDS
    )


@_kind(WORDS, "tf2 all tables at once")
def build_all_tables(directory):
    module = _Module(
        mutable=_mutable(), dense=_dense(), tensors=_of_tensors(),
        static=tf.lookup.StaticHashTable(_file(directory), -1),
    )  # fmt: skip
    for table in (module.mutable, module.dense, module.tensors):
        _insert(table)

    def answer(x):
        single = (
            module.mutable.lookup(x) + 10 * module.dense.lookup(x) + 100 * tf.cast(module.static.lookup(x), tf.float32)
        )
        return (single[:, tf.newaxis] + module.tensors.lookup(x)) * module.scale

    return _save_tf2(directory, module, answer, _TEXT)


# Keras


def _save_keras(model, directory, way):
    if way == "saved":
        return save_tf2(model, directory)
    with contextlib.redirect_stdout(io.StringIO()):
        model.export(str(directory))
    return directory


def _dense_norm():
    keras = tf.keras
    model = keras.Sequential([
        keras.Input((1,), name="x"), keras.layers.Dense(4, "relu"), keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5), keras.layers.Dense(2),
    ])  # fmt: skip
    rng = np.random.default_rng(1)
    model.set_weights([rng.random(np.shape(weight), np.float32) + 0.5 if weight.dtype != np.uint32 else weight
                       for weight in model.get_weights()])  # fmt: skip
    return model


def _normalised():
    keras = tf.keras
    layer = keras.layers.Normalization()
    layer.adapt(np.array([[1.0], [2.0], [5.0]], np.float32))
    return keras.Sequential([keras.Input((1,), name="x"), layer, keras.layers.Dense(2)])


def _looked_up(layer):
    keras = tf.keras
    layer.adapt(np.array([["a"], ["b"], ["b"]]))
    return keras.Sequential([
        keras.Input((1,), name="x", dtype="string"), layer, keras.layers.Lambda(lambda ids: tf.cast(ids, tf.float32)),
        keras.layers.Dense(2),
    ])  # fmt: skip


def _string_lookup():
    return _looked_up(tf.keras.layers.StringLookup())


def _multi_hot_lookup():
    return _looked_up(tf.keras.layers.StringLookup(output_mode="multi_hot"))


def _text_vectorization():
    return _looked_up(tf.keras.layers.TextVectorization(output_sequence_length=3))


_COLUMNS = [words.reshape(-1, 1) for words in WORDS]
# Keras is imported by those who build its models only.
_KERAS_MODELS = {
    "batch norm": (_dense_norm, NUMBERS),
    "normalization": (_normalised, NUMBERS),
    "string lookup": (_string_lookup, _COLUMNS),
    "multi hot lookup": (_multi_hot_lookup, _COLUMNS),
    "text vectorization": (_text_vectorization, _COLUMNS),
}
for _name, (_make, _calls) in _KERAS_MODELS.items():
    for _way in ("exported", "saved"):
        KINDS[f"keras {_name}, {_way}"] = Kind(
            lambda directory, make=_make, way=_way: _save_keras(make(), directory, way), _calls
        )
