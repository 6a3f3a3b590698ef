"""The figure that ``captum-ext explain`` writes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captum_ext._files import replace_file
from captum_ext.cli.errors import CommandError

_CLIP = (
    99.5  # colors saturate at this percentile of |attribution|, because a few pixels are much larger than the others
)


@dataclass(frozen=True)
class Completeness:
    """The difference between a map's sum and the change of F, and that change."""

    error: float
    change: float


@dataclass(frozen=True)
class Course:
    """The class's probability along a method's path, from its start (0) to the image (1)."""

    positions: NDArray[np.floating[Any]]
    values: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Map:
    """A method's attributions (H, W), its run time, its completeness (if it is complete), and values on its path."""

    title: str
    attributions: NDArray[np.floating[Any]]
    seconds: float
    completeness: Completeness | None
    course: Course | None = None

    @property
    def caption(self) -> str:
        """The run time and the completeness error."""
        if self.completeness is None:
            return f"{self.seconds:.1f} s, not complete with patterns"
        error, change = self.completeness.error, abs(self.completeness.change)
        share = f" ({error / change:.1%})" if change > 1e-3 else ""
        return f"{self.seconds:.1f} s, completeness error {error:.3f}{share}"


@dataclass(frozen=True)
class Explained:
    """An image (H, W, 3) in [0, 1], the explained class, and the maps."""

    name: str
    category: str
    target: int
    probability: float
    pixels: NDArray[np.floating[Any]]
    maps: list[Map]


def draw(rows: list[Explained], output: Path, settings: str) -> None:
    """Write a figure with one row of panels per image.

    Raises:
        CommandError: If the file can't be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    has_courses = any(drawn.course is not None for drawn in rows[0].maps)
    columns = 1 + len(rows[0].maps) + has_courses
    across = columns if len(rows) > 1 or columns <= 4 else -(-columns // 2)
    down = len(rows) * -(-columns // across)
    figure = Figure(figsize=(3.1 * across, 3.5 * down + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, squeeze=False)
    for panel in panels.flat:
        panel.set_axis_off()
    flat = list(panels.flat)
    for row, explained in enumerate(rows):
        at = row * (-(-columns // across)) * across
        flat[at].imshow(explained.pixels)
        flat[at].set_title(
            f"{explained.name}\n{explained.category} ({explained.target}), p = {explained.probability:.3f}",
            fontsize=9,
            parse_math=False,  # the name of a file may contain dollar signs
        )
        for panel, drawn in zip(flat[at + 1 :], explained.maps, strict=False):
            _overlay(panel, explained.pixels, drawn.attributions)
            panel.set_title(f"{drawn.title}\n{drawn.caption}", fontsize=9, parse_math=False)
        if has_courses:
            _courses(flat[at + 1 + len(explained.maps)], explained.maps)
    figure.suptitle(settings, fontsize=10).set_parse_math(False)
    signal = any(drawn.title == "PatternNet" for drawn in rows[0].maps)
    figure.supxlabel(
        "Red speaks for the class, blue against it; each map has its own scale. Completeness error: the difference "
        "between the map's sum and the change\nof the class's probability from the path's start to the image. "
        "For IDGI it is 0 by construction and does not measure accuracy."
        + (
            "\nPatternNet's map is a signal with the sign of the input's change, and not a share of the output."
            * signal
        ),
        fontsize=8,
    )
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    try:
        replace_file(output, picture.getvalue())
    except OSError as error:
        raise CommandError(f"--output {output}: can't be written ({error.strerror})") from error


def _courses(panel: Any, maps: list[Map]) -> None:
    """Draw the probability along each path, whose changes are attributed."""
    panel.set_axis_on()
    by_path: dict[str, Map] = {}
    for drawn in maps:
        if drawn.course is not None:
            by_path.setdefault("IG" if drawn.title == "IDGI" else drawn.title.removesuffix(" + IDGI"), drawn)
    for drawn in by_path.values():
        assert drawn.course is not None, "only maps with a course were selected"
        panel.plot(drawn.course.positions, drawn.course.values, label=drawn.title, linewidth=1.2)
    panel.set_title("p along the paths: attributions\ncome from where it changes", fontsize=9)
    panel.set_xlabel("start of the path (0) to the image (1)", fontsize=8)
    panel.tick_params(labelsize=7)
    panel.legend(fontsize=7, frameon=False)


def _overlay(panel: Any, pixels: NDArray[Any], attributions: NDArray[Any]) -> None:
    limit = np.percentile(np.abs(attributions), _CLIP) or 1.0
    strength = np.clip(attributions / limit, -1, 1)
    panel.imshow(pixels.mean(2), cmap="gray", vmin=-0.6, vmax=1.4)
    panel.imshow(strength, cmap="bwr", vmin=-1, vmax=1, alpha=np.sqrt(np.abs(strength)))
