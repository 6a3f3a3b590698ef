"""The papers' tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import NamedTuple

from captum_ext._utils.optional import optional
from captum_ext.evaluation.estimates import Estimate, FloatArray, ScoreSample, combine
from captum_ext.evaluation.scores import ScoreTable, ScoreVariant
from captum_ext.visualization import base_method, method_styles


class Cell(NamedTuple):
    """An estimate, whether it is the best of its row, and a mark such as ``"better"``."""

    estimate: Estimate | None
    is_best: bool = False
    mark: str = ""

    def __str__(self) -> str:
        """``value [low, high] (n) mark``; a dash if it was not measured."""
        return "-" if self.estimate is None else f"{self.estimate} ({self.estimate.n}) {self.mark}".rstrip()

    @property
    def markdown(self) -> str:
        """The same with the best value in bold."""
        value, _, rest = str(self).partition(" ")  # [a, b] (n) is not a link: there is a space
        return f"**{value}** {rest}" if self.is_best else str(self)


class TableRow(NamedTuple):
    """The cells of a row after its labels.

    Attributes:
        labels: The cells of the two columns of labels.
        cells: The others.
        is_uneven: Whether the methods compared have different images.
        place: Rows with smaller numbers come first where tables are joined.
    """

    labels: tuple[str, str]
    cells: list[Cell]
    is_uneven: bool = False
    place: int = 0


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: The file's name.
        title: The heading.
        corner: The headers of the two columns of labels.
        heads: The headers of the other columns in Markdown.
        columns: Their unique names in CSV files.
        rows: The rows.
    """

    name: str
    title: str
    corner: tuple[str, str]
    heads: list[str]
    columns: list[str]
    rows: list[TableRow]

    def csv(self) -> str:
        """The cells, and whether the cells of each row have the same images."""
        lines = [[*row.labels, *map(str, row.cells), "no" if row.is_uneven else "yes"] for row in self.rows]
        return csv_text([*self.corner, *self.columns, "same images"], lines)


def join_tables(tables: Sequence[Table]) -> Table | None:
    """One table of those of several models, without columns in which nothing was measured; ``None`` if there are none.

    Args:
        tables: With equal columns.
    """
    rows = sorted((row for table in tables for row in table.rows), key=lambda row: row.place)
    if not rows:
        return None
    first = tables[0]
    kept = [k for k in range(len(first.columns)) if any(row.cells[k].estimate for row in rows)]
    return replace(
        first,
        heads=[first.heads[k] for k in kept],
        columns=[first.columns[k] for k in kept],
        rows=[row._replace(cells=[row.cells[k] for k in kept]) for row in rows],
    )


