"""What a model changes in its session's options: its file assets.extra/saved_model_config.pb.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/saved_model_config_util.cc.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from google.protobuf import unknown_fields
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import config_pb2

from servable import wire

_log = logging.getLogger(__name__)

CONFIG_FILE = Path("assets.extra", "saved_model_config.pb")

# Each names a graph rewriter that is built into the original and not into TensorFlow's Python package, which passes
# over rewriters that it does not know.
_REWRITERS = {1: "remote_op_remap_config", 2: "batch_op_rewriter_config"}


def config_for(base_config: Any, directory: Path) -> Any:
    """The ConfigProto of a version's session: the base, or a copy with what the version overrides.

    A file that cannot be read is told in the log, and the base holds.

    Args:
        base_config: A tensorflow ConfigProto, left as it is; None for TensorFlow's defaults.
        directory: The version directory.
    """
    overrides = _read(directory / CONFIG_FILE)
    if overrides is None:
        return base_config
    for name in _name_rewriters(overrides):
        _log.warning(
            "%s: session_overrides.%s has no effect; TensorFlow's Python package lacks this rewriter",
            directory / CONFIG_FILE, name,
        )  # fmt: skip
    config = config_pb2.ConfigProto()
    if base_config is not None:
        config.CopyFrom(base_config)
    # Overrides that do not mention it turn it on, whatever the base says, as there.
    config.graph_options.rewrite_options.disable_meta_optimizer = overrides.disable_meta_optimizer
    return config


def _read(path: Path) -> wire.SessionOverrides | None:
    """The overrides of a file, if it is there and has any."""
    try:
        message = wire.SavedModelConfig.FromString(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, DecodeError) as error:
        _log.warning("%s is passed over: %s", path, error)
        return None
    return message.session_overrides if message.HasField("session_overrides") else None


def _name_rewriters(overrides: wire.SessionOverrides) -> list[str]:
    fields: Any = unknown_fields.UnknownFieldSet(overrides)
    return [_REWRITERS[field.field_number] for field in fields if field.field_number in _REWRITERS]
