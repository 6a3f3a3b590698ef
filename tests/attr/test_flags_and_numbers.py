"""Booleans are no numbers, and every class takes Captum's ``multiply_by_inputs``."""

import captum.attr
import numpy as np
import pytest
import torch

from captum_ext import baselines
from captum_ext.attr import (
    AGI,
    DIG,
    EIG,
    IDG,
    IDGI,
    IG2,
    IGOS,
    MAGIG,
    MFABA,
    PGIG,
    SAMP,
    BlurIG,
    Expected,
    ExpectedGradients,
    GuidedIG,
    IntegratedGradients,
    LayerBlurIG,
    LayerGuidedIG,
    LayerIDGI,
    LayerIntegratedGradients,
    LayerPathAttribution,
    LeftIG,
    NeuronBlurIG,
    NeuronConductance,
    NeuronGuidedIG,
    NeuronIDGI,
    NeuronIntegratedGradients,
    NeuronPathAttribution,
    OneAtATime,
    PathAttribution,
    PatternAttribution,
    PatternNet,
    SmoothTaylor,
)
from captum_ext.evaluation import EvaluationConfig
from captum_ext.metrics import degradation, deletion, information_curve, insertion, jpeg_compress, model_randomization
from captum_ext.paths import BlurPath, GuidedPath
from captum_ext.patterns import fit_patterns, signal_quality
from captum_ext.quadratures import ImportantDirection, Subsampled

torch.manual_seed(0)
MODEL = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(16, 2))
X = torch.rand(2, 3, 4, 4)
PATTERNS = fit_patterns(MODEL, [torch.rand(64, 3, 4, 4)], show_progress=False)
IG = IntegratedGradients(MODEL)
PIXELS = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
MAP = torch.rand(1, 16, 16)

NUMBERS = {
    "fraction": lambda flag: GuidedPath(fraction=flag),
    "max_dist": lambda flag: GuidedPath(max_dist=flag),
    "max_sigma": lambda flag: BlurPath(max_sigma=flag),
    "spatial_dims": lambda flag: BlurPath(spatial_dims=(flag,)),
    "fraction of GuidedIG": lambda flag: GuidedIG(MODEL, flag),
    "max_dist of GuidedIG": lambda flag: GuidedIG(MODEL, max_dist=flag),
    "max_sigma of BlurIG": lambda flag: BlurIG(MODEL, flag),
    "path of IDGI": lambda flag: IDGI(MODEL, flag),
    "path of LayerIDGI": lambda flag: LayerIDGI(MODEL, MODEL[0], None, flag),
    "fraction of LayerGuidedIG": lambda flag: LayerGuidedIG(MODEL, MODEL[0], None, flag),
    "max_sigma of LayerBlurIG": lambda flag: LayerBlurIG(MODEL, MODEL[0], None, flag),
    "every": lambda flag: Subsampled(ImportantDirection(), flag),
    "n_steps": lambda flag: IG.attribute(X, target=0, n_steps=flag),
    "n_steps with diagnostics": lambda flag: IG.attribute(X, target=0, n_steps=flag, return_diagnostics=True),
    "n_steps of attribute_each": lambda flag: IG.attribute_each([ImportantDirection()], X, target=0, n_steps=flag),
    "n_steps at a layer": lambda flag: LayerIDGI(MODEL, MODEL[0]).attribute(X, target=0, n_steps=flag),
    "n_steps of a neuron": lambda flag: NeuronPathAttribution(MODEL, MODEL[3]).attribute(X, 0, n_steps=flag),
    "internal_batch_size": lambda flag: IG.attribute(X, target=0, internal_batch_size=flag),
    "tol": lambda flag: IG.attribute(X, target=0, n_steps="auto", tol=flag),
    "max_steps": lambda flag: IG.attribute(X, target=0, n_steps="auto", max_steps=flag),
    "baselines": lambda flag: IG.attribute(X, flag, target=0),
    "baselines of a tuple": lambda flag: IG.attribute((X,), (flag,), target=0),
    "target": lambda flag: IG.attribute(X, target=flag),
    "target tuple": lambda flag: IG.attribute(X, target=(flag,)),
    "target list": lambda flag: IG.attribute(X, target=[(0,), (flag,)]),
    "neuron_selector": lambda flag: NeuronPathAttribution(MODEL, MODEL[3]).attribute(X, flag),
    "neuron_selector tuple": lambda flag: NeuronPathAttribution(MODEL, MODEL[3]).attribute(X, (flag,)),
    "generator of ExpectedGradients": lambda flag: ExpectedGradients(MODEL, X).attribute(X, target=0, generator=flag),
    "n_samples": lambda flag: ExpectedGradients(MODEL, X).attribute(X, target=0, n_samples=flag),
    "internal_batch_size of patterns": lambda flag: PatternNet(MODEL, PATTERNS).attribute(
        X, target=0, internal_batch_size=flag
    ),
    "samples": lambda flag: signal_quality(MODEL, PATTERNS, [X], samples=flag),
    "units": lambda flag: signal_quality(MODEL, PATTERNS, [X], units=flag),
    "generator of quality": lambda flag: signal_quality(MODEL, PATTERNS, [X], generator=flag),
    "sigma": lambda flag: baselines.gaussian_noise(X, flag),
    "max_sigma of blurred": lambda flag: baselines.blurred(X, flag),
    "value": lambda flag: baselines.constant(X, flag),
    "low": lambda flag: baselines.uniform(X, flag, 1),
    "high": lambda flag: baselines.maximum_distance(X, 0, flag),
    "n_points": lambda flag: insertion(MODEL, X, X, 0, n_points=flag),
    "baselines of deletion": lambda flag: deletion(MODEL, X, X, 0, baselines=flag),
    "patch_size": lambda flag: degradation(MODEL, X, X, 0, patch_size=flag),
    "n_patches": lambda flag: degradation(MODEL, X, X, 0, n_patches=flag),
    "patches_per_point": lambda flag: degradation(MODEL, X, X, 0, patches_per_point=flag),
    "internal_batch_size of degradation": lambda flag: degradation(MODEL, X, X, 0, internal_batch_size=flag),
    "min_confidence": lambda flag: information_curve(MODEL, PIXELS, MAP, 0, min_confidence=flag),
    "generator": lambda flag: information_curve(MODEL, PIXELS, MAP, 0, generator=flag),
    "internal_batch_size of information": lambda flag: information_curve(
        MODEL, PIXELS, MAP, 0, internal_batch_size=flag
    ),
    "generator of randomization": lambda flag: model_randomization(lambda m: X, MODEL, generator=flag),
    "quality": lambda flag: jpeg_compress(PIXELS, flag),
    "batch_size of EvaluationConfig": lambda flag: EvaluationConfig(batch_size=flag),
    "internal_batch_size of EvaluationConfig": lambda flag: EvaluationConfig(internal_batch_size=flag),
    "steps of EvaluationConfig": lambda flag: EvaluationConfig(steps=(flag,)),
    "generator of EvaluationConfig": lambda flag: EvaluationConfig(generator=flag),
}


