"""Every tutorial runs from top to bottom, in an empty folder."""

import shutil
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests import movies

TUTORIALS = sorted((Path(__file__).parent.parent / "tutorials").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_runs(path, tmp_path, pytestconfig):
    if path.stem == "text":  # what it would fetch
        shutil.copy(movies.sdist(pytestconfig.cache.mkdir("movies")), tmp_path)
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_there_are_some():
    assert TUTORIALS
