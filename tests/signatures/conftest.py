"""The models of this folder, served once for each way to run a graph, and beside them TensorFlow's own answers."""

import numpy as np
import pytest
import tensorflow as tf

from tests.signatures.client import Model


@pytest.fixture(params=["private", "public"])
def serve(servers, request):
    """Serves a test model by its name."""
    return lambda name: Model(servers(name, runs=request.param), name)


@pytest.fixture(scope="session")
def tensorflow_says(models):
    """What a signature gives where the model is loaded with tf.saved_model.load and called in this process."""
    loaded = {}

    def call(name, inputs, signature="serving_default"):
        if name not in loaded:
            loaded[name] = tf.saved_model.load(str(models.version_path(name)))
        function = loaded[name].signatures[signature]
        outputs = function(**{alias: tf.constant(value) for alias, value in inputs.items()})
        # A scalar string comes as bytes, which NumPy by itself would cut at a zero byte.
        strings = {alias for alias, value in outputs.items() if value.dtype == tf.string}
        return {
            alias: np.asarray(value.numpy(), object if alias in strings else None) for alias, value in outputs.items()
        }

    return call
