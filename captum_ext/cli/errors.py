"""Mistakes of the command's user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from captum_ext._utils.errors import UserError


class CommandError(UserError):
    """An argument of the command can't be used; the command ends with exit code 2."""


@contextmanager
def named_failures(what: str) -> Iterator[None]:
    """What the user's model or transform raises, as one line that names what failed.

    Raises:
        CommandError: If anything is raised.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the model is anybody's
        raise CommandError(f"{what}: {type(error).__name__}: {error}") from error
