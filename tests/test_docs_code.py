"""Code blocks of the documentation fit their column, and the README's links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COLUMNS = 80
GENERATED = {"docs/evidence.md", "docs/benchmark.md"}
PAGES = [
    name
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if (name := path.relative_to(ROOT).as_posix()) not in GENERATED
    and not name.startswith(("docs/evidence/", "docs/_"))
]


def code_lines(text):
    """The lines of fenced code blocks with their numbers; not those of directives such as figures and notes."""
    fence = None
    for number, line in enumerate(text.splitlines(), 1):
        opening = re.match(r"\s*(`{3,}|~{3,})\s*(\S*)", line)
        if fence is None:
            if opening:
                fence, language = opening[1], opening[2]
                is_code = not language.startswith("{") or language in ("{code-block}", "{literalinclude}")
        elif line.strip() == fence:
            fence = None
        elif is_code:
            yield number, line


@pytest.mark.parametrize("name", PAGES)
def test_code_has_at_most_80_columns(name):
    long = [(number, line) for number, line in code_lines((ROOT / name).read_text()) if len(line) > COLUMNS]
    assert long == []


def test_lines_of_code_are_found_and_directives_are_not_code():
    text = "a\n```python\nx = 1\n```\n```{image} a.png\n:alt: b\n```\n~~~sh\nls\n~~~\n"
    assert list(code_lines(text)) == [(3, "x = 1"), (9, "ls")]


def test_the_readmes_links_lead_to_files_or_to_pages_of_the_site():
    """Pages of docs/ have roles that only Sphinx renders, so the README links to the site."""
    text = (ROOT / "README.md").read_text()
    site = re.search(r'^Documentation = "(.*)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)[1]
    definitions = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", text, flags=re.MULTILINE))
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    used = set(re.findall(r"\]\[([\w-]+)\]", prose))
    assert used == set(definitions)
    pages = {name: url for name, url in definitions.items() if name.endswith("-page")}
    assert len(pages) > 10
    for url in pages.values():
        assert url.startswith(f"{site}/"), url
        assert (ROOT / "docs" / url.removeprefix(f"{site}/")).with_suffix(".md").exists(), url
    files = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    for target in files:
        assert (ROOT / target).exists(), target
        assert not (target.startswith("docs/") and target.endswith(".md")), target
