"""The study's Fig. 4, Table 4 and the appendix: what the number of steps changes."""

from itertools import product
from typing import Any

from evidence.claim import Claim, Group
from evidence.claims import truncated
from evidence.claims.stepped import BASES, FINEST, METHODS, RUN, SCORES, STEPS, at, changes, conditions, ends
from evidence.papers import RESIDUAL, idgi, study
from evidence.stored import FloatArray, Stored, change
from evidence.verdicts import Trial, measured
from evidence.words import compared, label, outcome_word, shown, signed, table, trial_table

_PARTS = ((8, 32), (32, 128))
LITTLE = 0.1  # a share of the gain from 8 to 128 steps, this project's measure of "marginal"


def _sensitivity(stored: Stored) -> list[Trial]:
    return measured(
        (stored.combined(ends(base, score) + ends(idgi(base), score), changes), conditions(score, base))
        for score, base in product(SCORES, BASES)
    )


def _sensitivity_numbers(stored: Stored) -> list[Any]:
    rows, values = [], []
    for (score, title), base in product(SCORES.items(), BASES):
        own, other = (stored.combined(ends(method, score), change) for method in (base, idgi(base)))
        more = stored.combined(ends(base, score) + ends(idgi(base), score), changes)
        if own and other and more:
            cells = [shown(own), shown(other), compared(Trial(more), "more", "less")]
            rows.append([title, label(base), str(more.n), *cells])
    for (score, title), method in product(SCORES.items(), METHODS):
        every = stored.together(at(method, score, *STEPS))
        if every:
            values.append([title, label(method), str(every[0].n), *map(shown, every)])
    heads = ["Score", "Base", "n", "change of the base", "change of + IDGI", "difference"]
    steps = [f"{count} steps" for count in STEPS]
    return [_study_changes(), table(heads, rows), table(["Score", "Method", "n", *steps], values)]


def _study_changes() -> str:
    """In how many of the study's nets and scores IDGI changes more, by its own tables."""
    scores = sorted({score for score, _ in study()})
    parts = []
    for base in BASES:
        larger = []
        for score in scores:
            for model in study()[score, 128]:
                first, last = (study()[score, steps][model] for steps in (STEPS[0], STEPS[-1]))
                larger.append(abs(last[idgi(base)] - first[idgi(base)]) > abs(last[base] - first[base]))
        parts.append(f"{label(base)} + IDGI changes more than {label(base)} in {sum(larger)} of {len(larger)}")
    return f"By the study's own tables (ten nets, {len(scores)} scores) {' and '.join(parts)}."


def _more_is_better(stored: Stored) -> list[Trial]:
    return measured(
        (
            stored.difference(*at(method, score, last, first)),
            {**conditions(score, method), "part": f"{first} to {last}"},
        )
        for score, (first, last), method in product(SCORES, _PARTS, METHODS)
    )


def _late(values: FloatArray) -> FloatArray:
    """Of columns 8, 32, 128 steps: what comes after 32, less the share of all that is still said to be little."""
    excess: FloatArray = (values[2] - values[1]) - LITTLE * (values[2] - values[0])
    return excess


def _little_after_32(stored: Stored) -> list[Trial]:
    return measured(
        (
            (stored.combined(at(method, score, 8, 32, 128), _late), conditions(score, method))
            for score, method in product(SCORES, METHODS)
        ),
        sign=-1,
    )


def _gain_numbers(stored: Stored) -> list[Any]:
    rows, parts = [], (*_PARTS, (8, 128))
    for (score, title), method in product(SCORES.items(), METHODS):
        gains = [stored.difference(*at(method, score, last, first)) for first, last in parts]
        excess = stored.combined(at(method, score, 8, 32, 128), _late)
        if excess and all(gains):
            cells = [compared(Trial(gain), "better", "worse") for gain in gains if gain]
            little = outcome_word(Trial(excess, sign=-1).outcome, "yes", "no")
            rows.append([title, label(method), str(excess.n), *cells, little])
    heads = [*(f"{first} → {last}" for first, last in parts), f"less than {LITTLE:.0%} of the gain after 32"]
    return [table(["Score", "Method", "n", *heads], rows)]


def _more_for_ig(stored: Stored) -> list[Trial]:
    """How much more IDGI gains from the steps on the straight path than on the blur path."""
    return measured(
        (
            stored.combined(
                ends("blur-ig+idgi", score) + ends("idgi", score),
                lambda values: (values[3] - values[2]) - (values[1] - values[0]),
            ),
            conditions(score),
        )
        for score in SCORES
    )


def _more_for_ig_numbers(stored: Stored) -> list[Any]:
    head = "gain of IG + IDGI less that of Blur IG + IDGI"
    return [trial_table(_more_for_ig(stored), {"Score": "{score}, {ranking}"}, head, "more", "less")]


def _blur_below(stored: Stored) -> list[Trial]:
    return measured(
        (stored.difference(*at("idgi", score, 128), *at("blur-ig+idgi", score, 128)), conditions(score))
        for score in SCORES
    )


def _blur_below_numbers(stored: Stored) -> list[Any]:
    """In how many of the study's nets that is so, by its own tables; and ours."""
    parts = []
    for score in sorted({score for score, _ in study()}):
        below = {model: values["blur-ig+idgi"] < values["idgi"] for model, values in study()[score, 128].items()}
        residual = sum(below[model] for model in RESIDUAL)
        parts.append(
            f"{score}: {sum(below.values())} of {len(below)} ({residual} of the {len(RESIDUAL)} residual ones)"
        )
    rows = [
        [
            ", ".join(trial.conditions.values()),
            str(trial.estimate.n),
            signed(trial.estimate),
            outcome_word(trial.outcome, "higher", "lower"),
        ]
        for trial in _blur_below(stored)
    ]
    heads = ["Score at 128 steps", "n", "IG + IDGI less Blur IG + IDGI", "IG + IDGI is"]
    own = f"By the study's own tables it is so for these numbers of nets: {'; '.join(parts)}."
    return [own, table(heads, rows)]


_FACTS = {"whole": RUN, "finest": FINEST, "little": LITTLE}
GROUP = Group(
    "The number of steps",
    [
        *(
            Claim(name, trials, numbers, facts=_FACTS)
            for name, trials, numbers in (
                ("claim-steps", _sensitivity, _sensitivity_numbers),
                ("claim-more-steps", _more_is_better, _gain_numbers),
                ("claim-few-steps", _little_after_32, lambda _: ["The table above has the gains."]),
                ("claim-ig-gains-more", _more_for_ig, _more_for_ig_numbers),
                ("claim-blur-steps", _blur_below, _blur_below_numbers),
            )
        ),
        truncated.CLAIM,
    ],
)
