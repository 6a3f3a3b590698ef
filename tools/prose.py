"""Check the prose of this project against the rules in prose.toml.

    python -m tools.prose             # every text that prose.toml lists
    python -m tools.prose FILE ...    # these files, whether listed or not

Prose is Markdown outside code, and in Python files the docstrings, comments and strings with a space in them. In
notebooks it is the Markdown cells.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
CODE = "\N{BULLET}"  # replaces each character that is not prose
_FENCE = r"^[ \t]*(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)\n(?P<body>.*?)^[ \t]*(?P=fence)[ \t]*$"
_MARKUP = re.compile(
    r"\$\$.*?\$\$|``.+?``|\{[\w:]+\}`[^`]+`|:[\w:]+:`[^`]+`|`[^`\n]+(?:\n[^`\n]+)?`"  # formulas, code, roles
    r"|\$[^$\n]+\$|\]\([^)\s]*\)|https?://[^\s)>]+",
    re.DOTALL,
)
_WHITESPACE = re.compile(r"(\s+)")
_DOCTEST = re.compile(r"^[ \t]*>>>.*?(?=^[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Passage:
    """A piece of prose, the number of its first line, and what it is: "text", "docstring", "message" or "comment"."""

    line: int
    text: str
    kind: str = "text"

    def sentences(self) -> str:
        """The text with one space for each line break within a paragraph and the indentation after it."""
        return "".join(_flat(part) for part in _WHITESPACE.split(self.text))

    def line_of(self, offset: int) -> int:
        """The line number of a position in :meth:`sentences`."""
        line = self.line
        for part in _WHITESPACE.split(self.text):
            offset -= len(_flat(part))
            if offset < 0:
                break
            line += part.count("\n")
        return line


@dataclass(frozen=True)
class Rule:
    """An expression that should not be used.

    Attributes:
        pattern: A regular expression; its spaces match line breaks within a paragraph too.
        write: What to write instead.
        bad: Sentences that the rule must find.
        good: Sentences that it must not find.
        only: The kinds of passage that the rule holds for; all if empty.
    """

    pattern: str
    write: str
    bad: list[str]
    good: list[str] = field(default_factory=list)
    only: list[str] = field(default_factory=list)

    def matches(self, passage: Passage) -> Iterator[re.Match[str]]:
        """The occurrences of the expression in a passage."""
        if not self.only or passage.kind in self.only:
            yield from re.finditer(self.pattern, passage.sentences())


@dataclass(frozen=True)
class Settings:
    """The contents of prose.toml."""

    checked: list[str]
    unchecked: list[str]
    rules: list[Rule]

    def files(self) -> list[Path]:
        """The files to check."""
        unchecked = {path for glob in self.unchecked for path in ROOT.glob(glob)}
        return sorted({path for glob in self.checked for path in ROOT.glob(glob)} - unchecked)


def settings() -> Settings:
    """Read prose.toml."""
    table = tomllib.loads(Path(__file__).with_name("prose.toml").read_text(encoding="utf-8"))
    return Settings(table["checked"], table["unchecked"], [Rule(**rule) for rule in table["rules"]])


def passages(path: Path) -> Iterable[Passage]:
    """The prose of a file."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return chain(_strings(source), _comments(source))
    if path.suffix == ".ipynb":
        return _cells(json.loads(source))
    return [Passage(1, _markdown(source))]


def findings(path: Path, rules: list[Rule]) -> Iterator[str]:
    """One line for each expression in a file that should not be used."""
    for passage in passages(path):
        for rule in rules:
            for match in rule.matches(passage):
                expression = " ".join(match[0].replace(CODE, "").split())
                yield f"{path.relative_to(ROOT)}:{passage.line_of(match.start())}: {expression!r}: {rule.write}"


def _flat(part: str) -> str:
    return (part if part.count("\n") > 1 else " ") if part.isspace() else part


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", CODE, match[0])


def _blank_fence(match: re.Match[str]) -> str:
    if not match["info"].startswith("{"):
        return _blank(match)
    alternative = re.compile(r"^(?!:alt:)[^\n]*$", re.MULTILINE)  # of a figure, the text for those who can't see it
    return alternative.sub(_blank, match[0])


def _markdown(text: str) -> str:
    text = re.sub(_FENCE, _blank_fence, text, flags=re.DOTALL | re.MULTILINE)
    return _MARKUP.sub(_blank, text)


def _strings(source: str) -> Iterator[Passage]:
    tree = ast.parse(source)
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    docstrings = {id(node.value) for node in nodes if isinstance(node.value, ast.Constant)}
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in joined for part in ast.walk(node) if part is not node}
    for node in ast.walk(tree):
        if id(node) in parts:  # such as a format specification
            continue
        if isinstance(node, ast.JoinedStr):
            yield Passage(node.lineno, _MARKUP.sub(_blank, _joined(node)), "message")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = _MARKUP.sub(_blank, _DOCTEST.sub(_blank, node.value))
            if id(node) in docstrings:
                yield Passage(node.lineno, text, "docstring")
            elif " " in text:
                yield Passage(node.lineno, text.replace("\n", " "), "message")


def _joined(node: ast.JoinedStr) -> str:
    parts = (str(part.value) if isinstance(part, ast.Constant) else CODE for part in node.values)
    return "".join(parts).replace("\n", " ")


def _comments(source: str) -> Iterator[Passage]:
    lines: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("#!", "# noqa", "# type:")):
            if lines and token.start[0] != last + 1:
                yield Passage(last - len(lines) + 1, "\n".join(lines), "comment")
                lines = []
            lines.append(token.string.lstrip("# "))
            last = token.start[0]
    if lines:
        yield Passage(last - len(lines) + 1, "\n".join(lines), "comment")


def _cells(notebook: dict[str, Any]) -> Iterator[Passage]:
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "markdown":
            yield Passage(number, _markdown("".join(cell["source"])))


def main(names: list[str]) -> int:
    """Print the findings; the exit code is 1 if there are any."""
    loaded = settings()
    files = [Path(name).resolve() for name in names] or loaded.files()
    found = [line for path in files for line in findings(path, loaded.rules)]
    print("\n".join([*found, f"{len(found)} expressions to replace in {len(files)} files"]))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
