"""Memory that a forward and backward pass frees, kept for the next one."""

from __future__ import annotations

import ctypes
import os
import platform

__all__ = ["keep_freed_memory"]

# mallopt's numbers, from <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have this process keep the memory that it frees, so that passes on a CPU do not fetch it page by page again.

    glibc gives large blocks back to the system at once. A network's activations are such blocks, made and freed in
    every pass, and fetching them is a good part of the time that a gradient takes (:doc:`benchmark` has how much). The
    command ``captum-ext`` calls this; the library itself does not, since it is a setting of the
    whole process: its memory stays at its highest until it ends. Nothing computed changes.

    Returns:
        Whether it was done, which it is not without glibc (Windows, macOS, musl), nor where an environment variable
        ``MALLOC_...`` or ``GLIBC_TUNABLES`` says how memory is to be handled, or another allocator is loaded.

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
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _MOST))
