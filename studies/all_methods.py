"""All methods on the same photographs with equal numbers of gradients: how their maps rank pixels, and what they cost.

``run FOLDER RESULTS`` explains 64 photographs of a folder with EfficientNet-Lite0; call it again to resume. ``condense
RESULTS`` stores the scores in studies/results/all_methods.csv, and ``count FOLDER`` the gradients per image in
gradients.csv; ``page`` writes docs/comparison.md from both. ``pictures`` draws all methods on two photographs for it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from PIL import Image
from scipy import stats
from skimage import data

from captum_ext import baselines
from captum_ext.cli.models import efficientnet_lite
from captum_ext.evaluation import EvaluationConfig, LabeledImage, Results, evaluate, find_images
from captum_ext.evaluation.batch_maps import compute_maps
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.optimize import for_attribution
from captum_ext.patterns import PatternFitter, Patterns, fold_batch_norm
from captum_ext.vision.classifier import Classifier
from captum_ext.vision.probe import ClassifiedImage, probe
from captum_ext.visualization import compare
from studies.compared_methods import METHODS as COMPARED

N_IMAGES, N_FITTED, N_REFERENCES, STEPS, MODEL = 64, 125, 49, 24, "efficientnet-lite0"
WITH_PATTERNS = ("pgig", "patternattribution", "patternnet")
METHODS = (*COMPARED, "vargrad", "smoothgrad-squared", "smoothgrad-ig", *WITH_PATTERNS)
PHOTOGRAPHS = {"coffee": "coffee", "chelsea": "cat"}
HERE = Path(__file__).parent
ROWS, GRADIENTS = (HERE / "results" / f"{name}.csv" for name in ("all_methods", "gradients"))
TIMES = HERE.parent / "benchmarks" / "results" / "methods.json"
SIGNS = ("signed", "absolute")
PAGE = """# All methods on the same photographs

*Written by `python -m studies.all_methods page` from stored scores; not edited by hand.*

{n} photographs, EfficientNet-Lite0's predicted class, {steps} steps from black, about as many gradients for each
path method. Insertion reveals the pixels from the highest attribution to the lowest and measures the area under the
probability (higher is better); deletion removes them (lower is better). *Signed* ranks pixels by the sum over channels,
*absolute* by its magnitude. Brackets hold 95% intervals of the mean over photographs. The error is the completeness
error of methods that promise a sum: the difference between the sum and F's change as a share of that change (median).
Gradients per image are counted on four photographs; one of Guided Backpropagation's two only checks its network. The
time (s) is that of a map with {timed_steps} steps in a batch of {timed_batch} on {timed_threads} threads of a CPU, from
the {{doc}}`benchmark`, with its settings.

| method | insertion, signed | insertion, absolute | deletion, signed | deletion, absolute | error | gradients | s |
|---|---|---|---|---|---|---|---|
{body}

Against random maps of the same photographs (paired t tests, Holm's correction over the methods of a line, 5%):

{decided}

## Two photographs

```{{image}} images/all-methods-coffee.webp
:width: 100%
:alt: A cup of coffee, explained by all methods
```

```{{image}} images/all-methods-cat.webp
:width: 100%
:alt: A cat, explained by all methods
```

*The predicted classes of two photographs, the same settings; the latent paths have the principal components of 24 crops
of the two. Magnitudes on black, each map on its own scale. A map that looks good need not be right.*

## What this table can't show

- One small network and one set of photographs. {{doc}}`evidence` compares networks.
- Insertion and deletion show the network pictures unlike any that it was trained on, and they favor methods whose maps
  are compact regions, whatever the network used.
- Settings with equal numbers of gradients are not the published ones everywhere: AGI has 5 wrong classes instead of 15,
  IG2 takes the logits as its representation and black as its reference, I-GOS has 5 points and {steps}/5 iterations.
  The references are 49 of the photographs that are explained: the baselines of Expected Gradients, and the source
  of the latent paths' principal components. With other photographs, that coder would be far worse (see
  {{doc}}`methods/latent`). Patterns are fitted on {fitted} photographs that are not explained.
- A large completeness error means that the attributions are not near the integral that the method defines. The ranking
  of pixels may still be useful.
