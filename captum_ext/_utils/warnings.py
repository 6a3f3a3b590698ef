"""Warnings that point to the user's code."""

from __future__ import annotations

import sys
import warnings

_LIBRARY_PREFIXES = ("captum_ext.", "captum.", "contextlib", "torch.")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost call outside this library, Captum and torch."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(_LIBRARY_PREFIXES):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
