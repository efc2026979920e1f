"""SavedModels as TF1 programs write them: a session, `saved_model.Builder`, and signatures built by hand."""

import tempfile
from pathlib import Path

from tests.models.exporting import placeholder, save_tf1, signature, tf, tf1_session, v1

ASSET_TEXT = "asset-file-contents"


def build_half_plus_two(directory):
    """TensorFlow Serving's own fixture: y = 0.5x + 2, y2 = 0.5x + 3, y3 = 0.5*x2 + 3, and the asset foo.txt.

    `x` and `x2` are the parsed features of `tf_example`, so a Predict that feeds `x` never parses an Example.

    Signatures:
        serving_default(x: float32[?,1]) -> y: float32[?,1] @predict
        regress_x_to_y(inputs: string[...]) -> outputs: float32[?,1] @regress
        regress_x_to_y2(inputs: string[...]) -> outputs: float32[?,1] @regress
        regress_x2_to_y3(inputs: float32[?,1]) -> outputs: float32[?,1] @regress
        classify_x_to_y(inputs: string[...]) -> scores: float32[?,1] @classify
        classify_x2_to_y3(inputs: float32[?,1]) -> scores: float32[?,1] @classify
    """
    return _build_half_plus(2.0, directory)


def build_half_plus_three(directory):
    """The same with y = 0.5x + 3, to distinguish two models or two versions.

    Signatures:
        serving_default(x: float32[?,1]) -> y: float32[?,1] @predict
        regress_x_to_y(inputs: string[...]) -> outputs: float32[?,1] @regress
        regress_x_to_y2(inputs: string[...]) -> outputs: float32[?,1] @regress
        regress_x2_to_y3(inputs: float32[?,1]) -> outputs: float32[?,1] @regress
        classify_x_to_y(inputs: string[...]) -> scores: float32[?,1] @classify
        classify_x2_to_y3(inputs: float32[?,1]) -> scores: float32[?,1] @classify
    """
    return _build_half_plus(3.0, directory)


def build_half_plus_two_text(directory):
    """half_plus_two written as saved_model.pbtxt.

    Signatures:
        serving_default(x: float32[?,1]) -> y: float32[?,1] @predict
        regress_x_to_y(inputs: string[...]) -> outputs: float32[?,1] @regress
        regress_x_to_y2(inputs: string[...]) -> outputs: float32[?,1] @regress
        regress_x2_to_y3(inputs: float32[?,1]) -> outputs: float32[?,1] @regress
        classify_x_to_y(inputs: string[...]) -> scores: float32[?,1] @classify
        classify_x2_to_y3(inputs: float32[?,1]) -> scores: float32[?,1] @classify
    """
    return _build_half_plus(2.0, directory, as_text=True)


def _build_half_plus(addend, directory, *, as_text=False):
    with tf1_session() as session, tempfile.TemporaryDirectory() as scratch:
        example, x, x2 = _parsed_example()
        a = _variable(0.5, "a")
        y = _line("y", x, slope=a, intercept=_variable(addend, "b"))
        y2 = _line("y2", x, slope=a, intercept=_variable(3.0, "c"))
        y3 = _line("y3", x2, slope=_variable(0.5, "a2"), intercept=_variable(3.0, "c2"))
        signatures = {
            "serving_default": signature({"x": x}, {"y": y}),
            "regress_x_to_y": signature({"inputs": example}, {"outputs": y}, "regress"),
            "regress_x_to_y2": signature({"inputs": example}, {"outputs": y2}, "regress"),
            "regress_x2_to_y3": signature({"inputs": x2}, {"outputs": y3}, "regress"),
            "classify_x_to_y": signature({"inputs": example}, {"scores": y}, "classify"),
            "classify_x2_to_y3": signature({"inputs": x2}, {"scores": y3}, "classify"),
        }
        assets = _asset(Path(scratch) / "foo.txt")
        return save_tf1(session, directory, signatures, as_text=as_text, **assets)


def _parsed_example():
    """The parser of TF 1.14: the op of today, ParseExampleV2, gives no shape for an input of unknown rank."""
    example = placeholder(tf.string, None, "tf_example")
    parsed = tf.raw_ops.ParseExample(
        serialized=example,
        names=tf.constant([], tf.string),
        sparse_keys=[],
        dense_keys=[tf.constant("x"), tf.constant("x2")],
        dense_defaults=[tf.constant([], tf.float32), tf.constant([0.0])],
        sparse_types=[],
        dense_shapes=[[1], [1]],
        name="ParseExample/ParseExample",
    )
    x, x2 = parsed.dense_values
    return example, tf.identity(x, name="x"), tf.identity(x2, name="x2")


def _variable(value, name, **options):
    """A reference variable (VariableV2), which models from before TF2 hold."""
    return v1.Variable(value, name=name, use_resource=False, **options)


def _line(name, x, *, slope, intercept):
    return tf.identity(tf.add(tf.multiply(slope, x), intercept), name=name)


def _asset(path):
    """The asset's path is a tensor that the loader replaces; the main op puts the name into a variable."""
    path.write_text(ASSET_TEXT)
    v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, tf.constant(str(path)))
    filename = _variable(path.name, "filename_tensor", trainable=False, collections=[])
    return {
        "assets_collection": v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        "main_op": tf.group(filename.assign(path.name)),
    }


