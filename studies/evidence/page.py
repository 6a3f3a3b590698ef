"""docs/evidence.md, docs/evidence/*.md and their figures from the stored results: ``python -m evidence.page``."""

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from captum_ext.evaluation import sign_flip_test, t_interval
from captum_ext.visualization import png
from evidence import figures, summary
from evidence.claim import Claim, Group
from evidence.claims import degradation, formats, guided, idgi, paths, randomization, stability, steps
from evidence.claims.controls import CONTROLS
from evidence.decisions import LEVEL, NO_EFFECT, RULES, UNRESOLVED, WORDS, Decision, decided, null_rates, of_claim
from evidence.stored import RESULTS, Stored
from evidence.words import label, runs_in_words, shown, signed, table

DOCS = Path(__file__).parents[2] / "docs"
DPI = 150
HEADS = ("Claim", "Comparison", "Measure", "n", "Mean [adjusted]", "Sign-flip p", "Verdict")
GROUPS: Sequence[Group] = (
    *(idgi.GROUP, idgi.INFORMATION, stability.GROUP, guided.GROUP, steps.GROUP, degradation.GROUP),
    *(paths.GROUP, randomization.GROUP),
)
FIGURES = {f"question-{of.name}": partial(figures.forest, claims=[claim.name for claim in of.claims]) for of in GROUPS}


def needed(decision: Decision) -> str:
    """How many images would decide a primary, in words."""
    return f"about {decision.needed:,}" if 0 < decision.needed < 10**4 else "more than 10,000"


def kept(decisions: Sequence[Decision]) -> int:
    """How many primaries have no relevant effect."""
    return sum(one.verdict(next(iter(one.primary.claims))) == NO_EFFECT for one in decisions)


_NAMES = {
    "pgig": "*Pattern-Guided Integrated Gradients*",
    "study": "*An Investigative Study of Integrated Gradient Methods*",
    **{"label": label, "shown": shown, "signed": signed, "needed": needed, "words": WORDS},
}


def claims() -> list[Claim]:
    """All, in the pages' order."""
    return [claim for group in GROUPS for claim in group.claims]


def pages(stored: Stored, drawn: Sequence[str]) -> dict[str, str]:
    """The pages by their files in docs, every number and verdict of them from the results; ``drawn``: the figures."""
    every = list(decided(stored).values())
    counts = {group.name: verdict_counts(group, stored) for group in GROUPS}
    columns = summary.table_of_methods(stored)
    heads = ["Method", *(column.title for column in columns)]
    rows = [[label(method), *(column.cell(method) for column in columns)] for method in summary.methods_of(columns)]
    known = {"groups": GROUPS, "counts": counts, "every": every, "drawn": drawn}
    first = {"methods": table(heads, rows), "heat_map": summary.heat_map(columns) if columns else ""}
    texts = {
        "evidence.md": part("evidence.md", stored, **first, **known),
        "evidence/method.md": part(
            "method.md", stored, null=null_rates(stored), level=LEVEL, rules=RULES, first=64, **known
        ),
    }
    for group in GROUPS:
        verdicts = pd.concat([verdict_table(group.claims, stored), control_table(group, stored)])
        more = {"group": group, "verdicts": verdicts, **known}
        texts[f"evidence/{group.name}.md"] = part(f"questions/{group.name}.md", stored, **more)
    sections = [(group, [claim_text(claim, stored) for claim in group.claims]) for group in GROUPS]
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
    return table(HEADS, rows)


def control_table(group: Group, stored: Stored) -> Any:
    """A row per control of a question, with its 95% interval: what the measure gives where the answer is known."""
    rows = []
    for one in CONTROLS[group.name]:
        values = one.values(stored).dropna().to_numpy(np.float64)
        if len(values):
            numbers = [str(len(values)), signed(t_interval(values)), f"{sign_flip_test(values):.4f}"]
            rows.append(["*Controls*", one.pair, one.measure, *numbers, one.role])
    return table(HEADS, rows)


def claim_text(claim: Claim, stored: Stored) -> str:
    """A claim in full."""

    is_run = any(stored.frame(name) is not None for name in claim.runs)
    numbers = claim.numbers(stored) if is_run else ()
    verdicts = verdict_table([claim], stored).drop(columns="Claim")
    names = {"name": claim.name, "is_run": is_run, "verdicts": verdicts, **claim.facts}
    return part(f"claims/{claim.name}.md", stored, **names, numbers=numbers)


def part(template: str, stored: Stored, **names: Any) -> str:
    """A template, filled in; ``names``: what it names beside what all templates can."""
    known = {"stored": stored, "settings": stored.settings, "runs": partial(runs_in_words, stored)}
    known |= {"of_claim": partial(of_claim, stored), "equal_cost": steps.equal_cost, "selection": idgi.selection}
    known |= {"orders": formats.orders, "kept": kept}
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
    """Write the pages and their figures, and return the pages."""
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
    """Write the pages."""
    parser = argparse.ArgumentParser(prog="evidence.page", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    print(*write(Stored(options.results), options.docs), sep="\n")


if __name__ == "__main__":
    main()
