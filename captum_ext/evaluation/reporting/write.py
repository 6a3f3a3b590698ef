"""The report's files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from captum_ext._utils.files import file_names
from captum_ext._utils.optional import optional
from captum_ext._utils.text import printable
from captum_ext.evaluation.estimates import RESAMPLES
from captum_ext.evaluation.reporting.contents import Section, sections
from captum_ext.evaluation.reporting.findings import findings
from captum_ext.evaluation.reporting.image_counts import count_images
from captum_ext.evaluation.reporting.tables import (
    EstimateRow,
    Table,
    csv_of_estimates,
    estimate_rows,
    join_tables,
)
from captum_ext.evaluation.scores import ScoreIndex, ScoreTable, model_scores, score_index
from captum_ext.evaluation.store import Results, ResultsError
from captum_ext.visualization import png

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = Path(__file__).parent / "templates"


class _FigureFile(NamedTuple):
    title: str
    name: str
    content: bytes


class _ModelReport(NamedTuple):
    """The part of the report that the scores of one model give: tables and figures by section."""

    tables: list[list[Table]]
    figures: list[list[_FigureFile | None]]
    estimates: list[EstimateRow]
    findings: list[str]
    image_rows: pd.DataFrame


def report(results: str | Path, output: str | Path | None = None) -> list[Path]:
    """Write the tables and figures of an evaluation, with intervals and the number of images in every cell.

    The data set's value of a score is the mean over the images, except for AIC and SIC (the area under the median or
    mean curve, depending on the protocol), stability (-log10 of the mean of the mean squared differences) and
    completeness (the median). Intervals are 95% BCa bootstrap intervals over the images (1,000 resamples with a fixed
    seed, so equal results give equal reports). Both sides of differences and of changes with the number of steps use
    the same images. The scores of one model are in memory at a time.

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
    folder.settings()
    optional("matplotlib", "evaluation")  # fail before the work
    index = score_index(folder)
    target = Path(output) if output is not None else folder.folder / "report"
    with writing(target):
        for part in ("tables", "figures"):  # fail before the work
            (target / part).mkdir(parents=True, exist_ok=True)
        plan = sections(index)
        names = dict(zip(index.models, file_names(index.models, "model"), strict=True))
        models = [_model_report(scores.table, plan, names, scores.image_rows) for scores in model_scores(folder, index)]
        tables = [_join_section([model.tables[k] for model in models]) for k in range(len(plan))]
        figures = [_by_figure([model.figures[k] for model in models]) for k in range(len(plan))]
        estimates = sorted(
            (row for model in models for row in model.estimates), key=lambda row: index.scores.index(row.score)
        )
        files = {target / "report.md": _page(folder, index, plan, models, tables, figures).encode()}
        files[target / "tables" / "estimates.csv"] = csv_of_estimates(estimates).encode()
        files |= {target / "tables" / f"{item.name}.csv": item.csv().encode() for group in tables for item in group}
        files |= {target / "figures" / item.name: item.content for group in figures for item in group}
        for file, content in files.items():
            file.write_bytes(content)
    return list(files)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Name the file if one can't be written.

    Raises:
        ResultsError: In this case.
    """
    try:
        yield
    except OSError as error:
        raise ResultsError(f"{error.filename or target}: can't be written ({error.strerror or error}).") from error


def escape(text: object) -> str:
    """Escape text for Markdown, including tables."""
    line = printable(" ".join(str(text).split()))
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\_", re.sub(r"([\\`*\[\]|~$])", r"\\\1", line))
    return line.replace("&", "&amp;").replace("<", "&lt;")


def setting_rows(results: Results) -> list[tuple[str, str]]:
    """Every setting and note of the results by name, as text."""
    return [(key, _setting_text(value)) for key, value in sorted({**results.notes(), **results.settings()}.items())]


def _setting_text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _model_report(
    table: ScoreTable, plan: list[Section], names: dict[str, str], image_rows: pd.DataFrame
) -> _ModelReport:
    figures: list[list[_FigureFile | None]] = []
    (model,) = table.models
    for section in plan:
        drawn = [(figure.name, figure.draw(table, model)) for figure in section.figures]
        figures.append(
            [
                _FigureFile(drawing.title, f"{names[model]}-{name}.png", png(drawing.figure))
                if drawing is not None
                else None
                for name, drawing in drawn
            ]
        )
    tables = [[build(table) for build in section.tables] for section in plan]
    return _ModelReport(tables, figures, estimate_rows(table), findings(table), image_rows)


def _join_section(tables_of_models: list[list[Table]]) -> list[Table]:
    """The tables of a section over all models."""
    joined = (join_tables(tables) for tables in zip(*tables_of_models, strict=True))
    return [table for table in joined if table is not None]


def _by_figure(figures_of_models: list[list[_FigureFile | None]]) -> list[_FigureFile]:
    """The figures of a section: each of all models, then the next."""
    return [file for files in zip(*figures_of_models, strict=True) for file in files if file is not None]


def _page(
    results: Results,
    index: ScoreIndex,
    plan: list[Section],
    models: list[_ModelReport],
    tables: list[list[Table]],
    figures: list[list[_FigureFile]],
) -> str:
    jinja2, pandas = optional("jinja2", "evaluation"), optional("pandas", "evaluation")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True, lstrip_blocks=True)
    environment.filters["md"] = escape
    page: str = environment.get_template("report.md").render(
        settings=setting_rows(results),
        findings=[paragraph for model in models for paragraph in model.findings],
        resamples=RESAMPLES,
        sections=[
            {
                "title": section.title,
                "tables": [(item, _markdown_rows(item)) for item in tables[k]],
                "figures": [(figure.title, figure.name) for figure in figures[k]],
            }
            for k, section in enumerate(plan)
            if tables[k] or figures[k]
        ],
        **count_images(pandas.concat([model.image_rows for model in models]), index, results.settings()),
    )
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def _markdown_rows(table: Table) -> list[list[str]]:
    """The rows in Markdown, without repeated first labels."""
    rows, before = [], ""
    for row in table.rows:
        first, second = row.labels
        labels = ["" if first == before else escape(first), escape(second) + " †" * row.is_uneven]
        rows.append([*labels, *(cell.markdown for cell in row.cells)])
        before = first
    return rows
