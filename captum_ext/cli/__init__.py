"""The command ``captum-ext``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from captum_ext import __version__
from captum_ext._errors import UserError
from captum_ext.cli import evaluate, explain, fit_patterns, report
from captum_ext.cli.errors import CommandError
from captum_ext.memory import keep_freed_memory


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without the usage."""
        raise CommandError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 2 after a mistake of the user's, 130 after Ctrl-C."""
    parser = _Parser(prog="captum-ext", description="Explain what an image classifier saw.")
    parser.add_argument("--version", action="version", version=f"captum-ext {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (explain, fit_patterns, evaluate, report):
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        sub = commands.add_parser(name, help=command.SUMMARY, description=command.DESCRIPTION, epilog=command.EPILOG)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    try:
        options = parser.parse_args(arguments)
        keep_freed_memory()
        options.run(options)
    except UserError as error:
        print(f"captum-ext: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output left
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print("captum-ext: interrupted", file=sys.stderr)
        return 130
    return 0
