"""Options of several commands, checked before the work starts."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from captum_ext._utils import devices
from captum_ext.cli.errors import CommandError


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`parse_device` and :func:`number_formats` read."""
    parser.add_argument("-d", "--device", help="such as cpu or cuda (default: cuda if there is one)")
    parser.add_argument(
        "--tf32",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="compute in TF32 on GPUs that have it: faster, and maps change (default: off)",
    )
    parser.add_argument(
        "--deterministic", action="store_true", help="use deterministic operations only; fail where there is none"
    )


@contextmanager
def number_formats(tf32: bool, deterministic: bool) -> Iterator[None]:
    """Compute in TF32 or not, and with deterministic operations or any; restore torch's settings afterwards."""
    modes = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with devices.tf32(tf32):
        try:
            if deterministic:
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
                torch.use_deterministic_algorithms(True)
            yield
        finally:
            torch.use_deterministic_algorithms(modes[0], warn_only=modes[1])


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


def parse_output(
    name: str, suffixes: tuple[str, ...], inputs: list[str] | None = None, option: str = "--output"
) -> Path:
    """A file that can be written and is none of the inputs.

    Raises:
        CommandError: If it can't be written, or its name does not end in one of the suffixes.
    """
    path = Path(name)
    if path.suffix.lower() not in suffixes:
        raise CommandError(f"{option} {name}: expected a name that ends with {' or '.join(suffixes)}")
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
            f"{option} {name}: can't be written ({getattr(error, 'strerror', None) or error})"
        ) from error
    if not is_regular:  # opening a pipe would wait for a reader
        raise CommandError(f"{option} {name}: can't be written (not a regular file)")
    if is_input:
        raise CommandError(f"{option} {name}: is one of the images to explain")
    return path
