"""EfficientNet-Lite0 with its ImageNet weights on photographs, through the public API."""

import copy

import captum.attr
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from captum_ext import baselines
from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients, PathAttribution
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
    """In float64: in float32 another batch size flips some ReLU6 gates and moves the map by 0.1 %."""
    model = copy.deepcopy(classifier.model).double()

    def probability(x):
        return model(x).softmax(1)

    arguments = {"baselines": black.double(), "target": [967, 282], "n_steps": 4}
    theirs = captum.attr.IntegratedGradients(probability).attribute(photographs.double(), **arguments)
    ours = IntegratedGradients(probability).attribute(photographs.double(), **arguments, internal_batch_size=3)
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