"""


def choose(folder: str) -> tuple[list[LabeledImage], list[LabeledImage]]:
    """The photographs that are explained, and others that patterns are fitted on."""
    images = find_images(folder)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).tolist()
    chosen, others = sorted(order[:N_IMAGES]), sorted(order[N_IMAGES : N_IMAGES + N_FITTED])
    return [images[index] for index in chosen], [images[index] for index in others]


def fit(classifier: Classifier, images: list[LabeledImage]) -> Patterns:
    """The patterns of the network without BatchNorm."""
    fitter = PatternFitter(classifier.model, fold=True)
    for start in range(0, len(images), 8):
        pictures = [Image.open(image.path).convert("RGB") for image in images[start : start + 8]]
        fitter.update(torch.stack([classifier.transform(picture) for picture in pictures]))
    return fitter.patterns()


def run(folder: str, results: str, methods: tuple[str, ...]) -> None:
    """Explain the photographs and measure the maps."""
    chosen, others = choose(folder)
    config = EvaluationConfig(
        methods,
        metrics=("insertion:signed", "insertion:absolute", "deletion:signed", "deletion:absolute", "completeness"),
        steps=(STEPS,),
        target="predicted",
        batch_size=2,
        references=N_REFERENCES,
        smoothgrad_ig_samples=1,
    )
    classifier = efficientnet_lite(MODEL, None)
    model = classifier.model.eval()
    patterns = {MODEL: fit(classifier, others)} if config.pattern_methods else {}
    if not patterns:
        example = classifier.transform(Image.open(chosen[0].path).convert("RGB")).unsqueeze(0)
        model, _ = for_attribution(model, example)
    evaluate({MODEL: (model, classifier.transform)}, chosen, results, config, patterns)


def condense(results: str) -> None:
    """Store the scores, one row per image and method, in place of those of the same methods."""
    frame = Results(Path(results)).read(["image", "method", "score", "variant", "value"])
    frame = frame[frame.score.isin(("insertion", "deletion", "completeness"))]
    frame = frame.assign(column=frame.score + " " + frame.variant)
    table = frame.pivot_table("value", ["method", "image"], "column").reset_index()
    if ROWS.exists():
        stored = pd.read_csv(ROWS)
        table = pd.concat([stored[~stored.method.isin(table.method)], table])
    table.sort_values(["method", "image"]).to_csv(ROWS, index=False, float_format="%.5g", lineterminator="\n")


def count(folder: str, n_images: int = 4) -> None:
    """Store the number of gradients per image that each method takes, on the first photographs."""
    chosen, others = choose(folder)
    classifier = efficientnet_lite(MODEL, None)
    classifier.model.eval()
    pictures = [Image.open(image.path).convert("RGB") for image in chosen[:N_REFERENCES]]
    references = torch.stack([classifier.transform(picture) for picture in pictures])
    inputs = references[:n_images]
    black = baselines.black(pictures[0], classifier.transform).expand_as(inputs)
    patterns = fit(classifier, others[:8])
    folded = fold_batch_norm(classifier.model, inputs[:1])
    counted: list[int] = []

    def count_rows(_: object, __: object, output: torch.Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: counted.append(len(gradient)))

    for network in (classifier.model, folded):
        network.register_forward_hook(count_rows)
    model = ProbabilityModel(classifier.model, references, None, 0, patterns, folded, smoothgrad_ig_samples=1)
    batch = ImageBatch(tuple(image.name for image in chosen[:n_images]), inputs, black, model.model(inputs).argmax(1))
    rows = []
    for method in METHODS:
        counted.clear()
        list(compute_maps(model, batch, [method], [STEPS]))
        rows.append({"method": method, "gradients": sum(counted) / n_images})
    pd.DataFrame(rows).to_csv(GRADIENTS, index=False, lineterminator="\n")


def page() -> None:
    """Write docs/comparison.md."""
    frame = pd.read_csv(ROWS)
    benchmark = json.loads(TIMES.read_text())
    timed = benchmark["measured"]
    times = {entry["method"]: median(entry["seconds"]["batch"]) / entry["images"] for entry in timed}
    gradients = pd.read_csv(GRADIENTS).set_index("method").gradients
    rows = []
    for method in METHODS:
        of_method = frame[frame.method == method].set_index("image")
        scores = [_mean(of_method[f"{name} {sign}"]) for name in ("insertion", "deletion") for sign in SIGNS]
        error = of_method["completeness relative"].median()
        time = f"{times[method]:.2f}" if method in times else ""
        shown = "" if pd.isna(error) else f"{error:.2g}"
        rows.append([f"`{method}`", *scores, shown, f"{gradients[method]:.0f}", time])
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    random = frame[frame.method == "random"].set_index("image")
    decided = [_decided(frame, random, name, sign) for name in ("insertion", "deletion") for sign in SIGNS]
    text = PAGE.format(
        n=frame.image.nunique(),
        steps=STEPS,
        timed_steps=timed[0]["steps"],
        timed_batch=timed[0]["images"],
        timed_threads=benchmark["machine"]["threads"],
        body=body,
        decided="\n".join(f"- {line}" for line in decided),
        fitted=N_FITTED,
    )
    (HERE.parent / "docs" / "comparison.md").write_text(text)


def pictures() -> None:
    """Draw all methods on two of scikit-image's photographs."""
    classifier = efficientnet_lite(MODEL, None)
    classifier.model.eval()
    crops = [_crop(name, shift, classifier) for name in PHOTOGRAPHS for shift in range(12)]
    references = torch.cat([crop.image for crop in crops])
    fast, _ = for_attribution(classifier.model, references[:1])
    model = ProbabilityModel(fast, references, None, 0)
    for name, title in PHOTOGRAPHS.items():
        seen = _crop(name, 0, classifier)
        batch = ImageBatch((name,), seen.image, seen.black, seen.scores.argmax().reshape(1))
        maps = {result.method: result.maps for result in compute_maps(model, batch, COMPARED, [STEPS])}
        figure = compare({method: maps[method] for method in COMPARED}, seen.pixels(), columns=5, image_title=title)
        figure.savefig(HERE.parent / "docs" / "images" / f"all-methods-{title}.webp", dpi=110)


