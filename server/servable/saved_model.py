"""The contents of a SavedModel on disk: its meta graphs, tags, signatures, init op and assets.

They are read without TensorFlow, so that `servable inspect` takes milliseconds. This module must not know sessions or
servers.
Source of the behaviour: TensorFlow, cc/saved_model/reader.cc and loader_util.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from servable import wire
from servable.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ServingError,
    Unimplemented,
)

BINARY_NAME = "saved_model.pb"
TEXT_NAME = "saved_model.pbtxt"
# What may lie in their place: a TensorFlow Lite model.
TFLITE_NAME = "model.tflite"
VARIABLES_PREFIX = Path("variables", "variables")
ASSETS_FOLDER = "assets"

# The init op is stored under this key, as a signature (TensorFlow 2) or as a collection (TensorFlow 1).
INIT_OP_SIGNATURE = "__saved_model_init_op"
_INIT_OP_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_ASSETS_COLLECTION = "saved_model_assets"

_RESTORE_OPS = frozenset({"Restore", "RestoreSlice", "RestoreV2"})
# TensorFlow 2 restores a description of a model's objects even if the model has no variable. Such a restore consists of
# these ops only, and nothing takes what it reads.
_OPS_WITHOUT_EFFECT = _RESTORE_OPS | {
    "Const", "Identity", "NoOp", "PartitionedCall", "Placeholder", "PlaceholderWithDefault", "StatefulPartitionedCall",
}  # fmt: skip

# git-lfs, docs/spec.md: a pointer is a text of less than 1024 bytes that begins with its version.
_LFS_POINTER_START = b"version https://git-lfs.github.com/spec/"
_MAX_LFS_POINTER_BYTES = 1024
LFS_REMEDY = "Run `git lfs pull` in the repository, and copy the model again."


def parse_text_view(text: bytes) -> wire.SavedModel:
    """Parse a SavedModel in text format; fields that our trimmed messages lack are lost. Not enough for a load."""
    return text_format.Parse(text, wire.SavedModel(), allow_unknown_field=True, descriptor_pool=wire.POOL)


def read(
    directory: Path,
    parse_text: Callable[[bytes], wire.SavedModel] = parse_text_view,
    parse_binary: Callable[[bytes], wire.SavedModel] = wire.SavedModel.FromString,
) -> wire.SavedModel:
    """Read the SavedModel of a version directory.

    Args:
        directory: The version directory.
        parse_text: Parses a saved_model.pbtxt.
        parse_binary: Parses a saved_model.pb; by default nothing is lost, since unknown fields are kept.

    Raises:
        NotFound: if the directory has no saved_model.pb (nor .pbtxt).
        Unimplemented: if it holds a SessionBundle, the format before SavedModel.
        FailedPrecondition: if the path is no directory.
        DataLoss, InvalidArgument: if the file is no SavedModel.
    """
    binary, text = directory / BINARY_NAME, directory / TEXT_NAME
    try:
        if binary.exists():
            return _parse_binary(binary, parse_binary)
        if text.exists():
            return _parse_text(text, parse_text)
    except OSError as error:
        raise _unreadable(error) from error
    raise _missing(directory)


def _parse_binary(path: Path, parse: Callable[[bytes], wire.SavedModel]) -> wire.SavedModel:
    data = path.read_bytes()
    try:
        saved_model = parse(data)
    except DecodeError as error:
        if is_lfs_pointer(path):
            raise DataLoss(
                f"Can't parse {path} as binary proto: {describe_lfs_pointers([path])} {LFS_REMEDY}"
            ) from error
        raise DataLoss(
            f"Can't parse {path} as binary proto ({len(data)} bytes): the file is truncated or no SavedModel. "
            "Copy the version directory again."
        ) from error
    if not saved_model.meta_graphs:
        raise DataLoss(f"{path} holds no meta graph: the file is empty or no SavedModel. Copy it again.")
    return saved_model


def _parse_text(path: Path, parse: Callable[[bytes], wire.SavedModel]) -> wire.SavedModel:
    try:
        return parse(path.read_bytes())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"Can't parse {path} as text proto: {error}. Store the model as {BINARY_NAME} if it is valid."
        ) from error


def _missing(directory: Path) -> ServingError:
    if (directory / "export.meta").exists():
        return Unimplemented(
            f"Session Bundle is deprecated and removed.\nExport the model of {directory} again, as a SavedModel."
        )
    if directory.exists() and not directory.is_dir():
        return FailedPrecondition(f"{directory}; Not a directory")
    tflite = directory / TFLITE_NAME
    hint = f"\n{tflite} is a TensorFlow Lite model, which --prefer_tflite_model serves." if tflite.exists() else ""
    return NotFound(
        "Specified file path does not appear to contain a SavedModel bundle (should have a file called "
        f"`{BINARY_NAME}`)\nSpecified file path: {directory}{hint}"
    )


def _unreadable(error: OSError) -> ServingError:
    return FailedPrecondition(f"{error.filename}; {error.strerror}. The server must be allowed to read it.")


def restores_values(ops: Collection[str]) -> bool:
    """Whether a restore that consists of these ops gives variables or tables their values, and so needs their files."""
    return not _RESTORE_OPS.isdisjoint(ops) and not _OPS_WITHOUT_EFFECT.issuperset(ops)


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is what Git LFS keeps in a repository in place of a large file."""
    try:
        if path.stat().st_size >= _MAX_LFS_POINTER_BYTES:
            return False
        return path.read_bytes().startswith(_LFS_POINTER_START)
    except (OSError, ValueError):
        # No name of a file may hold a NUL.
        return False


