"""Options of several commands, and their checks."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import torch

from captum_ext.cli.errors import CommandError


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the argument of :func:`device`."""
    parser.add_argument("--device", help="such as cpu or cuda (default: cuda if available)")


def device(name: str | None) -> torch.device:
    """The device with this name, after a test that it works.

    Raises:
        CommandError: If it does not work.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise CommandError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return found


def positive(option: str, text: str, most: int) -> int:
    """Parse an integer that is at least 1.

    Raises:
        CommandError: If the text is not such an integer, or the integer is larger than ``most``.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 0 < int(text) <= most):
        raise CommandError(f"{option} {text}: expected an integer from 1 to {most}")
    return int(text)


def writable(name: str, suffix: str, inputs: list[str] | None = None) -> Path:
    """The path of a file, after a test that it can be written and is not an input.

    Raises:
        CommandError: If it can't be written, it is an input, or its name does not end with the suffix.
    """
    path = Path(name)
    if path.suffix.lower() != suffix:
        raise CommandError(f"--output {name}: expected a name that ends with {suffix}")
    try:
        taken = any(path.exists() and Path(given).exists() and path.samefile(given) for given in inputs or [])
        regular = path.is_file() or not path.exists()
        if regular and not taken:  # fail before the computation and not after it
            if path.exists():
                with path.open("ab"):
                    pass
            with tempfile.TemporaryFile(
                dir=Path(os.path.realpath(path)).parent
            ):  # the file is written in the same folder and renamed
                pass
    except (OSError, ValueError) as error:
        raise CommandError(
            f"--output {name}: can't be written ({getattr(error, 'strerror', None) or error})"
        ) from error
    if not regular:  # opening a pipe would wait for a reader
        raise CommandError(f"--output {name}: can't be written (not a regular file)")
    if taken:
        raise CommandError(f"--output {name}: is one of the images to explain")
    return path
