"""TensorFlow Lite models as bytes, each made in a fraction of a second; not in the store, which holds SavedModels."""

import flatbuffers
import tensorflow as tf
from flatbuffers import flexbuffers
from tensorflow.lite.python import schema_py_generated as schema

from servable import wire

FLOATS = tf.TensorSpec([None, 1], tf.float32, name="x")


def convert(function, *specs, flex=False):
    """The model of a function."""
    concrete = tf.function(function, input_signature=list(specs)).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    if flex:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    return converter.convert()


def half_plus_two(offset=2.0):
    """[rows, 1] to half of it and `offset`."""
    return convert(lambda x: {"y": 0.5 * x + offset}, FLOATS)


def two_functions(folder):
    """Two signatures of subgraphs of their own, `double` and `lookup`."""
    module = tf.Module()
    module.rows = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    module.double = tf.function(lambda x: {"y": 2.0 * x}, input_signature=[FLOATS])
    module.lookup = tf.function(
        lambda row: {"values": tf.gather(module.rows, row)},
        input_signature=[tf.TensorSpec([None], tf.int32, name="row")],
    )
    tf.saved_model.save(module, str(folder), {"double": module.double, "lookup": module.lookup})
    return tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["double", "lookup"]).convert()


def edit(data, change):
    """A model after `change` has been done to the schema's ModelT."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    change(model)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_metadata(data, content):
    """A model with these bytes as its SignatureDefs."""

    def change(model):
        model.buffers.append(schema.BufferT(data=list(content)))
        entry = schema.MetadataT(name=b"signature_defs_metadata", buffer=len(model.buffers) - 1)
        model.metadata = [*(model.metadata or ()), entry]

    return edit(data, change)


class _Encoded(bytes):
    """What flexbuffers takes for a string: the original stores messages as strings, which are no UTF-8."""

    def encode(self, _encoding):
        return self


def with_definitions(data, definitions):
    """A model with these SignatureDefs by key, as TensorFlow Serving reads them."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, definition in definitions.items():
            builder.Key(key)
            builder.String(_Encoded(definition.SerializeToString()))
    return with_metadata(data, builder.Finish())


def definition(inputs, outputs, method="tensorflow/serving/predict"):
    """A SignatureDef of tensor names by alias, all of floats."""
    return wire.SignatureDef(
        inputs={alias: wire.TensorInfo(name=name, dtype=wire.DT_FLOAT) for alias, name in inputs.items()},
        outputs={alias: wire.TensorInfo(name=name, dtype=wire.DT_FLOAT) for alias, name in outputs.items()},
        method_name=method,
    )


def rename(data, names):
    """A model whose tensors have other names."""

    def change(model):
        for tensor in model.subgraphs[0].tensors:
            tensor.name = names.get(tensor.name.decode(), tensor.name.decode()).encode()

    return edit(data, change)


def retype(data, number):
    """A model whose first input is said to be of another type of the schema."""

    def change(model):
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].type = number

    return edit(data, change)
