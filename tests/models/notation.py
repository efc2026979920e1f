"""One line for one signature, as the builders' docstrings write it and as saved_model.pb stores it.

    name(input: dtype[shape], ...) -> output: dtype[shape], ... @method

`?` is an open dimension, `[...]` the unknown rank, `[]` a scalar, `= default` a default value in the
SignatureDef, `@method` the method name without `tensorflow/serving/`, left out where it is empty.
"""

import inspect

from google.protobuf import text_format

from tests.models.exporting import METHOD_PREFIX, saved_model_pb2, tf

# Every TF2 export has it; no docstring repeats it.
INIT_SIGNATURE = "__saved_model_init_op"


def documented_signatures(builder):
    """Returns the lines of the docstring's Signatures section, sorted, continuation lines joined."""
    _, _, section = inspect.getdoc(builder).partition("\nSignatures:\n")
    lines = []
    for line in section.splitlines():
        if line.startswith("     "):
            lines[-1] += " " + line.strip()
        elif line.strip():
            lines.append(line.strip())
    return sorted(lines)


def written_signatures(version_directory):
    """Returns the lines of the signatures in every meta graph of the written SavedModel."""
    return sorted(
        _line(key, signature)
        for meta_graph in read_saved_model(version_directory).meta_graphs
        for key, signature in meta_graph.signature_def.items()
        if key != INIT_SIGNATURE
    )


def read_saved_model(version_directory):
    """Returns the SavedModel proto of either form, saved_model.pb or saved_model.pbtxt."""
    binary = version_directory / "saved_model.pb"
    if binary.exists():
        return saved_model_pb2.SavedModel.FromString(binary.read_bytes())
    text = (version_directory / "saved_model.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, saved_model_pb2.SavedModel())


def _line(key, signature):
    inputs = _tensors(signature.inputs, signature.defaults)
    outputs = _tensors(signature.outputs) or "nothing"
    method = signature.method_name.removeprefix(METHOD_PREFIX)
    return f"{key}({inputs}) -> {outputs}" + (f" @{method}" if method else "")


def _tensors(infos, defaults=()):
    return ", ".join(
        f"{alias}: {tf.as_dtype(info.dtype).name}[{_shape(info.tensor_shape)}]"
        + (" = default" if alias in defaults else "")
        for alias, info in sorted(infos.items())
    )


def _shape(shape):
    if shape.unknown_rank:
        return "..."
    return ",".join("?" if dim.size < 0 else str(dim.size) for dim in shape.dim)
