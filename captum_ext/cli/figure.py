"""The figure that ``captum-ext explain`` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captum_ext._utils.files import replace_file
from captum_ext.cli.errors import CommandError
from captum_ext.cli.explain_methods import ImageMap
from captum_ext.visualization import SMALL, overlay, panels, png, set_title


@dataclass(frozen=True)
class AttributionMap:
    """One method's map of an image, and the seconds that it took."""

    title: str
    result: ImageMap
    seconds: float

    @property
    def caption(self) -> str:
        """The run time and the completeness error."""
        if self.result.delta is None:
            return f"{self.seconds:.1f} s, not complete with patterns"
        delta = self.result.delta.item()
        change = abs(self.result.attributions.sum().item() - delta)
        share = f" ({abs(delta) / change:.1%})" if change > 1e-3 else ""
        return f"{self.seconds:.1f} s, completeness error {abs(delta):.3f}{share}"


@dataclass(frozen=True)
class ImageExplanation:
    """An image (H, W, 3) in [0, 1], the class that is explained, and the maps."""

    name: str
    category: str
    target: int
    probability: float
    pixels: NDArray[np.floating[Any]]
    maps: list[AttributionMap]


def draw(explanations: list[ImageExplanation], output: Path, settings: str) -> None:
    """Write one row of panels per image.

    Raises:
        CommandError: If the file can't be written.
    """
    has_diagnostics = any(each.result.diagnostics is not None for each in explanations[0].maps)
    columns = 1 + len(explanations[0].maps) + has_diagnostics
    across = columns if len(explanations) > 1 or columns <= 4 else -(-columns // 2)
    down = len(explanations) * -(-columns // across)
    figure, grid = panels(down, across, (3.1 * across, 3.5 * down + 0.5), for_images=True)
    flat = list(grid.flat)
    for row, explanation in enumerate(explanations):
        first = row * (-(-columns // across)) * across
        flat[first].imshow(explanation.pixels)
        category = f"{explanation.category} ({explanation.target}), p = {explanation.probability:.3f}"
        set_title(flat[first], explanation.name, category)
        for panel, each in zip(flat[first + 1 :], explanation.maps, strict=False):
            set_title(panel, each.title, each.caption)
            overlay(each.result.attributions, explanation.pixels, legend=False, ax=panel)
        if has_diagnostics:
            _plot_path_values(flat[first + 1 + len(explanation.maps)], explanation.maps)
    set_title(figure, settings)
    signal = any(each.title == "PatternNet" for each in explanations[0].maps)
    figure.supxlabel(
        "Red supports the class, blue opposes it; each map has its own scale. Completeness error: the difference "
        "between the map's sum and the change\nof the class's probability from the path's start to the image. "
        "For IDGI it is 0 by construction and says nothing about accuracy."
        + ("\nPatternNet's map is a signal in the units of the input, not a share of the output." * signal),
        fontsize=SMALL,
    )
    picture = png(figure, dpi=150)
    try:
        replace_file(output, picture)
    except OSError as error:
        raise CommandError(f"--output {output}: can't be written ({error.strerror})") from error


def _plot_path_values(panel: Any, maps: list[AttributionMap]) -> None:
    """Plot the class's probability along each path: attributions come from where it changes."""
    panel.set_axis_on()
    by_path: dict[str, AttributionMap] = {}
    for each in maps:
        if each.result.diagnostics is not None:
            by_path.setdefault("IG" if each.title == "IDGI" else each.title.removesuffix(" + IDGI"), each)
    for each in by_path.values():
        diagnostics = each.result.diagnostics
        assert diagnostics is not None, "in the dictionary only if it has some"
        panel.plot(
            diagnostics.positions[0].numpy(),
            diagnostics.values[0].float().cpu().numpy(),
            label=each.title,
            linewidth=1.2,
        )
    panel.set_title("p along the paths: attributions\ncome from where it changes", fontsize=9)
    panel.set_xlabel("start of the path (0) to the image (1)", fontsize=8)
    panel.tick_params(labelsize=7)
    panel.legend(fontsize=7, frameon=False)
