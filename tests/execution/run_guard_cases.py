"""Runs that may end the process, in a process of their own: `python -m tests.execution.run_guard_cases`.

Writes a line of JSON for each case and mode as soon as it has its answer, so that the first line that is missing shows
what ended the process.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from servable.errors import ServingError
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns
from tests.models.exporting import METHOD_PREFIX, edited, tf, tf1_session, v1

# By mode: how the graph is run, whether its variables are frozen, and whether the run is timed.
MODES = {
    "private": (PrivateRuns, False, False),
    "private, timed": (PrivateRuns, False, True),
    "private, frozen": (PrivateRuns, True, False),
    "public": (PublicRuns, False, False),
    "public, timed": (PublicRuns, False, True),
}
PATIENCE_S = 30.0


def floats(*shape):
    return np.ones(shape, np.float32)


def numbers(*values):
    return np.array(values, np.int32)


def strings(*values):
    return np.array(values, object)


X, TRUE = floats(2), np.array(True)
HUGE = 2**31 - 1
TWICE = 'InvalidArgument: Endpoint "sp:1" fed more than once.'
ECHO = "InvalidArgument: x:0 is both fed and fetched."
SET_TWICE = "Internal: Retval[0] has already been set."
DEAD = "InvalidArgument: Retval[0] does not have value"
OTHER_FRAME = "InvalidArgument: {{node"
OTHER_DTYPE = "InvalidArgument: "
NO_ARRAY = ("InvalidArgument: ", "Internal: Could not allocate ndarray")
BAD_REFERENCE = "InvalidArgument: Input 0 of node assigned was passed float from _arg_v_0_0:0"
# The public way has a stand-in for each fed tensor that is no placeholder, and no reference has one.
NOT_LOADED = "not loaded: Input 0 of node"
TOO_MANY_DIMENSIONS = "dimensions of strings; at most 32 are supported"
NO_ARRAY_OF_STRINGS = "InvalidArgument: maximum supported dimension for an ndarray is"
TOO_LARGE = "InvalidArgument: A tensor of shape ["
NO_VARIANTS = "Internal: Tensorflow type 21 not convertible to numpy dtype."


def missing(name):
    return f"InvalidArgument: Tensor {name}, specified in either feed_devices or fetch_devices was not found"


def no_output(node, number):
    return f"OutOfRange: Node '{node}'", f"does not have output {number}"


# By name: the arrays to feed by tensor, the tensors to fetch, and the expected text of the answer; of a tuple any one.
# A list of feeds may name a tensor twice.
CASES = {
    "fed twice": ([("sp:1", X), ("sp:1", X)], ["sum:0"], TWICE),
    "fed twice beside another": ([("sp:1", X), ("sp:1", X), ("x:0", floats(4))], ["sum:0"], TWICE),
    "fed twice by two names": ([("sp:1", X), ("sp:01", X), ("x:0", floats(4))], ["sum:0"], TWICE),
    "a constant fed twice": ([("c:0", X), ("c:0", X), ("x:0", X)], ["cx:0"], 'Endpoint "c:0" fed more than once.'),
    "a placeholder fed twice": ([("x:0", X), ("x", X)], ["sum:0"], 'Endpoint "x:0" fed more than once.'),
    "two outputs of one node": ([("sp:0", X), ("sp:1", X)], ["sum:0"], "OK [3.0, 3.0]"),
    "fed and fetched": ([("x:0", X)], ["x:0"], ECHO),
    "fed and fetched by two names": ([("x:0", X)], ["x:00"], ECHO),
    "another output of the fed node": ([("sp:1", X), ("x:0", floats(4))], ["sp:0"], "OK [1.0, 1.0]"),
    "fetched twice": ([("x:0", X)], ["y:0", "y:00", "y"], "OK [2.0, 2.0] [2.0, 2.0] [2.0, 2.0]"),
    "fetched twice beside an AddN": ([("x:0", X)], ["sum:0", "sum:0", "sp:1"], "OK [3.0] [3.0] [1.0]"),
    "no fetch": ([("x:0", X)], [], "InvalidArgument: Must specify at least one target"),
    "a missing output": ([("x:0", X)], ["y:9"], no_output("y", 9)[0]),
    "a missing output fed": ([("sp:9", X)], ["sum:0"], no_output("sp", 9)[0]),
    "an output beyond 32 bits": ([("x:0", X)], ["y:4294967296"], no_output("y", 4294967296)[0]),
    "an output beyond 32 bits fed": ([("x:4294967296", X)], ["y:0"], no_output("x", 4294967296)[0]),
    "an output of 5000 digits": ([("x:0", X)], ["y:" + "9" * 5000], no_output("y", "9")[0]),
    "a negative output": ([("x:0", X)], ["y:-1"], missing("y:-1:0")),
    "no name": ([("x:0", X)], [""], missing(":0")),
    "no name fed": ([("", X)], ["y:0"], missing(":0")),
    "a control dependency": ([("x:0", X)], ["^y"], missing("^y:0")),
    "a node without outputs": ([("x:0", X)], ["nothing:0"], no_output("nothing", 0)[0]),
    "the source of the graph": ([("x:0", X)], ["_SOURCE:0"], (no_output("_SOURCE", 0)[0], missing("_SOURCE:0"))),
    "a constant fed": ([("c:0", X), ("x:0", X)], ["cx:0"], "OK [2.0, 2.0]"),
    "a reference fed": ([("v:0", X), ("x:0", X)], ["vx:0"], ("OK [2.0, 2.0]", NOT_LOADED)),
    "a reference fed and assigned": ([("v:0", X), ("x:0", X)], ["assigned:0"], (BAD_REFERENCE, NOT_LOADED)),
    "a reference": ([], ["v:0"], "OK [1.0, 2.0]"),
    "an assignment": ([("x:0", floats(3))], ["assigned:0"], "OK [1.0, 1.0, 1.0]"),
    "a reference without a value": ([], ["unset:0"], "FailedPrecondition: Attempting to use uninitialized value unset"),
    "a variable without a value": ([], ["unset_read:0"], "FailedPrecondition: Could not find variable"),
    "a handle": ([], ["table:0"], "OK "),
    "a variant": ([], ["list:0"], NO_VARIANTS),
    "floats for a resource": ([("resource:0", X)], ["table_size:0"], OTHER_DTYPE),
    "bytes for a resource": ([("resource:0", np.zeros(8, np.uint8))], ["table_size:0"], OTHER_DTYPE),
    "strings for a resource": ([("resource:0", strings(b"a"))], ["table_size:0"], OTHER_DTYPE),
    "floats for a variant": ([("variant:0", X)], ["list_length:0"], OTHER_DTYPE),
    "strings for a variant": ([("variant:0", strings(b"a"))], ["list_length:0"], OTHER_DTYPE),
    "floats for strings": ([("text:0", X)], ["length:0"], OTHER_DTYPE),
    "strings for floats": ([("x:0", strings(b"a"))], ["y:0"], OTHER_DTYPE),
    "a dead fetch": ([("x:0", X), ("p:0", TRUE)], ["branch:0"], DEAD),
    "a fetch behind a dead one": ([("x:0", X), ("p:0", TRUE)], ["behind:0"], DEAD),
    "a dead fetch of another dtype": ([("n:0", numbers(1)), ("p:0", TRUE)], ["whole_branch:0"], DEAD),
    "an empty fetch that lives": ([("x:0", floats(0)), ("p:0", TRUE)], ["branch:1"], "OK []"),
    "both branches": ([("branch:0", X), ("branch:1", X)], ["merged:0"], "OK [1.0, 1.0]"),
    "a loop": ([("x:0", X)], ["looped:0"], "OK 3.0"),
    "a fetch in a loop": ([("x:0", X)], ["while/step:0"], SET_TWICE),
    "a condition of a loop": ([("x:0", X)], ["while/LoopCond:0"], SET_TWICE),
    "a dead fetch in a loop": ([("x:0", X)], ["while/Switch:1"], SET_TWICE),
    "a feed in a loop": ([("while/Merge:0", floats())], ["looped:0"], OTHER_FRAME),
    "the end of a loop fed": ([("while/Exit:0", floats())], ["looped:0"], "OK 1.0"),
    "an argument of nobody": ([], ["argument:0"], "InvalidArgument: GetArg 0 is not within [0, 0)"),
    "an argument of another's": ([("x:0", X)], ["argument:0", "y:0"], "OK [1.0, 1.0] [2.0, 2.0]"),
    "a result of nobody": ([("x:0", X)], ["after_result:0"], "InvalidArgument: SetRetval 1 is not within [0, 1)"),
    "32 dimensions": ([("x:0", floats(*[1] * 32))], ["y:0"], "OK "),
    "64 dimensions": ([("x:0", floats(*[1] * 64))], ["y:0"], "OK "),
    "no elements and a large size": ([("x:0", np.empty((0, HUGE), np.float32))], ["y:0"], "OK []"),
    "no elements and a larger size": ([("x:0", np.empty((0, HUGE + 1), np.float32))], ["y:0"], TOO_LARGE),
    "no elements and larger sizes": ([("x:0", np.empty((0, 2**40, 2**18), np.float32))], ["y:0"], TOO_LARGE),
    "no strings and a large size": ([("text:0", np.empty((0, HUGE), object))], ["echo:0"], "OK []"),
    "no strings and a larger size": ([("text:0", np.empty((0, HUGE + 1), object))], ["echo:0"], TOO_LARGE),
    "a split without elements": ([("x:0", np.empty((0, HUGE), np.float32))], ["sp:1"], "OK []"),
    "a product without elements": ([("x:0", np.empty((0, HUGE), np.float32))], ["gram:0"], "ResourceExhausted: "),
    "a larger product without elements": ([("x:0", np.empty((0, 2**33), np.float32))], ["gram:0"], TOO_LARGE),
    "a scalar split": ([("x:0", floats())], ["sp:0"], "InvalidArgument: "),
    "a view": ([("x:0", np.arange(9, dtype=np.float32).reshape(3, 3)[::2, ::-2])], ["y:0"], "OK [[4.0, 0.0], [16.0"),
    "a broadcast": ([("x:0", np.broadcast_to(np.float32(1), (1, 2)))], ["y:0"], "OK [[2.0, 2.0]]"),
    "misaligned bytes": ([("x:0", np.frombuffer(bytes(9), np.uint8)[1:].view(np.float32))], ["y:0"], "OK [0.0, 0.0]"),
    "a string of 256 MiB": ([("text:0", strings(bytes(1 << 28)))], ["length:0"], "OK [268435456]"),
    "65 dimensions out": ([("n:0", np.ones(65, np.int32))], ["filled:0"], NO_ARRAY),
    "254 dimensions out": ([("n:0", np.ones(254, np.int32))], ["filled:0"], NO_ARRAY),
    "255 dimensions out": ([("n:0", np.ones(255, np.int32))], ["filled:0"], "InvalidArgument: Too many dimensions"),
    "32 dimensions of strings": ([("text:0", strings(b"a").reshape([1] * 32))], ["length:0"], "OK "),
    "33 dimensions of strings": ([("text:0", strings(b"a").reshape([1] * 33))], ["length:0"], TOO_MANY_DIMENSIONS),
    "64 dimensions of strings": ([("text:0", strings(b"a").reshape([1] * 64))], ["length:0"], TOO_MANY_DIMENSIONS),
    "33 dimensions of strings out": (
        [("n:0", np.ones(33, np.int32))],
        ["filled_text:0"],
        f"OK {'[' * 33}b'a'{']' * 33}",
    ),
    "64 dimensions of strings out": ([("n:0", np.ones(64, np.int32))], ["filled_text:0"], f"OK {'[' * 64}b'a'"),
    "65 dimensions of strings out": ([("n:0", np.ones(65, np.int32))], ["filled_text:0"], NO_ARRAY_OF_STRINGS),
    "254 dimensions of strings out": ([("n:0", np.ones(254, np.int32))], ["filled_text:0"], NO_ARRAY_OF_STRINGS),
    "33 dimensions out beside numbers": (
        [("n:0", np.ones(33, np.int32)), ("x:0", X)],
        ["y:0", "filled_text:0", "y:0"],
        "OK [2.0, 2.0] [[[",
    ),
    "a dimension more of fed strings": (
        [("text:0", strings(b"a").reshape([1] * 32))],
        ["expanded:0"],
        f"OK {'[' * 33}b",
    ),
    "no strings in 33 dimensions out": ([("n:0", numbers(0, *[1] * 32))], ["filled_text:0"], "OK []"),
    "a string": ([("n:0", numbers())], ["filled_text:0"], "OK b'a'"),
    "no strings out, too large for NumPy": ([("n:0", numbers(0, HUGE, HUGE))], ["filled_text:0"], "InvalidArgument: "),
    "strings and their shapes": (
        [("n:0", numbers(2, 1))],
        ["filled_text:0"] * 2,
        "OK [[b'a'], [b'a']] [[b'a'], [b'a']]",
    ),
    "strings fed and fetched": ([("text:0", strings(b"a"))], ["text:0"], "InvalidArgument: text:0 is both fed"),
    "dead strings": ([("text:0", strings(b"a")), ("p:0", TRUE)], ["text_branch:0"], DEAD),
    "no strings, but alive": ([("text:0", strings()), ("p:0", TRUE)], ["text_branch:1"], "OK []"),
    "strings in a loop": ([("x:0", X)], ["text_while/step:0"], OTHER_FRAME),
    "a string variable": ([], ["text_v:0"], "OK [b'a', b'b']"),
    "300 dimensions reshaped": ([("x:0", floats(1)), ("n:0", np.ones(300, np.int32))], ["shaped:0"], "InvalidArgument"),
    "a negative size out": ([("n:0", numbers(-1))], ["filled:0"], "InvalidArgument: Dimension -1 must be >= 0"),
    "an overflow out": ([("n:0", numbers(HUGE, HUGE, HUGE))], ["filled:0"], "InvalidArgument: Shape ["),
    "an overflow without elements out": ([("n:0", numbers(0, HUGE, HUGE, HUGE))], ["filled:0"], NO_ARRAY),
    "too large for NumPy without elements": ([("n:0", numbers(0, HUGE, HUGE))], ["filled:0"], NO_ARRAY),
    "quantized": ([("x:0", X)], ["quantized:0", "quantized:1"], "OK [255, 255] 0.0"),
    "float8 and int4": ([("x:0", X)], ["float8:0", "int4:0"], "OK [1.0, 1.0] [1, 1]"),
    "float8 and int4 without elements": ([("x:0", floats(0))], ["float8:0", "int4:0"], "OK [] []"),
}


def build(directory):
    """The graph of all cases, without a signature."""
    v1.disable_control_flow_v2()
    with tf1_session() as session:
        _add_values()
        saved = [v1.get_variable("v", initializer=[1.0, 2.0], use_resource=False)]
        tf.add(saved[0], _tensor("x"), name="vx")
        saved.append(v1.get_variable("text_v", initializer=["a", "b"], use_resource=False))
        v1.assign(saved[0], _tensor("x"), validate_shape=False, name="assigned")
        _add_resources()
        _add_control_flow()
        session.run(v1.variables_initializer(saved))
        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(session, ["serve"], saver=v1.train.Saver(saved))
        builder.save()
    with edited(directory) as saved_model:
        _add_ops_of_tensorflow_s_own(saved_model.meta_graphs[0].graph_def)


def _tensor(name):
    return v1.get_default_graph().get_tensor_by_name(f"{name}:0")


def _add_values():
    x, n = v1.placeholder(tf.float32, None, "x"), v1.placeholder(tf.int32, None, "n")
    text = v1.placeholder(tf.string, None, "text")
    tf.multiply(x, 2.0, name="y")
    halves = tf.raw_ops.Split(axis=tf.constant(0), value=x, num_split=2, name="sp")
    tf.add_n([halves[0], halves[1], halves[1]], name="sum")
    tf.add(tf.constant([1.0, 2.0], name="c"), x, name="cx")
    tf.no_op("nothing")
    tf.matmul(x, x, transpose_a=True, name="gram")
    tf.identity(text, name="echo")
    tf.strings.length(text, name="length")
    tf.expand_dims(text, 0, name="expanded")
    tf.reshape(x, n, name="shaped")
    tf.fill(n, 1.0, name="filled")
    tf.fill(n, "a", name="filled_text")
    tf.quantization.quantize(x, 0.0, 1.0, tf.quint8, name="quantized")
    tf.cast(x, tf.as_dtype("float8_e5m2"), name="float8")
    tf.cast(tf.cast(x, tf.int32), tf.as_dtype("int4"), name="int4")


def _add_resources():
    v1.Variable([3.0], name="unset", use_resource=False, collections=[])
    unset = v1.Variable([3.0], name="unset_resource", use_resource=True, collections=[])
    tf.raw_ops.ReadVariableOp(resource=unset.handle, dtype=tf.float32, name="unset_read")
    resource, variant = v1.placeholder(tf.resource, None, "resource"), v1.placeholder(tf.variant, None, "variant")
    tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.int64, name="table")
    tf.raw_ops.LookupTableSizeV2(table_handle=resource, name="table_size")
    tf.raw_ops.TensorListReserve(element_shape=-1, num_elements=2, element_dtype=tf.float32, name="list")
    tf.raw_ops.TensorListLength(input_handle=variant, name="list_length")


def _add_control_flow():
    p = v1.placeholder(tf.bool, [], "p")
    branches = tf.raw_ops.Switch(data=_tensor("x"), pred=p, name="branch")
    tf.identity(branches[0], name="behind")
    tf.raw_ops.Switch(data=_tensor("text"), pred=p, name="text_branch")
    tf.raw_ops.Switch(data=_tensor("n"), pred=p, name="whole_branch")
    tf.raw_ops.Merge(inputs=list(branches), name="merged")
    start = tf.reduce_sum(_tensor("x")) - 2.0
    looped = v1.while_loop(lambda step: step < 3.0, lambda step: tf.add(step, 1.0, name="step"), [start], name="while")
    tf.identity(looped, name="looped")
    v1.while_loop(
        lambda text: tf.strings.length(text) < 3,
        lambda text: tf.strings.join([text, "a"], name="step"),
        [""],
        name="text_while",
    )


def _add_ops_of_tensorflow_s_own(graph_def):
    argument = graph_def.node.add(name="argument", op="_Arg")
    result = graph_def.node.add(name="result", op="_Retval", input=["x"])
    after = graph_def.node.add(name="after_result", op="Identity", input=["x", "^result"])
    for node in (argument, result, after):
        node.attr["T"].type = tf.float32.as_datatype_enum
    argument.attr["index"].i, result.attr["index"].i = 0, 1


def answer_all(directory):
    """The name, the mode and the answer of each case, one after the other."""
    build(directory)
    graph = tf.Graph()
    with edited(directory) as saved_model, graph.as_default():
        tf.graph_util.import_graph_def(saved_model.meta_graphs[0].graph_def, name="")
    for name, (feeds, fetches, _) in CASES.items():
        _sign(directory, graph, [tensor for tensor, _ in feeds], fetches)
        for mode in MODES:
            yield name, mode, _answer(directory, mode, feeds, fetches)


def _sign(directory, graph, feeds, fetches):
    """Write one signature: nodes that none reaches are not imported, and so change nothing for the others."""
    with edited(directory) as saved_model:
        signature = saved_model.meta_graphs[0].signature_def["case"]
        signature.Clear()
        signature.method_name = METHOD_PREFIX + "predict"
        for tensors, infos in ((feeds, signature.inputs), (fetches, signature.outputs)):
            for index, tensor in enumerate(tensors):
                info = infos[str(index)]
                info.name, info.dtype = tensor, _dtype(graph, tensor)
                info.tensor_shape.unknown_rank = True


def _dtype(graph, tensor):
    try:
        return graph.get_tensor_by_name(tensor if ":" in tensor else f"{tensor}:0").dtype.base_dtype.as_datatype_enum
    except (KeyError, ValueError):
        return tf.float32.as_datatype_enum


def _answer(directory, mode, feeds, fetches):
    runs, is_frozen, is_timed = MODES[mode]
    try:
        model = SavedModelLoader(runs=runs(), freeze_up_to_bytes=(1 << 20) * is_frozen)(directory)
    except ServingError as error:
        return f"not loaded: {error.message}"
    try:
        runner = model.runner(tuple(tensor for tensor, _ in feeds), tuple(fetches))
        runner.may_not_end = runner._session.may_not_end = is_timed
        results = runner.run([array for _, array in feeds], PATIENCE_S if is_timed else None)
    except ServingError as error:
        return f"{type(error).__name__}: {error.message}"
    finally:
        model.close()
    return " ".join(["OK", *(str(result.tolist())[:100] for result in results)])


def main():
    """Write the answers."""
    with tempfile.TemporaryDirectory() as folder:
        for answer in answer_all(Path(folder) / "1"):
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
