"""The methods that the conformance tests run. To register a part, add one line to CASES, PATHS or QUADRATURES.

A case declares a class and its arguments. Everything that the tests need to know of it comes from its parts: the path's
and the quadrature's public attributes, and what they accept. Nothing depends on its name.
"""

from functools import cached_property

import pytest
import torch

from captum_ext.attr import (
    EIG,
    IDG,
    IDGI,
    MAGIG,
    PGIG,
    SAMP,
    BlurIG,
    GuidedIG,
    IntegratedGradients,
    LayerBlurIG,
    LayerGuidedIG,
    LayerIDGI,
    LayerIntegratedGradients,
    LayerPathAttribution,
    NeuronIntegratedGradients,
    NeuronPathAttribution,
    PathAttribution,
    PatternAttribution,
    PatternNet,
)
from captum_ext.paths import BlurPath, GuidedPath, StraightPath, VocabularyPath
from captum_ext.patterns import PatternRule, fit_patterns
from captum_ext.quadratures import DecisionGradients, ImportantDirection, PositionWeighted, Subsampled, WeightedSum
from captum_ext.testing.subject import default_images
from tests.conformance.foreign import DescentPath, SimpsonSum, SpectralPath, TotalVariation


def _double(*tensors):
    """An encoder without a shape, for inputs of any."""
    return tuple(2 * tensor for tensor in tensors)


def _halve(*latents):
    return tuple(latent / 2 for latent in latents)


class Case:
    """A method: its class, and the arguments that follow the model (and the layer)."""

    def __init__(self, name, method=PathAttribution, **arguments):
        self.name, self.method, self.arguments = name, method, arguments

    def __repr__(self):
        return self.name

    def make(self, forward_func, *layer):
        return self.method(forward_func, *layer, **self.arguments)

    @cached_property
    def _made(self):
        return self.make(torch.nn.Identity(), *() if self.at == "inputs" else (torch.nn.Identity(),))

    # Where it is used, and its parts.

    @property
    def at(self):
        layers = issubclass(self.method, LayerPathAttribution)
        return "layer" if layers else "neuron" if issubclass(self.method, NeuronPathAttribution) else "inputs"

    @property
    def path(self):
        return self._made.path

    @property
    def quadrature(self):
        return self._made.quadrature

    # What follows from the parts.

    @property
    def takes_baselines(self):
        return self.path.takes_baselines

    @property
    def looks_ahead(self):
        return self.path.look_ahead

    @property
    def chaotic(self):
        """Whether a rounding of a gradient may change the points that follow."""
        return not self.path.look_ahead

    @property
    def shares_changes_of_f(self):
        """Whether the attributions hold differences of F, as IDGI's do."""
        return self.quadrature.needs_values

    @property
    def multiplies_by_moves(self):
        """Whether a feature that the path does not move gets nothing."""
        return self.quadrature.uses_increments and self._made.multiplies_by_inputs

    @property
    def complete(self):
        return self._made.multiplies_by_inputs

    @property
    def is_captums(self):
        """Whether Captum's Integrated Gradients computes the same."""
        return isinstance(self.path, StraightPath) and self.complete and self.quadrature == WeightedSum()

    @cached_property
    def minimum_rank(self):
        """The fewest dimensions of an input, the examples' included, that the path takes."""
        return next(rank for rank in range(1, 6) if self._takes(torch.zeros(1, *(4,) * (rank - 1))))

    def _takes(self, example):
        try:
            start = self.path.start((example,), (example,) if self.takes_baselines else None)
            if self.looks_ahead:
                self.path.point((example,), start, 0.5)
        except ValueError:
            return False
        return True

    def start(self, inputs, value=0.1):
        """Baselines of this number for a method that takes any, or None."""
        return tuple(torch.full_like(part, value) for part in inputs) if self.takes_baselines else None


def everywhere(name, **parts):
    """The cases of these parts at inputs, at a layer, and for a neuron."""
    yield Case(name, **parts)
    yield Case(f"Layer {name}", LayerPathAttribution, **parts)
    yield Case(f"Neuron {name}", NeuronPathAttribution, **parts)


