"""Every tutorial runs from top to bottom, in an empty folder, and what it showed is stored: the site renders that."""

import base64
import io
import re
import shutil

import nbformat
import numpy as np
import pytest
from PIL import Image
from skimage import data

from tests import movies
from tutorials.__main__ import NOTEBOOKS, cleaned, executed, smaller

# Absolute paths of any machine, and addresses in its memory.
OF_A_MACHINE = re.compile(r"(?<![\w.])/(?:tmp|home|root|usr|opt|var|work|private|Users)/|[A-Z]:\\\\|\b0x[0-9a-f]{6,}")
LARGEST = 600_000  # bytes; a page of the site has all of it

every_tutorial = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.mark.slow
@every_tutorial
def test_runs(path, tmp_path, pytestconfig):
    if path.stem == "text":  # what it would fetch
        shutil.copy(movies.sdist(pytestconfig.cache.mkdir("movies")), tmp_path)
    notebook = executed(path, tmp_path)
    assert problems(notebook) == []
    assert images(notebook)


def test_all_are_there():
    names = {path.stem for path in NOTEBOOKS}
    assert names == {"comparing", "idgi_paths", "own_path", "patterns", "quickstart", "series", "text"}


@every_tutorial
def test_outputs_are_stored(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert images(notebook)
    assert problems(notebook) == []
    assert path.stat().st_size < LARGEST


def problems(notebook):
    """What is wrong with the outputs, in words."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    found = [] if counts == list(range(1, len(code) + 1)) else [f"not run from top to bottom: {counts}"]
    for number, cell in enumerate(code, 1):
        found += [f"In [{number}]: metadata {dict(cell.metadata)}"] * bool(cell.metadata)
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                found.append(f"In [{number}]: {output.get('text', output.get('evalue'))}")
            shown = [output.get("text", ""), *(str(v) for k, v in output.get("data", {}).items() if "image/" not in k)]
            found += [f"In [{number}]: {match.group()}" for text in shown for match in OF_A_MACHINE.finditer(text)]
    return found


def images(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output for output in outputs if {"image/png", "image/jpeg"} & output.get("data", {}).keys()]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda cell: cell.update(execution_count=None), "top to bottom"),
        (lambda cell: cell.metadata.update(execution={"iopub.execute_input": "2026"}), "metadata"),
        (lambda cell: cell.outputs.append(nbformat.v4.new_output("error", ename="E", evalue="broken")), "broken"),
        (lambda cell: cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text="beware")), "beware"),
        (lambda cell: cell.outputs.append(nbformat.v4.new_output("stream", text="in /home/me/x.py")), "/home/"),
        (lambda cell: cell.outputs.append(printed("<object at 0x7fa60fd82010>")), "0x7fa60fd82010"),
    ],
)
def test_problems_are_found(spoil, word):
    cell = nbformat.v4.new_code_cell("1", execution_count=1, outputs=[printed("results/report.md, 1/7")])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    assert problems(notebook) == []
    spoil(notebook.cells[0])
    (problem,) = problems(notebook)
    assert word in problem


def printed(text):
    return nbformat.v4.new_output("execute_result", data={"text/plain": text}, execution_count=1)


def test_cleaning_keeps_what_is_shown():
    drawing = np.full((200, 300, 3), 255, np.uint8)
    drawing[50:60] = [31, 119, 180]
    photograph = data.coffee()[:200, :300]
    outputs = [
        nbformat.v4.new_output("display_data", data={"image/png": png(pixels)}) for pixels in (drawing, photograph)
    ]
    cell = nbformat.v4.new_code_cell("1", execution_count=1, outputs=outputs, metadata={"execution": {}})
    notebook = cleaned(nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}}))
    nbformat.validate(notebook)
    assert notebook.cells[0].metadata == {}
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    assert [list(output.data) for output in notebook.cells[0].outputs] == [["image/png"], ["image/jpeg"]]
    for output, pixels in zip(notebook.cells[0].outputs, (drawing, photograph), strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(next(iter(output.data.values()))))).convert("RGB"))
        assert np.abs(shown.astype(int) - pixels).mean() < 12
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(base64.b64decode(smaller(png(drawing))[1]))).convert("RGB")), drawing
    )


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
