"""``captum-ext completion``: the completions of a shell."""

from __future__ import annotations

import argparse

from captum_ext._utils.optional import optional
from captum_ext.cli.command import Command

_SHELLS = ("bash", "zsh", "tcsh")
_FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}  # shtab's names
_FOLDERS = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/", "tcsh": "d"}
_COMPLETED = {"FILE": _FILES, "MODEL=FILE": _FILES, "IMAGE": _FILES, "DIR": _FOLDERS, "RESULTS": _FOLDERS}


class CompletionCommand(Command):
    """``captum-ext completion``."""

    name = "completion"
    summary = "print the completions of a shell"
    description = (
        "Print the completions of commands, options and file names for a shell. For bash: captum-ext completion bash > "
        "~/.local/share/bash-completion/completions/captum-ext. For zsh, write _captum-ext into a folder of $fpath."
    )
    epilog = "Needs the extra completion: pip install 'captum_ext[completion]'."

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        """``parser`` is that of the whole command."""
        self._parser = parser

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""
        parser.add_argument("shell", choices=_SHELLS, help=f"one of {', '.join(_SHELLS)}")

    def run(self, arguments: argparse.Namespace) -> None:
        """Print the completions.

        Raises:
            ImportError: If shtab is not installed.
        """
        shtab = optional("shtab", "completion")
        for action in _all_actions(self._parser):
            if isinstance(action.metavar, str) and action.metavar in _COMPLETED:
                action.complete = _COMPLETED[action.metavar]  # type: ignore[attr-defined]
        print(shtab.complete(self._parser, arguments.shell))  # as it is: scripts have tabs


def _all_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    actions = list(parser._actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            actions += [each for sub in action.choices.values() for each in _all_actions(sub)]
    return actions
