"""Each public name has one entry on the page of its module."""

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

PAGES = Path(__file__).parent.parent / "docs" / "api"
MODULES = sorted(page.stem for page in PAGES.glob("*.md") if page.stem != "index")
DIRECTIVE = re.compile(r"^\.\. auto(?:class|function|exception):: (captum_ext\.[\w.]+)$", re.MULTILINE)
DATA = re.compile(r"^\.\. py:data:: (\w+)\n   :module: (captum_ext\.\w+)$", re.MULTILINE)


@pytest.mark.parametrize("name", MODULES)
def test_each_public_name_is_on_the_page_once(name):
    module = importlib.import_module(f"captum_ext.{name}")
    text = (PAGES / f"{name}.md").read_text()
    entries = Counter([*DIRECTIVE.findall(text), *(f"{where}.{constant}" for constant, where in DATA.findall(text))])
    own = {public for public, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    public_names = getattr(module, "__all__", [public for public in own if not public.startswith("_")])
    entries = Counter({entry: n for entry, n in entries.items() if entry.count(".") == 2})  # without nested modules
    assert entries == Counter(f"captum_ext.{name}.{public}" for public in public_names)


def test_the_index_lists_the_pages():
    listed = re.findall(r"^\| \[`captum_ext\.(\w+)`\]\(\1\.md\)", (PAGES / "index.md").read_text(), re.MULTILINE)
    assert listed == MODULES
