"""SavedModels as Keras 3 writes them, by `model.export` or by `tf.saved_model.save`.

Weights are ones where that gives a value that can be worked out by hand. Inputs carry names of their own, as
Keras numbers the nameless ones over the whole process.
"""

import contextlib
import io

from tests.models.exporting import save_tf2, tf

keras = tf.keras


def _export(model, directory):
    """Keras 3.0 has no `verbose=False`; its output is discarded."""
    with contextlib.redirect_stdout(io.StringIO()):
        model.export(str(directory))
    return directory


def _dense(units, activation=None, kernel="ones", **options):
    return keras.layers.Dense(units, activation=activation, kernel_initializer=kernel, **options)


def build_keras_regression(directory):
    """The sum of three features.

    Signatures:
        serve(features: float32[?,3]) -> output_0: float32[?,1] @predict
        serving_default(features: float32[?,3]) -> output_0: float32[?,1] @predict
    """
    return _export(keras.Sequential([keras.Input((3,), name="features"), _dense(1)]), directory)


def build_keras_regression_saved(directory):
    """The same, written with tf.saved_model.save, which calls the input `inputs` whatever its name was.

    Signatures:
        serving_default(inputs: float32[?,3]) -> output_0: float32[?,1] @predict
    """
    return save_tf2(keras.Sequential([keras.Input((3,), name="features"), _dense(1)]), directory)


def build_keras_two_inputs(directory):
    """The sum of all features of two named inputs, under a named output.

    Signatures:
        serve(left: float32[?,2], right: float32[?,3]) -> total: float32[?,1] @predict
        serving_default(left: float32[?,2], right: float32[?,3]) -> total: float32[?,1] @predict
    """
    left, right = keras.Input((2,), name="left"), keras.Input((3,), name="right")
    total = _dense(1)(keras.layers.Concatenate()([left, right]))
    return _export(keras.Model({"left": left, "right": right}, {"total": total}), directory)


def build_keras_no_signatures(directory):
    """A subclassed model that was never called: Keras knows no input, the export has no signature.

    Signatures:
    """

    class Doubler(keras.Model):
        def call(self, x):
            return 2.0 * x

    return save_tf2(Doubler(), directory)


def build_keras_subclassed(directory):
    """A subclassed model that was called once before the save: its signature is fixed to a batch of one.

    Signatures:
        serving_default(inputs: float32[1,3]) -> output_0: float32[1,2] @predict
    """

    class Head(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = _dense(2)

        def call(self, x):
            return self.dense(x)

    model = Head()
    model(tf.zeros([1, 3]))
    return save_tf2(model, directory)


def build_keras_lstm(directory):
    """An LSTM over an open time axis; random weights.

    Signatures:
        serve(sequence: float32[?,?,8]) -> output_0: float32[?,4] @predict
        serving_default(sequence: float32[?,?,8]) -> output_0: float32[?,4] @predict
    """
    sequence = keras.Input((None, 8), name="sequence")
    return _export(keras.Model(sequence, keras.layers.LSTM(4)(sequence)), directory)


def build_keras_sigmoid(directory):
    """A binary classifier: the sigmoid of the sum of four features.

    Signatures:
        serve(features: float32[?,4]) -> output_0: float32[?,1] @predict
        serving_default(features: float32[?,4]) -> output_0: float32[?,1] @predict
    """
    model = keras.Sequential([keras.Input((4,), name="features"), _dense(1, "sigmoid")])
    return _export(model, directory)


def build_keras_softmax(directory):
    """Three classes: the softmax of three features, each its own logit.

    Signatures:
        serve(features: float32[?,3]) -> output_0: float32[?,3] @predict
        serving_default(features: float32[?,3]) -> output_0: float32[?,3] @predict
    """
    head = _dense(3, "softmax", kernel="identity", use_bias=False)
    return _export(keras.Sequential([keras.Input((3,), name="features"), head]), directory)


def build_mobilenet_v2(directory):
    """MobileNetV2 with random weights over 224 x 224 images: the large model, 30 MB on disk.

    Signatures:
        serve(image: float32[?,224,224,3]) -> output_0: float32[?,1000] @predict
        serving_default(image: float32[?,224,224,3]) -> output_0: float32[?,1000] @predict
    """
    image = keras.Input((224, 224, 3), name="image")
    return _export(keras.applications.MobileNetV2(weights=None, input_tensor=image), directory)
