"""The default of ``internal_batch_size`` against fixed sizes, on several kinds of networks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import vgg11

from benchmarks.common import Size, interleaved, network, photographs
from captum_ext.attr import IntegratedGradients

ROWS = (1, 2, 4, 8, 16, 32, 64)


def rows(size: Size) -> Iterator[dict[str, Any]]:
    """The time of the same points at each size and at the default, ``None``."""
    model, transform = network()
    images = photographs(transform, 8, size.folder)
    torch.manual_seed(0)
    vgg = vgg11().eval()
    table = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)).eval()
    small = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 14 * 14, 10)
    ).eval()
    wide = (256, 1024)
    scenes: list[tuple[str, nn.Module, Tensor, int, tuple[int, ...]]] = [
        ("EfficientNet-Lite0, 1 photograph", model, images[:1], 64, ROWS),
        ("EfficientNet-Lite0, 8 photographs", model, images, 8, ROWS),
        ("VGG-11, 1 photograph", vgg, images[:1], 16, ROWS[:5]),
        ("a network for 32 x 32 images, 8 of them", small, torch.randn(8, 3, 32, 32), 128, (*ROWS, *wide)),
        ("an MLP on 256 features, 64 rows of a table", table, torch.randn(64, 256), 64, (*ROWS[3:], *wide)),
    ]
    for name, net, inputs, steps, sizes in scenes:
        probability = nn.Sequential(net, nn.Softmax(1))
        with torch.no_grad():
            target = probability(inputs).argmax(1)
        method = IntegratedGradients(probability)
        calls = {
            str(each): partial(method.attribute, inputs, target=target, n_steps=steps, internal_batch_size=each)
            for each in (None, *sizes)
        }
        calls["None"]()
        times = interleaved(calls, size.seconds, size)
        print(f"  {name}: {len(times['None'])} rounds", flush=True)
        yield {"network": name, "images": len(inputs), "steps": steps, "seconds": times}
