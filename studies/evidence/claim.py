"""A claim of a paper, and what the page says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evidence.stored import Stored
from evidence.verdicts import NOT_RUN, Trial, Verdict, verdict


@dataclass(frozen=True)
class Figure:
    """An image of the page, ``docs/images/evidence-NAME.png``, and what it shows."""

    name: str
    caption: str


@dataclass(frozen=True)
class Claim:
    """One statement, and how it is tested.

    Attributes:
        name: For the link to it.
        title: What is claimed, in a line.
        quote: In the paper's words and numbers; or what this project asks, where no paper says anything.
        source: Where the paper has it.
        run: What was run, from the results.
        trials: The comparisons; none if what they need was not run.
        numbers: Tables of this project's numbers, in Markdown.
        figures: Drawn from the results, where there are any.
        remark: What the numbers can't say.
        rule: From the comparisons to the verdict.
    """

    name: str
    title: str
    quote: str
    source: str
    run: Callable[[Stored], str]
    trials: Callable[[Stored], Sequence[Trial]]
    numbers: Callable[[Stored], Sequence[str]]
    figures: Sequence[Figure] = field(default_factory=tuple)
    remark: str = ""
    rule: Callable[[Sequence[Trial]], Verdict] = verdict

    def verdict(self, stored: Stored) -> Verdict:
        """By the rule, from the numbers."""
        return self.rule(self.trials(stored))

    def text(self, stored: Stored, drawn: Sequence[str]) -> str:
        """The claim's section.

        Args:
            stored: The results.
            drawn: The names of the figures that there are.
        """
        found = self.verdict(stored)
        parts = [f"({self.name})=\n### {self.title}", f"> {self.quote}\n>\n> {self.source}"]
        if found.word == NOT_RUN:
            return "\n\n".join([*parts, "**Not run.**"])
        because = found.because[:1].upper() + found.because[1:]
        parts += [f"**Verdict: {found.word}.** {because}.", f"*Run:* {self.run(stored)}", *self.numbers(stored)]
        parts += [
            f"![{figure.caption}](images/evidence-{figure.name}.png)\n\n*{figure.caption}*"
            for figure in self.figures
            if figure.name in drawn
        ]
        return "\n\n".join([*parts, *([self.remark] if self.remark else [])])


@dataclass(frozen=True)
class Group:
    """Claims that belong together."""

    title: str
    claims: Sequence[Claim]
    preface: str = ""
