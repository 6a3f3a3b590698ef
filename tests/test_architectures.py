"""Every method on one member of each of torchvision's families of classifiers, small and with random weights.

Their weights are drawn so that the outputs depend on the inputs, which torchvision's own initialisation has many not
do: no bias, no statistics of BatchNorm, heads of zeros.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import captum.attr
import pytest
import torch
from torch import nn
from torchvision import models

from captum_ext.attr import PGIG, IntegratedGradients
from captum_ext.patterns import fit_patterns, fold_batch_norm, pattern_backward
from tests.conformance.cases import METHODS, each

STEPS = 2


class Family(NamedTuple):
    """A member, and how it is made.

    Attributes:
        member: Its name.
        size: The side of its inputs.
        normed_on: The side of those that BatchNorm's statistics come from.
        arguments: Its builder's.
        warns: What the fit of patterns says that it can't do.
        build: What makes it, if not its builder.
    """

    member: str
    size: int = 32
    normed_on: int = 96
    arguments: dict = {}  # noqa: RUF012 -- never changed
    warns: tuple = ()
    build: Callable | None = None


def small_maxvit():
    """The builder's takes 224 x 224 pixels at least."""
    return models.MaxVit(
        input_size=(64, 64),
        stem_channels=16,
        partition_size=4,
        block_channels=[16, 32],
        block_layers=[1, 1],
        head_dim=8,
        stochastic_depth_prob=0.0,
        num_classes=5,
    )


UNFOLDED = "BatchNorm that can't be folded keeps its ordinary gradient"
SILENT = "these layers do not run in a forward pass"
FAMILIES = [
    Family("alexnet", 64),
    Family("vgg11_bn"),
    Family("resnet18"),
    Family("resnext50_32x4d"),
    Family("wide_resnet50_2"),
    Family("densenet121", warns=(UNFOLDED,)),
    Family("inception_v3", 75, 299, {"init_weights": False}, warns=(SILENT,)),  # its auxiliary head is for training
    Family("googlenet", 32, 96, {"init_weights": False, "aux_logits": False}),
    Family("mobilenet_v2"),
    Family("mobilenet_v3_small"),
    Family("shufflenet_v2_x0_5"),
    Family("squeezenet1_1", 64),
    Family("mnasnet0_5"),
    Family("efficientnet_b0"),
    Family("efficientnet_v2_s"),
    Family("regnet_x_400mf"),
    Family("regnet_y_400mf"),
    Family("convnext_tiny"),
    Family("vit_b_32", 64, 64, {"image_size": 64}, warns=(SILENT,)),  # the projections inside nn.MultiheadAttention
    Family("swin_t"),
    Family("swin_v2_t"),
    Family("maxvit_t", 64, 64, warns=(UNFOLDED,), build=small_maxvit),
]


def test_every_family_has_a_member_here():
    def family(member):
        return models.get_model_builder(member).__module__

    assert {family(name) for name in models.list_models(module=models)} == {family(f.member) for f in FAMILIES}


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.member)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def net(family):
    torch.manual_seed(0)
    build = family.build or partial(models.get_model, family.member, weights=None, num_classes=5, **family.arguments)
    net = build()
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(getattr(module, "bias", None), nn.Parameter):
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the statistics of the one batch below
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        net.train()(torch.rand(4, 3, family.normed_on, family.normed_on))
    return net.double().eval()


def images(family, count, seed=0):
    return torch.rand(count, 3, family.size, family.size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def x(family):
    return images(family, 2, seed=1).double()


@pytest.fixture(scope="module")
def target(net, x):
    with torch.no_grad():
        return int(net(x).mean(0).argmax())


def snapshot(net):
    hooks = [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in net.modules()]
    return {name: value.clone() for name, value in net.state_dict().items()}, hooks, net.training


@pytest.mark.slow
@each(METHODS)
def test_path_methods(net, x, target, case):
    state, hooks, training = snapshot(net)
    method = case.make(net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Two steps are too few for Guided IG on some of these networks, whose weights are random.
        warnings.filterwarnings("ignore", message="The attributions of .* are far from F's change.*too few steps")
        attributions, delta = method.attribute(x, target=target, n_steps=STEPS, return_convergence_delta=True)
    assert attributions.shape == x.shape
    assert torch.isfinite(attributions).all()
    assert (attributions.flatten(1).norm(dim=1) > 0).all()
    assert torch.isfinite(delta).all()
    if case.is_captums:
        theirs = captum.attr.IntegratedGradients(net).attribute(x, target=target, n_steps=STEPS)
        assert (attributions - theirs).norm() < 1e-5 * theirs.norm()  # Captum rounds its weights to float32
    if case.shares_changes_of_f:
        assert (delta.abs() < 1e-8 * attributions.abs().sum((1, 2, 3))).all()
    alone = method.attribute(x[1:], target=target, n_steps=STEPS, internal_batch_size=1)
    assert (alone - attributions[1:]).norm() < 1e-6 * alone.norm()
    after, hooks_after, training_after = snapshot(net)
    assert all(torch.equal(value, after[key]) for key, value in state.items())
    assert (hooks, training) == (hooks_after, training_after)


@pytest.mark.slow
def test_patterns(family, net, x, target):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        patterns = fit_patterns(net, [images(family, 8, seed=2).double()], fold=True, show_progress=False)
    said = [str(warning.message) for warning in caught]
    few = [sentence for sentence in said if sentence.startswith("Too few samples for the patterns of")]
    assert len(few) == 1  # eight images
    said.remove(few[0])
    assert len(said) == len(family.warns), said
    assert all(part in sentence for part, sentence in zip(family.warns, said, strict=True))
    folded = fold_batch_norm(net, x)
    torch.testing.assert_close(folded(x), net(x), rtol=1e-6, atol=1e-6)
    got = PGIG(folded, patterns).attribute(x, target=target, n_steps=STEPS)
    plain = IntegratedGradients(folded).attribute(x, target=target, n_steps=STEPS)
    with pattern_backward(folded, patterns):
        theirs = captum.attr.IntegratedGradients(folded).attribute(x, target=target, n_steps=STEPS)
    assert torch.isfinite(got).all()
    assert (got - theirs).norm() <= 1e-5 * theirs.norm()
    assert (got - plain).norm() > 1e-3 * plain.norm()
    layers = [name for name, part in net.named_modules() if isinstance(part, nn.Linear | nn.modules.conv._ConvNd)]
    silent = [name for name in layers if name.startswith("AuxLogits.") or name.endswith("self_attention.out_proj")]
    assert sorted(patterns) == sorted(set(layers) - set(silent))
