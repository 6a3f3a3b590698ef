"""The figure that ``captum-ext explain`` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captum_ext._files import replace_file
from captum_ext.cli.errors import CommandError
from captum_ext.visualization import SMALL, draw_map, panels, png, set_title


@dataclass(frozen=True)
class CompletenessError:
    """By how much a map's sum misses F's change, and that change."""

    error: float
    change: float


@dataclass(frozen=True)
class Course:
    """The class's probability along a method's path, from its start (0) to the image (1)."""

    positions: NDArray[np.floating[Any]]
    values: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Map:
    """One method's attributions (H, W), its time, its completeness if it claims any, and its path's course."""

    title: str
    attributions: NDArray[np.floating[Any]]
    seconds: float
    completeness: CompletenessError | None
    course: Course | None = None

    @property
    def caption(self) -> str:
        """Time and completeness error."""
        if self.completeness is None:
            return f"{self.seconds:.1f} s, no completeness by patterns"
        error, change = self.completeness.error, abs(self.completeness.change)
        share = f" ({error / change:.1%})" if change > 1e-3 else ""
        return f"{self.seconds:.1f} s, completeness error {error:.3f}{share}"


@dataclass(frozen=True)
class Explained:
    """An image (H, W, 3) in [0, 1], the class that is explained, and the maps."""

    name: str
    category: str
    target: int
    probability: float
    pixels: NDArray[np.floating[Any]]
    maps: list[Map]


def draw(rows: list[Explained], output: Path, settings: str) -> None:
    """Write one row of panels an image.

    Raises:
        CommandError: If the file can't be written.
    """
    has_courses = any(drawn.course is not None for drawn in rows[0].maps)
    columns = 1 + len(rows[0].maps) + has_courses
    across = columns if len(rows) > 1 or columns <= 4 else -(-columns // 2)
    down = len(rows) * -(-columns // across)
    figure, grid = panels(down, across, (3.1 * across, 3.5 * down + 0.5), for_images=True)
    flat = list(grid.flat)
    for row, explained in enumerate(rows):
        at = row * (-(-columns // across)) * across
        flat[at].imshow(explained.pixels)
        title = f"{explained.category} ({explained.target}), p = {explained.probability:.3f}"
        set_title(flat[at], explained.name, title)
        for panel, drawn in zip(flat[at + 1 :], explained.maps, strict=False):
            draw_map(panel, explained.pixels, drawn.attributions)
            set_title(panel, drawn.title, drawn.caption)
        if has_courses:
            _courses(flat[at + 1 + len(explained.maps)], explained.maps)
    set_title(figure, settings)
    signal = any(drawn.title == "PatternNet" for drawn in rows[0].maps)
    figure.supxlabel(
        "Red speaks for the class, blue against it; each map has its own scale. Completeness error: how far "
        "the map's sum is from the change\nof the class's probability between the path's start and the image. "
        "For IDGI it is 0 by construction and says nothing about accuracy."
        + ("\nPatternNet's map is no share of the output but a signal, with the sign of the input's change." * signal),
        fontsize=SMALL,
    )
    picture = png(figure, dpi=150)
    try:
        replace_file(output, picture)
    except OSError as error:
        raise CommandError(f"--output {output}: can't be written ({error.strerror})") from error


def _courses(panel: Any, maps: list[Map]) -> None:
    """Where on their paths the methods' attributions come from: a line for each path."""
    panel.set_axis_on()
    by_path: dict[str, Map] = {}
    for drawn in maps:
        if drawn.course is not None:
            by_path.setdefault("IG" if drawn.title == "IDGI" else drawn.title.removesuffix(" + IDGI"), drawn)
    for drawn in by_path.values():
        assert drawn.course is not None, "chosen by it"
        panel.plot(drawn.course.positions, drawn.course.values, label=drawn.title, linewidth=1.2)
    set_title(panel, "p along the paths: attributions", "come from where it changes")
    panel.set_xlabel("start of the path (0) to the image (1)")
    panel.legend(fontsize=SMALL, frameon=False)
