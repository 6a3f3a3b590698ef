"""Launches and waits on a GPU, counted on a pretended device."""

import torch

from captum_ext.attr import IDGI, PathAttribution
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import WeightedSum
from tests.elsewhere import Elsewhere
from tests.launches import Counter, Model

TARGETS = {
    "one": lambda n: 1,
    "each": lambda n: Elsewhere(torch.arange(n) % 3),
    "list": lambda n: [0, 1, 2, 1] * (n // 4),
}
PATHS = {"straight": StraightPath(), "blur": BlurPath(), "guided": GuidedPath()}


def count(path, quadrature, n_steps, examples, rows, target="one", **arguments):
    counter = Counter()
    model = Model(counter)
    with counter.counting():
        torch.manual_seed(0)
        x = Elsewhere(torch.rand(examples, 3, 8, 8))
        target = TARGETS[target](examples)
        method = (
            IDGI(model, path=path)
            if quadrature == "IDGI"
            else PathAttribution(model, path, WeightedSum(quadrature or path.default_method))
        )
        counter.counts.__init__()
        method.attribute(x, target=target, n_steps=n_steps, internal_batch_size=rows, **arguments)
    return counter.counts, model.passes


def per_pass(path, quadrature, examples, rows, target):
    few, few_passes = count(path, quadrature, 4 * rows // examples, examples, rows, target)
    many, many_passes = count(path, quadrature, 8 * rows // examples, examples, rows, target)
    return (many - few) / (many_passes - few_passes) if True else few
