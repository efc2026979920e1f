"""Each advice about a model is followed here to the letter, and the model serves.

Advice to export again with other names, shapes or outputs is followed in the models that have no warnings.
"""

import re
import shutil

import numpy as np
import pytest

from servable import options, process, saved_model
from servable.errors import NotFound
from servable.execution import op_libraries
from tests.execution.running import floats, run
from tests.inspection.making import codes, find
from tests.inspection.making import look as look_with
from tests.models import op_library
from tests.models.exporting import edited, placeholder, save_tf1, save_tf2, signature, tf, tf1_session


def look(path, tags=()):
    return look_with(path, op_libraries.find_missing_ops, tags, op_libraries.find_ops_without_kernel)


def remedy(path, code):
    (warning,) = find(look(path), code)
    return warning.remedy


def load(directory, *flags):
    """A version, loaded as by a server of these flags."""
    parsed = options.parse(["--model_base_path=/unused", *flags])
    assert parsed.options is not None
    return process.make_loader(parsed.options)(directory)


def serves(directory, inputs, outputs, *flags, key="serving_default"):
    model = load(directory, *flags)
    assert run(model, key, inputs) == outputs
    model.close()


TWO, THREE = {"x": floats(2.0)}, {"y": [[3.0]]}


@pytest.fixture
def half_plus_two(models, tmp_path):
    return shutil.copytree(models.version_path("half_plus_two"), tmp_path / "mine" / "1")


def test_an_unnumbered_directory_is_moved(models, tmp_path):
    exported = shutil.copytree(models.version_path("half_plus_two"), tmp_path / "export")
    target, base = re.search(
        r"Move the model to (\S+) and serve --model_base_path=(\S+)\.$", remedy(exported, "unnumbered_directory")
    ).groups()
    exported.rename(tmp_path / "moved")
    exported.mkdir()
    (tmp_path / "moved").rename(target)
    assert not find(look(base), "unnumbered_directory")
    serves(exported / "1", TWO, THREE)


@pytest.mark.parametrize("tags", [["train"], ["serve", "gpu"], [], [""], ["", "a"]])
def test_other_tags_are_given_to_the_server(half_plus_two, tags):
    with edited(half_plus_two) as stored:
        stored.meta_graphs[0].meta_info_def.tags[:] = tags
    with pytest.raises(NotFound):
        load(half_plus_two)
    flag = re.search(r"Start it with (\S+)\.$", remedy(half_plus_two, "no_serve_tag"))[1]
    serves(half_plus_two, TWO, THREE, flag)


def test_another_meta_graph_is_given_to_the_server(models):
    directory = models.version_path("two_meta_graphs")
    flag = re.search(r"as in (--saved_model_tags=\S+)\. ", remedy(directory, "several_meta_graphs"))[1]
    serves(directory, {"x": np.array([1.0], np.float32)}, {"tripled": [3.0]}, flag)


