"""A claim of a paper and its numbers. What the pages say of it is in ``templates/claims/NAME.md``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evidence.stored import Stored


@dataclass(frozen=True)
class Claim:
    """One statement. The primaries that judge it are in ``plan``.

    Attributes:
        name: Of its template, and for links to it.
        numbers: Tables (DataFrames) without verdicts, and sentences between them.
        facts: Constants that the template names.
        runs: The runs and experiments whose results it needs; it was run if there are any.
    """

    name: str
    numbers: Callable[[Stored], Sequence[Any]] = lambda stored: ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    runs: Sequence[str] = ()


class Group(NamedTuple):
    """The claims of one question, which has a page."""

    name: str
    title: str
    claims: Sequence[Claim]
