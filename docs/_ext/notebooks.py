"""The tutorials, copied to where Sphinx reads: they stay in the tree's tutorials folder, where people look for them."""

from __future__ import annotations

import json
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def _copy(app: Sphinx) -> None:
    here = Path(app.srcdir)
    target = here / "tutorials"
    sources = sorted((here.parent / "tutorials").glob("*.ipynb"))
    for old in target.glob("*.ipynb"):
        if old.name not in {source.name for source in sources}:
            old.unlink()
    for source in sources:
        text = source.read_text()
        code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code" and cell["source"]]
        if not code or not all(cell["execution_count"] for cell in code):
            raise ExtensionError(f"{source} was not run. Run it, and commit it as it then is.")
        copy = target / source.name
        if not copy.exists() or copy.read_text() != text:
            copy.write_text(text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Copy before anything is read."""
    app.connect("builder-inited", _copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
