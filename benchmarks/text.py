"""ERASER's metrics of methods for text on a sentiment classifier.

``python -m benchmarks.text run`` measures and stores one row per sentence and method in benchmarks/results/text.csv,
without the sentences; call it again to resume. ``python -m benchmarks.text page`` writes docs/text_evidence.md.

MiniLM with a logistic head classifies snippets of movie reviews. All methods explain the log-odds of the predicted
class, and tokens are replaced with [PAD], the methods' baseline.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import logsigmoid

from captum_ext.attr import DIG, IDGI, GuidedIG, IntegratedGradients, OneAtATime
from captum_ext.metrics import comprehensiveness, sufficiency
from captum_ext.text import TextInputs
from tests import movies
from tests.test_real_text import Classifier

TRAIN, COUNT, BATCH, DRAWS = 500, 120, 8, 10
STEPS, SIG_STEPS, N_WORDS, NEIGHBORS = 32, 12, 30, 500
DIG_STEPS = 4 * (N_WORDS + 1)
CONTROLS = ("random", "IG, shuffled")
METHODS = ("IG", "IDGI", "Guided IG", "DIG, greedy", "DIG, maxcount", "UDIG", "SIG", "leave one out")
METRICS = ("comprehensiveness", "sufficiency", "log-odds")
STRATEGIES = {"DIG, greedy": "greedy", "DIG, maxcount": "maxcount", "UDIG": "uniform"}
ROWS = Path(__file__).parent / "results" / "text.csv"
PAGE = Path(__file__).parents[1] / "docs" / "text_evidence.md"


def classifier_and_sentences(folder: Path) -> tuple[Classifier, list[str]]:
    rated = movies.sentences(movies.sdist(folder))
    order = torch.randperm(len(rated), generator=torch.Generator().manual_seed(0)).tolist()
    rated = [rated[i] for i in order]
    classifier = Classifier()
    features = classifier.features([text for text, _ in rated[:TRAIN]])
    head = LogisticRegression().fit(features, [label for _, label in rated[:TRAIN]])
    classifier.weight, classifier.bias = torch.tensor(head.coef_[0]).float(), float(head.intercept_[0])
    chosen = [text for text, _ in rated[TRAIN:] if 6 <= len(text.split()) <= 25][:COUNT]
    return classifier, sorted(chosen, key=len)  # batches of one length need little padding


def maps(name, classifier, text, sign, function):
    """One number per token, (B, T)."""
    tokenizer = classifier.tokenizer
    special = [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id]
    if name in STRATEGIES:
        words = {"n_words": N_WORDS, "neighbors": NEIGHBORS, "special": special}
        method, n_steps = DIG(function, classifier.embedding, STRATEGIES[name], **words), DIG_STEPS
    elif name == "SIG":
        method, n_steps = OneAtATime(IntegratedGradients(function)), SIG_STEPS
    elif name == "leave one out":  # one step of IDGI gives a token all of the change that its replacement makes
        method, n_steps = OneAtATime(IDGI(function)), 1
    else:
        method, n_steps = {"IG": IntegratedGradients, "IDGI": IDGI, "Guided IG": GuidedIG}[name](function), STEPS
    return text.by_token(method.attribute(**text.arguments(sign), n_steps=n_steps))


def shuffled(scores, moves, generator):
    """Each sentence's scores in another order, among the tokens that move."""
    result = scores.clone()
    for row, kept in zip(result, moves, strict=True):
        values = row[kept]
        row[kept] = values[torch.randperm(len(values), generator=generator)]
    return result


def measure(classifier, text, sign, scores):
    """The three metrics of each sentence, (B, 3)."""

    def of(transform):
        return text.hold(lambda embeddings, mask, sign: transform(sign * classifier.log_odds(embeddings, mask)))

    case = {"scores": scores, **text.arguments(sign), "candidates": text.moves}
    return torch.stack(
        [
            comprehensiveness(of(torch.sigmoid), **case),
            sufficiency(of(torch.sigmoid), **case),
            -comprehensiveness(of(logsigmoid), **case, shares=[0.2]),
        ],
        1,
    )


