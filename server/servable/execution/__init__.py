"""Turns a SavedModel on disk into something that runs. The only package that imports TensorFlow.

It must not know requests, model specs or gRPC: its interface is tensor names and arrays.
"""

import os

# TensorFlow's C++ logs at import; with this only its warnings and errors show. A value that is set already wins.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from servable.observability import native_log

# Here, since whatever runs models comes by. Devices are looked for as well, since that has a greeting of its own.
with native_log.captured():
    import tensorflow as tf

    tf.config.list_physical_devices()
