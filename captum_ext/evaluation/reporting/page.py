"""The report as one page that needs no other file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from captum_ext._utils.files import replace_file
from captum_ext._utils.optional import optional
from captum_ext._utils.text import printable
from captum_ext.evaluation.estimates import FEWEST_IMAGES, RESAMPLES, format_number
from captum_ext.evaluation.example_maps import EXAMPLE_STYLE
from captum_ext.evaluation.reporting import charts
from captum_ext.evaluation.reporting.charts import Chart, curve_charts, step_charts
from captum_ext.evaluation.reporting.contents import score_captions
from captum_ext.evaluation.reporting.findings import findings
from captum_ext.evaluation.reporting.heat_map import HeatMap, heat_map
from captum_ext.evaluation.reporting.image_counts import count_images
from captum_ext.evaluation.reporting.tables import EstimateRow, estimate_rows
from captum_ext.evaluation.reporting.write import TEMPLATES, setting_rows, writing
from captum_ext.evaluation.scores import ScoreIndex, ScoreTable, model_scores, score_index
from captum_ext.evaluation.store import ExamplePicture, Results
from captum_ext.visualization import method_styles
from captum_ext.visualization.pictures import LEGENDS, data_url

if TYPE_CHECKING:
    import pandas as pd


class _ExampleRow(NamedTuple):
    """An image and its maps: methods, step counts and the sources of pictures."""

    image: str
    source: str
    maps: list[tuple[str, int, str]]


class _ModelPage(NamedTuple):
    name: str
    findings: list[str]
    heat_map: HeatMap
    curves: list[Chart]
    steps: list[Chart]
    examples: list[_ExampleRow]
    estimates: list[EstimateRow]
    image_rows: pd.DataFrame


def html_report(results: str | Path, output: str | Path | None = None) -> Path:
    """Write an evaluation as one page: its result in words, a heat map, a table, curves, maps and all settings.

    The page needs no other file and no network. It follows the browser's light or dark colors. Values and intervals are
    those of :func:`report`. The maps are those that :func:`evaluate` stored, of a few images.

    Args:
        results: The folder that ``captum-ext evaluate`` writes; it need not be finished.
        output: The file to write. Default ``None``: ``report/report.html`` in the results' folder.

    Returns:
        The file.

    Raises:
        ResultsError: If there are no results, or the page can't be written.
        ImportError: If pandas, pyarrow, matplotlib or jinja2 is missing: install ``captum_ext[evaluation]``.

    Example:
        >>> import tempfile
        >>> from captum_ext.evaluation import html_report
        >>> from captum_ext.evaluation.store import ResultRow, Results
        >>> results = Results(Path(tempfile.mkdtemp()))
        >>> results.create({"models": ["net"], "methods": ["ig"], "steps": [8], "images": 2})
        >>> results.write("net", 0, [ResultRow(f"{k}.png", "ig", 8, "completeness", "relative", k) for k in range(2)])
        >>> page = html_report(results.folder)
        >>> page.name, "0.500" in page.read_text()
        ('report.html', True)
    """
    folder = Results(Path(results))
    folder.settings()
    optional("matplotlib", "evaluation")  # fail before the work
    jinja2, pandas = optional("jinja2", "evaluation"), optional("pandas", "evaluation")
    index = score_index(folder)
    path = Path(output) if output is not None else folder.folder / "report" / "report.html"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        models = [
            _model_page(scores.table, scores.image_rows, folder.examples(scores.table.models[0]))
            for scores in model_scores(folder, index)
        ]
        image_counts = count_images(pandas.concat([model.image_rows for model in models]), index, folder.settings())
        styles = method_styles(index.methods)
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=lambda value: printable(value) if type(value) is str else value,
        )
        environment.filters |= {"markup": _markup, "number": format_number}
        text = environment.get_template("report.html").render(
            models=models,
            index=index,
            styles=styles,
            labels={method: style.label for method, style in styles.items()},
            opening=_opening(index, folder.settings()),
            settings=setting_rows(folder),
            resamples=RESAMPLES,
            fewest=FEWEST_IMAGES,
            score_captions=score_captions(index),
            legend=LEGENDS[EXAMPLE_STYLE],
            size=charts,
            **image_counts,
        )
        replace_file(path, text.encode())
    return path


def _model_page(table: ScoreTable, image_rows: pd.DataFrame, pictures: list[ExamplePicture]) -> _ModelPage:
    (model,) = table.models
    return _ModelPage(
        model,
        findings(table),
        heat_map(table, model),
        curve_charts(table, model),
        step_charts(table, model),
        _example_rows(pictures, table.methods),
        estimate_rows(table),
        image_rows,
    )


def _example_rows(pictures: list[ExamplePicture], methods: list[str]) -> list[_ExampleRow]:
    sources = {(each.image, each.method): (each.steps, data_url(each.picture)) for each in pictures}
    images = dict.fromkeys(each.image for each in pictures)
    return [
        _ExampleRow(
            image,
            sources[image, ""][1],
            [(method, *sources[image, method]) for method in methods if (image, method) in sources],
        )
        for image in images
    ]


def _opening(index: ScoreIndex, settings: dict[str, Any]) -> str:
    """The methods, models and metrics, and the class that is explained."""
    metrics = list(dict.fromkeys(score.title.split(",")[0].split(" (")[0] for score in index.scores))
    methods = len(index.methods) - ("chance" in index.methods)
    explained = {
        "label": "The label's class is explained, for images that the model classifies correctly.",
        "predicted": "The class that the model predicts is explained.",
    }.get(str(settings.get("target")), "")
    counted = [_count(methods, "method"), _count(len(index.models), "model"), _count(len(metrics), "metric")]
    compared = f"This evaluation compares {counted[0]} on {counted[1]} by {counted[2]}: {', '.join(metrics)}."
    return f"{compared} {explained}".strip()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _markup(text: str) -> Any:
    """The emphasis and the code of a caption in Markdown, after escaping."""
    escaped = str(optional("markupsafe", "evaluation").escape(text))
    escaped = re.sub(r"\*([^*]+)\*", r"<em>\1</em>", re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped))
    return optional("markupsafe", "evaluation").Markup(escaped)