def measure_batch(classifier, sentences, first):
    """The rows of a batch of sentences."""
    tokenizer = classifier.tokenizer
    ids, mask = classifier.ids(sentences)
    special = [tokenizer.cls_token_id, tokenizer.sep_token_id]
    text = TextInputs.of(classifier.embedding, ids, mask, baseline=tokenizer.pad_token_id, special=special)
    with torch.no_grad():
        sign = classifier.log_odds(text.embeddings, mask).sign()
    odds = text.hold(lambda embeddings, mask, sign: sign * classifier.log_odds(embeddings, mask))
    generator = torch.Generator().manual_seed(first)
    uniform = [torch.rand(text.moves.shape, generator=generator) for _ in range(DRAWS)]
    measured = {"random": torch.stack([measure(classifier, text, sign, scores) for scores in uniform]).mean(0)}
    seconds = {"random": 0.0}
    for name in METHODS:
        started = time.perf_counter()
        scores = maps(name, classifier, text, sign, odds)
        seconds[name] = time.perf_counter() - started
        measured[name] = measure(classifier, text, sign, scores)
        if name == "IG":
            orders = [shuffled(scores, text.moves, generator) for _ in range(DRAWS)]
            measured["IG, shuffled"] = torch.stack([measure(classifier, text, sign, one) for one in orders]).mean(0)
            seconds["IG, shuffled"] = seconds["IG"]
    return [
        {
            "method": name,
            "sentence": first + k,
            "tokens": int(text.moves[k].sum()),
            **{metric: f"{value:.5f}" for metric, value in zip(METRICS, values[k].tolist(), strict=True)},
            "seconds": f"{seconds[name] / len(sentences):.4f}",
        }
        for name, values in measured.items()
        for k in range(len(sentences))
    ]


def run(folder: Path) -> None:
    """Measure the sentences that are not stored yet."""
    classifier, sentences = classifier_and_sentences(folder)
    rows = pd.read_csv(ROWS, dtype=str).to_dict("records") if ROWS.exists() else []
    for first in range(len({row["sentence"] for row in rows}), len(sentences), BATCH):
        rows += measure_batch(classifier, sentences[first : first + BATCH], first)
        pd.DataFrame(rows).to_csv(ROWS, index=False)
        print(f"{min(first + BATCH, len(sentences))} of {len(sentences)}", flush=True)


TEXT = """\
# Methods on sentences

*Written by `python -m benchmarks.text page` from stored scores; not edited by hand.*

{n} snippets of movie reviews with {tokens} tokens on average, a MiniLM sentiment classifier, the log-odds of its
predicted class. Tokens are replaced with [PAD], the baseline. Comprehensiveness is the fall of the class's
probability without the top tokens (higher is better), sufficiency the fall with these alone (lower is better), and
log-odds the change of the log-probability without the top 20% (lower is better). Brackets hold 95% intervals of the
mean over sentences.

| method | comprehensiveness | sufficiency | log-odds |
|---|---|---|---|
{table}

Paired differences from random maps, with 95% intervals:

| method | comprehensiveness | sufficiency | log-odds |
|---|---|---|---|
{differences}

*IG, shuffled* has IG's scores in another order. It and the random maps are means over {draws} draws. Where an
interval of a difference contains 0, the method is indistinguishable from random maps. The shuffled control is random
too.

## What this table can't show

- One small classifier and short sentences. The metrics replace tokens with the methods' own baseline and favor leaving
  one token out, which measures the same replacement.
- IG, IDGI and Guided IG take {steps} steps, SIG {sig} per token; DIG and UDIG have {words} words and {dig_steps} steps,
  and DIG {neighbors} neighbors, as in the paper.
"""


def interval(values: pd.Series) -> str:
    """The mean with its 95% interval."""
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return "0" if not values.any() else f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def page() -> str:
    """The page of the stored rows."""
    frame = pd.read_csv(ROWS).set_index(["method", "sentence"])
    names = (*CONTROLS, *METHODS)
    scores = {name: frame.loc[name] for name in names}
    table = [[name, *(interval(scores[name][m]) for m in METRICS)] for name in names]
    random = scores["random"]
    gains = [[name, *(interval(scores[name][m] - random[m]) for m in METRICS)] for name in names[1:]]
    body, differences = ("\n".join(f"| {' | '.join(row)} |" for row in rows) for rows in (table, gains))
    numbers = {"n": len(random), "tokens": round(random.tokens.mean()), "draws": DRAWS, "steps": STEPS}
    numbers |= {"sig": SIG_STEPS, "words": N_WORDS, "neighbors": NEIGHBORS, "dig_steps": DIG_STEPS}
    return TEXT.format(table=body, differences=differences, **numbers)


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    commands.add_parser("page")
    commands.add_parser("run").add_argument("--folder", type=Path, default=Path(), help="where the sentences are kept")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(arguments.folder)
    else:
        PAGE.write_text(page())


if __name__ == "__main__":
    main()