def _crop(name: str, shift: int, classifier: Classifier) -> ClassifiedImage:
    picture = Image.fromarray(getattr(data, name)())
    edge = 6 * shift
    part = picture.crop((edge, edge, picture.width - edge, picture.height - edge))
    return probe(name, part, classifier, torch.device("cpu"))


def _mean(values: pd.Series) -> str:
    mean, (low, high) = values.mean(), stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def _decided(frame: pd.DataFrame, random: pd.DataFrame, name: str, sign: str) -> str:
    """The methods that differ from random maps, by paired t tests with Holm's correction."""
    column = f"{name} {sign}"
    methods = [method for method in METHODS if method != "random"]
    gains = {m: (frame[frame.method == m].set_index("image")[column] - random[column]).dropna() for m in methods}
    tests = {m: float(stats.ttest_1samp(gain, 0).pvalue) for m, gain in gains.items()}
    ordered = sorted(tests, key=tests.__getitem__)
    significant: list[str] = []
    for k, method in enumerate(ordered):
        if tests[method] > 0.05 / (len(ordered) - k):
            break
        significant.append(method)
    better = [m for m in methods if m in significant and (gains[m].mean() > 0) == (name == "insertion")]
    worse = [m for m in methods if m in significant and m not in better]
    undecided = [m for m in methods if m not in significant]
    parts = (("better than random", better), ("worse", worse), ("indistinguishable from random", undecided))
    return f"{name}, {sign}: " + "; ".join(f"{what}: {', '.join(names) or 'none'}" for what, names in parts) + "."


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    first = commands.add_parser("run")
    first.add_argument("folder")
    first.add_argument("results")
    first.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    commands.add_parser("condense").add_argument("results")
    commands.add_parser("count").add_argument("folder")
    commands.add_parser("page")
    commands.add_parser("pictures")
    arguments = parser.parse_args()
    if arguments.command == "run":
        Path(arguments.results).parent.mkdir(parents=True, exist_ok=True)
        run(arguments.folder, arguments.results, tuple(arguments.methods))
    elif arguments.command == "count":
        count(arguments.folder)
    elif arguments.command == "condense":
        condense(arguments.results)
    elif arguments.command == "pictures":
        pictures()
    else:
        page()


if __name__ == "__main__":
    main()
