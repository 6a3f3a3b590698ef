"""docs/evidence.md and its figures from the stored results: ``python -m evidence.page``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from evidence import follows, short
from evidence.claim import Claim, Group
from evidence.claims import degradation, guided, idgi, paths, randomization, stability, steps, toy
from evidence.figures import degradation as degradation_figures
from evidence.figures import guided as guided_figures
from evidence.figures import paths as path_figures
from evidence.figures import randomization as randomization_figures
from evidence.figures import steps as steps_figures
from evidence.figures import tables as table_figures
from evidence.figures import toy as toy_figures
from evidence.figures.frame import DPI
from evidence.stored import RESULTS, Stored
from evidence.verdicts import HOLDS, REVERSED, UNDECIDED
from evidence.words import table

DOCS = Path(__file__).parents[2] / "docs"
GROUPS: Sequence[Group] = (
    toy.GROUP,
    degradation.GROUP,
    randomization.GROUP,
    idgi.GROUP,
    steps.GROUP,
    paths.GROUP,
    stability.GROUP,
    guided.GROUP,
)
MAPS = {
    "coffee": "Maps of an espresso by 17 methods",
    "chelsea": "Maps of a cat by 17 methods",
    "camera": "Maps of a man with a tripod by 17 methods",
}
FIGURES: dict[str, Callable[[Stored], Figure | None]] = {
    "toy": toy_figures.toy,
    "degradation": degradation_figures.curves,
    "degradation-pgig": degradation_figures.against,
    "randomization": randomization_figures.randomization,
    "insertion": table_figures.insertion,
    "insertion-curves": table_figures.curves,
    "idgi": table_figures.added,
    "steps": steps_figures.steps,
    "paths": path_figures.paths,
    "stability": table_figures.stable,
    "guided": guided_figures.guided,
}


def claims() -> list[Claim]:
    """All, in the page's order."""
    return [claim for group in GROUPS for claim in group.claims]


def page(stored: Stored, drawn: Sequence[str]) -> str:
    """The page, every number and verdict of it from the results.

    Args:
        stored: The results.
        drawn: The names of the figures that there are.
    """
    parts = [
        _HEAD,
        *short.parts(stored),
        "## The verdicts",
        _verdicts(stored),
        _trials(stored),
        "## How to read it",
        _HOW,
        "## Limits",
        _LIMITS.format(images=_images(stored)),
    ]
    if shown := [name for name in MAPS if f"maps-{name}" in drawn]:
        parts += ["## The maps", _MAPS, *(f"![{MAPS[name]}](images/evidence-maps-{name}.jpg)" for name in shown)]
    for group in GROUPS:
        parts += [f"## {group.title}", *([group.preface] if group.preface else [])]
        parts += [claim.text(stored, drawn) for claim in group.claims]
    return "\n\n".join([*parts, *follows.parts(stored)]) + "\n"


def _verdicts(stored: Stored) -> str:
    rows = []
    for group in GROUPS:
        for claim in group.claims:
            found = claim.verdict(stored)
            rows.append([group.title, f"[{claim.title}](#{claim.name})", f"**{found.word}**", found.because])
    return table(["", "Claim", "Verdict", "Comparisons"], rows)


def _trials(stored: Stored) -> str:
    """How many comparisons there are, and how many of as many equals chance would decide."""
    every = [trial for claim in claims() for trial in claim.trials(stored)]
    outcomes = [trial.outcome for trial in every]
    counts = [outcomes.count(outcome) for outcome in (HOLDS, REVERSED, UNDECIDED)]
    # Some claims share a comparison, with either sign; a distance from a bound other than 0 is none of equals.
    pairs = {(t.found.n, *sorted(map(abs, (t.found.value, t.found.low, t.found.high)))) for t in every if not t.bound}
    return (
        f"The verdicts rest on {len(outcomes)} comparisons: {counts[0]} as claimed, {counts[1]} reversed, "
        f"{counts[2]} undecided. {len(pairs)} of them are different ones of two values; of as many comparisons of "
        f"equals, about {0.05 * len(pairs):.0f} would be decided by chance, half of them either way."
    )


