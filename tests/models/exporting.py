"""Shared by the builders of test models: TensorFlow without its log, a TF1 session, the writing.

The builders import TensorFlow from here and nowhere else, so that its log is turned down before it starts.
A builder is a function `build_<name>(directory) -> directory` in a module listed in `store.py`. Its docstring
ends with a `Signatures:` section in the words of `notation.py`, which a test holds against what was written.
"""

import contextlib
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

v1 = tf.compat.v1

METHOD_PREFIX = "tensorflow/serving/"


@contextlib.contextmanager
def tf1_session():
    """Yields a session over a new default graph, as TF1 programs begin."""
    with tf.Graph().as_default(), v1.Session() as session:
        yield session


def placeholder(dtype, shape, name):
    """Returns a named placeholder; shape None is the unknown rank, a None inside it an open dimension."""
    return v1.placeholder(dtype, shape, name=name)


def signature(inputs, outputs, method="predict"):
    """Returns a SignatureDef over tensors; a method with a slash, or "", is taken as it is written."""
    return v1.saved_model.build_signature_def(
        inputs={alias: v1.saved_model.build_tensor_info(tensor) for alias, tensor in inputs.items()},
        outputs={alias: v1.saved_model.build_tensor_info(tensor) for alias, tensor in outputs.items()},
        method_name=METHOD_PREFIX + method if method in {"predict", "classify", "regress"} else method,
    )


def save_tf1(session, directory, signatures, *, tags=("serve",), as_text=False, **meta_graph):
    """Initialises the variables and writes the session's graph the TF1 way; returns the directory."""
    session.run(v1.global_variables_initializer())
    builder = v1.saved_model.Builder(str(directory))
    builder.add_meta_graph_and_variables(session, list(tags), signature_def_map=signatures, **meta_graph)
    builder.save(as_text)
    return directory


def save_tf2(module, directory, signatures=None):
    """Writes a trackable the TF2 way; without signatures TensorFlow looks for some. Returns the directory."""
    tf.saved_model.save(module, str(directory), signatures=signatures)
    return directory


@contextlib.contextmanager
def edited(directory):
    """Yields the written SavedModel proto, to be changed in place, and writes it back."""
    path = directory / "saved_model.pb"
    proto = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    yield proto
    path.write_bytes(proto.SerializeToString())
