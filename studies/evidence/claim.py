"""A claim of a paper, and how it is tested. What the page says of it is in ``templates/claims/NAME.md``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evidence.stored import Stored
from evidence.verdicts import Trial, Verdict, verdict


@dataclass(frozen=True)
class Claim:
    """One statement, and how it is tested.

    Attributes:
        name: Of its template, and for the link to it.
        trials: The comparisons; none if what they need was not run.
        numbers: Tables (DataFrames) of this project's numbers, and sentences between them.
        rule: From the comparisons to the verdict.
        facts: Constants that the template names.
    """

    name: str
    trials: Callable[[Stored], Sequence[Trial]]
    numbers: Callable[[Stored], Sequence[Any]] = lambda stored: ()
    rule: Callable[[Sequence[Trial]], Verdict] = verdict
    facts: Mapping[str, Any] = field(default_factory=dict)

    def verdict(self, stored: Stored) -> Verdict:
        """What the rule makes of the numbers."""
        return self.rule(self.trials(stored))


class Group(NamedTuple):
    """Claims that belong together."""

    title: str
    claims: Sequence[Claim]
