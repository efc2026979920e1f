"""Train the demo model on scikit-learn's handwritten digits and write what is committed beside this file.

Needs TensorFlow and scikit-learn (`pip install '.[examples]'`). It knows nothing of the server: it makes
a SavedModel that any TensorFlow Serving can load, ten digits to send to it, and the facts about both.
"""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import sklearn
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
MODEL_DIR = HERE / "model" / "1"
SEED = 2024
HELD_OUT_SHARE = 0.2
HIDDEN_UNITS = 64
EPOCHS = 100
DARKEST_PIXEL = 16.0
LABELS = [str(digit) for digit in range(10)]

Floats = NDArray[Any]
Tensors = dict[str, tf.Tensor]


class DigitClassifier(tf.Module):
    """One hidden layer over the 64 pixels of a digit, with one tf.function for each signature."""

    def __init__(self, weights: list[Floats], biases: list[Floats]) -> None:
        super().__init__()
        self.weights = [tf.Variable(w, dtype=tf.float32, name=f"weights_{i}") for i, w in enumerate(weights)]
        self.biases = [tf.Variable(b, dtype=tf.float32, name=f"biases_{i}") for i, b in enumerate(biases)]

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8], tf.float32, name="image")])
    def predict(self, image: tf.Tensor) -> Tensors:
        """Return `digit` int64 [n] and `probabilities` float32 [n, 10] for `image`, pixels 0 to 16."""
        probabilities = self._probabilities(image)
        return {"digit": tf.argmax(probabilities, axis=1), "probabilities": probabilities}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(self, inputs: tf.Tensor) -> Tensors:
        """Return `classes` string [n, 10] and `scores` float32 [n, 10], the likeliest digit first."""
        scores, digits = tf.math.top_k(self._probabilities(_parse_images(inputs)), k=len(LABELS))
        return {"classes": tf.gather(tf.constant(LABELS), digits), "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def regress(self, inputs: tf.Tensor) -> Tensors:
        """Return `outputs` float32 [n]: the confidence, which is the probability of the likeliest digit."""
        return {"outputs": tf.reduce_max(self._probabilities(_parse_images(inputs)), axis=1)}

    def _probabilities(self, image: tf.Tensor) -> tf.Tensor:
        pixels = tf.reshape(image, [-1, 64]) / DARKEST_PIXEL
        hidden = tf.nn.relu(pixels @ self.weights[0] + self.biases[0])
        return tf.nn.softmax(hidden @ self.weights[1] + self.biases[1])


def _parse_images(examples: tf.Tensor) -> tf.Tensor:
    """Read feature `image`, 64 floats in rows from the top, from serialized tf.Examples [n]."""
    return tf.io.parse_example(examples, {"image": tf.io.FixedLenFeature([64], tf.float32)})["image"]


def train(images: Floats, digits: NDArray[Any]) -> DigitClassifier:
    """Fit the network to `images` [n, 8, 8] and their `digits` [n]; the same seed gives the same weights."""
    network = MLPClassifier(
        (HIDDEN_UNITS,), batch_size=64, learning_rate_init=0.003, max_iter=EPOCHS, random_state=SEED
    )
    with warnings.catch_warnings():
        # The number of epochs is chosen, so that it ends the training is no news.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(images.reshape(-1, 64) / DARKEST_PIXEL, digits)
    return DigitClassifier(network.coefs_, network.intercepts_)


def export(model: DigitClassifier, directory: Path) -> None:
    """Write `model` as a SavedModel whose signatures carry the method names of TensorFlow Serving."""
    shutil.rmtree(directory, ignore_errors=True)
    signatures = {"serving_default": model.predict, "classify": model.classify, "regress": model.regress}
    tf.saved_model.save(model, str(directory), signatures=signatures)
    # TensorFlow 2 calls every signature a predict signature, which a server that checks method names refuses.
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(directory))
    for name in ("classify", "regress"):
        updater.replace_method_name(name, f"tensorflow/serving/{name}", tags=["serve"])
    updater.save()
    # It describes the file before that change.
    (directory / "fingerprint.pb").unlink()


def describe(accuracy: float, training_digits: int, held_out_digits: int) -> dict[str, Any]:
    """Return the facts about the exported model that a reader or a test may want to check."""
    return {
        "held_out_accuracy": round(accuracy, 4),
        "held_out_digits": held_out_digits,
        "training_digits": training_digits,
        "hidden_units": HIDDEN_UNITS,
        "epochs": EPOCHS,
        "seed": SEED,
        "model_bytes": sum(file.stat().st_size for file in MODEL_DIR.rglob("*") if file.is_file()),
        "made_with": {"tensorflow": tf.__version__, "scikit-learn": sklearn.__version__},
    }


def write_samples(images: Floats, digits: NDArray[Any], path: Path) -> None:
    """Write the first image of each digit as JSON, one digit a line."""
    firsts = [images[digits == digit][0].astype(int).tolist() for digit in range(10)]
    lines = [json.dumps({"digit": digit, "image": image}) for digit, image in enumerate(firsts)]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main() -> None:
    """Train, export, and measure what was exported on digits that the training never saw."""
    data = load_digits()
    images, held_out_images, digits, held_out_digits = train_test_split(
        data.images, data.target, test_size=HELD_OUT_SHARE, stratify=data.target, random_state=SEED
    )
    export(train(images, digits), MODEL_DIR)
    served = tf.saved_model.load(str(MODEL_DIR)).signatures["serving_default"]
    answers = served(image=tf.constant(held_out_images, tf.float32))["digit"].numpy()
    facts = describe(float((answers == held_out_digits).mean()), len(digits), len(held_out_digits))
    (HERE / "model_card.json").write_text(json.dumps(facts, indent=2) + "\n")
    write_samples(held_out_images, held_out_digits, HERE / "digits.json")
    print(f"{facts['held_out_accuracy']:.2%} of {len(held_out_digits)} held-out digits are right.")


if __name__ == "__main__":
    main()
