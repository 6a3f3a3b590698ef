"""The check of the project's prose: what its rules find and pass over, and what counts as prose."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tools.prose import ROOT, Passage, Rule, findings, passages, settings

RULES = settings().rules
QUICK = Rule(r"\bquick brown\b", "slow", ["quick brown"])


@pytest.mark.parametrize("rule", RULES, ids=[rule.write for rule in RULES])
def test_a_rule_finds_its_bad_examples_and_passes_over_the_good_ones(rule):
    kind = rule.only[0] if rule.only else "text"
    for sentence in rule.bad:
        assert list(rule.matches(Passage(1, sentence, kind))), sentence
    for sentence in rule.good:
        assert not list(rule.matches(Passage(1, sentence, kind))), sentence


@pytest.mark.parametrize("rule", RULES, ids=[rule.write for rule in RULES])
def test_a_rule_passes_over_what_other_rules_recommend(rule):
    for sentence in (sentence for other in RULES for sentence in other.good):
        assert rule.only or not list(rule.matches(Passage(1, sentence))), sentence


def test_every_listed_path_exists():
    for glob in settings().checked + settings().unchecked:
        assert "_build" in glob or list(ROOT.glob(glob)), glob


def _lines(file, text):
    file.write_text(text, encoding="utf-8")
    found = list(findings(file, [QUICK]))
    return [int(line.split(":")[1]) for line in found]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.prose.ROOT", tmp_path)
    return tmp_path


def test_markdown_is_prose_outside_code_formulas_and_addresses(root):
    text = "\n".join(
        [
            "The quick",
            "brown fox.",
            "```python",
            "quick brown",
            "```",
            "`quick brown` $quick brown$ [fox](https://quick brown)",
            "```{image} fox.png",
            ":alt: A quick brown fox",
            "```",
            "A quick",
            "",
            "brown is two paragraphs. A quick brown fox.",
        ]
    )
    assert _lines(root / "page.md", text) == [1, 8, 12]


def test_python_is_prose_in_docstrings_messages_and_comments(root):
    text = "\n".join(
        [
            '"""A quick brown fox.',
            "",
            "    >>> print('quick brown')",
            "    quick brown",
            "",
            "A quick brown fox.",
            '"""',
            "# A quick",
            "# brown fox.",
            "name = 'quick_brown'",
            "raise ValueError(f'a quick '",
            "    f'brown {name}')",
            "x = 1  # a quick brown fox",
        ]
    )
    assert sorted(_lines(root / "code.py", text)) == [1, 6, 8, 11, 13]


def test_a_docstring_is_not_confused_with_a_message(root):
    (root / "code.py").write_text('"""A docstring."""\nprint("a message")\n', encoding="utf-8")
    assert [passage.kind for passage in passages(root / "code.py")] == ["docstring", "message"]


def test_a_notebook_is_prose_in_its_markdown_cells(root):
    cells = [{"cell_type": kind, "source": ["A quick\n", "brown fox"]} for kind in ("code", "markdown")]
    assert _lines(root / "book.ipynb", json.dumps({"cells": cells})) == [1]


def test_unchecked_paths_are_left_out():
    loaded = settings()
    files = loaded.files()
    assert ROOT / "README.md" in files
    assert not any("_build" in file.parts for file in files)
    without = replace(loaded, unchecked=[*loaded.unchecked, "docs/benchmark.md"]).files()
    assert {*files} - {*without} == {ROOT / "docs/benchmark.md"}
    assert all(isinstance(file, Path) and file.is_file() for file in files)