@pytest.mark.parametrize("flag", [True, False, np.bool_(True)])
@pytest.mark.parametrize("name", NUMBERS)
def test_booleans_are_no_numbers(name, flag):
    argument = name.split()[0]
    with pytest.raises(TypeError, match=f"^{'steps' if name.startswith('steps') else argument}: expected "):
        NUMBERS[name](flag)


@pytest.mark.parametrize("number", [1, np.int64(1), np.float32(0.5), 0.5])
def test_numpys_numbers_are_numbers(number):
    assert GuidedPath(fraction=number).fraction == number
    IG.attribute(X, number, target=np.int64(1), n_steps=np.int32(2), internal_batch_size=np.int64(3))


@pytest.mark.parametrize(
    "method", [GuidedIG, BlurIG, lambda f, flag: LayerGuidedIG(f, MODEL[0], None, flag), IDGI], ids=range(4)
)
def test_a_positional_flag_of_captums_is_told_its_keyword(method):
    with pytest.raises(
        TypeError, match=r"got True\. If that is Captum's multiply_by_inputs, write multiply_by_inputs=True"
    ):
        method(MODEL, True)


# multiply_by_inputs --------------------------------------------------------------------------------------------------

WITHOUT_FACTOR = {
    "IDG": (lambda **flag: IDG(MODEL, **flag), "DecisionGradients has none"),
    "IDGI": (lambda **flag: IDGI(MODEL, **flag), "ImportantDirection has none"),
    "GuidedIG": (lambda **flag: GuidedIG(MODEL, **flag), "GuidedPath moves every feature at its own pace"),
    "BlurIG": (lambda **flag: BlurIG(MODEL, **flag), "BlurPath moves every feature at its own pace"),
    "LayerIDGI": (lambda **flag: LayerIDGI(MODEL, None, **flag), "ImportantDirection has none"),
    "LayerGuidedIG": (lambda **flag: LayerGuidedIG(MODEL, None, **flag), "GuidedPath moves every"),
    "LayerBlurIG": (lambda **flag: LayerBlurIG(MODEL, None, **flag), "BlurPath moves every"),
    "NeuronIDGI": (lambda **flag: NeuronIDGI(MODEL, MODEL[0], **flag), "ImportantDirection has none"),
    "NeuronGuidedIG": (lambda **flag: NeuronGuidedIG(MODEL, MODEL[0], **flag), "GuidedPath moves every"),
    "NeuronBlurIG": (lambda **flag: NeuronBlurIG(MODEL, MODEL[0], **flag), "BlurPath moves every"),
    "AGI": (lambda **flag: AGI(MODEL, **flag), "AdversarialPath moves every"),
    "MFABA": (lambda **flag: MFABA(MODEL, **flag), "AdversarialPath moves every"),
    "IG2": (lambda **flag: IG2(MODEL, MODEL, **flag), "RepresentationPath moves every"),
    "SAMP": (lambda **flag: SAMP(MODEL, **flag), "GreedyPath moves every"),
    "PatternNet": (lambda **flag: PatternNet(MODEL, PATTERNS, **flag), "PatternNet does not have"),
    "PatternAttribution": (lambda **flag: PatternAttribution(MODEL, PATTERNS, **flag), "PatternAttribution does not"),
    "EIG": (lambda **flag: EIG(MODEL, torch.clone, torch.clone, **flag), "LatentPath moves every"),
    "MAGIG": (lambda **flag: MAGIG(MODEL, torch.clone, torch.clone, **flag), "LatentPath moves every"),
    "SmoothTaylor": (lambda **flag: SmoothTaylor(MODEL, **flag), "SmoothTaylor does not have"),
    "IGOS": (lambda **flag: IGOS(MODEL, **flag), "IGOS does not have"),
    "Expected": (
        lambda **flag: Expected(IG, [0], **flag),
        r"as in Expected\(IntegratedGradients\(model,",
    ),
    "DIG": (lambda **flag: DIG(MODEL, torch.ones(3, 4), **flag), "VocabularyPath moves every"),
    "OneAtATime": (lambda **flag: OneAtATime(IG, **flag), r"as in\s+OneAtATime\(IntegratedGradients\(model"),
}
WITH_FACTOR = {
    "IntegratedGradients": lambda **flag: IntegratedGradients(MODEL, **flag),
    "LeftIG": lambda **flag: LeftIG(MODEL, **flag),
    "PathAttribution": lambda **flag: PathAttribution(MODEL, **flag),
    "PGIG": lambda **flag: PGIG(MODEL, PATTERNS, **flag),
    "ExpectedGradients": lambda **flag: ExpectedGradients(MODEL, X, **flag),
    "LayerIntegratedGradients": lambda **flag: LayerIntegratedGradients(MODEL, None, **flag),
    "LayerPathAttribution": lambda **flag: LayerPathAttribution(MODEL, None, **flag),
    "NeuronIntegratedGradients": lambda **flag: NeuronIntegratedGradients(MODEL, MODEL[0], **flag),
    "NeuronConductance": lambda **flag: NeuronConductance(MODEL, MODEL[0], **flag),
    "NeuronPathAttribution": lambda **flag: NeuronPathAttribution(MODEL, MODEL[0], **flag),
}


