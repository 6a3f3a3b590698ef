"""``captum-ext report``: tables and figures of the results of ``captum-ext evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from captum_ext import evaluation
from captum_ext.cli.command import Command
from captum_ext.cli.console import print_line
from captum_ext.cli.errors import CommandError
from captum_ext.evaluation.store import ResultsError


class ReportCommand(Command):
    """``captum-ext report``."""

    name = "report"
    summary = "write the tables and figures of an evaluation"
    description = (
        "Write the results of captum-ext evaluate as the papers' tables (Markdown and CSV) and as curves (PNG), with "
        "95% bootstrap intervals and the number of images in every cell; or, with --html, as one page."
    )
    epilog = "Results need not be finished: the report says what is missing."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""
        parser.add_argument("results", metavar="RESULTS", help="the folder that captum-ext evaluate wrote")
        parser.add_argument("--output", metavar="DIR", help="the folder to write to (default: RESULTS/report)")
        parser.add_argument(
            "--html",
            action="store_true",
            help="write report.html only: one page with a heat map, a table that can be sorted, curves, maps of a few "
            "images and all settings, which needs no other file",
        )

    def run(self, arguments: argparse.Namespace) -> None:
        """Write the report.

        Raises:
            CommandError: If there are no results, the report can't be written, or a package is missing.
        """
        try:
            if arguments.html:
                folder = Path(arguments.output or Path(arguments.results) / "report")
                print_line(f"wrote {evaluation.html_report(arguments.results, folder / 'report.html')}")
                return
            files = evaluation.report(arguments.results, arguments.output)
        except (ResultsError, ImportError) as error:
            raise CommandError(str(error)) from error
        folders = [[file for file in files if file.parent.name == name] for name in ("tables", "figures")]
        counts = " and ".join(f"{len(group)} files in {group[0].parent}" for group in folders if group)
        print_line(f"wrote {files[0]}, {counts}")
