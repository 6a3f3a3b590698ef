"""Errors that commands print as one line."""

from __future__ import annotations


class UserError(ValueError):
    """A problem with a user's file, model or folder. Commands print it without a traceback."""

    def __init__(self, message: str) -> None:
        """Keep the message to one line."""
        super().__init__(" ".join(message.split()))
