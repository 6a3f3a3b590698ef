"""Implementation invariance: do two networks that compute the same get the same map?

Each network is compared with twins; patterns of both are fitted on the same data. Everything is in float64, so that
what is invariant differs by rounding only. IG, which is invariant, is the control.

On paper: a unit's pattern is a = n / (w . n) with n = E+[x y] - E+[x] E[y], so w * a is n * w over its own sum.
Factors of x or y cancel in it: units may be rescaled, and of two halves of a unit each gets half. (Not so in a:
PatternNet counts both halves whole.) A layer that changes nothing, or only scales, has w * a = 1 on its diagonal, and
nothing else changes but what follows the layer before it: with no ReLU there any more, that one takes the linear
estimator. A shift of x is no factor: it adds (E+[y] - E[y]) times itself to n. A scale that is no patterned layer, as
BatchNorm's, stays a factor of the gradient. Nor is the product of two layers' w * a that of their product.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from captum_ext.attr import PGIG, IntegratedGradients, PatternAttribution, PatternNet
from captum_ext.patterns import PatternFitter
from evidence.experiments import common, toy, twins
from evidence.mnist import digits, mnist

STEPS = 8
COUNT, FITTED = 64, 500  # digits explained and fitted on
# On the digits' plain background all places of a max-pooling are equal but for rounding, which then decides where the
# gradient goes: without noise IG's own maps of two twins differ by .002.
NOISE = 0.01
Choice = Literal["auto", "positive", "linear"]


class Twin(NamedTuple):
    """How a network's twin differs from it, the twin, and the estimator that both are fitted with."""

    difference: str
    model: nn.Sequential
    estimator: Choice = "auto"


class Scene(NamedTuple):
    """What is explained: the inputs' names, the inputs, their targets, and what patterns are fitted on."""

    names: list[str]
    inputs: Tensor
    target: Tensor | int
    fitted_on: Tensor
    softmax: bool


def explained(model: nn.Module, estimator: Choice, scene: Scene) -> dict[str, Tensor]:
    """The maps by each method. IG and PGIG start from zeros and explain the probability, where there are classes."""
    fitter = PatternFitter(model, estimator, fold=True)
    for batch in scene.fitted_on.split(100):
        fitter.update(batch)
    patterns, folded = fitter.patterns(), fitter.model

    def score(network: nn.Module, x: Tensor) -> Tensor:
        output: Tensor = network(x)
        return output.softmax(1) if scene.softmax else output

    x, target = scene.inputs, scene.target
    return {
        "ig": IntegratedGradients(lambda x: score(model, x)).attribute(x, target=target, n_steps=STEPS),
        "patternnet": PatternNet(folded, patterns).attribute(x, target),
        "patternattribution": PatternAttribution(folded, patterns).attribute(x, target),
        "pgig": PGIG(lambda x: score(folded, x), patterns, folded).attribute(x, target=target, n_steps=STEPS),
    }


def toy_twins(model: nn.Sequential) -> Iterator[Twin]:
    """Twins of Fig. 2's network."""
    angle = torch.tensor(0.5, dtype=torch.float64)
    turned = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()]).reshape(2, 2)
    yield Twin("unit rescaled", twins.rescaled(model, 0, torch.tensor([3.0], dtype=torch.float64)))
    yield Twin("unit split", twins.split(model, 0, torch.tensor([0])))
    yield from _at_layer(model, 0, turned, -2 * torch.ones(2), 4 * torch.ones(2))


