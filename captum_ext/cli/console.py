"""Output of the command."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from captum_ext._utils.text import printable


def print_line(line: str) -> None:
    """Print one line."""
    print(printable(line, getattr(sys.stdout, "encoding", None)))


def print_error(line: str) -> None:
    """Print one line to standard error. Failures are ignored, because the exit code shows the error too."""
    with suppress(OSError):
        print(printable(f"captum-ext: {line}", getattr(sys.stderr, "encoding", None)), file=sys.stderr)


def open_closed_streams() -> None:
    """Open the standard streams that the shell closed, as with ``2>&-``.

    Python sets them to None. Otherwise, the next opened files would get their file descriptors, and native code would
    write its messages to these files.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 -- for the rest of the process


def flush_output() -> None:
    """Flush standard output; replace it if that fails, because the interpreter flushes it again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        raise
