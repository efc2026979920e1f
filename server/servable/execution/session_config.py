"""The ConfigProto of a model's session: from the flags, and from a version's own file.

Source of the behaviour: TensorFlow Serving, model_servers/server.cc and the flags' meaning there; for the file
assets.extra/saved_model_config.pb of a version directory, servables/tensorflow/saved_model_config_util.cc.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from google.protobuf import unknown_fields
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from servable import wire
from servable.config import text_proto
from servable.options import ServerOptions

_log = logging.getLogger(__name__)

OVERRIDES_FILE = Path("assets.extra", "saved_model_config.pb")

_XLA_CPU_FLAG = "--tf_xla_cpu_global_jit"
# Graph rewriters by their field of SessionOverrides. They are built into the original and not into TensorFlow's Python
# package, which ignores rewriters that it does not know.
_REWRITERS = {1: "remote_op_remap_config", 2: "batch_op_rewriter_config"}


def from_flags(options: ServerOptions) -> Any:
    """The ConfigProto that the flags ask for.

    A file comes first; memory share and thread counts of the flags are written over it.

    Raises:
        ServingError: if --tensorflow_session_config_file cannot be read.
    """
    path = options.tensorflow_session_config_file
    config = text_proto.read(path, config_pb2.ConfigProto) if path else config_pb2.ConfigProto()
    config.gpu_options.per_process_gpu_memory_fraction = options.per_process_gpu_memory_fraction
    config.intra_op_parallelism_threads, config.inter_op_parallelism_threads = _threads(options)
    _set_precision(config, options.mixed_precision)
    _set_compilation(config, options)
    return config


def _threads(options: ServerOptions) -> tuple[int, int]:
    intra, inter = options.tensorflow_intra_op_parallelism, options.tensorflow_inter_op_parallelism
    if intra > 0 or inter > 0:
        return intra, inter
    return options.tensorflow_session_parallelism, options.tensorflow_session_parallelism


def _set_precision(config: Any, precision: str) -> None:
    if precision == "bfloat16":
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = (
            rewriter_config_pb2.RewriterConfig.ON
        )
    elif precision:
        _log.warning("--mixed_precision=%s has no effect: only bfloat16 is known", precision)


def _set_compilation(config: Any, options: ServerOptions) -> None:
    levels = config_pb2.OptimizerOptions
    asked_for = options.xla_cpu_compilation_enabled or options.xla_gpu_compilation_enabled
    config.graph_options.optimizer_options.global_jit_level = levels.ON_1 if asked_for else levels.OFF
    if options.xla_cpu_compilation_enabled:
        # TensorFlow reads this once, when the first graph is compiled; on a CPU the level alone compiles
        # nothing.
        os.environ["TF_XLA_FLAGS"] = f"{os.environ.get('TF_XLA_FLAGS', '')} {_XLA_CPU_FLAG}".strip()


def for_version(base_config: Any, directory: Path) -> Any:
    """The ConfigProto of a version's session: the base, or a copy with what the version overrides.

    A file that cannot be read is logged, and the base is used.

    Args:
        base_config: A tensorflow ConfigProto, left as it is; None for TensorFlow's defaults.
        directory: The version directory.
    """
    overrides = _read_overrides(directory / OVERRIDES_FILE)
    if overrides is None:
        return base_config
    for name in _name_rewriters(overrides):
        _log.warning(
            "%s: session_overrides.%s has no effect; TensorFlow's Python package lacks this rewriter",
            directory / OVERRIDES_FILE, name,
        )  # fmt: skip
    config = config_pb2.ConfigProto()
    if base_config is not None:
        config.CopyFrom(base_config)
    # As in the original, overrides that do not mention it turn the optimizer on, whatever the base says.
    config.graph_options.rewrite_options.disable_meta_optimizer = overrides.disable_meta_optimizer
    return config


def _read_overrides(path: Path) -> wire.SessionOverrides | None:
    """The overrides of a file; None if there is no file or it has none."""
    try:
        message = wire.SavedModelConfig.FromString(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, DecodeError) as error:
        _log.warning("%s is ignored: %s", path, error)
        return None
    return message.session_overrides if message.HasField("session_overrides") else None


def _name_rewriters(overrides: wire.SessionOverrides) -> list[str]:
    fields: Any = unknown_fields.UnknownFieldSet(overrides)
    return [_REWRITERS[field.field_number] for field in fields if field.field_number in _REWRITERS]
