"""SavedModels as TF2 programs write them: a tf.Module with tf.functions, and tf.saved_model.save."""

import tempfile
from pathlib import Path

from tests.models.exporting import save_tf2, tf

VOCABULARY = ("cat", "dog", "bird")


def _spec(shape, dtype, name):
    return tf.TensorSpec(shape, dtype, name=name)


X = _spec([None], tf.float32, "x")


class _HalfPlusTwo(tf.Module):
    """The variables are read inside the functions, so they are restored, not constants."""

    def __init__(self, asset):
        super().__init__()
        self.asset = tf.saved_model.Asset(str(asset))
        self.slope, self.two, self.three = tf.Variable(0.5), tf.Variable(2.0), tf.Variable(3.0)

    @tf.function(input_signature=[_spec([None, 1], tf.float32, "x")])
    def predict(self, x):
        return {"y": self.slope * x + self.two}

    @tf.function(input_signature=[_spec([None], tf.string, "inputs")])
    def regress_x_to_y(self, inputs):
        return {"outputs": self.slope * _feature_x(inputs) + self.two}

    @tf.function(input_signature=[_spec([None], tf.string, "inputs")])
    def regress_x_to_y2(self, inputs):
        return {"outputs": self.slope * _feature_x(inputs) + self.three}

    @tf.function(input_signature=[_spec([None, 1], tf.float32, "inputs")])
    def regress_x2_to_y3(self, inputs):
        return {"outputs": self.slope * inputs + self.three}

    @tf.function(input_signature=[_spec([None], tf.string, "inputs")])
    def classify_x_to_y(self, inputs):
        return {"scores": self.slope * _feature_x(inputs) + self.two}

    @tf.function(input_signature=[_spec([None, 1], tf.float32, "inputs")])
    def classify_x2_to_y3(self, inputs):
        return {"scores": self.slope * inputs + self.three}


def _feature_x(examples):
    return tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]


def build_half_plus_two_tf2(directory):
    """The twin of half_plus_two from TF2: the same keys and sums, and the method name predict everywhere.

    Signatures:
        serving_default(x: float32[?,1]) -> y: float32[?,1] @predict
        regress_x_to_y(inputs: string[?]) -> outputs: float32[?,1] @predict
        regress_x_to_y2(inputs: string[?]) -> outputs: float32[?,1] @predict
        regress_x2_to_y3(inputs: float32[?,1]) -> outputs: float32[?,1] @predict
        classify_x_to_y(inputs: string[?]) -> scores: float32[?,1] @predict
        classify_x2_to_y3(inputs: float32[?,1]) -> scores: float32[?,1] @predict
    """
    with tempfile.TemporaryDirectory() as scratch:
        asset = Path(scratch) / "foo.txt"
        asset.write_text("asset-file-contents")
        model = _HalfPlusTwo(asset)
        signatures = {
            "serving_default": model.predict,
            "regress_x_to_y": model.regress_x_to_y,
            "regress_x_to_y2": model.regress_x_to_y2,
            "regress_x2_to_y3": model.regress_x2_to_y3,
            "classify_x_to_y": model.classify_x_to_y,
            "classify_x2_to_y3": model.classify_x2_to_y3,
        }
        return save_tf2(model, directory, signatures)


def build_single_function(directory):
    """y = 6x; one tf.function passed as `signatures=`, which TensorFlow stores under serving_default.

    Signatures:
        serving_default(x: float32[?]) -> y: float32[?] @predict
    """

    @tf.function(input_signature=[X])
    def multiply(x):
        return {"y": 6.0 * x}

    return save_tf2(tf.Module(), directory, multiply)


def build_two_signatures(directory):
    """predict_two gives 2x and predict_three gives 3x; there is no serving_default.

    Signatures:
        predict_two(x: float32[?]) -> output_0: float32[?] @predict
        predict_three(x: float32[?]) -> output_0: float32[?] @predict
    """
    signatures = {
        "predict_two": tf.function(lambda x: 2.0 * x, input_signature=[X]),
        "predict_three": tf.function(lambda x: 3.0 * x, input_signature=[X]),
    }
    return save_tf2(tf.Module(), directory, signatures)


def build_no_signatures(directory):
    """A tf.Module whose function was never traced: the export has nothing to call by name.

    Signatures:
    """

    class Doubler(tf.Module):
        @tf.function
        def __call__(self, x):
            return 2.0 * x

    return save_tf2(Doubler(), directory)


