"""SavedModels made of wire messages, without TensorFlow, for what no exporter writes."""

from servable import inspection, wire

DTYPES = {
    "float32": wire.DT_FLOAT,
    "float64": wire.DT_DOUBLE,
    "int64": wire.DT_INT64,
    "string": wire.DT_STRING,
    "float32_ref": wire.DT_FLOAT_REF,
    "resource": wire.DT_RESOURCE,
}
CLASSIFY, PREDICT, REGRESS = (f"tensorflow/serving/{method}" for method in ("classify", "predict", "regress"))


def tensor(text, name):
    """A TensorInfo from `float32[?,3]`; `[...]` is the unknown rank and `[]` a scalar."""
    dtype, _, sizes = text.removesuffix("]").partition("[")
    info = wire.TensorInfo(name=name, dtype=DTYPES[dtype])
    info.tensor_shape.SetInParent()
    if sizes == "...":
        info.tensor_shape.unknown_rank = True
    else:
        for size in filter(None, sizes.split(",")):
            info.tensor_shape.dim.add(size=-1 if size == "?" else int(size))
    return info


def signature(inputs, outputs, method=PREDICT):
    """A SignatureDef of tensors by alias, as text; the tensor of the alias x is `x:0`."""
    return wire.SignatureDef(
        inputs={alias: tensor(text, f"{alias}:0") for alias, text in inputs.items()},
        outputs={alias: tensor(text, f"{alias}:0") for alias, text in outputs.items()},
        method_name=method,
    )


def node(name, op="Identity", *sources):
    return wire.NodeDef(name=name, op=op, input=sources)


def meta_graph(signatures, nodes=None, tags=("serve",), functions=()):
    """A MetaGraphDef; without nodes it has one for each tensor of a signature, so that nothing is missing."""
    made = wire.MetaGraphDef(signature_def=signatures)
    made.meta_info_def.tags.extend(tags)
    made.graph_def.node.extend(_nodes_of(signatures) if nodes is None else nodes)
    made.graph_def.library.function.extend(functions)
    return made


def _nodes_of(signatures):
    infos = [info for each in signatures.values() for side in (each.inputs, each.outputs) for info in side.values()]
    return [node(name, "NoOp") for name in sorted({info.name.partition(":")[0] for info in infos})]


def write(directory, *meta_graphs):
    """A version directory with a saved_model.pb."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "saved_model.pb").write_bytes(wire.SavedModel(meta_graphs=meta_graphs).SerializeToString())
    return directory


def nothing_is_missing(names):
    raise AssertionError(f"TensorFlow would be imported for {names}")


def look(directory, confirm_missing=nothing_is_missing, tags=(), find_without_kernel=nothing_is_missing):
    return inspection.inspect(str(directory), confirm_missing, tags, find_without_kernel)


def find(report, code):
    """The warnings of a code."""
    return [warning for warning in report.warnings if warning.code == code]


def codes(report):
    return [warning.code for warning in report.warnings]
