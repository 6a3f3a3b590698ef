"""Options of several commands, checked before the work starts."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import torch

from captum_ext.cli.errors import CommandError


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that :func:`parse_device` reads."""
    parser.add_argument("--device", help="such as cpu or cuda (default: cuda if there is one)")


def parse_device(name: str | None) -> torch.device:
    """A device on which tensors can be created.

    Raises:
        CommandError: If there is no such device.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise CommandError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return device


def parse_count(option: str, text: str, maximum: int, minimum: int = 1) -> int:
    """An integer within bounds.

    Raises:
        CommandError: If it is anything else.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 9 and minimum <= int(text) <= maximum):
        raise CommandError(f"{option} {text}: expected an integer from {minimum} to {maximum}")
    return int(text)


def parse_output(name: str, suffix: str, inputs: list[str] | None = None) -> Path:
    """A file that can be written and is none of the inputs.

    Raises:
        CommandError: If it can't be written, or its name does not end in the suffix.
    """
    path = Path(name)
    if path.suffix.lower() != suffix:
        raise CommandError(f"--output {name}: expected a name that ends with {suffix}")
    try:
        is_input = any(path.exists() and Path(other).exists() and path.samefile(other) for other in inputs or [])
        is_regular = path.is_file() or not path.exists()
        if is_regular and not is_input:  # try now rather than fail after the work
            if path.exists():
                with path.open("ab"):
                    pass
            # The file is written under a temporary name in the same folder.
            with tempfile.TemporaryFile(dir=Path(os.path.realpath(path)).parent):
                pass
    except (OSError, ValueError) as error:
        raise CommandError(
            f"--output {name}: can't be written ({getattr(error, 'strerror', None) or error})"
        ) from error
    if not is_regular:  # opening a pipe would wait for a reader
        raise CommandError(f"--output {name}: can't be written (not a regular file)")
    if is_input:
        raise CommandError(f"--output {name}: is one of the images to explain")
    return path
