"""docs/evidence.md, docs/evidence/*.md and their figures from the stored results: ``python -m evidence.page``."""

import argparse
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from captum_ext.visualization import png
from evidence import figures, summary
from evidence.claim import Claim, Group
from evidence.claims import degradation, guided, idgi, paths, randomization, stability, steps
from evidence.decisions import UNRESOLVED, WORDS, Decision, decided, null_rates, of_claim
from evidence.stored import RESULTS, Stored
from evidence.words import label, runs_in_words, shown, signed, table

DOCS = Path(__file__).parents[2] / "docs"
DPI = 150
GROUPS: Sequence[Group] = (
    *(idgi.GROUP, idgi.INFORMATION, stability.GROUP, guided.GROUP, steps.GROUP, degradation.GROUP),
    *(paths.GROUP, randomization.GROUP),
)
FIGURES: dict[str, figures.Draw] = {
    **figures.FIGURES,
    "overview": figures.overview,
    **{f"question-{of.name}": partial(figures.forest, claims=[claim.name for claim in of.claims]) for of in GROUPS},
}


def needed(decision: Decision) -> str:
    """How many images would decide a primary, in words."""
    return f"about {decision.needed:,}" if 0 < decision.needed < 10**4 else "more than 10,000"


_NAMES = {
    "pgig": "*Pattern-Guided Integrated Gradients*",
    "study": "*An Investigative Study of Integrated Gradient Methods*",
    **{"label": label, "shown": shown, "signed": signed, "needed": needed, "words": WORDS},
}


def claims() -> list[Claim]:
    """All, in the pages' order."""
    return [claim for group in GROUPS for claim in group.claims]


def pages(stored: Stored, drawn: Sequence[str]) -> dict[str, str]:
    """The pages by their files in docs, every number and verdict of them from the results.

    Args:
        stored: The results.
        drawn: The names of the figures that there are.
    """
    every = list(decided(stored).values())
    counts = {group.name: verdict_counts(group, stored) for group in GROUPS}
    columns = summary.table_of_methods(stored)
    methods = [method for method in summary.GRADIENTS if any(method in column.values for column in columns)]
    heads = ["Method", *(column.title.replace("\n", " ") for column in columns)]
    rows = [[label(method), *(column.cell(method) for column in columns)] for method in methods]
    known = {"groups": GROUPS, "counts": counts, "every": every, "drawn": drawn}
    texts = {
        "evidence.md": part("evidence.md", stored, methods=table(heads, rows), **known),
        "evidence/method.md": part("method.md", stored, null=null_rates(stored), **known),
    }
    for group in GROUPS:
        more = {"group": group, "verdicts": verdict_table(group.claims, stored), **known}
        texts[f"evidence/{group.name}.md"] = part(f"questions/{group.name}.md", stored, **more)
    sections = [(group, [claim_text(claim, stored, drawn) for claim in group.claims]) for group in GROUPS]
    return texts | {"evidence/claims.md": part("claims.md", stored, sections=sections)}


def verdict_counts(group: Group, stored: Stored) -> Counter[str]:
    """How often each word is said."""
    return Counter(one.verdict(claim.name) for claim in group.claims for one in of_claim(stored, claim.name))


def verdict_table(some: Sequence[Claim], stored: Stored) -> Any:
    """A row per claim and comparison."""
    rows = []
    for claim in some:
        for one in of_claim(stored, claim.name):
            word, numbers = one.verdict(claim.name), [signed(one.adjusted), f"{one.sign_flip_p:.4f}"]
            advice = f", {needed(one)} would decide it" if word == UNRESOLVED else ""
            what = [f"[{title(claim)}](#{claim.name})", one.primary.pair, one.primary.measure, str(one.estimate.n)]
            rows.append([*what, *numbers, f"**{word}**{advice}"])
    return table(["Claim", "Comparison", "Measure", "n", "Mean [adjusted]", "Sign-flip p", "Verdict"], rows)


def claim_text(claim: Claim, stored: Stored, drawn: Sequence[str]) -> str:
    """A claim in full."""

    def figure(name: str, caller: Callable[[], str]) -> str:
        caption = _line(caller())
        return f"![{caption}](../images/evidence-{name}.png)\n\n*{caption}*\n\n" if name in drawn else ""

    is_run = any(stored.frame(name) is not None for name in claim.runs)
    numbers = claim.numbers(stored) if is_run else ()
    verdicts = verdict_table([claim], stored).drop(columns="Claim")
    names = {"name": claim.name, "figure": figure, "is_run": is_run, "verdicts": verdicts, **claim.facts}
    return part(f"claims/{claim.name}.md", stored, **names, numbers=numbers)


def part(template: str, stored: Stored, **names: Any) -> str:
    """A template, filled in.

    Args:
        template: Its file.
        stored: The results.
        names: What it names beside what all templates can.
    """
    known = {"stored": stored, "settings": stored.settings, "runs": partial(runs_in_words, stored)}
    known |= {"of_claim": partial(of_claim, stored), "equal_cost": steps.equal_cost, "selection": idgi.selection}
    text = _environment().get_template(template).render(**known, **summary.facts(stored), **names)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def title(claim: Claim) -> str:
    """The claim in a few words."""
    template = _environment().get_template(f"claims/{claim.name}.md")
    return _line("".join(template.blocks["title"](template.new_context())))


def _environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"line": _line, "table": _markdown, "estimate": shown}
    environment.globals |= _NAMES
    return environment


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


def write(stored: Stored, docs: Path) -> list[Path]:
    """Write the pages and their figures.

    Returns:
        The pages.
    """
    images, drawn = docs / "images", []
    images.mkdir(parents=True, exist_ok=True)
    (docs / "evidence").mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        file = images / f"evidence-{name}.png"
        figure = draw(stored)
        if figure is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(png(figure, DPI))
            drawn.append(name)
    texts = {docs / name: text for name, text in pages(stored, drawn).items()}
    for target, text in texts.items():
        target.write_text(text)
    return list(texts)


def main() -> None:
    """Write the pages, and print the verdicts."""
    parser = argparse.ArgumentParser(prog="evidence.page", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    stored = Stored(options.results)
    write(stored, options.docs)
    for group in GROUPS:
        print(f"{group.title} {dict(verdict_counts(group, stored))}")


if __name__ == "__main__":
    main()
