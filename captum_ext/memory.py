"""Keep the memory that a forward and backward pass frees for the next one."""

from __future__ import annotations

import ctypes
import os
import platform

__all__ = ["keep_freed_memory"]

# The parameters of mallopt, from <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST_THRESHOLD = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keep freed memory in this process, which makes forward and backward passes on a CPU faster.

    glibc returns large blocks to the system at once. A network's activations are such blocks: every pass allocates and
    frees them, and fetching them again page by page takes a large part of a gradient's time (see :doc:`/benchmark`).
    The command ``captum-ext`` calls this function. The library does not, because the setting affects the whole process,
    whose memory then stays at its peak until it ends. Results do not change.

    Returns:
        Whether the setting was changed. It is not changed without glibc (Windows, macOS, musl), if an environment
        variable ``MALLOC_...`` or ``GLIBC_TUNABLES`` configures memory, or if another allocator is preloaded.

    Example:
        >>> from captum_ext.memory import keep_freed_memory
        >>> keep_freed_memory() in (True, False)
        True
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    if any(name.startswith("MALLOC_") or name in ("GLIBC_TUNABLES", "LD_PRELOAD") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST_THRESHOLD))
