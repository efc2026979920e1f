"""One way to run a signature of a loaded model, for tests that need no request and no codec."""

import numpy as np


def run(model, key, inputs=(), timeout_s=None):
    """Run a signature on arrays by alias; return the outputs as nested lists by alias."""
    signature, inputs = model.signatures[key], dict(inputs)
    runner = model.runner(tuple(signature.inputs[alias] for alias in inputs), tuple(signature.outputs.values()))
    results = runner.run([np.asarray(value) for value in inputs.values()], timeout_s)
    return {alias: result.tolist() for alias, result in zip(signature.outputs, results, strict=True)}


def floats(*values):
    """A column of float32."""
    return np.array(values, np.float32).reshape(-1, 1)
