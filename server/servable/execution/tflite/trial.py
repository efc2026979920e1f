"""Runs a model once in a process of its own, which may die of it: the program that `loader` starts.

Interpreters verify where the tables of a file are, and not what their numbers say. Of 8,000 files with some bytes
changed at random three ended the process while they were loaded, and four never came to an end. What ends this process
does not end the server.

The model comes from stdin. A word goes to stdout for each step that was survived; errors are left to the server, which
meets them again. Imports nothing of this package, so that it starts in a fraction of a second.
"""

import importlib
import resource
import signal
import sys

BUILT, ALLOCATED, RAN = "built", "allocated", "ran"
LONGEST_RUN_S = 5


def main(module: str) -> None:
    """Load the model of stdin and run it on zeros.

    Args:
        module: Where the class `Interpreter` is.
    """
    import numpy as np

    interpreter = importlib.import_module(module).Interpreter(model_content=sys.stdin.buffer.read(), num_threads=1)
    _say(BUILT)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    _say(ALLOCATED)
    # A run on zeros need not end, as long as it does no harm.
    signal.alarm(LONGEST_RUN_S)
    for tensor in inputs:
        is_string = tensor["dtype"] in {np.bytes_, np.object_}
        value = np.full(tensor["shape"], b"", object) if is_string else np.zeros(tensor["shape"], tensor["dtype"])
        interpreter.set_tensor(tensor["index"], value)
    interpreter.invoke()
    for tensor in outputs:
        interpreter.get_tensor(tensor["index"])
    _say(RAN)


def _say(step: str) -> None:
    sys.stdout.write(f"{step}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # The folder of this file holds modules of other programs' names.
    del sys.path[0]
    # Death is expected, so no core is to be written.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main(sys.argv[1])
