"""SavedModels at the edges of what the format allows: every dtype, strange wiring, runs that last."""

from tests.models.exporting import edited, placeholder, save_tf1, signature, tf, tf1_session, v1
from tests.models.tf1_models import build_half_plus_two

DTYPES = (
    *("half", "bfloat16", "float", "double", "complex64", "complex128", "string", "bool"),
    *("int4", "int8", "int16", "int32", "int64", "uint4", "uint8", "uint16", "uint32", "uint64"),
    *("float8_e5m2", "float8_e4m3fn", "qint8", "quint8", "qint16", "quint16", "qint32"),
)


def build_dtypes(directory):
    """One identity for each dtype that TensorFlow 2.16 can feed and fetch; any shape. It has no variables.

    Signatures:
        identity_half(x: float16[...]) -> y: float16[...] @predict
        identity_bfloat16(x: bfloat16[...]) -> y: bfloat16[...] @predict
        identity_float(x: float32[...]) -> y: float32[...] @predict
        identity_double(x: float64[...]) -> y: float64[...] @predict
        identity_complex64(x: complex64[...]) -> y: complex64[...] @predict
        identity_complex128(x: complex128[...]) -> y: complex128[...] @predict
        identity_string(x: string[...]) -> y: string[...] @predict
        identity_bool(x: bool[...]) -> y: bool[...] @predict
        identity_int4(x: int4[...]) -> y: int4[...] @predict
        identity_int8(x: int8[...]) -> y: int8[...] @predict
        identity_int16(x: int16[...]) -> y: int16[...] @predict
        identity_int32(x: int32[...]) -> y: int32[...] @predict
        identity_int64(x: int64[...]) -> y: int64[...] @predict
        identity_uint4(x: uint4[...]) -> y: uint4[...] @predict
        identity_uint8(x: uint8[...]) -> y: uint8[...] @predict
        identity_uint16(x: uint16[...]) -> y: uint16[...] @predict
        identity_uint32(x: uint32[...]) -> y: uint32[...] @predict
        identity_uint64(x: uint64[...]) -> y: uint64[...] @predict
        identity_float8_e5m2(x: float8_e5m2[...]) -> y: float8_e5m2[...] @predict
        identity_float8_e4m3fn(x: float8_e4m3fn[...]) -> y: float8_e4m3fn[...] @predict
        identity_qint8(x: qint8[...]) -> y: qint8[...] @predict
        identity_quint8(x: quint8[...]) -> y: quint8[...] @predict
        identity_qint16(x: qint16[...]) -> y: qint16[...] @predict
        identity_quint16(x: quint16[...]) -> y: quint16[...] @predict
        identity_qint32(x: qint32[...]) -> y: qint32[...] @predict
    """
    with tf1_session() as session:
        return save_tf1(session, directory, {f"identity_{dtype}": _identity(dtype) for dtype in DTYPES})


def _identity(dtype):
    x = placeholder(tf.as_dtype(dtype), None, f"x_{dtype}")
    return signature({"x": x}, {"y": tf.identity(x, name=f"y_{dtype}")})


def build_odd_wiring(directory):
    """Signatures over y = 2x that no check of names can find fault with. TensorFlow loads them all.

    twice_fed has two aliases on the tensor x, twice_fetched on y. missing_feed and missing_fetch name a
    tensor that the graph does not hold, nope:0. unfed needs a placeholder, forgotten, that is no input.
    nothing_in is the constant 7, nothing_out fetches nothing, empty is an empty SignatureDef.

    Signatures:
        serving_default(x: float32[?]) -> y: float32[?] @predict
        twice_fed(a: float32[?], b: float32[?]) -> y: float32[?] @predict
        twice_fetched(x: float32[?]) -> y: float32[?], z: float32[?] @predict
        missing_feed(x: float32[?]) -> y: float32[?] @predict
        missing_fetch(x: float32[?]) -> y: float32[?] @predict
        unfed(x: float32[?]) -> y: float32[?] @predict
        nothing_in() -> y: float32[] @predict
        nothing_out(x: float32[?]) -> nothing @predict
        empty() -> nothing
    """
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        y = tf.multiply(x, 2.0, name="y")
        signatures = {
            "serving_default": signature({"x": x}, {"y": y}),
            "twice_fed": signature({"a": x, "b": x}, {"y": y}),
            "twice_fetched": signature({"x": x}, {"y": y, "z": y}),
            "missing_feed": signature({"x": x}, {"y": y}),
            "missing_fetch": signature({"x": x}, {"y": y}),
            "unfed": signature({"x": x}, {"y": tf.add(x, placeholder(tf.float32, [None], "forgotten"))}),
            "nothing_in": signature({}, {"y": tf.constant(7.0)}),
            "nothing_out": signature({"x": x}, {}),
            "empty": signature({}, {}, ""),
        }
        signatures["missing_feed"].inputs["x"].name = "nope:0"
        signatures["missing_fetch"].outputs["y"].name = "nope:0"
        return save_tf1(session, directory, signatures)


