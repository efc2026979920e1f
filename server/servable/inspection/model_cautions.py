"""What will bite whoever serves a model, whichever signature is called."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from servable import op_packages, saved_model
from servable.inspection import installed
from servable.inspection.graph import Graph
from servable.inspection.location import Location
from servable.inspection.report import Caution
from servable.python_functions import PYTHON_OPS
from servable.signatures import DEFAULT_KEY

SERVED_TAGS = ("serve",)

ConfirmMissing = Callable[[Collection[str]], Collection[str]]


def about_location(location: Location) -> Iterator[Caution]:
    """A server finds a version by the number that its directory is named by."""
    if location.version is None:
        yield Caution(
            "unnumbered_directory",
            f'The directory name "{location.path.name}" is no number, so a server finds no version here.',
            f"Move the model to {location.path / '1'} and serve --model_base_path={location.path}.",
        )


def about_tags(tags: Sequence[str], tag_sets: Sequence[Sequence[str]]) -> Iterator[Caution]:
    """A server loads the meta graph whose tags are exactly those that it is started with."""
    others = [other for other in tag_sets if set(other) != set(tags)]
    if set(SERVED_TAGS) not in map(set, tag_sets):
        yield Caution(
            "no_serve_tag",
            'No meta graph is tagged exactly "serve", so a server that is started as usual refuses this model.',
            f"Start it with --saved_model_tags={','.join(tags)}." if tags else 'Export it again with the tag "serve".',
        )
    if others:
        yield Caution(
            "several_meta_graphs",
            f"This is about the meta graph tagged {_braced(tags)}. There is also {', '.join(map(_braced, others))}.",
            f"To take another, give the server all its tags, as in --saved_model_tags={','.join(others[0])}. This "
            "command takes the flag too.",
        )


def _braced(tags: Sequence[str]) -> str:
    return f"{{{', '.join(tags)}}}"


def about_signatures(keys: Collection[str]) -> Iterator[Caution]:
    """Requests that name no signature mean serving_default."""
    if not keys:
        yield Caution(
            "no_signatures",
            "It has no signatures, so no request can call it.",
            "Export it again. Keras: model.export(DIR), of a model with keras.Input or one that was called once. "
            "tf.Module: tf.saved_model.save(module, DIR, signatures=module.f), where f is a tf.function with an "
            "input_signature.",
        )
    elif DEFAULT_KEY not in keys:
        yield Caution(
            "no_serving_default",
            f'It has no "{DEFAULT_KEY}", so requests that name no signature fail.',
            f"Put one of these into model_spec.signature_name: {', '.join(sorted(keys))}."
            if len(keys) > 1
            else f"Put {', '.join(keys)} into model_spec.signature_name.",
        )


def about_ops(graph: Graph, confirm_missing: ConfirmMissing) -> Iterator[Caution]:
    """Ops that the installed TensorFlow does not have, or has without what they call.

    Args:
        graph: The stored graph.
        confirm_missing: Those of some names that TensorFlow indeed lacks. Asked only about ops that are not public.
    """
    version = installed.find_version()
    suspects = sorted(graph.ops.keys() - installed.list_public_ops()) if version else []
    for op in sorted(confirm_missing(suspects)) if suspects else ():
        yield Caution(
            "missing_op",
            f'TensorFlow {version}, which is installed here, has no op "{op}" (in {graph.ops[op]}), so a server on it '
            "cannot load this model as it is.",
            op_packages.advise([op]) + ("" if op_packages.find(op) else " Or install the TensorFlow that has it."),
        )
    for op in sorted(PYTHON_OPS & graph.ops.keys()):
        yield Caution(
            "python_op",
            f"It calls Python ({op} in {graph.ops[op]}), and the Python function is not in the model: calls that reach "
            "it fail, unless the server is given the function.",
            "Provide it in a module for --import, with servable.python_functions.provide; or replace tf.py_function "
            "and tf.numpy_function by TensorFlow ops, and export it again.",
        )


def about_files(directory: Path, graph: Graph, restore_op: str, assets: Mapping[str, str]) -> Iterator[Caution]:
    """Files that the graph reads at load and that are not there.

    Args:
        directory: The version directory.
        graph: The stored graph.
        restore_op: The node that restores the variables; empty if none does.
        assets: Path of each asset by its name.
    """
    prefix = directory / saved_model.VARIABLES_PREFIX
    missing = not os.path.isfile(f"{prefix}.index") or not any(prefix.parent.glob(f"{prefix.name}.data-*"))
    if missing and restore_op and graph.has_variables:
        yield Caution(
            "missing_variables",
            f"It has variables, and their values are not in {prefix.parent}.",
            "Copy the version directory again, with its folder variables.",
        )
    for name, path in assets.items():
        if not os.path.isfile(path):
            yield Caution(
                "missing_asset",
                f"Its asset {name} is not in {directory / saved_model.ASSETS_FOLDER}.",
                "Copy the version directory again, with its folder assets.",
            )