def mnist_twins(model: nn.Sequential, inputs: Tensor) -> Iterator[Twin]:
    """Twins of the network on digits; the statistics of BatchNorm are taken from the inputs."""
    generator = torch.Generator().manual_seed(0)

    def factors(count: int) -> Tensor:
        return 4 ** (2 * torch.rand(count, dtype=torch.float64, generator=generator) - 1)

    with torch.no_grad():
        hidden = nn.Sequential(*model[:11])(inputs)
    mean, variance = hidden.mean(0), hidden.var(0)
    variance[variance == 0] = 1
    basis = torch.linalg.svd(model.get_parameter("11.weight").detach(), full_matrices=False).Vh
    yield Twin("unit rescaled", twins.rescaled(twins.rescaled(model, 0, factors(16)), 11, factors(64)))
    yield Twin("unit split", twins.split(twins.split(model, 0, torch.arange(0, 16, 2)), 11, torch.arange(0, 64, 2)))
    yield from _at_layer(model, 11, basis, mean, variance)
    yield Twin("BatchNorm folded", twins.unfolded(model, 2, factors(16), factors(16)))


def _at_layer(model: nn.Sequential, at: int, basis: Tensor, mean: Tensor, variance: Tensor) -> Iterator[Twin]:
    """What can be done about the linear layer at a position, which a ReLU follows."""
    width = len(model.get_parameter(f"{at}.weight"))
    before_relu = twins.with_identity(model, at + 1, width)
    yield Twin("layer factorised", twins.factorised(model, at, basis))
    yield Twin("identity after ReLU", twins.with_identity(model, at + 2, width))
    yield Twin("identity before ReLU", before_relu)
    yield Twin("identity before ReLU, all positive", before_relu, "positive")
    yield Twin("identity before ReLU, all linear", before_relu, "linear")
    yield Twin("shift before layer", twins.normalised(model, at, mean, torch.ones_like(mean)))
    yield Twin("scale before layer", twins.normalised(model, at, torch.zeros_like(mean), variance))
    yield Twin("BatchNorm before layer", twins.normalised(model, at, mean, variance))


def compared(network: str, model: nn.Sequential, others: Iterator[Twin], scene: Scene) -> Iterator[common.Row]:
    """A row for each image, twin and method."""
    originals: dict[Choice, dict[str, Tensor]] = {}
    for twin in others:
        with torch.no_grad():
            torch.testing.assert_close(twin.model(scene.inputs), model(scene.inputs), atol=1e-9, rtol=1e-9)
        if twin.estimator not in originals:
            originals[twin.estimator] = explained(model, twin.estimator, scene)
        maps = explained(twin.model, twin.estimator, scene)
        for method, before in originals[twin.estimator].items():
            what = {"network": network, "twin": twin.difference, "method": method}
            if network == "toy":  # one map, whose positions are the examples
                before, after = before.reshape(1, -1), maps[method].reshape(1, -1)
            else:
                after = maps[method]
            yield from common.comparison(scene.names, before, after, **what)


def of_mnist(count: int, fitted_on: int) -> Iterator[common.Row]:
    """The rows of the network on digits, for test digits that it classifies correctly."""
    model = copy.deepcopy(mnist().model).double()
    assert isinstance(model, nn.Sequential), "as evidence.mnist makes it"
    (train, _), (images, labels) = digits()
    with torch.no_grad():
        right = (model(images.double()).argmax(1) == labels).nonzero()[:count, 0]
    names = [f"digit{index:04d}" for index in right.tolist()]
    x, data = images[right].double(), train[:fitted_on].double()
    x = x + NOISE * torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    scene = Scene(names, x, labels[right], data, softmax=True)
    return compared("mnist", model, mnist_twins(model, data), scene)


def main(arguments: Sequence[str] | None = None) -> None:
    given = common.options(__doc__, photographs=False).parse_args(arguments)
    (_, x), model = toy.data(), toy.network()
    fig_2 = Scene(["all"], x, 0, x, softmax=False)  # the examples together are one map
    rows = [*compared("toy", model, toy_twins(model), fig_2), *of_mnist(COUNT, FITTED)]
    settings = {
        "steps": STEPS,
        "digits": COUNT,
        "noise added to them": NOISE,
        "fitted on": FITTED,
        "dtype": "float64",
        "baseline": "zeros",
    }
    common.write(given.results, "invariance", rows, settings)


if __name__ == "__main__":
    main()
