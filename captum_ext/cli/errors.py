"""Mistakes of the command's user."""

from __future__ import annotations


class CommandError(Exception):
    """Shown as one line, without a traceback; the command ends with exit code 2."""

    def __init__(self, message: str) -> None:
        """Keep the message to one line."""
        super().__init__(" ".join(message.split()))
