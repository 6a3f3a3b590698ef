"""All methods on the same photographs with equal numbers of gradients: how their maps rank pixels, and what they cost.

``run FOLDER RESULTS`` explains 64 photographs of a folder with EfficientNet-Lite0; call it again to resume. ``condense
RESULTS`` stores the scores in studies/results/all_methods.csv, from which ``page`` writes docs/comparison.md.
``pictures`` draws all methods on two photographs for that page.
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

from captum_ext.cli.models import efficientnet_lite
from captum_ext.evaluation import EvaluationConfig, Results, evaluate, find_images
from captum_ext.evaluation.batch_maps import compute_maps
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.optimize import for_attribution
from captum_ext.vision.classifier import Classifier
from captum_ext.vision.probe import ClassifiedImage, probe
from captum_ext.visualization import compare
from studies.compared_methods import METHODS

N_IMAGES, STEPS, MODEL = 64, 24, "efficientnet-lite0"
PHOTOGRAPHS = {"coffee": "coffee", "chelsea": "cat"}
HERE = Path(__file__).parent
ROWS = HERE / "results" / "all_methods.csv"
TIMES = HERE.parent / "benchmarks" / "results" / "methods.json"
SIGNS = ("signed", "absolute")
PAGE = """# All methods on the same photographs

*Written by `python -m studies.all_methods page` from stored scores; not edited by hand.*

{n} photographs, EfficientNet-Lite0's predicted class, {steps} steps from black, about as many gradients for each
path method (the gradients and Guided Backpropagation take 1, Expected Gradients 49). Insertion reveals the pixels from
the highest attribution to the lowest and measures the area under the probability (higher is better); deletion removes
them (lower is better). *Signed* ranks pixels by the sum over channels, *absolute* by its magnitude. Brackets hold 95%
intervals of the mean over photographs. *Sum's error* (a median) is the difference between the sum
and F's change as a share of that change, for methods that promise a sum. *Time* is that of a map with {timed_steps}
steps in a batch of {timed_batch} on {timed_threads} threads of a CPU, from the {{doc}}`benchmark`, where every method
is timed.

| method | insertion, signed | insertion, absolute | deletion, signed | deletion, absolute | sum's error | time, s |
|---|---|---|---|---|---|---|
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
  {{doc}}`methods/latent`).
- A large completeness error means that the attributions are not near the integral that the method defines. The ranking
  of pixels may still be useful.
"""


def run(folder: str, results: str) -> None:
    """Explain the photographs and measure the maps."""
    images = find_images(folder)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).tolist()
    chosen = [images[index] for index in sorted(order[:N_IMAGES])]
    config = EvaluationConfig(
        METHODS,
        metrics=("insertion:signed", "insertion:absolute", "deletion:signed", "deletion:absolute", "completeness"),
        steps=(STEPS,),
        target="predicted",
        batch_size=2,
        references=49,
    )
    classifier = efficientnet_lite(MODEL, None)
    classifier.model.eval()
    example = classifier.transform(Image.open(chosen[0].path).convert("RGB")).unsqueeze(0)
    fast, _ = for_attribution(classifier.model, example)
    evaluate({MODEL: (fast, classifier.transform)}, chosen, results, config)


def condense(results: str) -> None:
    """Store the scores, one row per image and method."""
    frame = Results(Path(results)).read(["image", "method", "score", "variant", "value"])
    frame = frame[frame.score.isin(("insertion", "deletion", "completeness"))]
    frame = frame.assign(column=frame.score + " " + frame.variant)
    table = frame.pivot_table("value", ["method", "image"], "column", sort=True)
    table.to_csv(ROWS, float_format="%.5g")


def page() -> None:
    """Write docs/comparison.md."""
    frame = pd.read_csv(ROWS)
    benchmark = json.loads(TIMES.read_text())
    timed = benchmark["measured"]
    times = {entry["method"]: median(entry["seconds"]["batch"]) / entry["images"] for entry in timed}
    rows = []
    for method in METHODS:
        of_method = frame[frame.method == method].set_index("image")
        scores = [_mean(of_method[f"{name} {sign}"]) for name in ("insertion", "deletion") for sign in SIGNS]
        error = of_method["completeness relative"].median()
        time = f"{times[method]:.2f}" if method in times else ""
        rows.append([f"`{method}`", *scores, "" if pd.isna(error) else f"{error:.2g}", time])
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
        maps = {result.method: result.maps for result in compute_maps(model, batch, METHODS, [STEPS])}
        figure = compare({method: maps[method] for method in METHODS}, seen.pixels(), columns=5, image_title=title)
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
    parts = (("better than random", better), ("worse", worse), ("no significant difference", undecided))
    return f"{name}, {sign}: " + "; ".join(f"{what}: {', '.join(names) or 'none'}" for what, names in parts) + "."


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    first = commands.add_parser("run")
    first.add_argument("folder")
    first.add_argument("results")
    commands.add_parser("condense").add_argument("results")
    commands.add_parser("page")
    commands.add_parser("pictures")
    arguments = parser.parse_args()
    if arguments.command == "run":
        Path(arguments.results).parent.mkdir(parents=True, exist_ok=True)
        run(arguments.folder, arguments.results)
    elif arguments.command == "condense":
        condense(arguments.results)
    elif arguments.command == "pictures":
        pictures()
    else:
        page()


if __name__ == "__main__":
    main()