def build_tf1_predict(directory):
    """product = x times [[1, 10], [2, 20], [3, 30]], held in a resource variable.

    Signatures:
        predict(x: float32[?,3]) -> product: float32[?,2] @predict
    """
    with tf1_session() as session:
        x = placeholder(tf.float32, [None, 3], "x")
        weights = v1.get_variable("weights", initializer=[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
        product = tf.matmul(x, weights)
        return save_tf1(session, directory, {"predict": signature({"x": x}, {"product": product})})


def build_scalar_beside_vector(directory):
    """Takes the first `count` values; total is their sum. The scalar has no batch dimension, the vector has.

    Signatures:
        serving_default(count: int32[], values: float32[?]) -> head: float32[?], total: float32[] @predict
    """
    with tf1_session() as session:
        values = placeholder(tf.float32, [None], "values")
        count = placeholder(tf.int32, [], "count")
        head = values[:count]
        outputs = {"head": head, "total": tf.reduce_sum(head)}
        signatures = {"serving_default": signature({"values": values, "count": count}, outputs)}
        return save_tf1(session, directory, signatures)


def build_custom_method(directory):
    """Halves pixel values, under a method name of the user's own.

    Signatures:
        preprocess(pixels: uint8[?,?]) -> scaled: float32[?,?] @preprocess
    """
    with tf1_session() as session:
        pixels = placeholder(tf.uint8, [None, None], "pixels")
        scaled = tf.cast(pixels, tf.float32) / 2.0
        preprocess = signature({"pixels": pixels}, {"scaled": scaled}, "preprocess")
        return save_tf1(session, directory, {"preprocess": preprocess})


def build_counter(directory):
    """TensorFlow Serving's stateful fixture: a float that starts at 0 and lives as long as the session.

    The outputs are references to the variable, so their TensorInfo has float32_ref.

    Signatures:
        get_counter() -> output: float32_ref[] @predict
        incr_counter() -> output: float32_ref[] @predict
        reset_counter() -> output: float32_ref[] @predict
        incr_counter_by(delta: float32[...]) -> output: float32_ref[] @predict
    """
    with tf1_session() as session:
        counter = _variable(0.0, "counter")
        delta = placeholder(tf.float32, None, "delta")
        signatures = {
            "get_counter": signature({}, {"output": counter}),
            "incr_counter": signature({}, {"output": counter.assign_add(1.0)}),
            "incr_counter_by": signature({"delta": delta}, {"output": counter.assign_add(delta)}),
            "reset_counter": signature({}, {"output": counter.assign(0.0)}),
        }
        return save_tf1(session, directory, signatures)


def build_example_heads(directory):
    """A classifier and a regressor over the float feature x: scores [1-x, x] of low and high; the value 10x.

    Signatures:
        serving_default(inputs: string[?]) -> classes: string[?,2], scores: float32[?,2] @classify
        regression(inputs: string[?]) -> outputs: float32[?,1] @regress
    """
    with tf1_session() as session:
        examples = placeholder(tf.string, [None], "examples")
        x = _feature_x(examples)
        heads = {"classes": _classes(x, ["low", "high"]), "scores": tf.concat([1.0 - x, x], axis=1)}
        signatures = {
            "serving_default": signature({"inputs": examples}, heads, "classify"),
            "regression": signature({"inputs": examples}, {"outputs": x * 10.0}, "regress"),
        }
        return save_tf1(session, directory, signatures)


def build_dnn_classifier(directory):
    """The keys and tensors that tf.estimator.DNNClassifier exported for two classes; the logit is 4x - 2.

    Signatures:
        serving_default(inputs: string[?]) -> classes: string[?,2], scores: float32[?,2] @classify
        classification(inputs: string[?]) -> classes: string[?,2], scores: float32[?,2] @classify
        regression(inputs: string[?]) -> outputs: float32[?,1] @regress
        predict(examples: string[?]) -> all_class_ids: int32[?,2], all_classes: string[?,2],
            class_ids: int64[?,1], classes: string[?,1], logistic: float32[?,1], logits: float32[?,1],
            probabilities: float32[?,2] @predict
    """
    with tf1_session() as session:
        examples = placeholder(tf.string, [None], "input_example_tensor")
        logits = _feature_x(examples) * 4.0 - 2.0
        predictions = _binary_predictions(logits)
        scored = {"classes": predictions["all_classes"], "scores": predictions["probabilities"]}
        signatures = {
            "serving_default": signature({"inputs": examples}, scored, "classify"),
            "classification": signature({"inputs": examples}, scored, "classify"),
            "predict": signature({"examples": examples}, predictions),
            "regression": signature({"inputs": examples}, {"outputs": predictions["logistic"]}, "regress"),
        }
        return save_tf1(session, directory, signatures)


def _binary_predictions(logits):
    probabilities = tf.concat([tf.sigmoid(-logits), tf.sigmoid(logits)], axis=1)
    class_ids = tf.argmax(probabilities, axis=1)[:, tf.newaxis]
    return {
        "logits": logits,
        "logistic": tf.sigmoid(logits),
        "probabilities": probabilities,
        "class_ids": class_ids,
        "classes": tf.as_string(class_ids),
        "all_class_ids": tf.tile([[0, 1]], [tf.shape(logits)[0], 1]),
        "all_classes": _classes(logits, ["0", "1"]),
    }


def _feature_x(examples):
    return tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]


def _classes(batch, names):
    return tf.tile([names], [tf.shape(batch)[0], 1])
