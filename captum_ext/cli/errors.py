"""Mistakes of the command's user."""

from __future__ import annotations

from captum_ext._errors import UserError


class CommandError(UserError):
    """An argument of the command can't be used; the command ends with exit code 2."""