CASES = (
    Case("IG", IntegratedGradients),
    Case("IG, local", IntegratedGradients, multiply_by_inputs=False),
    Case("IG, trapezoid", quadrature=WeightedSum("riemann_trapezoid")),
    Case("IDGI", IDGI),
    Case("IDG, normalized", IDG, normalize=True),
    Case("Weighted sum, own nodes", quadrature=WeightedSum(nodes=[(k + 0.5) / 12 for k in range(12)])),
    Case("Blur IG", BlurIG, max_sigma=3.0),
    Case("Blur IG + IDGI", IDGI, path=BlurPath(max_sigma=3.0, padding_mode="reflect")),
    Case("Guided IG", GuidedIG, max_dist=0.3),
    Case("Guided IG + IDGI", IDGI, path=GuidedPath(fraction=0.5, max_dist=1.0)),
    Case("EIG", EIG, encode=_double, decode=_halve),
    Case("MA-GIG", MAGIG, encode=_double, decode=_halve, fraction=0.25, max_dist=0.3),
    Case("SAMP", SAMP, fraction=0.3),
    Case("Layer IG", LayerIntegratedGradients),
    Case("Layer IG, local", LayerIntegratedGradients, multiply_by_inputs=False),
    Case("Layer IDGI", LayerIDGI),
    Case("Layer IDG", LayerPathAttribution, quadrature=DecisionGradients(normalize=True)),
    Case("Layer Guided IG", LayerGuidedIG, max_dist=0.3),
    Case("Layer Blur IG", LayerBlurIG, max_sigma=2.0),
    Case("Layer Guided IG + IDGI", LayerIDGI, path=GuidedPath(fraction=0.5, max_dist=1.0)),
    Case("Neuron IG", NeuronIntegratedGradients),
    Case("Neuron IDGI", NeuronPathAttribution, quadrature=ImportantDirection()),
    Case("Neuron IDG", NeuronPathAttribution, quadrature=DecisionGradients(normalize=True)),
    Case("Neuron Blur IG", NeuronPathAttribution, path=BlurPath(max_sigma=2.0)),
    *everywhere("Spectral", path=SpectralPath()),
)

METHODS = [case for case in CASES if case.at == "inputs"]
LAYER_METHODS = [case for case in CASES if case.at == "layer"]
NEURON_METHODS = [case for case in CASES if case.at == "neuron"]
TAKES_BASELINES = [case for case in METHODS if case.takes_baselines]
COMPLETE = [case for case in METHODS if case.complete]


def each(cases):
    """Run a test with each of these cases."""
    return pytest.mark.parametrize("case", cases, ids=str)


every_method = each(METHODS)


# Every quadrature is run on every path. The paths are those of the methods, the first of each kind, and these.
_FIRST = {type(case.path): case.path for case in reversed(METHODS) if case.complete}
_WORDS = torch.cat([default_images().flatten(0, 2), default_images(1, 3, 4, seed=1).flatten(0, 2)])
PATHS = [*reversed(_FIRST.values()), DescentPath(), VocabularyPath(_WORDS, n_words=3)]
QUADRATURES = [
    *map(WeightedSum, WeightedSum.methods),
    *map(ImportantDirection, ImportantDirection.methods),
    Subsampled(ImportantDirection("riemann_trapezoid"), 2),
    DecisionGradients(),
    DecisionGradients(normalize=True),
    PositionWeighted("beta(2, 2)"),
    WeightedSum(nodes=[0.25, 0.5, 0.75]),
    SimpsonSum(),
    TotalVariation(),
]


def pattern_methods(model, inputs):
    """The methods that need patterns, made for this model."""
    patterns = fit_patterns(model, [inputs])
    return {
        "PGIG": PGIG(model, patterns),
        "PatternAttribution": PatternAttribution(model, patterns),
        "PatternNet": PatternNet(model, patterns),
        "Layer IDGI by patterns": LayerIDGI(model, model.conv, backward=PatternRule(patterns)),
    }
