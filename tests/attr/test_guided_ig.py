"""Guided IG against PAIR's code, closed forms and limits."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from captum_ext.attr import (
    IDGI,
    GuidedIG,
    IntegratedGradients,
    LayerGuidedIG,
    NeuronPathAttribution,
    PathAttribution,
)
from captum_ext.paths import GuidedPath, guided
from captum_ext.paths.guided import _kth_smallest, _select
from captum_ext.quadratures import ImportantDirection, WeightedSum
from tests.references import naive

SETTINGS = [(0.25, 0.02), (0.5, 1.0), (0.1, 0.3), (1.0, 0.1), (0.05, 0.005)]


def pair_guided_ig(saliency, net, image, target, steps, fraction, max_dist, baseline=None):
    def call_model(batch, call_model_args=None, expected_keys=None):
        point = torch.tensor(batch).requires_grad_()
        (gradient,) = torch.autograd.grad(net(point)[0, target], point)
        return {saliency.INPUT_OUTPUT_GRADIENTS: gradient.numpy()}

    return saliency.GuidedIG().GetMask(
        image.numpy(),
        call_model,
        x_steps=steps,
        fraction=fraction,
        max_dist=max_dist,
        x_baseline=None if baseline is None else baseline.numpy(),
    )


@pytest.mark.parametrize(("fraction", "max_dist"), SETTINGS)
@pytest.mark.parametrize("steps", [7, 50])
def test_batch_equals_pair_one_at_a_time(net, images, saliency, fraction, max_dist, steps):
    targets = [1, 0, 3]
    ours = GuidedIG(net, fraction, max_dist).attribute(images, target=targets, n_steps=steps)
    for our, image, target in zip(ours, images, targets, strict=True):
        theirs = pair_guided_ig(saliency, net, image, target, steps, fraction, max_dist)
        assert np.abs(our.numpy() - theirs).max() <= 1e-8


def test_equals_pair_with_a_baseline_that_some_features_share(net, images, saliency):
    baseline = images[:1].clone() * 0.5
    baseline[:, :, :3] = images[:1, :, :3]  # these features have no way to go
    ours = GuidedIG(net).attribute(images[:1], baseline, target=2, n_steps=40)
    theirs = pair_guided_ig(saliency, net, images[0], 2, 40, 0.25, 0.02, baseline[0])
    assert np.abs(ours[0].numpy() - theirs).max() <= 1e-8
    assert (ours[:, :, :3] == 0).all()


@pytest.mark.parametrize(("fraction", "max_dist"), SETTINGS)
def test_equals_the_naive_port(net, images, fraction, max_dist):
    _, gradient = naive.numpy_functions(net, 1, net.shape)
    x = images[2].numpy().ravel()
    points, slopes = naive.guided_points(gradient, x, np.zeros_like(x), 15, fraction, max_dist)
    for rule, first in (("riemann_left", 0), ("riemann_right", 1)):
        expected = sum(slopes[k + first] * (points[k + 1] - points[k]) for k in range(15))
        ours = GuidedIG(net, fraction, max_dist).attribute(images, target=1, n_steps=15, method=rule)[2]
        assert np.abs(ours.numpy().ravel() - expected).max() <= 1e-8


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 4),
    features=st.integers(1, 12),
    steps=st.integers(1, 30),
    fraction=st.floats(0.01, 1),
    max_dist=st.floats(0, 1),
    scale=st.sampled_from([1e-8, 1.0, 1e6]),
    seed=st.integers(0, 10**6),
)
def test_every_path_is_monotone_and_ends_at_the_input(rows, features, steps, fraction, max_dist, scale, seed):
    """A linear F is attributed exactly; features stay within max_dist of the straight line."""
    torch.manual_seed(seed)
    x, baseline, weight = torch.randn(3, rows, features, dtype=torch.float64) * scale
    seen = []

    def linear(z):
        seen.append(z.detach())
        return (z * weight).sum(1)

    ours = GuidedIG(linear, fraction, max_dist).attribute(x, baseline, n_steps=steps, internal_batch_size=rows)
    torch.testing.assert_close(ours, weight * (x - baseline), rtol=1e-9, atol=1e-12 * scale**2)
    alphas = torch.stack([(z - baseline) / (x - baseline) for z in seen])
    assert (alphas.diff(dim=0) >= -1e-9).all()
    straight = torch.arange(len(alphas)).reshape(-1, 1, 1) / steps
    assert ((alphas - straight).abs() <= max_dist + 1e-6).all()
    # The mean over features, weighted by their distance, is on the straight line's schedule.
    distance = (x - baseline).abs()
    progress = (alphas * distance).sum(2) / distance.sum(1)
    torch.testing.assert_close(progress, straight[..., 0].double().expand_as(progress), atol=1e-6, rtol=0)


def test_max_dist_0_is_left_rule_integrated_gradients(net, images):
    expected = IntegratedGradients(net).attribute(images, target=1, n_steps=20, method="riemann_left")
    ours = GuidedIG(net, max_dist=0.0).attribute(images, target=1, n_steps=20)
    torch.testing.assert_close(ours, expected, atol=1e-12, rtol=0)


def test_fraction_1_is_left_rule_integrated_gradients(net, images):
    expected = IntegratedGradients(net).attribute(images, target=1, n_steps=20, method="riemann_left")
    ours = GuidedIG(net, fraction=1.0, max_dist=1.0).attribute(images, target=1, n_steps=20)
    torch.testing.assert_close(ours, expected, atol=1e-12, rtol=0)


def test_tuple_inputs_are_ranked_together(pair_net, pairs):
    """The same features in one tensor: same attributions."""
    together = torch.cat([part.flatten(1) for part in pairs], 1)

    def on_one(z):
        return pair_net(z[:, :90].reshape(-1, 3, 6, 5), z[:, 90:].reshape(-1, 2, 4, 4))

    expected = GuidedIG(on_one).attribute(together, target=1, n_steps=25)
    ours = GuidedIG(pair_net).attribute(pairs, target=1, n_steps=25)
    torch.testing.assert_close(torch.cat([part.flatten(1) for part in ours], 1), expected, atol=1e-12, rtol=0)


def test_float32_inputs_have_a_float64_path(net, images):
    """max_dist=0 in float32 state never ended in the reference code."""
    ours = GuidedIG(net.float(), max_dist=0.0).attribute(images.float(), target=0, n_steps=64)
    expected = IntegratedGradients(net).attribute(images.float(), target=0, n_steps=64, method="riemann_left")
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("method", ["riemann_right", "riemann_trapezoid"])
def test_rules_that_need_the_end_take_one_gradient_more(net, images, method):
    rows = []

    def counting(x):
        rows.append(len(x))
        return net(x)

    GuidedIG(counting).attribute(images, target=0, n_steps=10, method=method)
    assert rows == [3] * 11


@pytest.mark.parametrize("method", ["gausslegendre", "riemann_middle"])
def test_rules_between_the_points_raise(net, images, method):
    with pytest.raises(ValueError, match=r"riemann_left \(the default\), riemann_right or riemann_trapezoid"):
        GuidedIG(net).attribute(images, target=0, method=method)


@pytest.mark.parametrize("setting", [{"fraction": 0.0}, {"fraction": 1.1}, {"max_dist": -0.1}, {"max_dist": 2}])
def test_settings_out_of_range(net, setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        GuidedIG(net, **setting)


def test_a_nan_gradient_ends_and_is_reported(images):
    def broken(z):
        return z.flatten(1).sum(1) / torch.where(z.flatten(1)[:, 0] > 0, 0.0, 1.0)

    for method in (GuidedIG(broken), IDGI(broken, path=GuidedPath()), PathAttribution(broken)):
        with pytest.warns(RuntimeWarning, match="NaN or infinite"):
            method.attribute(images.abs())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 9999), st.integers(1, 9000), st.floats(0, 1), st.sampled_from(["spread", "ties", "inf", "waves"]))
def test_selection_equals_sorting(seed, size, share, kind):
    values = np.random.default_rng(seed).standard_normal(size).astype(np.float32) ** 2
    if kind == "ties":
        values = values.round()
    elif kind == "inf":
        values[seed % 2 :: 2] = np.inf
    elif kind == "waves":  # whose sample misleads
        values = np.where(np.arange(size) % 61 == 0, values, values + 5)
    index = min(int(share * size), size - 1)
    before = values.copy()
    assert _select(values, index) == np.sort(values)[index]
    assert (values == before).all()


@pytest.mark.parametrize("features", [1, 2, 3, 5, 12, 61, 130, 999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_attributions_do_not_depend_on_which_examples_move_together(monkeypatch, features, dtype):
    torch.manual_seed(features)
    weight = torch.randn(features, 4, dtype=dtype)
    x, baselines = torch.randn(2, 23, features, dtype=dtype)
    x[3], baselines[3] = 1, 1  # an example with no way to go
    x[4, : features // 2] = baselines[4, : features // 2]

    def net(z):
        return torch.tanh(z @ weight).prod(1) + torch.relu(z @ weight).sum(1)

    maps = []
    for group in (1, 3 * features, 2**15, 2**30):
        monkeypatch.setattr(guided, "_GROUP", group)
        for fraction, max_dist in SETTINGS:
            maps.append(GuidedIG(net, fraction, max_dist).attribute(x, baselines, n_steps=9, internal_batch_size=23))
    for position, attributions in enumerate(maps):
        assert torch.equal(attributions, maps[position % len(SETTINGS)])


class _Operations(TorchDispatchMode):
    """Counts what torch is asked to do."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_the_rows_of_a_table_move_together():
    """393 rows took 393 times the operations of one."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    x = torch.randn(393, 12)
    counts = []
    for rows in (1, 393):
        with _Operations() as operations:
            GuidedIG(model).attribute(x[:rows], target=1)
        counts.append(operations.count)
    assert counts[1] <= 2 * counts[0]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 9999), st.integers(1, 40), st.integers(1, 200), st.floats(0, 1), st.booleans())
def test_selection_of_many_rows_equals_sorting(seed, rows, size, share, ties):
    torch.manual_seed(seed)
    values = torch.randn(rows, size).square()
    values = values.round() if ties else values
    values[torch.rand(rows, size) < 0.2] = torch.inf
    k = 1 + min(int(share * size), size - 1)
    before = values.clone()
    assert torch.equal(_kth_smallest(values, k), values.sort(1).values[:, k - 1])
    assert torch.equal(values, before)


# Sums that are far from F's change ----------------------------------------------------------------------------------

REFERENCE = torch.randn(1, 12, generator=torch.Generator().manual_seed(1))
READOUT = torch.randn(12, generator=torch.Generator().manual_seed(2))
SINGULAR_AT_ZERO = {
    "cosine similarity": lambda x: torch.nn.functional.cosine_similarity(x, REFERENCE),
    "normalize": lambda x: torch.nn.functional.normalize(x, dim=1) @ READOUT,
    "layer norm": lambda x: torch.nn.functional.layer_norm(x, (12,)) @ READOUT,
}


class _Counter:
    """F, and how many rows each forward pass had."""

    def __init__(self, function):
        self.function = function
        self.rows = []

    def __call__(self, x):
        self.rows.append(len(x))
        return self.function(x)


def table(rows=7):
    return torch.randn(rows, 12, generator=torch.Generator().manual_seed(3)) + 1


@pytest.mark.parametrize("name", SINGULAR_AT_ZERO)
@pytest.mark.parametrize("batch", [None, 2])
def test_a_singular_gradient_at_the_baseline_warns(name, batch):
    function, x = SINGULAR_AT_ZERO[name], table()
    steps = 4 if name == "layer norm" else 50
    change = function(x) - function(torch.zeros_like(x))
    with pytest.warns(RuntimeWarning, match="7 of 7 examples .*sum to .*, where F changes by .*mean of your data"):
        attributions = GuidedIG(function).attribute(x, n_steps=steps, internal_batch_size=batch)
    assert ((attributions.sum(1) - change).abs() > 10 * change.abs()).all()


@pytest.mark.parametrize("name", SINGULAR_AT_ZERO)
def test_what_the_warning_advises_helps(name):
    function, x = SINGULAR_AT_ZERO[name], table()
    mean = x.mean(0, keepdim=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attributions = GuidedIG(function).attribute(x, mean)
        idgi = IDGI(function, path=GuidedPath()).attribute(x)
    change = function(x) - function(mean.expand_as(x))
    assert ((attributions.sum(1) - change).abs() <= 0.1 * change.abs() + 0.01).all()
    torch.testing.assert_close(idgi.sum(1), function(x) - function(torch.zeros_like(x)), atol=1e-5, rtol=0)


def test_only_the_examples_that_are_off_are_named():
    x = table(4)

    def mixed(z):
        steep = torch.nn.functional.normalize(z, dim=1) @ READOUT
        return torch.where(torch.arange(len(z)) % 2 == 1, steep, z @ READOUT)

    with pytest.warns(RuntimeWarning, match=r"2 of 4 examples \(the first are \[1, 3\]\)"):
        GuidedIG(mixed).attribute(x, n_steps=5)


def test_the_warning_costs_no_forward_pass(net, images):
    counter = _Counter(net)
    GuidedIG(counter).attribute(images, target=1, n_steps=10)
    assert counter.rows == [3] * 10


def test_the_warning_keeps_to_the_internal_batch_size():
    counter = _Counter(SINGULAR_AT_ZERO["normalize"])
    with pytest.warns(RuntimeWarning, match="far from F's change"):
        GuidedIG(counter).attribute(table(), n_steps=5, internal_batch_size=3)
    assert max(counter.rows) <= 3


def test_the_check_changes_no_bit(net, images, monkeypatch):
    checked = GuidedIG(net).attribute(images, target=1)
    monkeypatch.setattr(PathAttribution, "_may_miss_change", lambda *arguments: False)
    assert torch.equal(GuidedIG(net).attribute(images, target=1), checked)


@pytest.mark.parametrize("n_steps", [8, 50])
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("activation", [torch.nn.ReLU(), torch.nn.Tanh(), torch.nn.SiLU()])
def test_ordinary_networks_raise_no_alarm(activation, settings, n_steps):
    torch.manual_seed(0)
    x = torch.randn(40, 12)
    layers = [torch.nn.Linear(12, 64), activation, torch.nn.Linear(64, 64), activation, torch.nn.Linear(64, 3)]
    model = torch.nn.Sequential(*layers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GuidedIG(model, *settings).attribute(x, target=1, n_steps=n_steps)
        GuidedIG(lambda z: model(z).softmax(1), *settings).attribute(x, target=1, n_steps=n_steps)
        GuidedIG(model.half(), *settings).attribute(x.half(), target=1, n_steps=n_steps)


@pytest.mark.parametrize("n_steps", [1, 2, 8, 50])
@pytest.mark.parametrize(
    "function",
    [
        lambda z: 1e4 + 1e-6 * z.sum(1),  # a change that float32 rounds away
        lambda z: 1 + 0 * z.sum(1),
        lambda z: (5 * z[:, 0]).exp(),
        lambda z: 1e4 * z[:, 0] ** 40,  # flat at all nodes but the last
    ],
    ids=["rounded away", "constant", "exp", "late"],
)
def test_f_whose_change_is_small_or_late_raises_no_alarm(function, n_steps):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GuidedIG(function).attribute(torch.ones(2, 3), n_steps=n_steps)


def test_layers_and_neurons_warn_too():
    model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.LayerNorm(12, eps=1e-12), torch.nn.Linear(12, 2))
    x = table()
    with pytest.warns(RuntimeWarning, match="7 of 7 examples"):
        LayerGuidedIG(model, model[0]).attribute(x, target=1)
    neuron = NeuronPathAttribution(model, model[2], path=GuidedPath())
    with pytest.warns(RuntimeWarning, match="7 of 7 examples"):
        neuron.attribute(x, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        neuron.attribute(x, lambda activation: activation.sum())  # gives no example's value


def test_several_quadratures_warn_once_each_where_they_may_miss():
    method = PathAttribution(SINGULAR_AT_ZERO["normalize"], path=GuidedPath())
    with pytest.warns(RuntimeWarning) as caught:
        method.attribute_each([WeightedSum("riemann_left"), ImportantDirection()], table(), n_steps=5)
    assert len(caught) == 1


def test_a_gradient_func_of_ones_own_is_not_checked():
    method = GuidedIG(SINGULAR_AT_ZERO["normalize"])
    ours = method.gradient_func

    def elsewhere(forward_fn, inputs, target_ind=None, additional_forward_args=None):
        return ours(lambda *given: SINGULAR_AT_ZERO["normalize"](*given), inputs)

    method.gradient_func = elsewhere
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        method.attribute(table(), n_steps=5)


def test_no_examples(net, images):
    assert GuidedIG(net).attribute(images[:0], target=1).shape == images[:0].shape
