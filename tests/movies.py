"""Rated sentences from movie reviews, which only the source package of vaderSentiment has."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path


def sdist(folder: Path) -> Path:
    """The source package in a folder that is kept, so that pip fetches it once."""
    found = folder / "vaderSentiment-3.3.2.tar.gz"
    if not found.exists():
        package = ["--no-deps", "--no-binary", "vaderSentiment", "vaderSentiment==3.3.2"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *package]
        subprocess.run(command, check=True)
    return found


def sentences(archive: Path) -> list[tuple[str, bool]]:
    """Sentences that were rated clearly, and whether positively."""
    with tarfile.open(archive) as source:
        resources = source.extractfile("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
        with tarfile.open(fileobj=resources) as folder:
            lines = folder.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").read().decode("utf-8")
    rated = [line.split("\t")[1:] for line in lines.splitlines()]
    return [(text, float(rating) > 0) for rating, text in rated if abs(float(rating)) >= 1]
