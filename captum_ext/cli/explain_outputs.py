"""The files that ``captum-ext explain`` writes."""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captum_ext._utils.optional import optional
from captum_ext.cli import gallery
from captum_ext.cli.explanation import ImageExplanation
from captum_ext.cli.figure import draw, write_file, write_png


class ExplainOutput(ABC):
    """Receives the explanations of one image after the other, and writes files."""

    @abstractmethod
    def add(self, explanations: list[ImageExplanation]) -> None:
        """Add an image, explained for one class or several."""

    @abstractmethod
    def finish(self) -> Path:
        """Write what remains; return the file that has the result."""


class FigureOutput(ExplainOutput):
    """One figure with a row for each image and class."""

    def __init__(self, path: Path, settings: str, style: str) -> None:
        """See the class."""
        self._path, self._settings, self._style = path, settings, style
        self._explanations: list[ImageExplanation] = []

    def add(self, explanations: list[ImageExplanation]) -> None:
        """Keep the explanations."""
        self._explanations += explanations

    def finish(self) -> Path:
        """Draw the figure."""
        write_png(self._explanations, self._path, self._settings, self._style)
        return self._path


class GalleryOutput(ExplainOutput):
    """A folder with one figure per image, and ``index.html`` with all maps."""

    def __init__(self, folder: Path, files: dict[str, Path], settings: str, style: str) -> None:
        """``files`` has the figure of each image by its name."""
        self._folder, self._files, self._settings, self._style = folder, files, settings, style
        self._entries: list[dict[str, Any]] = []

    def add(self, explanations: list[ImageExplanation]) -> None:
        """Draw the figure of an image."""
        file = self._files[explanations[0].name]
        write_png(explanations, file, self._settings, self._style)
        self._entries += [gallery.entry(each, file.name, self._style) for each in explanations]

    def finish(self) -> Path:
        """Write the page."""
        path = self._folder / "index.html"
        write_file(path, gallery.page(self._entries, self._settings, self._style).encode(), f"--output {self._folder}")
        return path


class PdfOutput(ExplainOutput):
    """One PDF file with a page per image; memory holds the pages that are drawn."""

    def __init__(self, path: Path, settings: str, style: str) -> None:
        """See the class."""
        self._path, self._settings, self._style = path, settings, style
        self._content = io.BytesIO()
        pages = optional("matplotlib.backends.backend_pdf", "demo").PdfPages
        self._pages = pages(self._content, metadata={"CreationDate": None})

    def add(self, explanations: list[ImageExplanation]) -> None:
        """Draw the page of an image."""
        self._pages.savefig(draw(explanations, self._settings, self._style), dpi=150)

    def finish(self) -> Path:
        """Write the file."""
        self._pages.close()
        write_file(self._path, self._content.getvalue(), f"--pdf {self._path}")
        return self._path


class MapsOutput(ExplainOutput):
    """One file with all maps as numbers, in float32, under ``image/class index/method``; memory holds all of them."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """The suffix of the path is the format: ``.npz`` or ``.safetensors``."""
        self._path, self._settings = path, json.dumps(settings)
        self._maps: dict[str, NDArray[np.float32]] = {}

    def add(self, explanations: list[ImageExplanation]) -> None:
        """Keep the maps (C, H, W)."""
        for each in explanations:
            for result in each.maps:
                values = result.result.attributions[0].float().cpu().contiguous().numpy()
                self._maps[f"{each.name}/{each.target}/{result.method}"] = values

    def finish(self) -> Path:
        """Write the file; ``settings`` is a string of JSON in it, in safetensors among the metadata."""
        if self._path.suffix.lower() == ".npz":
            buffer = io.BytesIO()
            np.savez(buffer, settings=np.array(self._settings), **self._maps)  # type: ignore[arg-type]
            content = buffer.getvalue()
        else:
            save = optional("safetensors.numpy", "patterns").save
            content = save(self._maps, metadata={"settings": self._settings})
        write_file(self._path, content, f"--save {self._path}")
        return self._path
