"""The study's Fig. 4, Table 4 and the appendix: what the number of steps changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from captum_ext.evaluation.reporting.estimates import Estimate, Floats
from evidence.claim import Claim, Figure, Group
from evidence.claims import truncated
from evidence.claims.stepped import BASES, FINEST, RUN, SCORES, STEPS, at, changes, columns, ends, kind, where
from evidence.papers import RESIDUAL, STUDY, idgi, study
from evidence.stored import Column, Stored, change
from evidence.verdicts import Trial
from evidence.words import label, said, shown, signed, table, told

_METHODS = [method for base in BASES for method in (base, idgi(base))]
_PARTS = ((8, 32), (32, 128))
LITTLE = 0.1  # a share of the gain from 8 to 128 steps, this project's measure of "marginal"


def _over(
    stored: Stored, combine: Callable[[Floats], Floats], methods: Sequence[str], pick: Callable[[str], list[Column]]
) -> dict[str, Estimate]:
    found = {method: stored.combined(pick(method), combine) for method in methods}
    return {method: value for method, value in found.items() if value is not None}


def _sensitivity(stored: Stored) -> list[Trial]:
    found = []
    for score in SCORES:
        both = _over(stored, changes, BASES, lambda base, s=score: ends(base, s) + ends(idgi(base), s))  # type: ignore[misc]
        found += [Trial(more, where(score, base)) for base, more in both.items()]
    return found


def _sensitivity_numbers(stored: Stored) -> list[str]:
    rows = []
    for score, title in SCORES.items():
        for base in BASES:
            own, other = (stored.combined(ends(method, score), change) for method in (base, idgi(base)))
            more = stored.combined(ends(base, score) + ends(idgi(base), score), changes)
            if own and other and more:
                cells = [shown(own), shown(other), f"{signed(more)} {said(Trial(more).outcome, 'more', 'less')}"]
                rows.append([title, label(base), str(more.n), *cells])
    heads = ["Score", "Base", "n", "change of the base", "change of + IDGI", "difference"]
    return [_study_changes(), table(heads, rows), *_values(stored)]


def _study_changes() -> str:
    """In how many of the study's nets and scores IDGI changes more, by its own tables."""
    scores = sorted({score for score, _ in study()})
    parts = []
    for base in BASES:
        larger = [
            abs(_moved(score, model, idgi(base))) > abs(_moved(score, model, base))
            for score in scores
            for model in study()[score, 128]
        ]
        parts.append(f"{label(base)} + IDGI changes more than {label(base)} in {sum(larger)} of {len(larger)}")
    return f"By the study's own tables (ten nets, {len(scores)} scores) {' and '.join(parts)}."


def _moved(score: str, model: str, method: str) -> float:
    first, last = (study()[score, steps][model][method] for steps in (STEPS[0], STEPS[-1]))
    return last - first


def _values(stored: Stored) -> list[str]:
    rows = []
    for score, title in SCORES.items():
        for method in _METHODS:
            cells = stored.together(columns(method, score))
            if cells:
                rows.append([title, label(method), str(cells[0].n), *map(shown, cells)])
    return [table(["Score", "Method", "n", *(f"{steps} steps" for steps in STEPS)], rows)]


def _more_is_better(stored: Stored) -> list[Trial]:
    found = []
    for score in SCORES:
        for first, last in _PARTS:
            some = {method: stored.difference(*at(method, score, last, first)) for method in _METHODS}
            part = {"part": f"{first} to {last}"}
            found += [Trial(gain, {**where(score, method), **part}) for method, gain in some.items() if gain]
    return found


def _late(found: Floats) -> Floats:
    """Of columns 8, 32, 128 steps: what comes after 32, less the share of all that is still said to be little."""
    excess: Floats = (found[2] - found[1]) - LITTLE * (found[2] - found[0])
    return excess


def _little_after_32(stored: Stored) -> list[Trial]:
    found = []
    for score in SCORES:
        some = _over(stored, _late, _METHODS, lambda m, s=score: at(m, s, 8, 32, 128))  # type: ignore[misc]
        found += [Trial(excess, where(score, method), -1) for method, excess in some.items()]
    return found


def _gain_numbers(stored: Stored) -> list[str]:
    rows = []
    for score, title in SCORES.items():
        for method in _METHODS:
            gains = [stored.difference(*at(method, score, last, first)) for first, last in (*_PARTS, (8, 128))]
            excess = stored.combined(at(method, score, 8, 32, 128), _late)
            if excess and all(gains):
                cells = [f"{signed(gain)} {said(Trial(gain).outcome, 'better', 'worse')}" for gain in gains if gain]
                little = said(Trial(excess, sign=-1).outcome, "yes", "no")
                rows.append([title, label(method), str(excess.n), *cells, little])
    heads = [f"{first} → {last}" for first, last in (*_PARTS, (8, 128))]
    return [table(["Score", "Method", "n", *heads, f"less than {LITTLE:.0%} of the gain after 32"], rows)]


