"""A graph that TensorFlow dies of, whatever it is fed, is refused when it is loaded."""

import pytest

from servable.errors import InvalidArgument
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns
from tests.execution.running import floats, run
from tests.models.exporting import edited, placeholder, save_tf1, signature, tf, tf1_session


@pytest.fixture(params=[PrivateRuns, PublicRuns], ids=["private", "public"])
def load(request):
    return SavedModelLoader(runs=request.param())


def save(directory, add_ops):
    """A model that doubles x and has the ops of a callback, whose result the signature `other` fetches."""
    with tf1_session() as session:
        x = placeholder(tf.float32, None, "x")
        results = {"serving_default": tf.identity(2.0 * x), "other": tf.identity(add_ops(x))}
        save_tf1(session, directory, {key: signature({"x": x}, {"y": y}) for key, y in results.items()})
    return directory


def call_another(x):
    return tf.function(tf.negative)(x)


def branch(x):
    return tf.cond(tf.reduce_sum(x) > 0.0, lambda: x, lambda: -x)


def loop(x):
    (result,) = tf.while_loop(lambda x: tf.reduce_sum(x) > 0.0, lambda x: [x - 1.0], [x])
    return result


def save_recursion(directory, body):
    """A model with a function of this body that calls itself where the body calls another function."""
    save(directory, tf.function(body))
    with edited(directory) as saved_model:
        for function in saved_model.meta_graphs[0].graph_def.library.function:
            for node in function.node_def:
                for attribute in node.attr.values():
                    if attribute.func.name:
                        attribute.func.name = function.signature.name
    return directory


@pytest.mark.behaviour("7.1", "unlike the original, a function that calls itself is refused")
@pytest.mark.parametrize("body", [call_another, branch, loop])
def test_a_function_that_calls_itself_is_refused(load, tmp_path, body):
    directory = save_recursion(tmp_path / "1", body)
    with pytest.raises(InvalidArgument, match=r"cannot run a function that calls itself: (\w+) calls \1\n") as caught:
        load(directory)
    assert str(directory) in caught.value.message


@pytest.mark.behaviour("7.1", "unlike the original, a function that calls itself is refused")
@pytest.mark.parametrize("body", [call_another, branch, loop])
def test_functions_that_call_others_are_served(load, tmp_path, body):
    model = load(save(tmp_path / "1", tf.function(body)))
    assert run(model, "other", {"x": floats(-1.0)})["y"]
    model.close()


@pytest.mark.behaviour("7.1", "unlike the original, a function that calls itself is refused")
def test_two_functions_that_call_each_other_are_refused(load, tmp_path):
    directory = save(tmp_path / "1", tf.function(call_another))
    with edited(directory) as saved_model:
        inner, outer = _inner_first(saved_model.meta_graphs[0].graph_def.library.function)
        (negation,) = (node for node in inner.node_def if node.op == "Neg")
        negation.op = outer.signature.name
        negation.attr.clear()
        names = {inner.signature.name, outer.signature.name}
    with pytest.raises(InvalidArgument, match="calls itself") as caught:
        load(directory)
    assert set(caught.value.message.partition("\n")[0].rpartition(": ")[2].split(" calls ")) == names


def _inner_first(functions):
    return sorted(functions, key=lambda function: any("PartitionedCall" in node.op for node in function.node_def))


def abort(x):
    with tf.control_dependencies([tf.raw_ops.Abort(error_msg="the end")]):
        return tf.identity(x)


@pytest.mark.behaviour("7.1", "unlike the original, the op Abort is refused")
@pytest.mark.parametrize("body", [abort, tf.function(abort)], ids=["node", "function"])
def test_the_op_that_ends_the_process_is_refused(load, tmp_path, body):
    directory = save(tmp_path / "1", body)
    with pytest.raises(InvalidArgument, match=r": The op Abort ends the process that runs it\n") as caught:
        load(directory)
    assert str(directory) in caught.value.message


@pytest.mark.behaviour("7.1", "unlike the original, the op Abort is refused")
@pytest.mark.parametrize("body", [abort, tf.function(abort)], ids=["node", "function"])
def test_the_op_that_ends_the_process_does_no_harm_where_nothing_reaches_it(load, tmp_path, body):
    directory = save(tmp_path / "1", body)
    with edited(directory) as saved_model:
        del saved_model.meta_graphs[0].signature_def["other"]
    model = load(directory)
    assert run(model, "serving_default", {"x": floats(2.0)}) == {"y": [[4.0]]}
    model.close()