def test_a_model_without_signatures_is_exported_with_one(tmp_path):
    class Halver(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def f(self, x):
            return {"y": x / 2.0}

    module = Halver()
    save_tf2(module, tmp_path / "1", {})
    assert "tf.saved_model.save(module, DIR, signatures=module.f)" in remedy(tmp_path / "1", "no_signatures")
    tf.saved_model.save(module, str(tmp_path / "2"), signatures=module.f)
    assert codes(look(tmp_path / "2")) == []
    serves(tmp_path / "2", {"x": np.array([2.0], np.float32)}, {"y": [1.0]})


def test_a_signature_that_is_no_default_is_named(half_plus_two):
    with edited(half_plus_two) as stored:
        definitions = stored.meta_graphs[0].signature_def
        only = definitions["serving_default"]
        kept = type(only).FromString(only.SerializeToString())
        definitions.clear()
        definitions["mine"].CopyFrom(kept)
    key = re.search(r"Put (\S+) into model_spec", remedy(half_plus_two, "no_serving_default"))[1]
    serves(half_plus_two, TWO, THREE, key=key)


def test_an_op_that_is_missing_is_brought_by_a_library(tmp_path):
    # Other tests load the library that registers ServableHalve; this process shall not know the op yet.
    source = op_library.SOURCE.read_text().replace("ServableHalve", "ServableHalveAsAdvised")
    library = op_library.compile_library(tmp_path / "halve.so", source, tf.sysconfig.get_link_flags())
    directory = op_library.build_model(tmp_path / "1", "ServableHalveAsAdvised")
    flag = re.search(r"--custom_op_libraries=(?=LIBRARY\.so)", remedy(directory, "missing_op"))[0]
    serves(directory, {"x": np.array([2.0], np.float32)}, {"y": [1.0]}, f"{flag}{library}")
    assert codes(look(directory)) == []


def test_a_kernel_that_is_missing_is_brought_by_a_library(tmp_path):
    op = "TPUReplicatedInput"
    source = re.sub(r"TF_OpDefinitionBuilder \*op = .*?TF_RegisterOpDefinition\(op, status\);", "",
                    op_library.SOURCE.read_text(), flags=re.DOTALL)  # fmt: skip
    library = op_library.compile_library(
        tmp_path / "halve.so", source.replace("ServableHalve", op), tf.sysconfig.get_link_flags()
    )
    directory = op_library.build_model(tmp_path / "1", op)
    with edited(directory) as stored:
        (node,) = (each for each in stored.meta_graphs[0].graph_def.node if each.name == "y")
        node.attr["T"].type = tf.float32.as_datatype_enum
        node.attr["N"].i = 1
    flag = re.search(r"--custom_op_libraries=(?=LIBRARY\.so)", remedy(directory, "no_kernel"))[0]
    serves(directory, {"x": np.array([2.0], np.float32)}, {"y": [1.0]}, f"{flag}{library}")
    assert codes(look(directory)) == []


def test_a_python_function_is_provided_in_a_module(tmp_path, monkeypatch):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def halve(x):
        return {
            "y": tf.ensure_shape(
                tf.numpy_function(lambda values: values / 2, [x], tf.float32, name="as_advised"), [None]
            )
        }

    directory = save_tf2(tf.Module(), tmp_path / "1", halve)
    assert "in a module for --import, with servable.python_functions.provide" in remedy(directory, "python_op")
    (tmp_path / "functions_as_advised.py").write_text(
        "from servable.python_functions import provide\n@provide('as_advised')\ndef halve(x):\n    return x / 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    serves(directory, {"x": np.array([2.0], np.float32)}, {"y": [1.0]}, "--import=functions_as_advised")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("missing_variables", "variables"),
        ("missing_variables_shard", "variables/variables.data-00001-of-00002"),
    ],
)
def test_variables_that_are_missing_are_copied_again(tmp_path, code, name):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        first, second = (tf.compat.v1.get_variable(f"v{n}", initializer=float(n), use_resource=False) for n in (1, 2))
        y = x * first + second
        saver = tf.compat.v1.train.Saver({"v1": first, "v2": second}, sharded=True)
        save_tf1(session, tmp_path / "source", {"serving_default": signature({"x": x}, {"y": y})}, saver=saver)
    if code == "missing_variables_shard":
        split_variables(tmp_path / "source")
    directory = shutil.copytree(tmp_path / "source", tmp_path / "1")
    gone = directory / name
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert remedy(directory, code) == "Copy the version directory again, with its folder variables."
    with pytest.raises(NotFound):
        load(directory)
    shutil.rmtree(directory)
    shutil.copytree(tmp_path / "source", directory)
    assert codes(look(directory)) == []
    serves(directory, {"x": np.array([2.0], np.float32)}, {"y": [4.0]})


def split_variables(directory):
    """Store the variables in two files, as of two devices."""
    prefix = str(directory / saved_model.VARIABLES_PREFIX)
    reader = tf.train.load_checkpoint(prefix)
    parts = []
    for name in ("v1", "v2"):
        parts.append(str(directory / name))
        tf.raw_ops.SaveV2(
            prefix=parts[-1], tensor_names=[name], shape_and_slices=[""], tensors=[reader.get_tensor(name)]
        )
    shutil.rmtree(directory / "variables")
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=prefix)


def test_an_asset_that_is_missing_is_copied_again(models, tmp_path):
    source = models.version_path("vocabulary")
    directory = shutil.copytree(source, tmp_path / "1", ignore=shutil.ignore_patterns("assets"))
    assert remedy(directory, "missing_asset") == "Copy the version directory again, with its folder assets."
    with pytest.raises(NotFound):
        load(directory)
    shutil.rmtree(directory)
    load(shutil.copytree(source, directory)).close()
    assert codes(look(directory)) == []


def test_variables_without_a_saver_are_exported_with_one(half_plus_two, models):
    with edited(half_plus_two) as stored:
        stored.meta_graphs[0].ClearField("saver_def")
        stored.meta_graphs[0].collection_def.clear()
    assert "the SavedModelBuilder of TensorFlow 1 add one" in remedy(half_plus_two, "no_saver")
    # What the builders of these models call.
    for name in ("half_plus_two", "half_plus_two_tf2"):
        assert not find(look(models.version_path(name)), "no_saver")
        serves(models.version_path(name), TWO, THREE)
