"""The cascading sanity check of patterned and other methods: do maps change as the network forgets?

On the MNIST network its layers are initialised anew, one after the other from the output on. On EfficientNet-Lite0,
folded, the entries of each weight and bias are shuffled, of the last layer alone or of all: without BatchNorm a new
initialisation would let the signal die out. Methods with patterns are there twice: with the patterns of the network
before ("kept"), and with patterns fitted anew to the network as it then is ("anew").
"""

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext import baselines
from captum_ext.attr import PGIG, PathAttribution, PatternAttribution
from captum_ext.evaluation.comparators import gradient, guided_backprop
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.metrics import Randomization, class_sensitivity, model_randomization
from captum_ext.patterns import Patterns, fit_patterns
from captum_ext.quadratures import ImportantDirection, Quadrature, WeightedSum
from captum_ext.vision.pictures import read
from evidence.experiments import common
from evidence.mnist import digits, mnist
from evidence.models import batches, explained, halves, labels, lite0_with_patterns, spread

DIGITS, FITTED = 64, 1000  # digits explained, and fitted on anew
STEPS = {"mnist": 16, "efficientnet-lite0": 8}
ROWS = 8

Fit = Callable[[nn.Module], Patterns]
Explain = Callable[[nn.Module], Tensor]


def methods(inputs: Tensor, baseline: Tensor, target: Tensor, steps: int, fits: dict[str, Fit]) -> dict[str, Explain]:
    """What makes the maps of a model: (method, patterns) joined by a colon; ``fits`` give a model's patterns."""
    question = ImageBatch(tuple(map(str, range(len(inputs)))), inputs, baseline, target)

    def subject(model: nn.Module) -> ProbabilityModel:
        return ProbabilityModel(model, inputs[:1], ROWS, 0)

    def walk(method: PathAttribution) -> Tensor:
        maps: Tensor = method.attribute(inputs, baseline, target, n_steps=steps, internal_batch_size=ROWS)
        return maps

    def along(quadrature: Quadrature, model: nn.Module) -> Tensor:
        return walk(PathAttribution(subject(model).probability, quadrature=quadrature))

    def attribution(fit: Fit, model: nn.Module) -> Tensor:
        maps: Tensor = PatternAttribution(model, fit(model)).attribute(inputs, target, internal_batch_size=ROWS)
        return maps

    def pgig(fit: Fit, model: nn.Module) -> Tensor:
        return walk(PGIG(subject(model).probability, fit(model), model))

    found: dict[str, Explain] = {
        "gradient:": lambda model: gradient(subject(model), question),
        "ig:": partial(along, WeightedSum("riemann_trapezoid")),
        "idgi:": partial(along, ImportantDirection()),
        "guided-backprop:": lambda model: guided_backprop(subject(model), question),
    }
    for name, fit in fits.items():
        found[f"patternattribution:{name}"] = partial(attribution, fit)
        found[f"pgig:{name}"] = partial(pgig, fit)
    return found


def fits_of(patterns: Patterns, inputs: Sequence[Tensor]) -> dict[str, Fit]:
    """Patterns as they were, whatever the model, and those of the model as it is."""
    kept = Patterns(dict(patterns))  # without their origin, which would warn of other weights
    cache: dict[str, Patterns] = {}

    def anew(model: nn.Module) -> Patterns:
        key = hashlib.sha256(
            torch.cat([p.detach().flatten() for p in model.parameters()]).numpy().tobytes()
        ).hexdigest()
        if key not in cache:
            cache[key] = fit_patterns(model, inputs, show_progress=False)
        return cache[key]

    return {"kept": lambda model: kept, "anew": anew}


def shuffled(model: nn.Module, only_last: bool, seed: int = 0) -> nn.Module:
    """A copy in which the entries of each parameter are in another order, or those of the last layer only."""
    copied = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    layers = [module for module in copied.modules() if next(module.parameters(recurse=False), None) is not None]
    for layer in layers[-1:] if only_last else layers:
        for parameter in layer.parameters(recurse=False):
            order = torch.randperm(parameter.numel(), generator=generator)
            with torch.no_grad():
                parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    return copied


def rows_of(
    network: str, method: str, names: Sequence[str], pair: tuple[Randomization, Randomization]
) -> list[common.Row]:
    """A row for each image and randomised layer, with either ranking's similarity."""
    absolute, signed = pair
    name, _, patterns = method.partition(":")
    known = {"network": network, "method": name, "patterns": patterns}
    return [
        {**known, "layer": layer, "image": image, "absolute": round(by_magnitude, 3), "signed": round(by_sign, 3)}
        for layer, *both in zip(absolute.layers, absolute.similarity.tolist(), signed.similarity.tolist(), strict=True)
        for image, by_magnitude, by_sign in zip(names, *both, strict=True)
    ]


def both(explain: Explain, run: Callable[[Explain, Any], Randomization]) -> tuple[Randomization, Randomization]:
    """By either ranking, for maps that are made once."""
    made: list[Tensor] = []

    def first(model: nn.Module) -> Tensor:
        made.append(explain(model))
        return made[-1]

    absolute = run(first, "absolute")
    again = iter(made)
    return absolute, run(lambda model: next(again), "signed")


def on_mnist(count: int = DIGITS, fitted_on: int = FITTED, steps: int = STEPS["mnist"]) -> Iterator[common.Row]:
    """The whole cascade for test digits that are classified correctly."""
    model, _, patterns, _ = mnist()
    (train, _), (images, classes) = digits()
    with torch.no_grad():
        right = (model(images).argmax(1) == classes).nonzero()[:count, 0]
    names = [f"digit{index:04d}" for index in right.tolist()]
    x = images[right]
    fits = fits_of(patterns, train[:fitted_on].split(100))
    for name, explain in methods(x, torch.zeros_like(x), classes[right], steps, fits).items():
        pair = both(explain, lambda maps, ranking: model_randomization(maps, model, ranking))
        yield from rows_of("mnist", name, names, pair)


def on_lite0(folder: str, count: int, steps: int = STEPS["efficientnet-lite0"]) -> Iterator[common.Row]:
    """The last layer shuffled, and all layers, for photographs that are classified correctly."""
    _, transform, patterns, model = lite0_with_patterns(folder)
    images = spread(explained(folder), count)
    x = torch.cat(list(batches(images, transform)))
    gray = baselines.gray(read(str(images[0].path)), transform).expand_as(x)
    fits = fits_of(patterns, list(batches(halves(folder)[1], transform)))
    states = {"last layer": shuffled(model, only_last=True), "all layers": shuffled(model, only_last=False)}

    def run(explain: Explain, ranking: Any) -> Randomization:
        before = explain(model)
        similarity = [class_sensitivity(before, explain(state), ranking) for state in states.values()]
        return Randomization(tuple(states), torch.stack(similarity))

    for name, explain in methods(x, gray, labels(images), steps, fits).items():
        yield from rows_of("efficientnet-lite0", name, [image.name for image in images], both(explain, run))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = common.options(__doc__, photographs=True)
    given = parser.parse_args(arguments)
    settings = {
        "steps": STEPS,
        "digits": DIGITS,
        "photographs": given.count,
        "fitted anew on": {"mnist": FITTED, "efficientnet-lite0": len(halves(given.images)[1])},
        "baseline": "gray",
        "explained": "the label's probability; by PatternAttribution its logit",
    }
    rows: list[common.Row] = []
    for part in (on_mnist(), on_lite0(given.images, given.count)):
        rows += part
        common.write(given.results, "randomization", rows, settings)  # the first part is kept if the second is stopped


if __name__ == "__main__":
    main()
