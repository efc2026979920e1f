"""The ConfigProto of a model's session, from the flags.

Source of the behaviour: TensorFlow Serving, model_servers/server.cc and the flags' meaning there.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

from servable.config import text_proto
from servable.options import ServerOptions

_log = logging.getLogger(__name__)

_XLA_CPU_FLAG = "--tf_xla_cpu_global_jit"


def make(options: ServerOptions) -> Any:
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
