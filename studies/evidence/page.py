"""docs/evidence.md and its figures from the stored results: ``python -m evidence.page``."""

import argparse
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from captum_ext.visualization import png
from evidence import figures, summary
from evidence.claim import Claim, Group
from evidence.claims import degradation, guided, idgi, paths, randomization, stability, steps, toy
from evidence.stored import RESULTS, Stored
from evidence.words import label, runs_in_words, shown, signed, table

DOCS = Path(__file__).parents[2] / "docs"
DPI = 150
GROUPS: Sequence[Group] = tuple(
    module.GROUP for module in (toy, degradation, randomization, idgi, steps, paths, stability, guided)
)
MAPS = {"coffee": "an espresso", "chelsea": "a cat", "camera": "a man with a tripod"}
FIGURES = figures.FIGURES
_NAMES = {
    "pgig": "*Pattern-Guided Integrated Gradients*",
    "study": "*An Investigative Study of Integrated Gradient Methods*",
    "label": label,
    "shown": shown,
    "signed": signed,
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
    environment = _environment()
    trials = {claim.name: claim.trials(stored) for claim in claims()}
    of_images = [trial for claim in claims() if claim not in toy.GROUP.claims for trial in trials[claim.name]]
    every = [trial for some in trials.values() for trial in some]
    # Some claims share a comparison, with either sign; a distance from a bound other than 0 is none of equals.
    estimates = [trial.estimate for trial in every if not trial.bound]
    pairs = {(of.n, *sorted(map(abs, (of.value, of.low, of.high)))) for of in estimates}
    verdicts = []
    for group in GROUPS:
        for claim in group.claims:
            word, because = claim.rule(trials[claim.name])
            title = _title(environment, claim)
            verdicts.append([group.title, f"[{title}](#{claim.name})", f"**{word}**", because])
    return part(
        "evidence.md",
        stored,
        verdicts=table(["", "Claim", "Verdict", "Comparisons"], verdicts),
        outcomes=[trial.outcome for trial in every],
        n_pairs=len(pairs),
        counts=[trial.estimate.n for trial in of_images],
        maps={name: caption for name, caption in MAPS.items() if f"maps-{name}" in drawn},
        groups=[(group.title, [claim_text(claim, stored, drawn) for claim in group.claims]) for group in GROUPS],
    )


def claim_text(claim: Claim, stored: Stored, drawn: Sequence[str]) -> str:
    """A claim's section."""

    def figure(name: str, caller: Callable[[], str]) -> str:
        caption = _line(caller())
        return f"![{caption}](images/evidence-{name}.png)\n\n*{caption}*\n\n" if name in drawn else ""

    verdict = claim.verdict(stored)
    names = {"name": claim.name, "verdict": verdict, "figure": figure, **claim.facts}
    numbers = claim.numbers(stored) if verdict.word != "not run" else ()
    return part(f"claims/{claim.name}.md", stored, **names, numbers=numbers)


def part(template: str, stored: Stored, **names: Any) -> str:
    """A template of the page, filled in.

    Args:
        template: Its file.
        stored: The results.
        names: What it names beside what all templates can.
    """
    known = {"stored": stored, "settings": stored.settings, "runs": partial(runs_in_words, stored)}
    text = _environment().get_template(template).render(**known, **summary.facts(stored), **names)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"line": _line, "table": _markdown, "estimate": shown}
    environment.globals |= _NAMES
    return environment


def _title(environment: Environment, claim: Claim) -> str:
    template = environment.get_template(f"claims/{claim.name}.md")
    return "".join(template.blocks["title"](template.new_context()))


def _line(text: str) -> str:
    return " ".join(text.split())


def _markdown(part: Any) -> str:
    """A DataFrame as a table, whose first cells are not repeated; sentences as they are."""
    if not isinstance(part, pd.DataFrame):
        return str(part)
    first = part.iloc[:, 0]
    rows = part.assign(**{part.columns[0]: first.where(first != first.shift(), "")}).to_numpy().tolist()
    lines = [list(part.columns), ["---"] * len(part.columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


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
        file.write_bytes(png(figure, DPI))
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
        word, because = claim.verdict(stored)
        print(f"{_title(_environment(), claim)}: {word}" + (f" ({because})" if because else ""))


if __name__ == "__main__":
    main()
