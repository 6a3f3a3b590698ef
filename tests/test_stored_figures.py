"""Figures that pages copy from stored results are those of the results."""

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
NAMES = {
    "Integrated Gradients": "ig",
    "IDG": "idg",
    "Left IG": "left-ig",
    "Path-weighted IG": "pwig",
    "IDGI": "idgi",
    "Guided IG": "guided-ig",
    "SAMP": "samp",
    "AGI": "agi",
    "MFABA": "mfaba",
    "IG2": "ig2",
    "Blur IG": "blur-ig",
    "Expected Gradients": "expected-gradients",
    "EIG": "eig",
    "MA-GIG": "ma-gig",
    "SmoothTaylor": "smooth-taylor",
    "I-GOS": "igos",
    "PGIG": "pgig",
    "PatternNet": "patternnet",
    "PatternAttribution": "patternattribution",
    "XRAI": "ig+xrai",
}


@pytest.fixture(scope="module")
def means():
    rows = pd.read_csv(ROOT / "studies" / "results" / "all_methods.csv")
    return rows.groupby("method").mean(numeric_only=True)


def test_the_table_for_choosing_has_the_stored_means(means):
    text = (ROOT / "docs" / "choosing.md").read_text()
    rows = re.findall(r"^\| \[([^]]+)\]\([^)]*\) \|(?:[^|]*\|){2} (\S*) ?\| (\S*) ?\|$", text, re.MULTILINE)
    shown = {name: (signed, absolute) for name, signed, absolute in rows if signed}
    stored = {
        name: tuple(f"{means.loc[method, f'insertion {sign}']:.2f}" for sign in ("signed", "absolute"))
        for name, method in NAMES.items()
    }
    assert shown == stored


def test_the_page_for_choosing_has_the_random_maps_means(means):
    text = (ROOT / "docs" / "choosing.md").read_text()
    for sign in ("signed", "absolute"):
        assert f"Random maps reach {means.loc['random', f'insertion {sign}']:.2f}" in text
