"""Errors of the command's arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from captum_ext._utils.errors import UserError


class CommandError(UserError):
    """An argument of the command is invalid; the command ends with exit code 2."""


@contextmanager
def command_errors(what: str) -> Iterator[None]:
    """Convert exceptions of a user-defined model or transform to an error of one line that names what failed.

    Raises:
        CommandError: If any exception is raised inside the context.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # users' models raise arbitrary exceptions
        raise CommandError(f"{what}: {type(error).__name__}: {error}") from error
