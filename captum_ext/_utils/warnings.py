"""Warnings that point at the user's own line."""

from __future__ import annotations

import sys
import warnings

_OURS = ("captum_ext.", "captum.", "contextlib", "torch.")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn about the innermost call that comes from neither this library nor those it is called through."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(_OURS):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
