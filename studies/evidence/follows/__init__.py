"""What follows from the results: which method when, the defaults, and the full study."""

from __future__ import annotations

from evidence.follows import defaults, full, which
from evidence.stored import Stored


def parts(stored: Stored) -> list[str]:
    """The page's last sections."""
    return [*which.parts(stored), *defaults.parts(stored), *full.parts()]
