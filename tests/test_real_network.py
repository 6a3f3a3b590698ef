"""EfficientNet-Lite0 with its ImageNet weights on photographs, through the public API."""

import copy

import captum.attr
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from captum_ext import baselines
from captum_ext.attr import (
    IDGI,
    BlurIG,
    GuidedIG,
    IntegratedGradients,
    LayerIDGI,
    LayerIntegratedGradients,
    PathAttribution,
)
from captum_ext.cli.models import efficientnet_lite
from captum_ext.paths import BlurPath
from captum_ext.quadratures import ImportantDirection, WeightedSum


@pytest.fixture(scope="module")
def classifier():
    classifier = efficientnet_lite("efficientnet-lite0", None)
    classifier.model.eval()
    return classifier


@pytest.fixture(scope="module")
def photographs(classifier):
    return torch.stack([classifier.transform(Image.fromarray(p)) for p in (data.coffee(), data.chelsea())])


@pytest.fixture(scope="module")
def black(classifier):
    return baselines.black(Image.fromarray(data.coffee()), classifier.transform)


def test_the_transform_and_the_weights_belong_together(classifier, photographs, black):
    with torch.no_grad():
        scores, classes = classifier.model(photographs).softmax(1).max(1)
    assert [classifier.category(index) for index in classes.tolist()] == ["espresso", "tiger cat"]
    assert scores[0] > 0.9
    assert black.unique().tolist() == [-127 / 128]


def test_integrated_gradients_are_captums(classifier, photographs, black):
    """At half the size and in float64: in float32 another batch size flips some ReLU6 gates and moves maps by .1 %."""
    model = copy.deepcopy(classifier.model).double()

    def probability(x):
        return model(x).softmax(1)

    small = photographs[:, :, ::2, ::2].double()
    arguments = {"baselines": black[:, :, ::2, ::2].double(), "target": [967, 282], "n_steps": 4}
    theirs = captum.attr.IntegratedGradients(probability).attribute(small, **arguments)
    ours = IntegratedGradients(probability).attribute(small, **arguments, internal_batch_size=3)
    assert (ours - theirs).abs().max() <= 1e-7


def test_idgi_sums_to_the_change_of_the_probability(classifier, photographs, black):
    def probability(x):
        return classifier.model(x).softmax(1)

    _, delta = IDGI(probability).attribute(
        photographs, black, target=[967, 282], n_steps=5, return_convergence_delta=True
    )
    assert delta.abs().max() < 1e-5
    for path in (None, BlurPath(max_sigma=20.0)):
        method = PathAttribution(probability, **({} if path is None else {"path": path}))
        shared = method.attribute_each(
            [WeightedSum("riemann_trapezoid"), ImportantDirection()], photographs, target=[967, 282], n_steps=3
        )
        for ours in shared:
            assert torch.isfinite(ours).all()


@pytest.mark.parametrize("method", [BlurIG, GuidedIG])
def test_other_paths_explain_photographs(classifier, photographs, method):
    attributions, delta = method(lambda x: classifier.model(x).softmax(1)).attribute(
        photographs, target=[967, 282], n_steps=5, return_convergence_delta=True
    )
    assert np.isfinite(attributions.numpy()).all()
    assert attributions.abs().sum((1, 2, 3)).min() > 0.1
    assert torch.isfinite(delta).all()


def test_layers_of_a_real_network(classifier, photographs):
    model = copy.deepcopy(classifier.model).double()

    def probability(x):
        return model(x).softmax(1)

    crop = (..., slice(80, 128), slice(80, 128))  # float64 convolutions take their time
    start = 0.3 * photographs.double()[crop]  # from black on so small a crop all gates to the output are closed
    arguments = {"baselines": start, "target": [967, 282], "n_steps": 2}
    block = model._blocks[-1]
    x = photographs.double()[crop]
    theirs = captum.attr.LayerIntegratedGradients(probability, block).attribute(x, **arguments)
    ours, delta = LayerIntegratedGradients(probability, block).attribute(
        x, **arguments, internal_batch_size=3, return_convergence_delta=True
    )
    assert (ours - theirs).abs().max() <= 1e-7
    change = (probability(x) - probability(start))[range(2), [967, 282]].detach()
    torch.testing.assert_close(ours.sum((1, 2, 3)) - change, delta)
    shared = LayerIDGI(probability, block).attribute(x, **arguments)
    torch.testing.assert_close(shared.sum((1, 2, 3)), change, atol=1e-9, rtol=0)
    # A ReLU6 module that runs twice in a block: the last run is explained.
    relu = LayerIDGI(probability, block._swish)
    with pytest.warns(UserWarning, match="ReLU6 runs 2 times"):
        inner, delta = relu.attribute(x, **arguments, return_convergence_delta=True)
    assert inner.abs().sum() > 0
    assert delta.abs().max() < 1e-9
