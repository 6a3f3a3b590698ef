"""XRAI under model randomization: ``python -m benchmarks.randomized_regions``.

Four photographs of scikit-image, EfficientNet-Lite0, its predicted classes, 16 steps from black. Maps are computed only
after some of the layers, because they take most of the time.
"""

import sys
from pathlib import Path

import torch

from captum_ext.attr import IDGI, IntegratedGradients
from captum_ext.metrics import model_randomization, rank_correlation
from captum_ext.regions import segment, xrai

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "figures"))
from _shared import classifier, photograph

PICTURES = ("astronaut", "chelsea", "coffee", "rocket")
METHODS = {"IG": IntegratedGradients, "IDGI": IDGI}
LAYERS = (1, 16, 99)
KINDS = ("map, signed", "map, absolute", "XRAI, max", "XRAI, sum")


def kinds(maps, segments):
    """Four kinds of maps from the maps of a method, (4 * B, 1, H, W)."""
    merged = [xrai(maps, segments=segments, channels=channels).unsqueeze(1) for channels in ("max", "sum")]
    return torch.cat([maps.sum(1, keepdim=True), maps.abs().sum(1, keepdim=True), *merged])


class Maps:
    """The maps of a model. Between the measured layers, calls return the last maps."""

    def __init__(self, pictures):
        self.x = torch.cat([picture.x for picture in pictures])
        self.black, self.targets = pictures[0].black, [picture.target for picture in pictures]
        self.segments = segment(self.x)
        self.calls, self.last = -1, None

    def __call__(self, model):
        self.calls += 1
        if self.calls in (0, *LAYERS):
            self.last = torch.cat([kinds(self.attribute(method, model), self.segments) for method in METHODS.values()])
        return self.last

    def attribute(self, method, model):
        return method(lambda x: model(x).softmax(1)).attribute(self.x, self.black, self.targets, n_steps=16)


def show(name, similarity):
    means = similarity.reshape(len(KINDS), -1).mean(1).tolist()
    print(f"{name}: " + ", ".join(f"{kind} {mean:.2f}" for kind, mean in zip(KINDS, means, strict=True)), flush=True)


def main():
    maps = Maps([photograph(name) for name in PICTURES])
    generator = torch.Generator().manual_seed(0)
    for name, factor in (("noise", 1.0), ("noise times (x - black)", maps.x - maps.black)):
        both = [kinds(torch.randn(maps.x.shape, generator=generator) * factor, maps.segments) for _ in range(2)]
        show(name, rank_correlation(*both))
    result = model_randomization(maps, classifier().model, ranking="signed")
    for layer in LAYERS:
        for name, similarity in zip(METHODS, result.similarity[layer - 1].chunk(len(METHODS)), strict=True):
            show(f"{name}, {layer} of {len(result.layers)} layers", similarity)


if __name__ == "__main__":
    main()
