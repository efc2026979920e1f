"""Memory of versions that left, back to the system.

Two things keep it otherwise. glibc keeps what was freed for the next that asks; `give_back` returns it. And oneDNN's
allocator inside TensorFlow keeps a pool of its own for large tensors, variables among them, that only grows;
`prepare` lets TensorFlow use glibc's instead. glibc alone would then fetch large tensors from the system for each run
and return them after it, which makes runs of large graphs two to three times as slow: so it is told to keep what is
freed until `give_back`. Figures: benchmarks/README.md. Where there is no glibc nothing happens.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1

_SYSTEM_ALLOCATOR = "TF_ONEDNN_USE_SYSTEM_ALLOCATOR"


def prepare() -> None:
    """Make the process one whose memory can be given back; before TensorFlow's import, or it has no effect.

    Who sets TF_ONEDNN_USE_SYSTEM_ALLOCATOR=0 keeps TensorFlow's own pool.
    """
    mallopt = _glibc("mallopt")
    if mallopt is not None and os.environ.setdefault(_SYSTEM_ALLOCATOR, "1") == "1":
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)


def give_back() -> None:
    """Return freed memory to the system; it takes milliseconds, without the interpreter."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Callable[..., int] | None:
    """A function of glibc on integers; None where the process has another libc."""
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  Only glibc has it.
        return getattr(libc, name)  # type: ignore[no-any-return]
    except (OSError, AttributeError, TypeError):
        return None
