"""What follows from the results."""

from __future__ import annotations

from evidence.stored import Stored


def parts(stored: Stored) -> list[str]:
    return []
