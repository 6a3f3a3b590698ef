"""The result of an evaluation in a paragraph."""

from __future__ import annotations

from captum_ext.evaluation.estimates import FEWEST_IMAGES, Estimate, combine
from captum_ext.evaluation.scores import ScoreTable, ScoreVariant
from captum_ext.visualization import method_styles

# Completeness is exact for IDGI by construction; the others compare maps with maps, or repeat insertion.
_WITHOUT_RANKING = ("completeness", "class-sensitivity", "randomization", "stability", "insertion-ratio")
_MAX_SCORES = 6
_CAUTION = "Intervals are 95% bootstrap intervals over images and do not account for the choice of the best method."


def findings(table: ScoreTable) -> list[str]:
    """One paragraph per model: the best method of each score, and whether it differs from the next one.

    Scores whose data set's value needs curves are left out, so that the results can be read without them.
    """
    paragraphs = []
    for model in table.models:
        ranked = [score for score in table.scores if score.better and score.statistic == "mean"]
        sentences = [_finding(table, model, score) for score in ranked if score.name not in _WITHOUT_RANKING]
        present = [sentence for sentence in sentences if sentence]
        if present:
            more = ["The tables have the other scores."] if len(present) > _MAX_SCORES else []
            paragraphs.append(" ".join([f"{model}:", *present[:_MAX_SCORES], *more, _CAUTION]))
    return paragraphs


def _finding(table: ScoreTable, model: str, score: ScoreVariant) -> str:
    """A sentence about one score; empty with fewer than two methods."""
    values: dict[str, Estimate] = {}
    for method in table.methods:
        value = table.estimate(model, method, score)
        if value is not None and value.value == value.value:
            values[method] = value
    if len(values) < 2:
        return ""
    styles = method_styles(table.methods)
    best, following = sorted(values, key=lambda method: -score.better * values[method].value)[:2]
    samples = [table.sample(model, method, score.name, score.variant) for method in (best, following)]
    difference = combine(samples, lambda replicates: replicates[0] - replicates[1])
    assert difference is not None, "both were measured"
    name, other = styles[best].label, styles[following].label
    head = f"{score.title}, {score.direction}: {name} has {values[best]}"
    if difference.n < FEWEST_IMAGES:
        return f"{head}, {other} {values[following]}; {difference.n} images are too few to compare them."
    if difference.side() == score.better:
        return f"{head} and differs from the next, {other}, by {difference} over {difference.n} images."
    return f"{head}; its difference from {other}, {difference} over {difference.n} images, can be chance."
