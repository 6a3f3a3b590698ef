"""Path methods of a neuron: against Captum, and against the plain method on the model up to the neuron."""

import captum.attr
import pytest
import torch
from torch import nn

from captum_ext.attr import (
    IDGI,
    BlurIG,
    GuidedIG,
    NeuronBlurIG,
    NeuronGuidedIG,
    NeuronIDGI,
    NeuronIntegratedGradients,
    NeuronPathAttribution,
    PathAttribution,
)
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.patterns import PatternRule, fit_patterns
from captum_ext.quadratures import ImportantDirection
from tests.helpers import close

STEPS = 7


SELECTORS = {
    "ints": (1, 2, 3),
    "slices": (slice(0, 2), 3, slice(None)),
    "function": lambda h: h[:, 1].flatten(1).amax(1),
    "sum over all rows": lambda h: h[:, 2].sum(),
}


@pytest.mark.parametrize("method", ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle"])
@pytest.mark.parametrize("selector", SELECTORS)
def test_captums_neuron_integrated_gradients(net, images, selector, method):
    baseline = torch.rand_like(images)
    for multiply in (True, False):
        theirs = captum.attr.NeuronIntegratedGradients(net, net.conv, multiply_by_inputs=multiply)
        expected = theirs.attribute(images, SELECTORS[selector], baseline, n_steps=STEPS, method=method)
        ours = NeuronIntegratedGradients(net, net.conv, multiply_by_inputs=multiply)
        assert ours.multiplies_by_inputs is multiply
        for cap in (None, 1, 2, 5):
            got = ours.attribute(images, SELECTORS[selector], baseline, None, STEPS, method, cap)
            close(got, expected, 1e-7)


def test_the_input_of_a_layer_an_int_and_several_inputs(net, images, pair_net, pairs):
    for at_input, neuron in ((True, 17), (False, 2)):
        expected = captum.attr.NeuronIntegratedGradients(net, net.head).attribute(
            images, neuron, n_steps=STEPS, attribute_to_neuron_input=at_input
        )
        got = NeuronIntegratedGradients(net, net.head).attribute(images, neuron, None, None, STEPS, None, 4, at_input)
        close(got, expected, 1e-7)
    factor = torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64)
    expected = captum.attr.NeuronIntegratedGradients(pair_net, pair_net.left).attribute(
        pairs[:1], 1, additional_forward_args=(pairs[1], factor), n_steps=STEPS
    )
    got = NeuronIntegratedGradients(pair_net, pair_net.left).attribute(
        pairs[:1], 1, additional_forward_args=(pairs[1], factor), n_steps=STEPS, internal_batch_size=2
    )
    close(got, expected, 1e-7)


@pytest.mark.parametrize(
    ("path", "quadrature", "plain"),
    [
        (BlurPath(max_sigma=3.0), None, lambda f: BlurIG(f, max_sigma=3.0)),
        (GuidedPath(), None, GuidedIG),
        (BlurPath(max_sigma=3.0), ImportantDirection(), lambda f: IDGI(f, BlurPath(max_sigma=3.0))),
        (GuidedPath(max_dist=0.5), ImportantDirection(), lambda f: IDGI(f, GuidedPath(max_dist=0.5))),
    ],
)
def test_any_path_and_quadrature_is_the_plain_method_on_the_neuron(net, images, path, quadrature, plain):
    expected = plain(lambda x: net.conv(x)[:, 1, 2, 3].tanh()).attribute(
        images, n_steps=STEPS, return_convergence_delta=True
    )
    method = NeuronPathAttribution(lambda x: net(x), net.conv, None, path, quadrature)
    got = method.attribute(images, lambda h: h[:, 1, 2, 3].tanh(), n_steps=STEPS, return_convergence_delta=True)
    close(got, expected)
    capped = method.attribute((images,), lambda h: h[:, 1, 2, 3].tanh(), n_steps=STEPS, internal_batch_size=2)
    close(capped, expected[:1])