def csv_text(columns: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """Comma-separated values."""
    frame = optional("pandas", "evaluation").DataFrame(lines, columns=columns)
    text: str = frame.to_csv(index=False, na_rep="nan", lineterminator="\n")
    return text


def methods_across(
    table: ScoreTable, name: str, title: str, scores: Sequence[ScoreVariant], steps: int | None = None
) -> Table:
    """Tables 1 to 3: rows score x model, columns methods.

    Args:
        table: The scores of the evaluation.
        name: The file's name.
        title: The heading.
        scores: The scores to show.
        steps: A step count, for methods with a path only. Default ``None``: all methods with their largest.
    """
    with_steps = [method for method in table.methods if steps is None or steps in table.steps[method]]
    methods = [
        method for method in with_steps if any(table.index.is_measured(method, score, steps) for score in scores)
    ]
    rows = []
    for place, score in enumerate(scores):
        for model in table.models:
            samples = [table.sample(model, method, score.name, score.variant, steps) for method in methods]
            if any(samples):
                cells = _cells(samples, score.better)
                rows.append(TableRow((score.arrow, model), cells, not _same_images(samples), place))
    usual = max(map(table.largest, with_steps), default=0) if steps is None else steps
    heads = [
        _head(table, method, before, steps, usual) for before, method in zip([None, *methods], methods, strict=False)
    ]
    return Table(name, title, ("Metric", "Model"), heads, methods, rows)


def methods_down(
    table: ScoreTable,
    name: str,
    title: str,
    scores: Sequence[ScoreVariant],
    value: Callable[[ScoreTable, str, str, ScoreVariant], Estimate | None],
    arrows: bool = True,
) -> Table:
    """Tables 4 and 5: rows model x method, columns scores.

    Args:
        table: The scores of the evaluation.
        name: The file's name.
        title: The heading.
        scores: The scores to show.
        value: The estimate of a model, a method and a score.
        arrows: Whether headers have an arrow for the better direction.
    """
    styles, rows = method_styles(table.methods), []
    for model in table.models:
        cells = {method: [Cell(value(table, model, method, score)) for score in scores] for method in table.methods}
        shown = [score for k, score in enumerate(scores) if any(row[k].estimate for row in cells.values())]
        is_uneven = not all(_same_images(_all_steps(table, model, score)) for score in shown)
        for method, row in cells.items():
            if any(cell.estimate for cell in row):
                rows.append(TableRow((model, styles[method].label), row, is_uneven))
    columns = [f"{score.name} {score.variant}" for score in scores]
    heads = [score.arrow if arrows else score.title for score in scores]
    return Table(name, title, ("Model", "Method"), heads, columns, rows)


def differences(table: ScoreTable, name: str, title: str) -> Table:
    """The difference that IDGI makes to each method at the largest step count: rows score x model."""
    pairs = [(method, base) for method in table.methods if (base := base_method(method)) in table.methods and base]
    rows = []
    for place, score in enumerate(table.scores):
        for model in table.models:
            cells = [_difference(table, model, pair, score) for pair in pairs]
            if any(cell.estimate for cell in cells):
                rows.append(TableRow((score.arrow, model), cells, place=place))
    styles = method_styles(table.methods)
    heads = [" minus ".join(styles[method].label for method in pair) for pair in pairs]
    return Table(name, title, ("Metric", "Model"), heads, [" minus ".join(pair) for pair in pairs], rows)


class EstimateRow(NamedTuple):
    """One number of an evaluation."""

    score: ScoreVariant
    model: str
    method: str
    steps: int
    estimate: Estimate


def estimate_rows(table: ScoreTable) -> list[EstimateRow]:
    """Every number: one row per score, model, method and step count."""
    return [
        EstimateRow(score, model, method, steps, estimate)
        for score in table.scores
        for model in table.models
        for method in table.methods
        for steps in table.steps[method] or [0]
        if (estimate := table.estimate(model, method, score, steps)) is not None
    ]


def csv_of_estimates(rows: Sequence[EstimateRow]) -> str:
    """Every number in a separate column, ordered by score."""
    columns = ["score", "variant", "model", "method", "steps", "value", "low", "high", "n"]
    return csv_text(
        columns,
        [[row.score.name, row.score.variant, row.model, row.method, row.steps, *astuple(row.estimate)] for row in rows],
    )


def spread(table: ScoreTable, model: str, method: str, score: ScoreVariant) -> Estimate | None:
    """The largest minus the smallest value over the step counts, over the images that all step counts have.

    The two step counts are those of all images: a range that is selected in each resample would be biased upward.
    """
    counts = table.steps[method]
    samples = [table.sample(model, method, score.name, score.variant, steps) for steps in counts]
    return combine(samples, _range) if len(counts) > 1 else None


def _range(values: FloatArray) -> FloatArray:
    change: FloatArray = values[values[:, 0].argmax()] - values[values[:, 0].argmin()]
    return change


def _difference(table: ScoreTable, model: str, pair: tuple[str, str], score: ScoreVariant) -> Cell:
    if table.largest(pair[0]) != table.largest(pair[1]):
        return Cell(None)
    samples = [table.sample(model, method, score.name, score.variant) for method in pair]
    difference = combine(samples, lambda values: values[0] - values[1])
    side = difference.side() * score.better if difference else 0
    return Cell(difference, mark={1: "better", -1: "worse", 0: ""}[side])


def _all_steps(table: ScoreTable, model: str, score: ScoreVariant) -> list[ScoreSample | None]:
    return [
        table.sample(model, method, score.name, score.variant, steps)
        for method in table.methods
        for steps in table.steps[method] or [0]
    ]


def _same_images(samples: list[ScoreSample | None]) -> bool:
    images = [sample.images.tolist() for sample in samples if sample is not None]
    return all(names == images[0] for names in images[1:])


def _cells(samples: list[ScoreSample | None], better: int) -> list[Cell]:
    estimates = [sample.estimate if sample else None for sample in samples]
    values = [item.value * better for item in estimates if item is not None and item.value == item.value]
    best = max(values) if better and len(values) > 1 else None
    return [Cell(item, item is not None and best is not None and item.value * better == best) for item in estimates]


def _head(table: ScoreTable, method: str, before: str | None, steps: int | None, usual: int) -> str:
    is_idgi_of_before = before is not None and base_method(method) == before
    head = "+IDGI" if is_idgi_of_before else method_styles(table.methods)[method].label
    own = table.largest(method) if steps is None else steps
    return head if own in (0, usual) else f"{head} ({own} steps)"