def _images(stored: Stored) -> str:
    """How many images the comparisons have; Fig. 2's are of points."""
    claims_of_images = [claim for group in GROUPS if group is not toy.GROUP for claim in group.claims]
    counts = [trial.found.n for claim in claims_of_images for trial in claim.trials(stored)]
    return f", {min(counts)} to {max(counts)} images in a comparison" if counts else ""


_HEAD = """# Evidence

*Made by `make evidence` from `studies/evidence/results/`; not written by hand. The runs behind it are commands of their
own (`python -m evidence.runs`, `python -m evidence.experiments`), and the photographs are not needed to make
the page.*

Which method should one trust? Two papers make claims: Schwarzenberg and Castle, *Pattern-Guided Integrated
Gradients* (2020), and *Strengthening Interpretability: An Investigative Study of Integrated Gradient Methods*,
here "the study". Each claim was tested on real photographs and networks, and a rule made the verdict from the
numbers."""

_HOW = """A value is `value [low, high]`: 95 % bootstrap intervals over images (percentiles of 1,000 resamples), and n
is the number of images. Methods are compared by differences over the same images, each resample of which is of
both.

A comparison is decided where its whole interval is on one side of 0 (or of the bound that is named), and over
fewer than 10 images never. A claim

- **holds** if all its comparisons are decided in its favour;
- **does not hold** if none is and some are against it;
- is **undecided** if none is decided;
- **holds only under** a condition (a ranking, a normalisation, a model, a method), or two together, if these single
  out the comparisons in its favour; **undecided elsewhere** if no other is decided;
- otherwise **holds where decided** if none is against it, **holds in part** if at least half are in its favour, and is
  **mixed** if fewer are. Where all comparisons under a condition are in its favour, and make up half of those that
  are, the condition is named.

Claims without exceptions (steeper than *all* others, invariance) are refuted by one comparison against them: the
first kind in each model and protocol, where one verdict is made of all rivals."""

_LIMITS = """- **The photographs are probably training images** of the ImageNet networks: 250, one per class. Scores on
  them are no measure of generalisation, and maps of images that a network was trained on may differ from others'.
  The MNIST network's test digits are known to be unseen.
- **n is small**{images}, where the papers had 33,000 to 50,000. Intervals say how much a value
  would vary with other images like these; a small effect is undecided here and may be there.
- **The networks are small**: EfficientNet-Lite0 to 2, a VGG-16 with a two-class head, and a small network on
  digits. None of the study's ten networks is among them.
- **Many comparisons** are made, each at 95 %. Their number is above; a single decided comparison out of many
  undecided ones means little.
- **Intervals do not cover** another network, other weights, or a method's own randomness.
- Blur IG pads with zeros here, as in its authors' code; the study pads by reflection."""

_MAPS = """scikit-image's photographs by every method: EfficientNet-Lite0, the softmax of the predicted class, 50 steps
from black. Red speaks for the class, blue against it; each map has its own scale. PatternNet's is no share of
the output but a signal. A map that looks good has not shown anything yet; the rest of this page is about what
can be measured."""


def write(stored: Stored, docs: Path) -> Path:
    """Write the page and its figures.

    Returns:
        The page.
    """
    images = docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    drawn = [f"maps-{name}" for name in MAPS if (images / f"evidence-maps-{name}.jpg").exists()]
    for name, draw in FIGURES.items():
        file = images / f"evidence-{name}.png"
        figure = draw(stored)
        if figure is None:
            file.unlink(missing_ok=True)
            continue
        figure.savefig(file, dpi=DPI)
        drawn.append(name)
    target = docs / "evidence.md"
    target.write_text(page(stored, drawn))
    return target


def main() -> None:
    """Write the page, and print the verdicts."""
    parser = argparse.ArgumentParser(prog="evidence.page", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    stored = Stored(options.results)
    write(stored, options.docs)
    for claim in claims():
        print(f"{claim.title}: {claim.verdict(stored)}")


if __name__ == "__main__":
    main()
