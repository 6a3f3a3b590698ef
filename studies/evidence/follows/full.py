"""What the full study would take."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

from evidence.words import table

IMAGES, MODELS, RIGHT = (
    50_000,
    10,
    35_000,
)  # the study's: validation images, networks, about as many classified correctly
WALKS = {"straight": ("IG, IDGI", 129), "blur": ("Blur IG, + IDGI", 129), "guided": ("Guided IG, + IDGI", 129)}
EXAMPLES = (200, 2000)  # points per second
_BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "results"
MAPS, PASSES = 7, 2 * 21 + 3 * 25  # of the command: insertion by two rankings, information by three measures
_TEXT = """The study has {images:,} images and {models} networks, of which each classifies about {right:,} right. At 128
steps the six methods take {gradients} gradients an image, for a method and its IDGI share their walk. Tables 1 to 3
need no others. Table 5 takes twice as many, of the images and of their JPEG files, and the class sensitivity that the
command below adds to it once more as many.

$$\\text{{hours}} = {plain} \\cdot {models} \\cdot {gradients} / (3600 \\cdot r) = {hours} / r$$

with r the points per second of the network on your device: a point is one forward and one backward pass of one
image. In one run, smaller step counts of the straight and blur paths (8 to 64) are free, as parts of the walk of
128; those of the guided path are walks of their own. The metrics come on top: insertion has 21 forward passes a map
and ranking, SIC and AIC 25, so the command's {maps} maps, in two rankings and three, make {passes} passes, each about a
third of a gradient: {extra:.0%} more hours."""
_COMMAND = """```sh
torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 \\
    -m captum_ext evaluate /shared/results --images /shared/imagenet/val --labels /shared/val.csv \\
    --models densenet121,densenet169,densenet201,inception_v3,mobilenet_v2,resnet50,resnet101,resnet152,vgg16,vgg19 \\
    --methods ig,idgi,guided-ig,guided-ig+idgi,blur-ig,blur-ig+idgi,random --steps 128 --batch-size 32 \\
    --measures insertion,information:study:png,information:study:png:absolute,information:study:ms-ssim
captum-ext report /shared/results
```

With `--methods ig,idgi,blur-ig,blur-ig+idgi --steps 8,16,32,64,128` and another folder it is the appendix; with
`--measures stability,class-sensitivity` Table 5. To time r first, run it with `--first 64`."""


def parts() -> list[str]:
    """The formula, two examples, the machine that was measured, and the command."""
    gradients = sum(count for _, count in WALKS.values())
    total = RIGHT * MODELS * gradients
    hours = f"{total / 3600:,.0f}".replace(",", "\\,")
    plain = f"{RIGHT:,}".replace(",", "\\,")
    passes = MAPS * PASSES
    text = _TEXT.format(
        images=IMAGES,
        models=MODELS,
        right=RIGHT,
        gradients=gradients,
        hours=hours,
        plain=plain,
        maps=MAPS,
        passes=passes,
        extra=passes / 3 / gradients,
    )
    rows = [[f"{rate:,} (an example)", f"{total / 3600 / rate:,.0f}"] for rate in EXAMPLES]
    for what, rate in _measured():
        name = f"{rate:.3g} (measured: two cores, {what}, see {{doc}}`benchmark`)"
        rows.append([name, f"{total / 3600 / rate:,.0f}, or {total / 86400 / rate / 365:.1f} years"])
    return ["## The full study", text, table(["r, points per second", "hours"], rows), _COMMAND]


def _measured() -> list[tuple[str, float]]:
    """Points per second of IG in the benchmark, of a small network and of one as large as the study's."""
    found = []
    for part, what, about in (
        ("centre", "EfficientNet-Lite0, smaller than the study's ten", {"comparison": "IG"}),
        ("axes", "VGG-11", {"axis": "network"}),
    ):
        file = _BENCHMARK / f"{part}.json"
        entries = json.loads(file.read_text())["measured"] if file.exists() else []
        for entry in entries:
            if about.items() <= entry.items():
                found.append((what, float(entry["points"]["IG"] / median(entry["seconds"]["IG"]))))
    return found
