"""Where models lie that people name by a path: what `servable serve`, `check`, `inspect` and `warmup` take.

A path may be a base path, one of its version directories, or the directory of a SavedModel that is in no version
directory. It may be relative and begin with `~`. What lies there of another kind is refused with the one command that
makes a SavedModel of it. Knows nothing of what is in a model.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from servable import saved_model, sources
from servable.config.models import ModelConfig, Specific
from servable.errors import FailedPrecondition, InvalidArgument, NotFound, ServingError

# The format before SavedModel. Reading it says what it is.
_SESSION_BUNDLE_NAME: Final = "export.meta"
_URI: Final = re.compile(r"[a-zA-Z][0-9a-zA-Z.]+://")
_NAMED: Final = re.compile(r"([^/=]+)=(.+)", re.DOTALL)
_MOST_SUGGESTIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Location:
    """Where a model lies.

    Attributes:
        path: The version directory, absolute.
        version: Its number; None if its name is none.
        versions: All numbers below the base path, ascending; empty if a version directory was named.
    """

    path: Path
    version: int | None
    versions: Sequence[int] = ()


def locate(directory: str) -> Location:
    """The version directory that a path stands for: itself, or the highest version below a base path.

    Raises:
        NotFound: If there is no such directory, or neither a model nor a version in it.
        FailedPrecondition: If it holds something else than a SavedModel.
        ServingError: If it cannot be listed or is a URI.
    """
    if _URI.match(directory):
        sources.list_versions(_last_part(directory), directory)
    path = _directory(directory)
    if _holds_model(path):
        return Location(path, sources.parse_version(path.name))
    versions = sources.list_versions(path.name, str(path)).versions
    if not versions:
        raise _explain_nothing(path)
    return Location(versions[-1].path, versions[-1].number, tuple(version.number for version in versions))


def read_arguments(arguments: Sequence[str], name: str | None = None) -> tuple[ModelConfig, ...]:
    """The models that `PATH` and `NAME=PATH` name; without a name a model is called as its folder.

    Args:
        arguments: Of the command line.
        name: What the only path's model is called, if that path has no name of its own.

    Raises:
        InvalidArgument: If two models have one name, or if `name` cannot be given.
        ServingError: As `locate` raises.
    """
    models = [_read_argument(argument) for argument in arguments]
    if name is not None:
        if len(models) != 1:
            raise InvalidArgument(f"--model_name={name} names one model, and {len(models)} paths are given.")
        if _split(arguments[0])[0] is not None:
            raise InvalidArgument(f"{arguments[0]} and --model_name={name} both name the model.")
        models = [replace(models[0], name=name)]
    check_names(models)
    return tuple(models)


def check_names(models: Iterable[ModelConfig]) -> None:
    """Refuse models that have one name.

    Raises:
        InvalidArgument: If there are such; the text says how to name one of them.
    """
    models = list(models)
    taken, seen = {model.name for model in models}, dict[str, ModelConfig]()
    for model in models:
        other = seen.setdefault(model.name, model)
        if other is not model:
            raise InvalidArgument(
                f'Two models would be called "{model.name}": {_path(other)} and {_path(model)}. '
                f"Name one of them: {_free_name(model.name, taken)}={_path(model)}"
            )


def _path(model: ModelConfig) -> str:
    """The path that names a model: of its only version if it has one."""
    policy = model.version_policy
    if isinstance(policy, Specific) and len(policy.versions) == 1:
        return os.path.join(model.base_path, str(policy.versions[0]))
    return model.base_path


def _free_name(name: str, taken: Collection[str]) -> str:
    return next(free for number in itertools.count(2) if (free := f"{name}{number}") not in taken)


def _split(argument: str) -> tuple[str | None, str]:
    """The name and the path of an argument; a path that is there may have a = of its own."""
    named = _NAMED.fullmatch(argument)
    if named is None or _URI.match(argument) or os.path.exists(os.path.expanduser(argument)):
        return None, argument
    return named[1], named[2]


def _read_argument(argument: str) -> ModelConfig:
    name, text = _split(argument)
    if not text:
        raise InvalidArgument("A path is empty. Name the folder of a model; `.` is the working directory.")
    if _URI.match(text):
        return ModelConfig(name or _last_part(text), text)
    path = _directory(text)
    if not _holds_model(path):
        if not sources.list_versions(path.name, str(path)).versions:
            raise _explain_nothing(path)
        return ModelConfig(name or _name(path, argument), str(path))
    version = sources.parse_version(path.name)
    if version is None:
        return ModelConfig(name or _name(path, argument), str(path), is_version_directory=True)
    return ModelConfig(name or _name(path.parent, argument), str(path.parent), Specific((version,)))


def _name(directory: Path, argument: str) -> str:
    if not directory.name:
        raise InvalidArgument(f"{argument} has no folder to call the model by; write NAME={argument}.")
    return directory.name


def _last_part(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]


def _directory(text: str) -> Path:
    """The directory of a path as people write it, absolute."""
    path = Path(os.path.abspath(os.path.expanduser(text)))
    if os.path.isfile(path):
        raise _explain_file(path)
    if not os.path.isdir(path):
        raise NotFound(f"{path} does not exist.{_suggest_sibling(path)}")
    return path


def _holds_model(path: Path) -> bool:
    names = (saved_model.BINARY_NAME, saved_model.TEXT_NAME, saved_model.TFLITE_NAME, _SESSION_BUNDLE_NAME)
    return any(os.path.exists(path / name) for name in names)


def _suggest_sibling(path: Path) -> str:
    names = _list(path.parent)
    close = difflib.get_close_matches(path.name, names, n=1)
    if close:
        return f" Did you mean {path.parent / close[0]}?"
    if not os.path.isdir(path.parent):
        return f" Nor does {path.parent}."
    return ""


def _list(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


@dataclass(frozen=True, slots=True)
class _OtherKind:
    """A format of models that is no SavedModel.

    Attributes:
        what: What it is, for people.
        command: What makes what is served of `{path}`, in `{export}/1`.
        served: What is served, in place of the file.
        flags: What a server needs besides the path.
    """

    what: str
    command: str
    served: str = "and only SavedModels are served"
    flags: str = ""


_KERAS = _OtherKind(
    "a Keras model", "python -c \"import keras; keras.saving.load_model({path!r}).export({export!r} + '/1')\""
)
_TFLITE = _OtherKind(
    "a TensorFlow Lite model",
    "mkdir -p {export}/1 && cp {path} {export}/1/" + saved_model.TFLITE_NAME,
    served=f"which is served from a version directory, as {saved_model.TFLITE_NAME}",
    flags=" --prefer_tflite_model",
)
_FROZEN = _OtherKind(
    "a frozen graph, which does not say what its inputs and outputs are",
    'python -c "import tensorflow.compat.v1 as tf; tf.disable_v2_behavior(); g = tf.GraphDef.FromString(open({path!r},'
    " 'rb').read()); tf.import_graph_def(g, name=''); s = tf.Session(); tf.saved_model.simple_save(s, {export!r} +"
    " '/1', {{'x': s.graph.get_tensor_by_name('INPUT:0')}}, {{'y': s.graph.get_tensor_by_name('OUTPUT:0')}})\"",
)
_ONNX = _OtherKind("an ONNX model", "pip install onnx2tf && onnx2tf -i {path} -o {export}/1 --output_signaturedefs")
_TORCH = _OtherKind(
    "a PyTorch model",
    "torch.onnx.export(model, example_input, 'model.onnx') in Python, then: onnx2tf -i model.onnx -o {export}/1 "
    "--output_signaturedefs",
)
_CHECKPOINT = _OtherKind(
    "a checkpoint, which has values and no graph",
    "tf.saved_model.save(model, {export!r} + '/1') in the program that makes the model, after model.load_weights or "
    "tf.train.Checkpoint.restore of it",
)
_TRANSFORMERS = _OtherKind(
    "a Hugging Face model",
    'python -c "import transformers; transformers.TFAutoModel.from_pretrained({path!r}).save_pretrained({export!r},'
    ' saved_model=True)"',
)
_ARCHIVE = _OtherKind("an archive", "mkdir -p {export} && tar -xf {path} -C {export}")
_ZIP = _OtherKind("an archive", "python -m zipfile -e {path} {export}")
_BY_SUFFIX: Final = {
    ".keras": _KERAS, ".h5": _KERAS, ".hdf5": _KERAS, ".tflite": _TFLITE, ".pb": _FROZEN, ".onnx": _ONNX,
    ".pt": _TORCH, ".pth": _TORCH, ".ckpt": _CHECKPOINT, ".index": _CHECKPOINT, ".meta": _CHECKPOINT,
    ".tar": _ARCHIVE, ".gz": _ARCHIVE, ".tgz": _ARCHIVE, ".zip": _ZIP,
}  # fmt: skip
# In the order in which they are looked for: a folder of a Hugging Face model may hold several.
_IN_FOLDER: Final = (
    ("config.json", _TRANSFORMERS, "model.safetensors", "tf_model.h5", "pytorch_model.bin"),
    ("checkpoint", _CHECKPOINT),
)


def _explain_file(path: Path) -> ServingError:
    kind = _BY_SUFFIX.get(path.suffix.lower())
    if kind is None or path.name == saved_model.BINARY_NAME:
        return FailedPrecondition(f"{path} is a file. Name the directory that holds it.")
    return FailedPrecondition(_advise(path, kind, path.with_suffix("")))


def _advise(path: Path, kind: _OtherKind, export: Path) -> str:
    command = kind.command.format(path=str(path), export=f"{export}_export")
    return f"{path} is {kind.what}, {kind.served}. To have one: {command}\nThen serve {export}_export{kind.flags}."


def _explain_nothing(path: Path) -> ServingError:
    names = _list(path)
    for marker, kind, *others in _IN_FOLDER:
        if marker in names and (not others or set(others) & set(names)):
            return FailedPrecondition(_advise(path, kind, path))
    for name in names:
        kind_of_file = _BY_SUFFIX.get(Path(name).suffix.lower())
        if kind_of_file is not None and not _find_models(path):
            return FailedPrecondition(_advise(path / name, kind_of_file, (path / name).with_suffix("")))
    return NotFound(
        f"{path} holds neither a SavedModel ({saved_model.BINARY_NAME}) nor version directories, "
        f"which are named by numbers, such as {path / '1'}.{_suggest_models(_find_models(path))}"
    )


def _find_models(path: Path) -> Sequence[Path]:
    """What could be served of what lies one or two levels below."""
    unnumbered = {model.parent for model in path.glob(f"*/{saved_model.BINARY_NAME}*")}
    bases = {model.parent.parent for model in path.glob(f"*/*/{saved_model.BINARY_NAME}*")}
    return sorted(unnumbered | bases)


def _suggest_models(models: Collection[Path]) -> str:
    shown = [str(model) for model in models][:_MOST_SUGGESTIONS]
    return f" Did you mean {' or '.join(shown)}?" if shown else ""
