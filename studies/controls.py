"""Positive and null controls: maps that a question must score well, and maps without any information.

No photograph has a mask of what the network uses. The map that insertion or degradation must score well is found by a
greedy search for the score itself, over patches. A shuffled map is the gradient with its pixels in random places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from captum_ext.evaluation.comparators import gradient, random
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.metrics import class_sensitivity, degradation, information_curve, insertion, rank_correlation
from evidence.claims.controls import NAME
from evidence.experiments import common

SIDE, TOGETHER = 28, 4  # of patches, and how many are chosen at once
ROUNDS = {"insertion": 12, "degradation": 5}
ROWS = 8
RESULTS = Path(__file__).parent / "results"


def shuffled(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Maps (B, C, H, W) with the pixels of each in random places."""
    order = torch.rand(len(maps), 1, maps[0, 0].numel(), generator=generator).argsort(2)
    return maps.flatten(2).gather(2, order.expand(-1, maps.shape[1], -1)).reshape(maps.shape)


def searched(score: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, rounds: int, side: int = SIDE) -> Tensor:
    """A map (C, H, W) of one image whose highest patches raise the score most as they change from start to end.

    Args:
        score: Of images (N, C, H, W), (N,).
        start: The image at first, (C, H, W).
        end: The image when all is replaced.
        rounds: How often the best patches are chosen; those left are in the order of the last round.
        side: Of the patches, which divides the image's.
    """
    down, across = (length // side for length in start.shape[1:])
    tiles = torch.eye(down * across).reshape(-1, 1, down, across)
    masks = tiles.repeat_interleave(side, 2).repeat_interleave(side, 3).bool()
    image, ranks, left, values = start, torch.zeros(len(masks)), torch.arange(len(masks)), torch.zeros(len(masks))
    for place in range(rounds):
        values = score(torch.where(masks[left], end, image))
        order = values.argsort(descending=True)
        best, left, values = left[order[:TOGETHER]], left[order[TOGETHER:]], values[order[TOGETHER:]]
        ranks[best] = 1.0 + rounds - place
        image = torch.where(masks[best].any(0), end, image)
    ranks[left] = torch.linspace(1, 0, len(left))
    return (ranks.reshape(-1, 1, 1, 1) * masks).sum(0).expand_as(start)


def measured(model: nn.Module, batch: ImageBatch, white: Tensor) -> Iterator[tuple[str, str, Tensor]]:
    """A measure, a control, and the images' values (B,)."""
    subject, generator = ProbabilityModel(model, batch.inputs[:1], 16, 0), torch.Generator().manual_seed(0)
    x, black, probability = batch.inputs, batch.baselines, subject.probability

    def found(start: Tensor, end: Tensor, sign: int, rounds: int) -> Tensor:
        def score(at: int) -> Callable[[Tensor], Tensor]:
            return lambda many: sign * torch.cat([probability(part)[:, batch.target[at]] for part in many.split(16)])

        with torch.no_grad():
            return torch.stack([searched(score(k), start[k], end[k], rounds) for k in range(len(start))])

    def as_input(pixels: Tensor) -> Tensor:
        return black[:1] + pixels / 255 * (white - black[:1])

    pixels = ((x - black) / (white - black) * 255).round().to(torch.uint8)
    patches = nn.functional.avg_pool2d(x, SIDE).repeat_interleave(SIDE, 2).repeat_interleave(SIDE, 3)
    base = gradient(subject, batch)
    without = {"shuffled": shuffled(base, generator), "random": random(subject, batch)}
    for control, maps in {"searched": found(black, x, 1, ROUNDS["insertion"]), **without}.items():
        for ranking, words in (("signed", "by sign"), ("absolute", "by magnitude")):
            curve = insertion(probability, x, maps, batch.target, black, ranking=ranking)  # type: ignore[arg-type]
            yield f"insertion {words}", control, curve.area
        sic = information_curve(
            *(probability, pixels, maps, batch.target, as_input), protocol="study", information="png"
        )
        yield "SIC, entropy", control, sic.sic_area
    for control, maps in {"searched": found(x, patches, -1, ROUNDS["degradation"]), **without}.items():
        curve = degradation(probability, x, maps, batch.target, patches_per_point=10)
        yield "degradation area", control, curve.area
    for control, maps in {"same": base, **without}.items():
        yield "rank correlation", control, rank_correlation(base, maps)
        yield "size of two classes' correlation", control, class_sensitivity(base, maps, "absolute").abs()


def main() -> None:
    """Measure the controls on the photographs of a folder."""
    options = common.options(__doc__, photographs=True, results=RESULTS).parse_args()
    rows: list[common.Row] = []
    search = {"side": SIDE, "patches at once": TOGETHER, "rounds": ROUNDS}
    for model, batch, white in common.photographs(options, ROWS):
        for measure, control, values in measured(model, batch, white):
            rows += [
                {"image": name, "measure": measure, "control": control, "value": common.short(value)}
                for name, value in zip(batch.names, values.tolist(), strict=True)
            ]
        common.write(options.results, NAME, rows, {**common.SETTINGS, "images": options.count, "search": search})


if __name__ == "__main__":
    main()