def test_patterns_from_the_neuron_down_to_the_input(images):
    torch.manual_seed(3)
    head = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)).double()
    model = nn.Sequential(head, nn.ReLU(), nn.Linear(4, 2)).double()
    patterns = fit_patterns(model, [torch.randn(40, 3, 6, 5, dtype=torch.float64)])
    expected = PathAttribution(lambda x: head(x)[:, 3], backward=PatternRule(patterns, model=model)).attribute(images)
    got = NeuronPathAttribution(model, head, backward=PatternRule(patterns)).attribute(images, 3)
    close(got, expected)


def test_in_place_layers_after_it_and_layers_with_several_outputs():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 2)).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    expected = IDGI(lambda x: model[0](x)[:, 2]).attribute(x)
    method = NeuronPathAttribution(model, model[0], quadrature=ImportantDirection())
    close(method.attribute(x, 2), expected)
    gru = nn.GRU(4, 5, batch_first=True).double()
    series = torch.randn(3, 6, 4, dtype=torch.float64)
    got = NeuronIntegratedGradients(lambda x: gru(x)[0], gru).attribute(series, (5, 2), n_steps=STEPS)
    close(got, PathAttribution(lambda x: gru(x)[0][:, 5, 2]).attribute(series, n_steps=STEPS))


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda net, x: NeuronPathAttribution(net, [net.conv]), "layer: expected one module, got a list of 1"),
        (lambda net, x: NeuronPathAttribution(net, "conv"), "layer: expected a module"),
        (lambda net, x: NeuronPathAttribution(net, net.conv).attribute(x, 1.5), "neuron_selector: expected an int"),
        (lambda net, x: NeuronPathAttribution(net, net.conv).attribute(x, 1), r"got \(150, 6, 5\).*an index for each"),
        (lambda net, x: NeuronPathAttribution(net, net.conv).attribute(x, (9, 9, 9)), "picks no neuron.*5, 6, 5"),
        (
            lambda net, x: NeuronPathAttribution(net, net.conv).attribute(x, (1, 2)),
            r"got \(150, 5\).*an index for each",
        ),
        (
            lambda net, x: NeuronPathAttribution(net, net.conv).attribute(x, lambda h: h[:, 1]),
            r"expected one number for each of 150 rows, got \(150, 6, 5\)",
        ),
        (lambda net, x: NeuronPathAttribution(net, net.conv).attribute(x, lambda h: 3), "got int of a layer"),
        (
            lambda net, x: NeuronPathAttribution(net, net.conv, quadrature=ImportantDirection()).attribute(
                x, lambda h: h.sum()
            ),
            "needs the neuron's value for each example",
        ),
        (
            lambda net, x: NeuronPathAttribution(net, net.conv).attribute(
                x, lambda h: h.sum(), return_convergence_delta=True
            ),
            "the delta needs",
        ),
        (lambda net, x: NeuronPathAttribution(net, nn.ReLU()).attribute(x, 1), "ReLU did not run"),
        (lambda net, x: NeuronPathAttribution(net, net.conv).attribute(x, (1, 1, 1), method="simpson"), "simpson"),
    ],
)
def test_mistakes_leave_no_hooks(net, images, run, message):
    with pytest.raises((TypeError, ValueError), match=message):
        run(net, images)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


NAMED = {
    "IDGI": (NeuronIDGI, StraightPath(), ImportantDirection()),
    "Guided IG": (lambda f, layer: NeuronGuidedIG(f, layer, None, 0.5, 1.0), GuidedPath(0.5, 1.0), None),
    "Blur IG": (lambda f, layer: NeuronBlurIG(f, layer, None, 3.0, "sqrt"), BlurPath(3.0, "sqrt"), None),
}


@pytest.mark.parametrize("name", NAMED)
def test_methods_by_their_names(net, images, name):
    named, path, quadrature = NAMED[name]
    expected = NeuronPathAttribution(net, net.conv, path=path, quadrature=quadrature)
    method = named(net, net.conv)
    close(method.attribute(images, (1, 2, 3), n_steps=6), expected.attribute(images, (1, 2, 3), n_steps=6), 0)
    assert repr(method) == repr(expected).replace("NeuronPathAttribution", type(method).__name__)
    assert f"path={path!r}" in repr(method)
