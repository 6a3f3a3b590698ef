"""The command ``captum-ext``."""

from __future__ import annotations

import argparse
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from captum_ext import __version__
from captum_ext._utils.errors import UserError
from captum_ext.cli.console import flush_output, open_closed_streams, print_error
from captum_ext.cli.errors import CommandError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise the error with a message of one line, without the usage."""
        raise CommandError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit code: 0 on success, 1 if the reader of the output closed it, 2 after an error, 130 after Ctrl-C.
    """
    open_closed_streams()
    code = 0
    try:
        with _interruptible(), warnings.catch_warnings():
            warnings.showwarning = _print_warning  # type: ignore[assignment]
            _run_command(arguments)
            flush_output()
    except BrokenPipeError:
        code = 1
    except (UserError, ImportError, OSError) as error:
        print_error(f"error: {' '.join(str(error).split())}")
        code = 2
    except KeyboardInterrupt:
        print_error("interrupted")
        code = 130
    with suppress(OSError):
        flush_output()
    return code


def _print_warning(message: Warning | str, *details: object) -> None:
    """Print a warning as one line, without the place in the code."""
    print_error(f"warning: {' '.join(str(message).split())}")


def _run_command(arguments: Sequence[str] | None) -> None:
    # Imported here: torch takes seconds, in which Ctrl-C must already be handled.
    from captum_ext.cli.completion import CompletionCommand
    from captum_ext.cli.evaluate import EvaluateCommand
    from captum_ext.cli.explain import ExplainCommand
    from captum_ext.cli.fit_patterns import FitPatternsCommand
    from captum_ext.cli.options import number_formats
    from captum_ext.cli.report import ReportCommand
    from captum_ext.memory import keep_freed_memory

    parser = _Parser(prog="captum-ext", description="Explain what an image classifier saw.")
    parser.add_argument("--version", action="version", version=f"captum-ext {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    subcommands = ExplainCommand(), FitPatternsCommand(), EvaluateCommand(), ReportCommand(), CompletionCommand(parser)
    for command in subcommands:
        sub = commands.add_parser(
            command.name, help=command.summary, description=command.description, epilog=command.epilog
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    parser.set_defaults(tf32=False, deterministic=False)  # of commands without these options
    options = parser.parse_args(arguments)
    keep_freed_memory()
    with number_formats(options.tf32, options.deterministic):
        options.run(options)


class _Interrupt(KeyboardInterrupt):
    """An interrupt with Ctrl-C.

    After a plain KeyboardInterrupt inside exec(), which imports use, Python would terminate with the signal.
    """


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt after Ctrl-C, even if an extension module raised another exception instead.

    Extensions that are interrupted while they import other modules raise an ImportError or a RuntimeError.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    interrupts = []

    def interrupt(*received: object) -> None:
        interrupts.append(received)
        raise _Interrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception as error:
        if interrupts:
            raise _Interrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)
