"""Number formats: how far a map moves from that in float32, and its insertion, which is always measured in float32.

``bfloat16`` is PyTorch's autocast. ``TF32`` rounds the factors of convolutions and matrix products to TF32's 10 bits,
as a GPU does; a GPU also adds in another order and keeps some layers in float32. Two controls: the same run again, and
float32's maps with their pixels shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from captum_ext.evaluation.batch_maps import compute_maps
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.metrics import insertion, rank_correlation
from evidence.claims.formats import METHODS, NAME
from evidence.experiments import common
from studies.controls import shuffled

STEPS, ROWS = 16, 4
RESULTS = Path(__file__).parent / "results"
_ATEN = torch.ops.aten
_FACTORS = {  # the arguments that are multiplied
    _ATEN.convolution.default: slice(0, 2),
    _ATEN.convolution_backward.default: slice(0, 3),
    _ATEN.addmm.default: slice(1, 3),
    _ATEN.mm.default: slice(0, 2),
}


def as_tf32(x: Tensor) -> Tensor:
    """Rounded to 10 bits of mantissa, ties to even."""
    bits = x.view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


class TensorFloat32(TorchDispatchMode):
    """Inside it, factors are rounded to TF32 and their products are added in float32."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function, with rounded factors if it multiplies."""
        factors, arguments = _FACTORS.get(func, slice(0)), list(args)
        arguments[factors] = map(as_tf32, arguments[factors])
        return func(*arguments, **(kwargs or {}))


FORMATS: dict[str, Any] = {
    "float32": nullcontext,
    "float32 again": nullcontext,
    "bfloat16": partial(torch.autocast, "cpu", torch.bfloat16),
    "TF32": TensorFloat32,
}


def compare(model: nn.Module, batch: ImageBatch, steps: int = STEPS) -> Iterator[common.Row]:
    """A row for each image, method and format."""
    subject, every = ProbabilityModel(model, batch.inputs[:1], None, 0), dict[str, dict[str, Tensor]]()
    for name, inside in FORMATS.items():
        with inside():
            every[name] = {one.method: one.maps for one in compute_maps(subject, batch, METHODS, [steps])}
    before, generator = every["float32"], torch.Generator().manual_seed(0)
    every["shuffled"] = {method: shuffled(maps, generator) for method, maps in before.items()}
    for method in METHODS:
        areas: dict[str, Tensor] = {}
        for name, made in every.items():
            maps, columns = made[method], dict[str, Tensor]()
            for kind in ("signed", "absolute"):
                columns[f"rank {kind}"] = rank_correlation(before[method], maps, kind)
                if not torch.equal(maps, before[method]) or name == "float32":
                    own = (batch.inputs, maps, batch.target, batch.baselines)
                    areas[kind] = insertion(subject.probability, *own, ranking=kind).area
                columns[f"insertion {kind}"] = areas[kind]
            for k, image in enumerate(batch.names):
                numbers = {column: common.short(float(value[k])) for column, value in columns.items()}
                yield {"image": image, "method": method, "format": name, **numbers}


def main() -> None:
    """Compare the photographs of a folder."""
    options = common.options(__doc__, photographs=True, results=RESULTS).parse_args()
    rows: list[common.Row] = []
    for model, batch, _ in common.photographs(options, ROWS):
        rows += compare(model, batch)
        common.write(options.results, NAME, rows, {**common.SETTINGS, "images": options.count, "steps": STEPS})


if __name__ == "__main__":
    main()