def find_lfs_pointers(directory: Path) -> list[Path]:
    """The files of a version directory that are pointers of Git LFS, without the assets."""
    files = [directory / BINARY_NAME, *sorted((directory / VARIABLES_PREFIX.parent).glob("*"))]
    return list(filter(is_lfs_pointer, files))


def describe_lfs_pointers(pointers: Sequence[Path]) -> str:
    """What is wrong with files that are pointers of Git LFS; `LFS_REMEDY` says what to do."""
    names, are = ", ".join(path.name for path in pointers), "are pointers" if len(pointers) > 1 else "is a pointer"
    return f"{names} {are} of Git LFS, not the data."


def select_meta_graph(saved_model: wire.SavedModel, tags: Iterable[str]) -> wire.MetaGraphDef:
    """The meta graph whose tags are exactly these.

    Args:
        saved_model: The SavedModel.
        tags: All tags of the meta graph. Empty ones alone, as in a flag that is a comma, choose the one without tags
            too.

    Raises:
        NotFound: if there is none.
    """
    wanted = set(tags)
    for accepted in [wanted, set[str]()] if wanted == {""} else [wanted]:
        for meta_graph in saved_model.meta_graphs:
            if set(meta_graph.meta_info_def.tags) == accepted:
                return meta_graph
    known = "; ".join(" ".join(["{", *graph.meta_info_def.tags, "}"]) for graph in saved_model.meta_graphs)
    raise NotFound(
        f"Could not find meta graph def matching supplied tags: {' '.join(['{', *sorted(wanted), '}'])}. "
        "To inspect available tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`",
        hints={"tag_sets": known},
    )


def signatures(meta_graph: wire.MetaGraphDef) -> dict[str, wire.SignatureDef]:
    """All signatures by key, as stored."""
    return dict(meta_graph.signature_def.items())


def init_op_name(meta_graph: wire.MetaGraphDef) -> str | None:
    """The node to run once after the variables are restored, if the model has one.

    Raises:
        FailedPrecondition: if a collection names more than one.
    """
    signature = meta_graph.signature_def.get(INIT_OP_SIGNATURE)
    if signature is not None and INIT_OP_SIGNATURE in signature.outputs:
        return signature.outputs[INIT_OP_SIGNATURE].name
    for key in _INIT_OP_COLLECTIONS:
        if key in meta_graph.collection_def:
            names: Sequence[str] = meta_graph.collection_def[key].node_list.value
            if len(names) != 1:
                raise FailedPrecondition(f"Expected exactly one main op in : {key}; found {len(names)}.")
            return names[0]
    return None


def asset_feeds(meta_graph: wire.MetaGraphDef, directory: Path) -> dict[str, str]:
    """The path of each asset file, by the name of the tensor that takes it.

    Raises:
        DataLoss: if the list of assets does not parse.
    """
    folder = directory / ASSETS_FOLDER
    return {asset.tensor_info.name: str(folder / asset.filename) for asset in _asset_files(meta_graph)}


def _asset_files(meta_graph: wire.MetaGraphDef) -> Iterable[wire.AssetFileDef]:
    if meta_graph.asset_file_def:
        return meta_graph.asset_file_def
    # TensorFlow 1 wrote them as Any messages into a collection.
    stored = meta_graph.collection_def.get(_ASSETS_COLLECTION)
    try:
        return [wire.AssetFileDef.FromString(packed.value) for packed in stored.any_list.value] if stored else []
    except DecodeError as error:
        raise DataLoss(f"The collection {_ASSETS_COLLECTION} is damaged. Copy the version directory again.") from error