@pytest.mark.parametrize("name", [*WITHOUT_FACTOR, *WITH_FACTOR])
def test_every_class_takes_captums_default_as_a_keyword(name):
    make = WITH_FACTOR.get(name) or WITHOUT_FACTOR[name][0]
    assert type(make(multiply_by_inputs=True)).__name__ == name


@pytest.mark.parametrize("name", WITHOUT_FACTOR)
def test_false_is_explained_where_there_is_no_factor(name):
    make, message = WITHOUT_FACTOR[name]
    with pytest.raises(ValueError, match=f"multiply_by_inputs.*{message}"):
        make(multiply_by_inputs=False)


@pytest.mark.parametrize("name", WITH_FACTOR)
@pytest.mark.parametrize("flag", [False, np.bool_(False), 0])
def test_false_is_taken_where_there_is_a_factor(name, flag):
    assert WITH_FACTOR[name](multiply_by_inputs=flag).multiplies_by_inputs is False


@pytest.mark.parametrize("name", [*WITHOUT_FACTOR, *WITH_FACTOR])
@pytest.mark.parametrize("value", [GuidedPath(), None, "no", 0.5])
def test_other_arguments_in_its_place_are_refused(name, value):
    """IntegratedGradients(model, GuidedPath()) was Integrated Gradients."""
    make = WITH_FACTOR.get(name) or WITHOUT_FACTOR[name][0]
    with pytest.raises(TypeError, match="multiply_by_inputs: expected True or False, got "):
        make(multiply_by_inputs=value)


def test_every_public_class_is_in_these_lists():
    import captum_ext.attr as attr

    public = {name: getattr(attr, name) for name in attr.__all__}
    classes = {
        n for n, thing in public.items() if isinstance(thing, type) and issubclass(thing, captum.attr.Attribution)
    }
    # Captum's LayerConductance has no such argument, and XRAI takes a method that may have one.
    assert classes - {"LayerConductance", "XRAI"} == {*WITH_FACTOR, *WITHOUT_FACTOR}