def build_image_and_text(directory):
    """A signature named classify that is not a Classify signature: two inputs, an image and its caption.

    scores are the image's mean and the caption's length in bytes; label is the caption in lower case.

    Signatures:
        classify(image: float32[?,28,28,1], text: string[?]) -> label: string[?], scores: float32[?,2]
            @predict
    """
    image_spec, text_spec = _spec([None, 28, 28, 1], tf.float32, "image"), _spec([None], tf.string, "text")

    @tf.function(input_signature=[image_spec, text_spec])
    def classify(image, text):
        length = tf.cast(tf.strings.length(text), tf.float32)
        scores = tf.stack([tf.reduce_mean(image, axis=[1, 2, 3]), length], axis=1)
        return {"scores": scores, "label": tf.strings.lower(text)}

    return save_tf2(tf.Module(), directory, {"classify": classify})


def build_variable_length(directory):
    """The mean over the first `lengths` steps of each sequence, and each step's sum over its 100 features.

    Signatures:
        serving_default(lengths: int32[?], sequences: float32[?,?,100]) -> mean: float32[?,100],
            steps: float32[?,?] @predict
    """
    sequences_spec = _spec([None, None, 100], tf.float32, "sequences")

    @tf.function(input_signature=[sequences_spec, _spec([None], tf.int32, "lengths")])
    def summarise(sequences, lengths):
        mask = tf.sequence_mask(lengths, tf.shape(sequences)[1], tf.float32)[:, :, tf.newaxis]
        total = tf.reduce_sum(sequences * mask, axis=1)
        mean = total / tf.cast(lengths, tf.float32)[:, tf.newaxis]
        return {"mean": mean, "steps": tf.reduce_sum(sequences, axis=2)}

    return save_tf2(tf.Module(), directory, {"serving_default": summarise})


def build_strings(directory):
    """Joins each text with "!" and counts its bytes; joined is one string for the whole batch, parted by ",".

    Signatures:
        serving_default(text: string[?]) -> bytes: int32[?], joined: string[], loud: string[?] @predict
    """

    @tf.function(input_signature=[_spec([None], tf.string, "text")])
    def shout(text):
        joined = tf.strings.reduce_join(text, separator=",")
        return {"loud": text + "!", "bytes": tf.strings.length(text), "joined": joined}

    return save_tf2(tf.Module(), directory, {"serving_default": shout})


def build_no_batch_output(directory):
    """Doubles x, beside a scalar, the sum of x, and a constant [1, 2, 3], neither with a batch dimension.

    Signatures:
        serving_default(x: float32[?]) -> constant: float32[3], doubled: float32[?], total: float32[] @predict
    """

    @tf.function(input_signature=[X])
    def double(x):
        return {"doubled": 2.0 * x, "total": tf.reduce_sum(x), "constant": tf.constant([1.0, 2.0, 3.0])}

    return save_tf2(tf.Module(), directory, {"serving_default": double})


def build_vocabulary(directory):
    """Looks words up in a table initialised from an asset: cat 0, dog 1, bird 2, any other -1.

    Signatures:
        serving_default(words: string[?]) -> ids: int64[?] @predict
    """

    class Lookup(tf.Module):
        def __init__(self, path):
            super().__init__()
            whole_line, line_number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
            words = tf.lookup.TextFileInitializer(path, tf.string, whole_line, tf.int64, line_number)
            self.table = tf.lookup.StaticHashTable(words, default_value=-1)

        @tf.function(input_signature=[_spec([None], tf.string, "words")])
        def ids(self, words):
            return {"ids": self.table.lookup(words)}

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "vocabulary.txt"
        path.write_text("".join(f"{word}\n" for word in VOCABULARY))
        model = Lookup(str(path))
        return save_tf2(model, directory, {"serving_default": model.ids})


def build_default_values(directory):
    """y = scale * x + offset, with the defaults 2 and 1; all_default is 2x + 1, and x has the default [5].

    Signatures:
        serving_default(offset: float32[] = default, scale: float32[] = default, x: float32[?])
            -> y: float32[?] @predict
        all_default(x: float32[1] = default) -> y: float32[1] @predict
    """
    one, two, fives = tf.constant(1.0), tf.constant(2.0), tf.constant([5.0])

    @tf.function(input_signature=[X, _spec([], tf.float32, "scale"), _spec([], tf.float32, "offset")])
    def scale_and_shift(x, scale=two, offset=one):
        return {"y": scale * x + offset}

    @tf.function(input_signature=[_spec([1], tf.float32, "x")])
    def shift(x=fives):
        return {"y": 2.0 * x + 1.0}

    return save_tf2(tf.Module(), directory, {"serving_default": scale_and_shift, "all_default": shift})


def build_matmul_tf2(directory):
    """z = x times [[1, 2]], of a declared [?,1]; a [2,3] fails in a kernel inside a function.

    Signatures:
        serving_default(x: float32[?,1]) -> z: float32[?,2] @predict
    """

    @tf.function(input_signature=[_spec([None, 1], tf.float32, "x")])
    def multiply(x):
        return {"z": tf.matmul(x, tf.constant([[1.0, 2.0]]), name="z")}

    return save_tf2(tf.Module(), directory, {"serving_default": multiply})
