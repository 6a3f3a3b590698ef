"""``captum-ext report``: tables and figures of the results of ``captum-ext evaluate``."""

from __future__ import annotations

import argparse

from captum_ext import evaluation
from captum_ext.cli.console import say
from captum_ext.cli.errors import CommandError
from captum_ext.evaluation.store import ResultsError

SUMMARY = "write the tables and figures of an evaluation"
DESCRIPTION = (
    "Write the results of captum-ext evaluate as the papers' tables (Markdown and CSV) and as curves (PNG), with 95% "
    "bootstrap intervals over images and the number of images in every cell."
)
EPILOG = "The report can be written before the evaluation is finished; it lists what is missing."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("results", metavar="RESULTS", help="the folder that captum-ext evaluate wrote")
    parser.add_argument("--output", metavar="DIR", help="the folder to write to (default: RESULTS/report)")


def run(given: argparse.Namespace) -> None:
    """Write the report.

    Raises:
        CommandError: If there are no results, the report can't be written, or a package is missing.
    """
    try:
        files = evaluation.report(given.results, given.output)
    except (ResultsError, ImportError) as error:
        raise CommandError(str(error)) from error
    folders = [[file for file in files if file.parent.name == name] for name in ("tables", "figures")]
    counts = " and ".join(f"{len(some)} files in {some[0].parent}" for some in folders if some)
    say(f"wrote {files[0]}, {counts}")
