"""Models whose every row shows which request, row and model it came from, and what they must answer, by NumPy.

    one_<dtype>(x) -> y                 each element of x by itself: a * x + b, another text, or another truth
    two_<dtype>(k: int64, x) -> y, z    the same, and z = a * k + b
    loop_float32(x) -> y                the same, by a loop, so that it is no quick run
    number_string(x) -> y: int64        a * x + b of texts; one that is no number fails the whole run
    matmul_float32(x) -> y              a times x of [?, 1]; a run of another width fails
    scalar_float32(x) -> y              the sum, which has no rows
    constant_float32(x) -> y            [1, 2, 3], whatever rows x has
    held_float32(x) -> y                as one_float32, but a run with a HOLD in it waits for `open`, and a NaN fails it
    arrived(x: float32) -> y            x, when a run that waits has begun
    open(x: float32) -> y               x, and lets one go on

Inputs have any shape. The models differ in a, b, and what they do to texts and truths.
"""

import dataclasses
from types import SimpleNamespace

import numpy as np

from tests.models.exporting import placeholder, save_tf1, signature, tf, tf1_session, v1

DTYPES = {
    "float32": np.float32,
    "float64": np.float64,
    "int32": np.int32,
    "int64": np.int64,
    "bool": np.bool_,
    "string": np.object_,
}
HOLD = -1.0
# Of about 3 microseconds each.
LOOP_STEPS = 300
LINGER = 50_000
# So that three times the largest element is exact as float32.
NUMBERS = 4096
# Of the largest element, which booleans encode by their bits.
BITS = 22


@dataclasses.dataclass(frozen=True)
class RowModel:
    """What one of the models does to an element, in TensorFlow and in NumPy."""

    name: str
    a: int
    b: int
    suffix: bytes
    flips: bool

    def graph(self, x):
        """The element's result as a tensor."""
        if x.dtype == tf.string:
            return tf.strings.join([x, tf.constant(self.suffix)])
        if x.dtype == tf.bool:
            return tf.math.logical_xor(x, self.flips)
        return x * tf.cast(self.a, x.dtype) + tf.cast(self.b, x.dtype)

    def answer(self, x):
        """The element's result as NumPy has it."""
        if x.dtype == object:
            return np.array([text + self.suffix for text in x.flat], object).reshape(x.shape)
        return x ^ self.flips if x.dtype == bool else x * x.dtype.type(self.a) + x.dtype.type(self.b)


MODELS = (RowModel("first", 2, 1, b"!", flips=True), RowModel("second", 3, 5, b"?", flips=False))
BY_NAME = {model.name: model for model in MODELS}
ROW_SIGNATURES = (*(f"{kind}_{dtype}" for kind in ("one", "two") for dtype in DTYPES), "loop_float32")
# Those that fail for what they are fed; x has the shape (?, 1).
STRICT_SIGNATURES = ("number_string", "matmul_float32")


def store(folder):
    """The models below a folder, made now, as `tests.serving.start` takes them."""
    for model in MODELS:
        with tf1_session() as session:
            save_tf1(session, folder / model.name / "1", _signatures(model))
    return SimpleNamespace(base_path=lambda name: folder / name)


def make_inputs(key, number, rows, shape=()):
    """Inputs by alias for a signature by rows. Of the first 1,024 elements none is like any of another request.

    Args:
        key: The signature.
        number: The request's, below NUMBERS.
        rows: The size of dimension 0.
        shape: The other dimensions.
    """
    numbers = np.arange(rows * int(np.prod(shape))).reshape(rows, *shape) % 1024 + 1024 * number
    inputs = {"x": _as_dtype(numbers, key.partition("_")[2])}
    return inputs | ({"k": np.arange(rows) - 1000 * number} if key.startswith("two_") else {})


def expected(model, key, inputs):
    """What a model answers to such inputs alone."""
    if key == "number_string":
        return {"y": model.answer(inputs["x"].astype(np.int64))}
    if key == "matmul_float32":
        return {"y": inputs["x"] * np.float32(model.a)}
    outputs = {"y": model.answer(inputs["x"])}
    return outputs | ({"z": model.answer(inputs["k"])} if "k" in inputs else {})


def _as_dtype(numbers, name):
    if name == "string":
        return np.array([b"%d" % number for number in numbers.flat], object).reshape(numbers.shape)
    if name == "bool":
        return (numbers[..., np.newaxis] >> np.arange(BITS)) % 2 == 1
    return numbers.astype(DTYPES[name])


def _signatures(model):
    signatures = {}
    k = placeholder(tf.int64, None, "k")
    for name in DTYPES:
        x = placeholder(tf.as_dtype(name), None, f"x_{name}")
        with tf.control_dependencies([_linger()]):
            y = model.graph(x)
        signatures[f"one_{name}"] = signature({"x": x}, {"y": y})
        signatures[f"two_{name}"] = signature({"x": x, "k": k}, {"y": y, "z": model.graph(k)})
    get = v1.get_default_graph().get_tensor_by_name
    x, text = get("x_float32:0"), get("x_string:0")
    others = {
        "loop_float32": _looped(model, x),
        "number_string": model.graph(tf.strings.to_number(text, tf.int64)),
        "matmul_float32": tf.raw_ops.MatMul(a=x, b=tf.constant([[float(model.a)]])),
        "scalar_float32": tf.reduce_sum(x),
        "constant_float32": tf.constant([1.0, 2.0, 3.0]),
    }
    signatures |= {key: signature({"x": text if key.endswith("string") else x}, {"y": y}) for key, y in others.items()}
    return signatures | _gate(model, x)


def _linger():
    """Takes some tenths of a millisecond for nothing: a short run, but long enough for other requests to arrive."""
    return tf.reduce_sum(tf.random.uniform([LINGER]))


def _looped(model, x):
    steps = tf.constant(LOOP_STEPS)
    _, counted = tf.while_loop(lambda step, _: step < steps, lambda step, y: (step + 1, y + 1), (0, x * 0))
    return model.graph(x) + (counted - float(LOOP_STEPS))


def _gate(model, x):
    arrivals, tickets = (v1.FIFOQueue(1000, tf.bool, shapes=[[]], name=name) for name in ("arrivals", "tickets"))

    def wait():
        with tf.control_dependencies([arrivals.enqueue(True)]):
            return tickets.dequeue()

    def after(operation):
        with tf.control_dependencies([operation]):
            return signature({"x": x}, {"y": tf.identity(x)})

    with tf.control_dependencies([tf.cond(tf.reduce_any(tf.equal(x, HOLD)), wait, lambda: tf.constant(True))]):
        held = signature({"x": x}, {"y": model.graph(tf.debugging.check_numerics(x, "x"))})
    return {"held_float32": held, "arrived": after(arrivals.dequeue()), "open": after(tickets.enqueue(True))}