def build_matmul(directory):
    """z = x times [[1, 2]] with no shape declared for x; a [2,3] fails in the kernel of the node z.

    Signatures:
        serving_default(x: float32[...]) -> z: float32[?,2] @predict
    """
    with tf1_session() as session:
        x = placeholder(tf.float32, None, "x")
        z = tf.raw_ops.MatMul(a=x, b=tf.constant([[1.0, 2.0]]), name="z")
        return save_tf1(session, directory, {"serving_default": signature({"x": x}, {"z": z})})


def build_two_meta_graphs(directory):
    """Two meta graphs over one set of variables: tags {serve} doubles x, tags {serve, triple} triples it.

    Signatures:
        serving_default(x: float32[?]) -> doubled: float32[?] @predict
        serving_default(x: float32[?]) -> tripled: float32[?] @predict
    """
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        double = v1.get_variable("double", initializer=2.0)
        triple = v1.get_variable("triple", initializer=3.0)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(directory))
        doubled = {"serving_default": signature({"x": x}, {"doubled": double * x})}
        tripled = {"serving_default": signature({"x": x}, {"tripled": triple * x})}
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=doubled)
        builder.add_meta_graph(["serve", "triple"], signature_def_map=tripled)
        builder.save()
    return directory


def build_slow(directory):
    """Counts up to the largest of `iterations` in a loop, about 3 microseconds a step: 700000 last some 2 s.

    A deadline or a cancellation stops the loop.

    Signatures:
        serving_default(iterations: int64[?]) -> counted: int64[?] @predict
    """
    with tf1_session() as session:
        iterations = placeholder(tf.int64, [None], "iterations")
        last = tf.reduce_max(iterations)
        zero = tf.constant(0, tf.int64)
        (count,) = tf.while_loop(lambda step: step < last, lambda step: (step + 1,), (zero,))
        counted = signature({"iterations": iterations}, {"counted": tf.zeros_like(iterations) + count})
        return save_tf1(session, directory, {"serving_default": counted})


def build_gate(directory):
    """Runs that last as long as a test wants, with no clock: `pass` blocks inside its run until an `open`.

    Each `pass` first reports its arrival; `await_arrival` blocks until one is reported. So a test that has
    had an answer from await_arrival knows that a `pass` is inside its run. Each `open` lets one `pass` go on;
    y is x. A deadline or a cancellation ends a blocked run.

    Signatures:
        pass(x: float32[?]) -> y: float32[?] @predict
        open() -> opened: bool[] @predict
        await_arrival() -> arrived: bool[] @predict
    """
    with tf1_session() as session:
        arrivals = v1.FIFOQueue(1000, tf.bool, shapes=[[]], name="arrivals")
        tickets = v1.FIFOQueue(1000, tf.bool, shapes=[[]], name="tickets")
        x = placeholder(tf.float32, [None], "x")
        with tf.control_dependencies([x]), tf.control_dependencies([arrivals.enqueue(True)]):
            ticket = tickets.dequeue()
        with tf.control_dependencies([ticket]):
            y = tf.identity(x, name="y")
        with tf.control_dependencies([tickets.enqueue(True)]):
            opened = tf.constant(True)
        signatures = {
            "pass": signature({"x": x}, {"y": y}),
            "open": signature({}, {"opened": opened}),
            "await_arrival": signature({}, {"arrived": arrivals.dequeue()}),
        }
        return save_tf1(session, directory, signatures)


def build_no_signature_at_all(directory):
    """half_plus_two's graph with every SignatureDef taken out, not even the initialiser's.

    Signatures:
    """
    build_half_plus_two(directory)
    with edited(directory) as saved_model:
        saved_model.meta_graphs[0].signature_def.clear()
    return directory


def build_fed_twice(directory):
    """A split x whose second half, sp:1, two inputs feed, beside an AddN of three. y is 2x.

    Without a check of ours TensorFlow aborts the process when fed_twice is run.

    Signatures:
        serving_default(x: float32[?]) -> y: float32[?] @predict
        fed_twice(a: float32[?], b: float32[?], x: float32[?]) -> sum: float32[?] @predict
    """
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        first, second = tf.raw_ops.Split(axis=tf.constant(0), value=x, num_split=2, name="sp")
        first.set_shape([None])
        second.set_shape([None])
        total = tf.add_n([first, second, second], name="sum")
        signatures = {
            "serving_default": signature({"x": x}, {"y": tf.multiply(x, 2.0, name="y")}),
            "fed_twice": signature({"a": second, "b": second, "x": x}, {"sum": total}),
        }
        return save_tf1(session, directory, signatures)
