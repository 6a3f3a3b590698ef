"""``python -m tutorials [NAME ...]``: run the notebooks, from this tree, and store what they show."""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
import time
from pathlib import Path

import nbclient
import nbformat
from PIL import Image

FOLDER = Path(__file__).parent
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path, folder: Path, timeout: int = 300) -> nbformat.NotebookNode:
    """A notebook with the outputs of a run in ``folder``, of the code beside it rather than of what is installed."""
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=timeout,
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,  # one output for all that a cell prints
        record_timing=False,
    )
    # Progress bars and advice to install ipywidgets are no part of what a tutorial shows.
    shown = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONWARNINGS": "ignore:IProgress not found"}
    client.execute(env=os.environ | shown | {"PYTHONPATH": str(FOLDER.parent)})
    return notebook


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what differs from run to run and machine to machine, and with images as small as they look alike."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    notebook.nbformat_minor = 5
    for number, cell in enumerate(notebook.cells):
        cell.metadata, cell.id = nbformat.from_dict({}), f"cell-{number:02}"
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                kind, image = smaller(output.data.pop("image/png"))
                output.data[kind] = image
    return notebook


def smaller(png: str) -> tuple[str, str]:
    """The kind and base64 of the smaller of a PNG in 256 colors, as of drawings, and a JPEG, as of photographs."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    drawing, photograph = io.BytesIO(), io.BytesIO()
    picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(drawing, "PNG", optimize=True)
    picture.save(photograph, "JPEG", quality=85, subsampling=0)
    kinds = {"image/png": drawing.getvalue(), "image/jpeg": photograph.getvalue()}
    kind = min(kinds, key=lambda name: len(kinds[name]))
    return kind, base64.b64encode(kinds[kind]).decode()


def main(names: list[str]) -> None:
    """Run these, or all."""
    for path in [FOLDER / f"{name}.ipynb" for name in names] or NOTEBOOKS:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            notebook = cleaned(executed(path, Path(folder)))
        nbformat.write(notebook, path)
        print(f"{path.name}: {time.perf_counter() - started:.0f} s, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
