"""The figure that ``captum-ext explain`` writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ext._utils.files import replace_file
from captum_ext._utils.text import clip
from captum_ext.cli.errors import CommandError
from captum_ext.cli.explanation import AttributionMap, ImageExplanation
from captum_ext.visualization import SMALL, panels, png, set_title
from captum_ext.visualization.pictures import LEGENDS, STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_NAME = 34  # characters that fit above a panel


def draw(explanations: list[ImageExplanation], settings: str, style: str) -> Figure:
    """One row of panels per image and class."""
    has_diagnostics = any(each.result.diagnostics is not None for each in explanations[0].maps)
    columns = 1 + len(explanations[0].maps) + has_diagnostics
    across = columns if len(explanations) > 1 or columns <= 4 else -(-columns // 2)
    down = len(explanations) * -(-columns // across)
    figure, grid = panels(down, across, (3.1 * across, 3.5 * down + 0.5), for_images=True)
    flat = list(grid.flat)
    for row, explanation in enumerate(explanations):
        first = row * (-(-columns // across)) * across
        flat[first].imshow(explanation.pixels)
        category = f"{clip(explanation.category, _MAX_NAME - 10)} ({explanation.target})"
        note = f"{category}, p = {explanation.probability:.3f}"
        set_title(flat[first], clip(explanation.name, _MAX_NAME), note)
        for panel, each in zip(flat[first + 1 :], explanation.maps, strict=False):
            STYLES[style](panel, explanation.pixels, each.pixels())
            set_title(panel, each.title, f"{each.cost}\n{each.accuracy}")
        if has_diagnostics:
            _plot_path_values(flat[first + 1 + len(explanation.maps)], explanation.maps)
    set_title(figure, settings)
    signal = any(each.method == "patternnet" for each in explanations[0].maps)
    figure.supxlabel(
        f"{LEGENDS[style]} Completeness error: the difference between the map's sum and the change\nof the output from "
        "the path's start to the image. IDGI's sum is exact for any number of steps, so its caption has the estimated "
        "error of the map."
        + ("\nPatternNet's map is a signal in the units of the input, not a share of the output." * signal),
        fontsize=SMALL,
    )
    return figure


def write_png(explanations: list[ImageExplanation], output: Path, settings: str, style: str) -> None:
    """Write the figure of these images.

    Raises:
        CommandError: If the file can't be written.
    """
    write_file(output, png(draw(explanations, settings, style), dpi=150), f"--output {output}")


def write_file(path: Path, content: bytes, option: str) -> None:
    """Write a file, or leave the old one.

    Raises:
        CommandError: If it can't be written.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        raise CommandError(f"{option}: can't be written ({error.strerror})") from error


def _plot_path_values(panel: Any, maps: list[AttributionMap]) -> None:
    """Plot the class's probability along each path: attributions come from where it changes."""
    panel.set_axis_on()
    by_path: dict[str, AttributionMap] = {}
    for each in maps:
        if each.result.diagnostics is not None:
            by_path.setdefault("IG" if each.method == "idgi" else each.title.removesuffix(" + IDGI"), each)
    for each in by_path.values():
        diagnostics = each.result.diagnostics
        assert diagnostics is not None, "in the dictionary only if it has some"
        panel.plot(
            diagnostics.positions[0].numpy(),
            diagnostics.values[0].float().cpu().numpy(),
            label=each.title,
            linewidth=1.2,
        )
    panel.set_title("the output along the paths: attributions\ncome from where it changes", fontsize=9)
    panel.set_xlabel("start of the path (0) to the image (1)", fontsize=8)
    panel.tick_params(labelsize=7)
    panel.legend(fontsize=7, frameon=False)
