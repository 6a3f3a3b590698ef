"""The report's files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from captum_ext._utils.optional import optional
from captum_ext.evaluation.reporting.account import account, unfinished
from captum_ext.evaluation.reporting.contents import Section, sections
from captum_ext.evaluation.reporting.estimates import RESAMPLES
from captum_ext.evaluation.reporting.figures import Drawing
from captum_ext.evaluation.reporting.findings import Findings
from captum_ext.evaluation.reporting.text import as_csv, csv_of, escaped, grid, markdown
from captum_ext.evaluation.store import Results, ResultsError

if TYPE_CHECKING:
    import pandas as pd

_HOW_TO_READ = (
    "A cell is `value [low, high] (n)`: the data set's value, its 95 % interval (bootstrap over images, percentile "
    f"method, {RESAMPLES:,} resamples), and the number of images. Each method with a path has its largest step count "
    "unless a table says otherwise. ↑: higher is better, ↓: lower is better; the best value of a row is **bold**, "
    "however close the others come. A dash was not measured, or has no value."
)


def report(results: str | Path, output: str | Path | None = None) -> list[Path]:
    """Write the tables and figures of an evaluation, with intervals and the number of images in every cell.

    The data set's value of a score is the mean over the images, but for AIC and SIC, where it is the area under the
    median or mean curve, as the protocol has it; stability, -log10 of the mean squared difference's mean; and
    completeness, the median. Intervals are bootstrap percentiles over images (95 %, 1,000 resamples, seeded: the same
    results give the same report); those of differences and of changes with the number of steps are of the same images
    on both sides.

    Args:
        results: The folder that ``captum-ext evaluate`` writes; it need not be finished.
        output: The folder to write to, made if it isn't there. Default ``None``: ``report`` in the results' folder.

    Returns:
        The files, of which ``report.md`` shows all others, ``tables/*.csv`` (``estimates.csv`` has every number in a
        column of its own) and ``figures/*.png``.

    Raises:
        ResultsError: If there are no results, or the report can't be written.
        ImportError: If pandas, pyarrow or matplotlib is missing: the extra ``captum_ext[evaluation]``.

    Reference:
        The layout is that of Singhi, Kumari: Strengthening Interpretability: An Investigative Study of Integrated
        Gradient Methods. 2024. https://arxiv.org/abs/2409.09043, Tables 1 to 5, and of Schwarzenberg, Castle:
        Pattern-Guided Integrated Gradients. 2020. https://arxiv.org/abs/2007.10685, Fig. 3.

    Example:
        >>> import tempfile
        >>> from captum_ext.evaluation import report
        >>> from captum_ext.evaluation.store import Results, Row
        >>> results = Results(Path(tempfile.mkdtemp()))
        >>> results.begin({"models": ["net"], "methods": ["ig"], "steps": [8], "images": 2})
        >>> results.write("net", 0, [Row(f"{k}.png", "ig", 8, "completeness", "relative", k) for k in range(2)])
        >>> files = report(results.folder)
        >>> files[0].name, "0.500 [0.000, 1.000] (2)" in files[0].read_text()
        ('report.md', True)
    """
    folder = Results(Path(results))
    settings = folder.settings()
    optional("pyarrow", "evaluation")  # without it pandas says that each file is damaged
    frame = folder.read()
    target = Path(output) if output is not None else folder.folder / "report"
    try:
        for part in ("tables", "figures"):  # before the work, not after it
            (target / part).mkdir(parents=True, exist_ok=True)
        findings = Findings(frame, settings)
        parts = sections(findings)
        pictures = _figures(findings, parts)
        files = {target / "report.md": _text(frame, findings, settings, parts, pictures).encode()}
        files[target / "tables" / "estimates.csv"] = _estimates(findings).encode()
        for section in parts:
            files |= {target / "tables" / f"{table.name}.csv": as_csv(table).encode() for table in section.tables}
        files |= {target / "figures" / name: drawing.png() for drawn in pictures.values() for name, drawing in drawn}
        for path, content in files.items():
            path.write_bytes(content)
    except OSError as error:
        raise ResultsError(f"{error.filename or target}: can't be written ({error.strerror or error}).") from error
    return list(files)


Pictures = dict[str, list[tuple[str, Drawing]]]  # by section: file names and drawings


def _figures(findings: Findings, parts: list[Section]) -> Pictures:
    slugs = _slugs(findings.models)
    found: Pictures = {}
    for section in parts:
        for figure in section.figures:
            for model in findings.models:
                drawing = figure.draw(findings, model)
                if drawing is not None:
                    found.setdefault(section.title, []).append((f"{slugs[model]}-{figure.name}.png", drawing))
    return found


def _slugs(models: list[str]) -> dict[str, str]:
    """Names for files, each unlike the others also where case does not count."""
    found: dict[str, str] = {}
    for model in models:
        plain = re.sub(r"[^a-zA-Z0-9.+-]+", "_", model).strip("._")[:60] or "model"
        slug, k = plain, 1
        while slug.lower() in {taken.lower() for taken in found.values()}:
            k += 1
            slug = f"{plain}_{k}"
        found[model] = slug
    return found


def _text(
    frame: pd.DataFrame, findings: Findings, settings: dict[str, Any], parts: list[Section], pictures: Pictures
) -> str:
    blocks = ["# Evaluation"]
    missing = unfinished(frame, findings, settings)
    if missing:
        blocks.append("**Unfinished**: " + "; ".join(map(escaped, missing)) + ". The numbers are of these.")
    rows = [[escaped(key), escaped(_shown(value))] for key, value in sorted(settings.items())]
    blocks += ["## Settings", grid(["Setting", "Value"], rows), "## Images", account(frame, findings, settings)]
    blocks += ["## How to read the numbers", _HOW_TO_READ]
    for section in parts:
        blocks.append(f"## {section.title}")
        blocks += [markdown(table, table.title != section.title) for table in section.tables]
        blocks += [f"![{escaped(drawn.title)}](figures/{name})" for name, drawn in pictures.get(section.title, [])]
    return "\n\n".join(blocks) + "\n"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _estimates(findings: Findings) -> str:
    """Every number: one line a model, method, step count and measure."""
    lines = []
    for measure in findings.measures:
        for model in findings.models:
            for method in findings.methods:
                for steps in findings.steps[method] or [0]:
                    found = findings.estimate(model, method, steps, measure)
                    if found is not None:
                        key = (measure.score, measure.variant, model, method, steps)
                        lines.append([*key, found.value, found.low, found.high, found.n])
    return csv_of(["score", "variant", "model", "method", "steps", "value", "low", "high", "n"], lines)
