"""Every method of the library over one model, for the conformance grid."""

from __future__ import annotations

from captum_ext.attr import (
    EIG,
    IDGI,
    MAGIG,
    PGIG,
    BlurIG,
    GuidedIG,
    IntegratedGradients,
    LayerBlurIG,
    LayerGuidedIG,
    LayerIDGI,
    LayerIntegratedGradients,
    NeuronIntegratedGradients,
    NeuronPathAttribution,
    PathAttribution,
    PatternAttribution,
    PatternNet,
)
from captum_ext.paths import BlurPath, GuidedPath
from captum_ext.patterns import PatternRule, fit_patterns
from captum_ext.quadratures import ImportantDirection, WeightedSum


def _double(*tensors):
    """An encoder without a shape, for inputs of any."""
    return tuple(2 * tensor for tensor in tensors)


def _halve(*latents):
    return tuple(latent / 2 for latent in latents)


METHODS = {
    "IG": IntegratedGradients,
    "IG, local": lambda f: IntegratedGradients(f, multiply_by_inputs=False),
    "IG, trapezoid": lambda f: PathAttribution(f, quadrature=WeightedSum("riemann_trapezoid")),
    "IDGI": IDGI,
    "Blur IG": lambda f: BlurIG(f, max_sigma=3.0),
    "Blur IG + IDGI": lambda f: IDGI(f, BlurPath(max_sigma=3.0, padding_mode="reflect")),
    "EIG": lambda f: EIG(f, _double, _halve),
    "Guided IG": lambda f: GuidedIG(f, max_dist=0.3),
    "Guided IG, latent": lambda f: MAGIG(f, _double, _halve, 0.25, 0.3),
    "Guided IG + IDGI": lambda f: IDGI(f, GuidedPath(fraction=0.5, max_dist=1.0)),
}
TAKES_BASELINES = [name for name in METHODS if not name.startswith("Blur")]
COMPLETE = [name for name in METHODS if name != "IG, local"]

# Each takes the model and one of its layers.
LAYER_METHODS = {
    "Layer IG": LayerIntegratedGradients,
    "Layer IG, local": lambda f, layer: LayerIntegratedGradients(f, layer, multiply_by_inputs=False),
    "Layer IDGI": LayerIDGI,
    "Layer Guided IG": lambda f, layer: LayerGuidedIG(f, layer, max_dist=0.3),
    "Layer Blur IG": lambda f, layer: LayerBlurIG(f, layer, max_sigma=2.0),
    "Layer Guided IG + IDGI": lambda f, layer: LayerIDGI(f, layer, path=GuidedPath(fraction=0.5, max_dist=1.0)),
}
NEURON_METHODS = {
    "Neuron IG": NeuronIntegratedGradients,
    "Neuron IDGI": lambda f, layer: NeuronPathAttribution(f, layer, quadrature=ImportantDirection()),
    "Neuron Blur IG": lambda f, layer: NeuronPathAttribution(f, layer, path=BlurPath(max_sigma=2.0)),
}


def pattern_methods(model, inputs):
    """The methods that need patterns, made for this model."""
    patterns = fit_patterns(model, [inputs])
    return {
        "PGIG": PGIG(model, patterns),
        "PatternAttribution": PatternAttribution(model, patterns),
        "PatternNet": PatternNet(model, patterns),
        "Layer IDGI by patterns": LayerIDGI(model, model.conv, backward=PatternRule(patterns)),
    }
