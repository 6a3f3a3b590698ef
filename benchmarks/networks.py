"""IG of this library and of Captum on three networks. Two have random weights, which suffice for times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torchvision.models import resnet50, vit_b_16

from benchmarks.common import Size, network, photographs
from benchmarks.contenders import scene_of
from benchmarks.timing import SAME_MAPS, compare


def vit_with_head() -> nn.Module:
    """ViT-B/16 with a random head; torchvision's is zero, and so would be all gradients."""
    model = vit_b_16()
    nn.init.normal_(model.heads.head.weight, std=0.02)
    return model


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "EfficientNet-Lite0": lambda: network()[0],
    "ResNet-50": resnet50,
    "ViT-B/16": vit_with_head,
}


def networks(size: Size) -> Iterator[dict[str, Any]]:
    """A few photographs and steps on each network, and more than 8 points, so that Captum's two settings differ."""
    images = photographs(network()[1], size.few_images, size.folder)
    for name, make in NETWORKS.items():
        torch.manual_seed(0)
        scene = scene_of(make(), images, size.network_steps)
        yield compare("networks", scene, SAME_MAPS, size, size.network_seconds, size.few_steps, network=name)
