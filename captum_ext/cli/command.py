"""The interface of the subcommands of ``captum-ext``."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from typing import ClassVar


class Command(ABC):
    """A subcommand: its name, its help texts, its arguments and its action."""

    name: ClassVar[str]
    summary: ClassVar[str]
    description: ClassVar[str]
    epilog: ClassVar[str]

    @abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""

    @abstractmethod
    def run(self, arguments: argparse.Namespace) -> None:
        """Run the command.

        Raises:
            UserError: If an argument can't be used.
        """
