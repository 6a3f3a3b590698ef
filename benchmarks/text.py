"""ERASER's metrics of methods for text on a sentiment classifier: ``python -m benchmarks.text``.

MiniLM with a logistic head classifies snippets of movie reviews. All methods explain the log-odds of the predicted
class, and tokens are replaced with [PAD], the methods' baseline. Comprehensiveness and sufficiency are of the class's
probability; log-odds is the change of its log-probability without the top 20% of tokens (less is better).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import logsigmoid

from benchmarks.common import table
from captum_ext.attr import DIG, IDGI, GuidedIG, IntegratedGradients, OneAtATime
from captum_ext.evaluation import bootstrap
from captum_ext.metrics import comprehensiveness, sufficiency
from captum_ext.text import TextInputs
from tests import movies
from tests.test_real_text import Classifier

TRAIN = 500
METHODS = ("random", "IG", "IDGI", "Guided IG", "DIG", "DIG, maxcount", "UDIG", "SIG", "leave one out")


def classifier_and_sentences(folder: Path, count: int) -> tuple[Classifier, list[str]]:
    rated = movies.sentences(movies.sdist(folder))
    order = torch.randperm(len(rated), generator=torch.Generator().manual_seed(0)).tolist()
    rated = [rated[i] for i in order]
    classifier = Classifier()
    features = classifier.features([text for text, _ in rated[:TRAIN]])
    head = LogisticRegression().fit(features, [label for _, label in rated[:TRAIN]])
    classifier.weight, classifier.bias = torch.tensor(head.coef_[0]).float(), float(head.intercept_[0])
    return classifier, [text for text, _ in rated[TRAIN:] if 6 <= len(text.split()) <= 25][:count]


def maps(name, classifier, text, sign, function, steps):
    """One number per token."""
    tokenizer = classifier.tokenizer
    special = [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id]
    if name == "random":
        generator = torch.Generator().manual_seed(1)
        return torch.rand(text.moves.shape, generator=generator).masked_fill(~text.moves, 0)
    words = {"DIG": "greedy", "DIG, maxcount": "maxcount", "UDIG": "uniform"}
    if name in words:
        method, n_steps = DIG(function, classifier.embedding, words[name], special=special), 4 * 31
    elif name == "leave one out":  # one step of IDGI gives a token all of the change that its replacement makes
        method, n_steps = OneAtATime(IDGI(function)), 1
    else:
        made = {"IG": IntegratedGradients, "IDGI": IDGI, "Guided IG": GuidedIG, "SIG": IntegratedGradients}[name]
        method, n_steps = made(function), steps
        method = OneAtATime(method) if name == "SIG" else method
    return text.by_token(method.attribute(**text.arguments(sign), n_steps=n_steps))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=120, help="sentences")
    parser.add_argument("--steps", type=int, default=32, help="of IG, IDGI, Guided IG and SIG")
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--folder", type=Path, default=Path(), help="where the sentences are kept")
    options = parser.parse_args()
    classifier, sentences = classifier_and_sentences(options.folder, options.count)
    tokenizer = classifier.tokenizer
    scores = {name: [] for name in options.methods}
    for at in range(0, len(sentences), 8):
        ids, mask = classifier.ids(sentences[at : at + 8])
        special = [tokenizer.cls_token_id, tokenizer.sep_token_id]
        text = TextInputs.of(classifier.embedding, ids, mask, baseline=tokenizer.pad_token_id, special=special)
        with torch.no_grad():
            sign = classifier.log_odds(text.embeddings, mask).sign()
        for name in options.methods:
            scores[name].append(evaluate(name, classifier, text, sign, options.steps))
        print(f"{min(at + 8, len(sentences))} of {len(sentences)}", flush=True)
    rows = []
    for name, parts in scores.items():
        estimates = [bootstrap(lambda drawn, v=v: v[drawn].mean(1), len(v)) for v in torch.cat(parts).numpy().T]
        rows.append([name, *map(str, estimates)])
    print(table(["method", "comprehensiveness", "sufficiency", "log-odds"], rows))


def evaluate(name, classifier, text, sign, steps):
    """Comprehensiveness, sufficiency and log-odds of each sentence, (sentences, 3)."""

    def of(transform):
        return text.hold(lambda embeddings, mask, sign: transform(sign * classifier.log_odds(embeddings, mask)))

    arguments = text.arguments(sign)
    inputs, start, extra = arguments["inputs"], arguments["baselines"], arguments["additional_forward_args"]
    found = maps(name, classifier, text, sign, of(lambda odds: odds), steps)
    case = {"scores": found, "inputs": inputs, "baselines": start, "additional_forward_args": extra}
    case["candidates"] = text.moves
    return torch.stack(
        [
            comprehensiveness(of(torch.sigmoid), **case),
            sufficiency(of(torch.sigmoid), **case),
            -comprehensiveness(of(logsigmoid), **case, shares=[0.2]),
        ],
        1,
    )


if __name__ == "__main__":
    main()
