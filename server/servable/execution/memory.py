"""Returns the memory of unloaded versions to the system.

Without this module two allocators would keep it. glibc keeps freed memory for later allocations; `give_back` returns
it. And oneDNN's allocator inside TensorFlow has a pool of its own for large tensors, variables among them, that only
grows; `prepare` lets TensorFlow use glibc's instead. glibc by default would then fetch memory for large tensors from
the system in each run and return it after the run. The page faults make runs of large graphs two to three times as
slow. So `prepare` also sets glibc to keep freed memory until `give_back`. Figures: benchmarks/README.md. Where there is
no glibc nothing happens.
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
    """Set up the allocators so that memory can be given back. It has no effect after TensorFlow's import.

    With TF_ONEDNN_USE_SYSTEM_ALLOCATOR=0 in the environment TensorFlow keeps its own pool.
    """
    mallopt = _glibc("mallopt")
    if mallopt is not None and os.environ.setdefault(_SYSTEM_ALLOCATOR, "1") == "1":
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)


def can_give_back() -> bool:
    """Whether `give_back` does anything."""
    return _glibc("malloc_trim") is not None


def give_back() -> None:
    """Return freed memory to the system. It takes milliseconds, in which the interpreter is not held."""
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