def _more_for_ig(stored: Stored) -> list[Trial]:
    """How much more IDGI gains from the steps on the straight path than on the blur path."""
    found = []
    for score in SCORES:
        pair = [column for method in ("blur-ig+idgi", "idgi") for column in ends(method, score)]
        more = stored.combined(pair, lambda f: (f[3] - f[2]) - (f[1] - f[0]))
        if more is not None:
            found.append(Trial(more, kind(score)))
    return found


def _more_for_ig_numbers(stored: Stored) -> list[str]:
    rows = []
    for trial in _more_for_ig(stored):
        name = ", ".join(trial.conditions.values())
        rows.append([name, str(trial.found.n), f"{signed(trial.found)} {said(trial.outcome, 'more', 'less')}"])
    return [table(["Score", "n", "gain of IG + IDGI less that of Blur IG + IDGI"], rows)]


def _blur_below(stored: Stored) -> list[Trial]:
    found = []
    for score in SCORES:
        less = stored.difference(*(column for m in ("idgi", "blur-ig+idgi") for column in at(m, score, 128)))
        if less is not None:
            found.append(Trial(less, kind(score)))
    return found


def _blur_below_numbers(stored: Stored) -> list[str]:
    rows = []
    for trial in _blur_below(stored):
        name = ", ".join(trial.conditions.values())
        rows.append([name, str(trial.found.n), signed(trial.found), said(trial.outcome, "higher", "lower")])
    return [_study_below(), table(["Score at 128 steps", "n", "IG + IDGI less Blur IG + IDGI", "IG + IDGI is"], rows)]


def _study_below() -> str:
    """In how many of the study's nets that is so, by its own tables."""
    told = []
    for score in sorted({score for score, _ in study()}):
        below = {m: v["blur-ig+idgi"] < v["idgi"] for m, v in study()[score, 128].items()}
        residual = sum(below[model] for model in RESIDUAL)
        told.append(f"{score}: {sum(below.values())} of {len(below)} ({residual} of the {len(RESIDUAL)} residual ones)")
    return f"By the study's own tables it is so for these numbers of nets: {'; '.join(told)}."


def _run(stored: Stored) -> str:
    return f"{told(stored, [RUN])} The 128 steps are those of the tables: {told(stored, [FINEST])}"


GROUP = Group(
    "The number of steps",
    [
        Claim(
            "claim-steps",
            "IDGI is more sensitive to the number of steps than its base, in insertion by sign (Table 4)",
            "“We arrive at a noteworthy conclusion: IDGI is more sensitive to step-size variation than its "
            "underlying IG method.” InceptionV3, insertion with probability, its variation over the steps: IG .024, "
            "+ IDGI .224; Blur IG .004, + IDGI .082.",
            f"{STUDY}, Section 1 and Table 4",
            lambda stored: (
                f"{_run(stored)} Whole paths from black. The change is from 8 to 128 steps, as in the table, in the "
                "direction that all images together say."
            ),
            _sensitivity,
            _sensitivity_numbers,
            (Figure("steps", "Scores over the number of steps, with 95 % bands."),),
        ),
        Claim(
            "claim-more-steps",
            "More steps give better scores (Fig. 4)",
            "“Increasing the number of steps leads to a better score, as a higher number of steps in the Riemann "
            "sum leads to a finer approximation of the actual integral.”",
            f"{STUDY}, 4.5.1",
            lambda stored: f"{_run(stored)} Tested from 8 to 32 steps and from 32 to 128.",
            _more_is_better,
            _gain_numbers,
        ),
        Claim(
            "claim-few-steps",
            "After 32 steps there is little to gain (Fig. 4)",
            "“... beyond a step size of 32, the return in score improvement per step is marginal.”",
            f"{STUDY}, 4.5.1",
            lambda stored: (
                f"As above. A comparison holds if less than {LITTLE:.0%} of the gain from 8 to 128 steps comes after "
                "32."
            ),
            _little_after_32,
            lambda _: ["The table above has the gains."],
        ),
        Claim(
            "claim-ig-gains-more",
            "IG + IDGI gains more from steps than Blur IG + IDGI",
            "“Both IG + IDGI and BlurIG + IDGI benefit from increased steps, improving the approximation of the "
            "underlying integral. However, IG + IDGI generally benefits more due to the more uniform change in "
            "probability scores along most of the path.”",
            f"{STUDY}, 4.5.1",
            lambda stored: f"{_run(stored)} The gain is from 8 to 128 steps.",
            _more_for_ig,
            _more_for_ig_numbers,
        ),
        Claim(
            "claim-blur-steps",
            "At many steps Blur IG + IDGI is below IG + IDGI",
            "“We observe that at a higher step size, the scores of BlurIG + IDGI are lower than those for IG + IDGI.”",
            f"{STUDY}, 4.5.1",
            lambda stored: told(stored, [FINEST]),
            _blur_below,
            _blur_below_numbers,
        ),
        truncated.CLAIM,
    ],
)
