"""The IDGI study's Fig. 5: where on its way a path changes the image, and where F.

For each tenth of the straight and of the blur path: its share of the image's way (the L2 norms of the increments), of
F's way up and down (|change| of each step), and of F's change from end to end. F is the label's probability.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from captum_ext.paths import BlurPath
from evidence.claims.paths import JUMP
from evidence.experiments import common

STEPS = 30
BLURS = {"blur": BlurPath(), "blur, reflected border": BlurPath(padding_mode="reflect")}
COLUMNS = ("image_share", "variation_share", "change_share")


def points(inputs: Tensor, black: Tensor, steps: int = STEPS) -> dict[str, Tensor]:
    """Each path's points at 0, 1/steps, ..., 1: (steps + 1, B, C, H, W)."""
    alphas = [k / steps for k in range(steps + 1)]
    found = {"straight": torch.stack([black + alpha * (inputs - black) for alpha in alphas])}
    found[JUMP] = torch.stack([black.expand_as(inputs)] * steps + [inputs])  # a control
    for name, path in BLURS.items():
        found[name] = torch.stack([path.point((inputs,), (), alpha)[0] for alpha in alphas])
    return found


def shares(path: Tensor, values: Tensor, parts: int = 10) -> Tensor:
    """The shares of each part of a path, (parts, B, 3), in the order of ``COLUMNS``.

    Args:
        path: Its points, (K + 1, B, ...), where ``parts`` divides K.
        values: F there, (K + 1, B).
        parts: Of equal length in alpha.
    """
    moves, changes = path.double().diff(dim=0).flatten(2).norm(dim=2), values.double().diff(dim=0)
    found = []
    for steps in (moves, changes.abs(), changes):
        each = steps.unflatten(0, (parts, -1)).sum(1)
        found.append(each / each.sum(0))
    return torch.stack(found, 2)


def values(model: nn.Module, path: Tensor, target: Tensor) -> Tensor:
    """The target's probability along a path, (K + 1, B)."""
    with torch.no_grad():
        return torch.stack([model(x).softmax(1).gather(1, target.unsqueeze(1))[:, 0] for x in path])


def main(arguments: Sequence[str] | None = None) -> None:
    options = common.options(__doc__, photographs=True).parse_args(arguments)
    rows: list[common.Row] = []
    for model, batch, _ in common.photographs(options):
        for name, path in points(batch.inputs, batch.baselines[:1]).items():
            parts = shares(path, values(model, path, batch.target))
            rows += [
                {"image": image, "path": name, "tenth": tenth + 1}
                | dict(zip(COLUMNS, map(common.short, numbers), strict=True))
                for image, tenths in zip(batch.names, parts.transpose(0, 1).tolist(), strict=True)
                for tenth, numbers in enumerate(tenths)
            ]
    settings = {**common.SETTINGS, "images": options.count, "steps": STEPS, "max_sigma": BlurPath().max_sigma}
    common.write(options.results, "blur_path", rows, settings)


if __name__ == "__main__":
    main()
