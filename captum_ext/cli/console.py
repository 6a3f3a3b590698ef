"""What the command prints."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from captum_ext._utils.text import printable


def say(line: str) -> None:
    """Print one line."""
    print(printable(line, getattr(sys.stdout, "encoding", None)))


def complain(line: str) -> None:
    """Print one line to standard error; if that fails, the exit code still tells."""
    with suppress(OSError):
        print(printable(f"captum-ext: {line}", getattr(sys.stderr, "encoding", None)), file=sys.stderr)


def open_closed_streams() -> None:
    """Open the standard streams that the shell closed, as with ``2>&-``.

    Python has None for them. Their numbers would go to the next files that are opened, into which native code would
    then write its messages.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 -- for the rest of the process


def flush_output() -> None:
    """Flush standard output, and give it up if that fails: the interpreter would try again at exit, and fail."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        raise
