"""Mistakes that are told in one line."""

from __future__ import annotations


class UserError(ValueError):
    """What a user's file, model or folder does not allow; commands show it without a traceback."""

    def __init__(self, message: str) -> None:
        """Keep the message to one line."""
        super().__init__(" ".join(message.split()))
