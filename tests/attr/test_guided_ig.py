"""Guided IG against PAIR's code, closed forms and limits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from captum_ext.attr import IDGI, GuidedIG, IntegratedGradients, PathAttribution
from captum_ext.paths import GuidedPath, guided
from captum_ext.paths.guided import _kth_smallest, _selected
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
    assert _selected(values, index) == np.sort(values)[index]
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
