"""The report's files."""

from __future__ import annotations

import re
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ext._utils.files import file_names
from captum_ext._utils.optional import optional
from captum_ext._utils.text import printable
from captum_ext.evaluation.estimates import RESAMPLES
from captum_ext.evaluation.reporting.contents import Section, sections
from captum_ext.evaluation.reporting.figures import Drawing
from captum_ext.evaluation.reporting.findings import findings
from captum_ext.evaluation.reporting.image_counts import count_images
from captum_ext.evaluation.reporting.tables import Table, csv_text
from captum_ext.evaluation.scores import ScoreTable
from captum_ext.evaluation.store import Results, ResultsError
from captum_ext.visualization import png

if TYPE_CHECKING:
    import pandas as pd

DrawnFigures = dict[str, list[tuple[str, Drawing]]]  # file names and drawings by section


def report(results: str | Path, output: str | Path | None = None) -> list[Path]:
    """Write the tables and figures of an evaluation, with intervals and the number of images in every cell.

    The data set's value of a score is the mean over the images, except for AIC and SIC (the area under the median or
    mean curve, depending on the protocol), stability (-log10 of the mean of the mean squared differences) and
    completeness (the median). Intervals are 95% BCa bootstrap intervals over the images (1,000 resamples with a fixed
    seed, so equal results give equal reports). Both sides of differences and of changes with the number of steps use
    the same images.

    Args:
        results: The folder that ``captum-ext evaluate`` writes; it need not be finished.
        output: The folder to write to. Default ``None``: ``report`` in the results' folder.

    Returns:
        The files ``report.md``, which contains all tables and figures, ``tables/*.csv`` (``estimates.csv`` has every
        number in a separate column) and ``figures/*.png``.

    Raises:
        ResultsError: If there are no results, or the report can't be written.
        ImportError: If pandas, pyarrow or matplotlib is missing: install ``captum_ext[evaluation]``.

    Reference:
        The layout is that of Singhi, Kumari: Strengthening Interpretability: An Investigative Study of Integrated
        Gradient Methods. 2024. https://arxiv.org/abs/2409.09043, Tables 1 to 5, and of Schwarzenberg, Castle:
        Pattern-Guided Integrated Gradients. 2020. https://arxiv.org/abs/2007.10685, Fig. 3.

    Example:
        >>> import tempfile
        >>> from captum_ext.evaluation import report
        >>> from captum_ext.evaluation.store import ResultRow, Results
        >>> results = Results(Path(tempfile.mkdtemp()))
        >>> results.create({"models": ["net"], "methods": ["ig"], "steps": [8], "images": 2})
        >>> results.write("net", 0, [ResultRow(f"{k}.png", "ig", 8, "completeness", "relative", k) for k in range(2)])
        >>> files = report(results.folder)
        >>> files[0].name, "0.500 [0.000, 1.000] (2)" in files[0].read_text()
        ('report.md', True)
    """
    folder = Results(Path(results))
    settings = folder.settings()
    optional("matplotlib", "evaluation")  # fail before the work
    frame = folder.read()
    target = Path(output) if output is not None else folder.folder / "report"
    try:
        for part in ("tables", "figures"):  # fail before the work
            (target / part).mkdir(parents=True, exist_ok=True)
        table = ScoreTable(frame, settings)
        parts = sections(table)
        pictures = _draw_figures(table, parts)
        files = {target / "report.md": _page(frame, table, settings, parts, pictures)}
        files[target / "tables" / "estimates.csv"] = _estimates(table)
        files |= {target / "tables" / f"{item.name}.csv": item.csv() for part in parts for item in part.tables if item}
        contents = {file: text.encode() for file, text in files.items()}
        for drawings in pictures.values():
            contents |= {target / "figures" / name: png(drawing.figure) for name, drawing in drawings}
        for file, content in contents.items():
            file.write_bytes(content)
    except OSError as error:
        raise ResultsError(f"{error.filename or target}: can't be written ({error.strerror or error}).") from error
    return list(contents)


def escape(text: object) -> str:
    """Escape text for Markdown, including tables."""
    line = printable(" ".join(str(text).split()))
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\_", re.sub(r"([\\`*\[\]|~$])", r"\\\1", line))
    return line.replace("&", "&amp;").replace("<", "&lt;")


def _draw_figures(table: ScoreTable, parts: list[Section]) -> DrawnFigures:
    names = dict(zip(table.models, file_names(table.models, "model"), strict=True))
    pictures: DrawnFigures = {}
    for part in parts:
        for figure in part.figures:
            for model in table.models:
                drawing = figure.draw(table, model)
                if drawing is not None:
                    pictures.setdefault(part.title, []).append((f"{names[model]}-{figure.name}.png", drawing))
    return pictures


def _page(
    frame: pd.DataFrame, table: ScoreTable, settings: dict[str, Any], parts: list[Section], pictures: DrawnFigures
) -> str:
    jinja2 = optional("jinja2", "evaluation")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["md"] = escape
    page: str = environment.get_template("report.md").render(
        settings=[(key, _setting_text(value)) for key, value in sorted(settings.items())],
        findings=findings(table),
        resamples=RESAMPLES,
        sections=[
            {
                "title": part.title,
                "tables": [(item, _markdown_rows(item)) for item in part.tables if item],
                "figures": [(drawing.title, name) for name, drawing in pictures.get(part.title, [])],
            }
            for part in parts
        ],
        **count_images(frame, table, settings),
    )
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def _setting_text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _markdown_rows(table: Table) -> list[list[str]]:
    """The rows in Markdown, without repeated first labels."""
    rows, before = [], ""
    for (first, second), cells, is_uneven in table.rows:
        labels = ["" if first == before else escape(first), escape(second) + " †" * is_uneven]
        rows.append([*labels, *(cell.markdown for cell in cells)])
        before = first
    return rows


def _estimates(table: ScoreTable) -> str:
    """Every number as CSV: one line per model, method, step count and score."""
    lines = []
    for score in table.scores:
        for model in table.models:
            for method in table.methods:
                for steps in table.steps[method] or [0]:
                    estimate = table.estimate(model, method, score, steps)
                    if estimate is not None:
                        lines.append([score.name, score.variant, model, method, steps, *astuple(estimate)])
    return csv_text(["score", "variant", "model", "method", "steps", "value", "low", "high", "n"], lines)
