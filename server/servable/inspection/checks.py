"""The warnings: what can go wrong with a model as a whole, and with each of its signatures.

Each `check_*` yields what it finds. What a signature's verdicts say is not found out anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from servable import op_packages, saved_model
from servable.inspection.graph import Graph
from servable.inspection.report import ModelWarning, Signature, Tensor, format_shape
from servable.python_functions import PYTHON_OPS
from servable.signatures import CLASSIFY_METHOD, DEFAULT_KEY, REGRESS_METHOD

SERVED_TAGS = ("serve",)

ConfirmMissing = Callable[[Collection[str]], Collection[str]]
"""Given names of ops, those that TensorFlow lacks. It may import TensorFlow."""

FindOps = Callable[[Collection[str]], Collection[str]]
"""Given names of ops, those of some kind. It may import TensorFlow."""

# Ops that TensorFlow 2.16 to 2.21 registers without a kernel for a CPU: they run on other devices, or nowhere any more.
_MAY_LACK_KERNEL = re.compile(
    "BoostedTrees|Cudnn|Nccl|TPU|Xla|^Infeed|^Outfeed|^Prelinearize|SparseCore|Minibatch|^AllToAll$|^BatchI?FFT|"
    "^CTCLossV2$|^CollectivePermute$|^Conv2DBackprop(?:Filter|Input)V2$|^ConvertToCooTensor$|^CrossReplicaSum$|"
    "^ExperimentalMapDataset$|^FilterByLastComponentDataset$|^GenerateBoundingBoxProposals$|^GlobalIterId$|"
    "^I?R?FFTND$|^MaxPoolGradGradWithArgmax$|^QuantizedReluX$|^Segment(?:Max|Min|Prod|Sum)V2$|"
    "^SparseMatrix(?:Add|Mul|Softmax|SoftmaxGrad|Zeros)$|^WorkerHeartbeat$"
)
_ASSIGN_OPS = frozenset({"Assign", "AssignVariableOp"})
_SHARD = re.compile(r"data-(\d{5})-of-(\d{5})")

# Keras numbers what has no name over the whole program: the same code gives dense_3 here and dense_4 there.
_LAYERS = (
    "activation|add|average|batch_normalization|bidirectional|concatenate|conv[123]d|dense|dropout|embedding|flatten|"
    "functional|(?:global_)?(?:average|max)_pooling[123]d|gru|input_layer|keras_layer|lambda|layer_normalization|lstm|"
    "model|multiply|normalization|rescaling|reshape|sequential|simple_rnn|softmax|text_vectorization"
)
_GENERIC = re.compile(
    rf"(?:args?|inputs?|outputs?|placeholder|tensor)_\d+|keras_tensor(?:_\d+)?|(?:{_LAYERS})(?:_\d+)?(?:_input)?"
)
# These say enough if the signature has one input, or one output.
_GENERIC_BESIDE_OTHERS = frozenset({"args", "input", "inputs", "output", "outputs"})


def check_location(path: Path, version: int | None) -> Iterator[ModelWarning]:
    """A server finds a version by the number that its directory is named by."""
    if version is None:
        yield ModelWarning(
            "unnumbered_directory",
            f'The directory name "{path.name}" is no number. `servable serve {path}` serves it as version 1; neither '
            "--model_base_path nor a config file finds a version here.",
            f"Move the model to {path / '1'} and serve --model_base_path={path}.",
        )


def check_tags(tags: Sequence[str], tag_sets: Sequence[Sequence[str]]) -> Iterator[ModelWarning]:
    """A server loads the meta graph whose tags are exactly those of its flag."""
    others = [other for other in tag_sets if set(other) != set(tags)]
    if set(SERVED_TAGS) not in map(set, tag_sets):
        yield ModelWarning(
            "no_serve_tag",
            'No meta graph is tagged exactly "serve", so a server that is started as usual refuses this model.',
            f"Start it with {_choose(tags)}." if _is_choosable(tags) else 'Export it again with the tag "serve".',
        )
    choosable = list(filter(_is_choosable, others))
    if others:
        yield ModelWarning(
            "several_meta_graphs",
            f"This is about the meta graph tagged {_braced(tags)}. There is also {', '.join(map(_braced, others))}.",
            f"To take another, give the server all its tags, as in {_choose(choosable[0])}. "
            "This command takes the flag too."
            if choosable
            else "To take another, export it again with other tags: these cannot be written into a flag.",
        )


def _is_choosable(tags: Sequence[str]) -> bool:
    """Whether the flag can choose a meta graph: in it, a comma separates tags."""
    return not tags or set(",".join(tags).split(",")) == set(tags)


def _choose(tags: Sequence[str]) -> str:
    """The flag that chooses a meta graph; a lone comma chooses the one without tags, or with an empty one."""
    return f"--saved_model_tags={','.join(tags) or ','}"


def _braced(tags: Sequence[str]) -> str:
    return f"{{{', '.join(tags)}}}"


def check_signature_keys(keys: Collection[str]) -> Iterator[ModelWarning]:
    """A request that names no signature gets serving_default."""
    if not keys:
        yield ModelWarning(
            "no_signatures",
            "It has no signatures, so no request can call it.",
            "Export it again. Keras: model.export(DIR), of a model with keras.Input or one that was called once. "
            "tf.Module: tf.saved_model.save(module, DIR, signatures=module.f), where f is a tf.function with an "
            "input_signature.",
        )
    elif DEFAULT_KEY not in keys:
        yield ModelWarning(
            "no_serving_default",
            f'It has no "{DEFAULT_KEY}", so requests that name no signature fail.',
            f"Put one of these into model_spec.signature_name: {', '.join(sorted(keys))}."
            if len(keys) > 1
            else f"Put {', '.join(keys)} into model_spec.signature_name.",
        )


def check_ops(
    graph: Graph, version: str | None, public_ops: Collection[str], confirm_missing: ConfirmMissing
) -> Iterator[ModelWarning]:
    """Ops that the installed TensorFlow does not have, or has without what they call.

    Args:
        graph: The stored graph.
        version: The version of the installed TensorFlow; None if there is none.
        public_ops: Its public ops.
        confirm_missing: Called with the ops of the graph that are not public, if there are any.
    """
    suspects = sorted(graph.ops.keys() - public_ops) if version else []
    for op in sorted(confirm_missing(suspects)) if suspects else ():
        yield ModelWarning(
            "missing_op",
            f'TensorFlow {version}, which is installed here, has no op "{op}" (in {graph.ops[op]}), so a server on it '
            "cannot load this model as it is.",
            op_packages.advise([op]) + ("" if op_packages.find(op) else " Or install the TensorFlow that has it."),
        )
    for op in sorted(PYTHON_OPS & graph.ops.keys()):
        yield ModelWarning(
            "python_op",
            f"It calls Python ({op} in {graph.ops[op]}), and the Python function is not in the model: calls that reach "
            "it fail, unless the server is given the function.",
            "Provide it in a module for --import, with servable.python_functions.provide; or replace tf.py_function "
            "and tf.numpy_function by TensorFlow ops, and export it again.",
        )


def check_kernels(
    needed_ops: Mapping[str, str], version: str | None, find_without_kernel: FindOps
) -> Iterator[ModelWarning]:
    """Ops that the installed TensorFlow knows and cannot run.

    Args:
        needed_ops: The ops that signatures, restore and init op need, with the place of their first use.
        version: The version of the installed TensorFlow; None if there is none.
        find_without_kernel: Called with the ops that may lack a kernel, if there are any.
    """
    suspects = sorted(filter(_MAY_LACK_KERNEL.search, needed_ops)) if version else []
    for op in sorted(find_without_kernel(suspects)) if suspects else ():
        yield ModelWarning(
            "no_kernel",
            f'TensorFlow {version}, which is installed here, knows the op "{op}" (in {needed_ops[op]}) and has no '
            "kernel for it on the devices here: what needs it cannot run, and the model may not load.",
            f"Export the model again without {op}; or bring a kernel with --custom_op_libraries=LIBRARY.so.",
        )


def check_saver(graph: Graph, restore_op: str, init_op: str | None) -> Iterator[ModelWarning]:
    """Variables get their values from the restore, or from the init op.

    Args:
        graph: The stored graph.
        restore_op: The node that restores the variables; empty if none does.
        init_op: The node that is run once at load; None if there is none.
    """
    initialised = graph.find_needed_ops(filter(None, [init_op])).keys()
    if graph.has_variables and not restore_op and _ASSIGN_OPS.isdisjoint(initialised):
        yield ModelWarning(
            "no_saver",
            "It has variables and no saver, so nothing gives them their values: calls that read one fail.",
            "Export it again, with a saver: tf.saved_model.save and the SavedModelBuilder of TensorFlow 1 add one.",
        )


def check_files(directory: Path, graph: Graph, restore_op: str, assets: Mapping[str, str]) -> Iterator[ModelWarning]:
    """Files that the graph reads at load and that are not there.

    Args:
        directory: The version directory.
        graph: The stored graph.
        restore_op: The node that restores the variables; empty if none does.
        assets: Path of each asset by its name.
    """
    pointers = [
        *saved_model.find_lfs_pointers(directory),
        *filter(saved_model.is_lfs_pointer, map(Path, assets.values())),
    ]
    if pointers:
        yield ModelWarning(
            "git_lfs_pointer",
            saved_model.describe_lfs_pointers(pointers),
            saved_model.LFS_REMEDY,
        )
    prefix = directory / saved_model.VARIABLES_PREFIX
    shards = [path.name for path in prefix.parent.glob(f"{prefix.name}.data-*")]
    missing_shards = _find_missing_shards(prefix.name, shards)
    if missing_shards:
        yield ModelWarning(
            "missing_variables_shard",
            f"The values of its variables are in several files, and {', '.join(missing_shards)} "
            f"{'is' if len(missing_shards) == 1 else 'are'} not in {prefix.parent}.",
            "Copy the version directory again, with its folder variables.",
        )
    missing = not os.path.isfile(f"{prefix}.index") or not shards
    restores = graph.has_variables or saved_model.restores_values(graph.find_needed_ops([restore_op]))
    if missing and restore_op and restores:
        yield ModelWarning(
            "missing_variables",
            f"It has variables, and their values are not in {prefix.parent}.",
            "Copy the version directory again, with its folder variables.",
        )
    for name, path in assets.items():
        if not os.path.isfile(path):
            yield ModelWarning(
                "missing_asset",
                f"Its asset {name} is not in {directory / saved_model.ASSETS_FOLDER}.",
                "Copy the version directory again, with its folder assets.",
            )


def _find_missing_shards(prefix: str, names: Iterable[str]) -> list[str]:
    """The names of the files that are missing, by the numbers in the names of those that are there."""
    found = [match for match in map(_SHARD.search, names) if match]
    totals = {match[2] for match in found}
    if len(totals) != 1:
        # None is there, or those of several exports: only the index knows which ones belong to it.
        return []
    (total,) = totals
    wanted = {f"{number:05}" for number in range(int(total))}
    return [f"{prefix}.data-{number}-of-{total}" for number in sorted(wanted - {match[1] for match in found})]


def check_signature(signature: Signature) -> Iterator[ModelWarning]:
    """The warnings about one signature."""
    yield from _check_use(signature)
    yield from _check_names(signature)
    yield from _check_batches(signature)
    yield from _check_ranks(signature)


def _check_use(signature: Signature) -> Iterator[ModelWarning]:
    predict = signature.rpcs["Predict"]
    if predict.reason is not None:
        yield ModelWarning(
            "predict_unusable",
            f"Predict cannot call it: {predict.reason}.",
            "Export it again, with inputs and outputs that are tensors of the graph, each of them once, and with an "
            "input for every placeholder that the outputs need. An output_filter may leave a faulty output out.",
            signature.key,
        )
    classify, regress = signature.rpcs["Classify"], signature.rpcs["Regress"]
    if classify.reason is not None and _is_meant_for("classif", CLASSIFY_METHOD, signature):
        yield ModelWarning(
            "classify_unusable",
            f"It looks made for Classify, which cannot call it: {classify.reason}.",
            'Export it with one input "inputs" that takes serialized tf.Examples, and the outputs "classes" (string) '
            f'and/or "scores" (float32), each [batch, classes]{_or_predict(signature)}.',
            signature.key,
        )
    if regress.reason is not None and _is_meant_for("regress", REGRESS_METHOD, signature):
        yield ModelWarning(
            "regress_unusable",
            f"It looks made for Regress, which cannot call it: {regress.reason}.",
            'Export it with one input "inputs" that takes serialized tf.Examples, and one output "outputs" (float32) '
            f"of [batch] or [batch, 1]{_or_predict(signature)}.",
            signature.key,
        )


def _is_meant_for(word: str, method_name: str, signature: Signature) -> bool:
    return signature.method_name == method_name or word in signature.key.lower()


def _or_predict(signature: Signature) -> str:
    return "; or call it by Predict" if signature.rpcs["Predict"].callable else ""


def _check_names(signature: Signature) -> Iterator[ModelWarning]:
    names = [*_generic_names(signature.inputs), *_generic_names(signature.outputs)]
    if names:
        yield ModelWarning(
            "generic_names",
            f"Names that an exporter made up: {_list(names)}. They say nothing, and another export may give others, "
            "which breaks clients.",
            "Name inputs by keras.Input(name=...) or tf.TensorSpec(name=...), and return outputs as a dict.",
            signature.key,
        )


def _generic_names(side: Sequence[Tensor]) -> list[str]:
    names = [tensor.name for tensor in side]
    return [name for name in names if _GENERIC.fullmatch(name) or (len(names) > 1 and name in _GENERIC_BESIDE_OTHERS)]


def _check_batches(signature: Signature) -> Iterator[ModelWarning]:
    """The first axis is the batch by convention only, so a mixed signature is a suspicion."""
    inputs = [tensor for tensor in signature.inputs if tensor.shape]
    outputs = [tensor for tensor in signature.outputs if tensor.shape]
    fixed_inputs, fixed_outputs = _fixed(inputs), _fixed(outputs)
    if inputs and len(fixed_inputs) == len(inputs):
        yield ModelWarning(
            "fixed_batch",
            f"Exported for a batch of fixed size: {_name_sizes(fixed_inputs)}. Requests of another size may fail or "
            "give wrong results.",
            "Export it with None as the first axis of each input.",
            signature.key,
        )
    elif inputs and (fixed_inputs or fixed_outputs):
        yield ModelWarning(
            "fixed_batch",
            f"The first axis has a fixed size in {_name_sizes([*fixed_inputs, *fixed_outputs])} and is open in others.",
            "If that axis is meant to be the batch, export it as None; if it is not, requests of this signature cannot "
            "be batched together.",
            signature.key,
        )


def _fixed(side: Iterable[Tensor]) -> list[Tensor]:
    return [tensor for tensor in side if tensor.first_axis is not None]


def _name_sizes(fixed: Iterable[Tensor]) -> str:
    return ", ".join(f'"{tensor.name}" {format_shape(tensor.shape)}' for tensor in fixed)


def _check_ranks(signature: Signature) -> Iterator[ModelWarning]:
    takes_examples = signature.rpcs["Classify"].callable or signature.rpcs["Regress"].callable
    # tf.Examples are fed as a vector whatever shape the input declares.
    unknown = [] if takes_examples else [tensor.name for tensor in signature.inputs if tensor.shape is None]
    if unknown:
        yield ModelWarning(
            "unknown_shape",
            f"No shape is declared for {_list(unknown)}: nothing tells clients what to send.",
            "Export it with the shape that it needs, None for each axis of any size.",
            signature.key,
        )


def _list(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
