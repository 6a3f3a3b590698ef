"""Steps by themselves: closed forms, limits, conservation, budgets, any batching; and what diagnostics tell."""

import functools
from dataclasses import dataclass

import captum.attr
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from captum_ext.attr import (
    IDGI,
    PGIG,
    BlurIG,
    Expected,
    GuidedIG,
    IntegratedGradients,
    LayerIDGI,
    NeuronPathAttribution,
    PathAttribution,
)
from captum_ext.paths import BlurPath, StraightPath
from captum_ext.patterns import fit_patterns
from captum_ext.quadratures import DecisionGradients, ImportantDirection, WeightedSum, closed_grid

METHODS = {
    "IG": IntegratedGradients,
    "IDGI": IDGI,
    "Blur IG": lambda f: BlurIG(f, max_sigma=3.0),
    "Blur IG + IDGI": lambda f: IDGI(f, BlurPath(max_sigma=3.0, padding_mode="reflect")),
}
every_method = pytest.mark.parametrize("name", METHODS)


def distance(ours, theirs):
    return (ours - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1)


def step(x):
    """Flat but for a steep rise near .7 of the way: where steps are needed."""
    return torch.sigmoid(60 * (x.flatten(1).mean(1) - 0.7))


@every_method
def test_what_is_told_of_the_error_is_so(net, images, name):
    method = METHODS[name](net)
    fine = method.attribute(images, target=1, n_steps=2000, method="riemann_trapezoid")
    for tol in (1e-1, 1e-2, 1e-3):
        ours, found = method.attribute(images, target=1, n_steps="auto", tol=tol, return_diagnostics=True)
        assert bool(found.converged.all())
        within = found.estimated_error if method.quadrature.needs_values else found.completeness_error
        assert bool((within <= tol).all())
        # The estimate is for rough functions; on a smooth one like this the rule is much better than it.
        assert bool((distance(ours, fine) <= found.estimated_error + 1e-4).all())


@every_method
@pytest.mark.filterwarnings("ignore:n_steps='auto'")
def test_converges_to_the_fine_uniform_walk(net, images, name):
    method = METHODS[name](net)
    fine = method.attribute(images, target=1, n_steps=4000, method="riemann_trapezoid")
    errors = [
        distance(method.attribute(images, target=1, n_steps="auto", tol=1e-12, max_steps=steps), fine).max()
        for steps in (4, 16, 64, 256)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3


@every_method
def test_delta_and_completeness_are_those_of_the_attributions(net, images, name):
    method = METHODS[name](net)
    ours, delta, found = method.attribute(
        images, target=2, n_steps="auto", return_convergence_delta=True, return_diagnostics=True
    )
    start = method.path.start((images,), None)[0]
    change = (net(images) - net(start))[:, 2].detach()
    torch.testing.assert_close(delta, ours.sum((1, 2, 3)) - change, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.completeness_error, delta.abs() / change.abs(), rtol=1e-6, atol=1e-12)
    for k, (at, values) in enumerate(zip(found.positions, found.values, strict=True)):
        assert at[0] == 0
        assert at[-1] == 1
        assert bool((at.diff() > 0).all())
        assert len(at) == len(values) == found.n_gradients[k]
        torch.testing.assert_close(values[-1], net(images[k : k + 1])[0, 2].detach(), rtol=0, atol=1e-12)
        torch.testing.assert_close(values[0], net(start[k : k + 1])[0, 2].detach(), rtol=0, atol=1e-12)


def test_the_rule_on_the_points_found_is_the_trapezoid(net, images):
    """A naive replica: gradients at the positions told, trapezoid weights."""
    ours, found = IntegratedGradients(net).attribute(images, target=0, n_steps="auto", return_diagnostics=True)
    for k in range(len(images)):
        at = found.positions[k]
        points = (at.reshape(-1, 1, 1, 1) * images[k]).requires_grad_()
        (gradients,) = torch.autograd.grad(net(points)[:, 0].sum(), points)
        widths = torch.zeros_like(at)
        widths[:-1] += at.diff() / 2
        widths[1:] += at.diff() / 2
        expected = (gradients * widths.reshape(-1, 1, 1, 1)).sum(0) * images[k]
        torch.testing.assert_close(ours[k], expected, rtol=0, atol=1e-12)


def test_steps_go_where_the_output_changes():
    x = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    _, found = IntegratedGradients(step).attribute(x, n_steps="auto", tol=1e-3, return_diagnostics=True)
    near = ((found.positions[0] - 0.7).abs() < 0.15).double().mean()
    assert near > 0.6, "most points are in 30 % of the path"


@pytest.mark.parametrize("cls", [IntegratedGradients, IDGI])
@pytest.mark.filterwarnings("ignore:n_steps='auto'")
def test_needs_fewer_gradients_than_uniform_steps(cls):
    """A network with kinks and a steep softmax: at as many gradients the map is three times nearer to its limit."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(25, 64, dtype=torch.float64, generator=generator) / 5
    second = torch.randn(64, 3, dtype=torch.float64, generator=generator)
    x = 2 * torch.rand(6, 25, dtype=torch.float64, generator=generator)
    method = cls(lambda z: (6 * torch.relu(z @ first - 0.3) @ second).softmax(1)[:, 0])
    fine = method.attribute(x, n_steps=8000, method="riemann_trapezoid")
    ours = method.attribute(x, n_steps="auto", tol=1e-12, max_steps=100)
    uniform = method.attribute(x, n_steps=100, method="riemann_trapezoid")
    assert distance(ours, fine).mean() < distance(uniform, fine).mean() / 3


def test_each_example_stops_when_it_is_done():
    def kinked(x):
        return torch.relu(x.mean((1, 2, 3)) - 0.45)

    x = torch.stack([torch.full((1, 4, 4), value, dtype=torch.float64) for value in (0.4, 1.0)])
    method = IntegratedGradients(kinked)
    _, found = method.attribute(x, n_steps="auto", return_diagnostics=True)
    alone = [method.attribute(x[k : k + 1], n_steps="auto", return_diagnostics=True)[1] for k in range(2)]
    assert found.n_gradients.tolist() == [int(one.n_gradients) for one in alone]
    assert found.n_gradients[0] == 5
    assert found.n_gradients[1] > 5


def saturated(x):
    return 1e-4 * x[:, 0] + torch.sigmoid(400 * (x[:, 1] - 0.6))


def late(x):
    return torch.sigmoid(400 * (x.sum(1) - 2.7))


@pytest.mark.parametrize("cls", [IntegratedGradients, IDGI])
@pytest.mark.parametrize(("function", "features"), [(saturated, 2), (late, 3)])
@pytest.mark.parametrize("tol", [0.1, 0.01])
def test_steps_are_found_that_no_gradient_at_the_first_points_shows(cls, function, features, tol):
    """Between two of the first points F rises by 1, and its gradient at both is 0."""
    x = torch.ones(1, features)
    ours, found = cls(function).attribute(x, n_steps="auto", tol=tol, return_diagnostics=True)
    fine = cls(function).attribute(x, n_steps=8192, method="riemann_trapezoid")
    assert bool(found.converged.all())
    assert found.n_gradients[0] < 64
    assert distance(ours, fine).max() <= 3 * tol


@pytest.mark.parametrize("cls", [IntegratedGradients, IDGI])
@pytest.mark.parametrize("temperature", [1, 10, 30, 100, 1000])
@pytest.mark.filterwarnings("ignore:n_steps='auto'")
def test_no_map_of_sharp_digits_is_called_converged_that_is_not(cls, temperature):
    net, images, target = digits_network()
    method = cls(lambda x: (temperature * net(x)).softmax(1))
    # At a temperature of 1,000 the map of 8,192 uniform steps is itself 14% off.
    steps = 8192 if temperature < 1000 else 65536
    fine = method.attribute(images, target=target, n_steps=steps, method="riemann_trapezoid")
    for tol in (0.05, 0.01):
        ours, found = method.attribute(images, target=target, n_steps="auto", tol=tol, return_diagnostics=True)
        assert found.converged.double().mean() > 0.7
        assert bool((distance(ours, fine)[found.converged] <= 3 * tol).all())


@functools.cache
def digits_network():
    """A network that was trained on scikit-learn's digits, 12 others, and their predicted classes."""
    torch.manual_seed(0)
    data = load_digits()
    images, labels = torch.tensor(data.data, dtype=torch.float32) / 16, torch.tensor(data.target)
    net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(15):
        for batch in torch.randperm(1500).split(50):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
    some = images[1500:1512]
    return net.eval(), some, net(some).argmax(1)


@pytest.mark.parametrize("cls", [IntegratedGradients, IDGI])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_jump_ends_the_search_and_is_reported(cls, dtype):
    def jump(x):
        return (x.sum(1) > 1.5).to(x.dtype) + 1e-3 * x.sum(1)

    x = torch.ones(2, 3, dtype=dtype)
    x[1] = 0.1  # which does not get there
    with pytest.warns(
        RuntimeWarning, match=r"1 of 2 examples can't reach tol=0.01 \(the first are \[0\]\): the output jumps"
    ):
        _, found = cls(jump).attribute(x, n_steps="auto", return_diagnostics=True)
    assert found.converged.tolist() == [False, True]
    assert found.n_gradients[0] < 64
    assert found.positions[0].diff().min() > torch.finfo(dtype).eps


def test_a_map_that_lost_the_change_of_the_output_is_not_converged():
    """Steps without any gradient give nothing to IDGI."""

    def plateaus(x):
        return torch.floor(8 * x.mean(1)) / 8 + 0 * x.sum(1)

    with pytest.warns(RuntimeWarning, match="can't reach tol=0.1"):
        ours, found = IDGI(plateaus).attribute(torch.ones(1, 4), n_steps="auto", tol=0.1, return_diagnostics=True)
    assert ours.abs().max() == 0
    assert not bool(found.converged.any())


@pytest.mark.parametrize("cls", [IntegratedGradients, IDGI])
def test_a_nan_on_the_path_ends_the_search(cls):
    def broken(x):
        return torch.where(x.sum(1) > 1.6, torch.nan, 1.0) * (x**2).sum(1)

    with pytest.warns(RuntimeWarning) as caught:
        _, found = cls(broken).attribute(torch.ones(1, 3), n_steps="auto", return_diagnostics=True)
    messages = " ".join(str(warning.message) for warning in caught)
    assert "examples [0] are not finite" in messages
    assert "can't reach tol=0.01" in messages
    assert not bool(found.converged.any())
    assert found.n_gradients.tolist() == [5]


def test_errors_of_a_round_cost_as_many_operations_whatever_the_intervals():
    """Rounds of many intervals are not slower for it: one call per round and example, not one per interval."""
    calls = []

    class Counted(WeightedSum):
        def interval_errors(self, values, gradients, moves, positions, velocities):
            calls.append(len(values[0]))
            return super().interval_errors(values, gradients, moves, positions, velocities)

    method = PathAttribution(step, quadrature=Counted("riemann_trapezoid"))
    _, found = method.attribute(torch.ones(1, 1, 4, 4), n_steps="auto", tol=1e-4, return_diagnostics=True)
    assert sum(calls) >= int(found.n_gradients[0]) - 1
    assert len(calls) < int(found.n_gradients[0]) / 2


def test_diagnostics_on_another_default_device(net, images):
    """What is counted on the host stays there, whatever torch's default device is."""
    target = torch.tensor([0, 2, 1])
    expected = IDGI(net).attribute(images, target=target, n_steps="auto", tol=0.1, return_diagnostics=True)
    with torch.device("meta"):
        ours, found = IDGI(net).attribute(images, target=target, n_steps="auto", tol=0.1, return_diagnostics=True)
    assert torch.equal(ours, expected[0])
    assert found.n_gradients.tolist() == expected[1].n_gradients.tolist()


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (2, 3, 0), (0, 0)])
@pytest.mark.parametrize("cls", [IntegratedGradients, IDGI])
def test_inputs_without_features_or_examples(cls, shape):
    ours, found = cls(lambda x: x.flatten(1).sum(1)).attribute(
        torch.ones(shape), n_steps="auto", return_diagnostics=True
    )
    assert ours.shape == shape
    assert found.n_gradients.dtype == torch.long
    assert found.converged.tolist() == [True] * shape[0]


def test_what_averages_attributions_refuses_diagnostics(net, images):
    with pytest.raises(ValueError, match="return_diagnostics: NoiseTunnel averages attributions"):
        captum.attr.NoiseTunnel(IDGI(net)).attribute(images, target=0, return_diagnostics=True)


class Outer(torch.nn.Module):
    """A network behind a layer that gives its input."""

    def __init__(self, net):
        super().__init__()
        self.first, self.net = torch.nn.Identity(), net

    def forward(self, x):
        return self.net(self.first(x))


def test_layers_and_neurons_are_the_inputs_where_these_are_the_same(net, images):
    options = {"n_steps": "auto", "tol": 1e-2, "return_diagnostics": True, "return_convergence_delta": True}
    expected, delta, found = IDGI(net).attribute(images, target=1, **options)
    model = Outer(net)
    at_layer, layer_delta, of_layer = LayerIDGI(model, model.first).attribute(images, target=1, **options)
    neuron = NeuronPathAttribution(model, net, quadrature=ImportantDirection())
    of_neuron = neuron.attribute(images, (1,), **options)
    for ours, theirs, diagnostics in ((at_layer, layer_delta, of_layer), of_neuron):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(theirs, delta, rtol=0, atol=1e-12)
        assert diagnostics.n_gradients.tolist() == found.n_gradients.tolist()


def test_several_quadratures_share_the_steps_that_the_worst_of_them_needs(net, images):
    method = PathAttribution(net)
    quadratures = [WeightedSum(), ImportantDirection()]
    both = method.attribute_each(quadratures, images, target=1, n_steps="auto", tol=1e-2, return_diagnostics=True)
    alone = [
        PathAttribution(net, quadrature=q).attribute(
            images, target=1, n_steps="auto", tol=1e-2, return_diagnostics=True
        )
        for q in quadratures
    ]
    fine = method.attribute_each(
        [WeightedSum("riemann_trapezoid"), ImportantDirection("riemann_trapezoid")], images, target=1, n_steps=2000
    )
    for (ours, found), (_, by_itself), limit in zip(both, alone, fine, strict=True):
        assert bool(found.converged.all())
        assert bool((found.n_gradients >= by_itself.n_gradients).all())
        assert distance(ours, limit).max() < 3e-2
    assert both[0][1].n_gradients.tolist() == both[1][1].n_gradients.tolist()
    fixed = method.attribute_each(
        [WeightedSum("riemann_left"), ImportantDirection()], images, target=1, n_steps=8, return_diagnostics=True
    )
    for (maps, found), quadrature in zip(fixed, (WeightedSum("riemann_left"), ImportantDirection()), strict=True):
        ours, alone_found = PathAttribution(net, quadrature=quadrature).attribute(
            images, target=1, n_steps=8, return_diagnostics=True
        )
        torch.testing.assert_close(maps, ours, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.completeness_error, alone_found.completeness_error)


def test_expected_gives_the_diagnostics_of_each_baseline(net, images):
    maps, found = Expected(IDGI(net), [0, 1]).attribute(images, target=0, n_steps="auto", return_diagnostics=True)
    for baseline, diagnostics in zip((0, 1), found, strict=True):
        _, alone = IDGI(net).attribute(images, baseline, 0, n_steps="auto", return_diagnostics=True)
        assert diagnostics.n_gradients.tolist() == alone.n_gradients.tolist()
    assert maps.shape == images.shape
    _, delta, found = Expected(IDGI(net), [0, 1]).attribute(
        images, target=0, n_steps=4, return_convergence_delta=True, return_diagnostics=True
    )
    assert delta.shape == (3,)
    assert len(found) == 2


def test_a_linear_function_takes_the_first_steps_only():
    x = torch.tensor([[1.0, -2.0]])
    weights = torch.tensor([3.0, 0.5])
    ours, found = IntegratedGradients(lambda z: z @ weights).attribute(x, n_steps="auto", return_diagnostics=True)
    torch.testing.assert_close(ours, x * weights)
    assert found.n_gradients.tolist() == [5]


def test_a_budget_that_was_hit_is_told():
    x = torch.ones(2, 1, 4, 4)
    with pytest.warns(RuntimeWarning, match=r"2 of 2 examples did not reach tol=1e-08 within max_steps=6"):
        _, found = IntegratedGradients(step).attribute(
            x, n_steps="auto", tol=1e-8, max_steps=6, return_diagnostics=True
        )
    assert found.n_gradients.tolist() == [7, 7]
    assert not bool(found.converged.any())
    assert bool((found.completeness_error > 1e-8).all())


@settings(max_examples=20, deadline=None)
@given(
    examples=st.integers(1, 4),
    cap=st.none() | st.integers(1, 7),
    seed=st.integers(0, 50),
    cls=st.sampled_from([IntegratedGradients, IDGI]),
)
def test_any_batching_gives_the_same_and_caps_every_pass(examples, cap, seed, cls):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, 3, dtype=torch.float64, generator=generator)
    weights = torch.randn(3, 4, dtype=torch.float64, generator=generator)
    target = torch.randint(4, (examples,), generator=generator).tolist()
    factor = torch.rand(examples, 1, dtype=torch.float64, generator=generator) + 0.5
    rows = []

    def f(z, factor):
        rows.append(len(z))
        return torch.softmax(4 * torch.tanh(z @ weights) * factor, 1)

    results = [
        cls(f).attribute(x, None, target, factor, n_steps="auto", tol=1e-2, max_steps=40, internal_batch_size=size)
        for size in (None, cap)
    ]
    torch.testing.assert_close(*results, rtol=0, atol=1e-10)
    if cap is not None:
        rows.clear()
        cls(f).attribute(x, None, target, factor, n_steps="auto", max_steps=40, internal_batch_size=cap)
        assert max(rows) <= cap


def test_tuples_targets_and_the_form_of_results(pair_net, pairs):
    both, delta, found = IntegratedGradients(pair_net).attribute(
        pairs, target=[0, 3, 1], n_steps="auto", tol=1e-3, return_convergence_delta=True, return_diagnostics=True
    )
    fine = IntegratedGradients(pair_net).attribute(pairs, target=[0, 3, 1], n_steps=2000)
    assert isinstance(both, tuple)
    for ours, theirs in zip(both, fine, strict=True):
        assert distance(ours, theirs).max() < 0.05
    assert delta.shape == found.n_gradients.shape == (3,)
    assert isinstance(IntegratedGradients(pair_net).attribute(pairs, target=0, n_steps="auto"), tuple)


def test_dtypes_layouts_and_no_examples(net, images):
    half = IntegratedGradients(lambda x: x.float().square().flatten(1).sum(1)).attribute(images.half(), n_steps="auto")
    assert half.dtype == torch.float32
    last = images.contiguous(memory_format=torch.channels_last)
    seen = []

    def f(x):
        seen.append(x.is_contiguous(memory_format=torch.channels_last))
        return net(x)

    ours = IntegratedGradients(f).attribute(last, target=0, n_steps="auto")
    assert all(seen)
    assert ours.is_contiguous()
    empty, delta = IntegratedGradients(net).attribute(
        images[:0], target=0, n_steps="auto", return_convergence_delta=True
    )
    assert empty.shape == images[:0].shape
    assert delta.shape == (0,)


def test_without_the_factor_there_is_nothing_to_be_complete_about(net, images):
    local, found = IntegratedGradients(net, multiply_by_inputs=False).attribute(
        images, target=0, n_steps="auto", return_diagnostics=True
    )
    whole = IntegratedGradients(net).attribute(images, target=0, n_steps="auto")
    torch.testing.assert_close(local * images, whole, rtol=0, atol=1e-12)
    assert bool(found.completeness_error.isnan().all())


@pytest.mark.parametrize("rule", ["riemann_trapezoid", "riemann_left", "gausslegendre"])
def test_diagnostics_of_a_number_of_steps(net, images, rule):
    method = IntegratedGradients(net)
    plain, delta = method.attribute(images, target=1, n_steps=8, method=rule, return_convergence_delta=True)
    for cap in (None, 2):
        ours, found = method.attribute(
            images, target=1, n_steps=8, method=rule, return_diagnostics=True, internal_batch_size=cap
        )
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)
        nodes = {"riemann_trapezoid": 9, "riemann_left": 8, "gausslegendre": 8}[rule]
        assert found.n_gradients.tolist() == [nodes] * 3
        change = plain.sum((1, 2, 3)) - delta
        torch.testing.assert_close(found.completeness_error, delta.abs() / change.abs(), rtol=1e-6, atol=1e-12)
        for k in range(3):
            at = found.positions[k].reshape(-1, 1, 1, 1)
            torch.testing.assert_close(found.values[k], net(at * images[k])[:, 1].detach(), rtol=0, atol=1e-12)
    if rule == "riemann_trapezoid":
        coarse = method.attribute(images, target=1, n_steps=4, method=rule)
        expected = (plain - coarse).flatten(1).norm(dim=1) / plain.flatten(1).norm(dim=1)
        torch.testing.assert_close(found.estimated_error.double(), expected, rtol=1e-5, atol=1e-7)
    else:
        assert bool(found.estimated_error.isnan().all())


def test_diagnostics_of_guided_ig_and_patterns(net, images):
    _, found = GuidedIG(net).attribute(images, target=0, n_steps=6, return_diagnostics=True)
    assert found.n_gradients.tolist() == [6] * 3
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    x = torch.randn(5, 4)
    _, found = PGIG(model, fit_patterns(model, [x])).attribute(x, target=0, n_steps=6, return_diagnostics=True)
    assert bool(found.completeness_error.isnan().all())
    assert len(found.values) == 5


def test_the_plot_shows_the_values():
    x = torch.ones(1, 1, 4, 4)
    _, found = IntegratedGradients(step).attribute(x, n_steps="auto", return_diagnostics=True)
    (line,) = found.plot().lines
    assert list(line.get_xdata()) == pytest.approx(found.positions[0].tolist())
    assert list(line.get_ydata()) == pytest.approx(found.values[0].tolist())


@pytest.mark.parametrize(
    ("make", "arguments", "error", "message"),
    [
        (GuidedIG, {}, ValueError, "GuidedPath finds each point from the gradient at the last"),
        (IntegratedGradients, {"method": "gausslegendre"}, ValueError, "halves steps by riemann_trapezoid"),
        (IntegratedGradients, {"tol": 0}, ValueError, "tol: expected a relative error above 0"),
        (IntegratedGradients, {"tol": "1%"}, TypeError, "tol: expected a relative error such as 0.01, got str"),
        (IntegratedGradients, {"max_steps": 0}, ValueError, "max_steps: expected a positive integer"),
        (IntegratedGradients, {"n_steps": "many"}, ValueError, "expected a positive integer or 'auto', got 'many'"),
    ],
)
def test_what_can_not_be_refined_says_so(net, images, make, arguments, error, message):
    with pytest.raises(error, match=message):
        make(net).attribute(images, target=0, **{"n_steps": "auto", **arguments})


def test_patterns_have_no_completeness_to_go_by():
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    x = torch.randn(5, 4)
    with pytest.raises(ValueError, match="with a custom backward rule"):
        PGIG(model, fit_patterns(model, [x])).attribute(x, target=0, n_steps="auto")


def test_quadratures_estimate_by_their_own_rules():
    assert WeightedSum().for_adaptive_steps() == WeightedSum("riemann_trapezoid")
    assert ImportantDirection().for_adaptive_steps() == ImportantDirection("riemann_trapezoid")
    f = PathAttribution(lambda x: torch.zeros(len(x)) + 0 * x.sum(1))
    assert f.attribute(torch.ones(1, 2), n_steps="auto").tolist() == [[0, 0]]


@dataclass(frozen=True)
class WalkableUpTo(StraightPath):
    """A line that is only walked on grids of some nodes, or on one with other nodes."""

    nodes: int = 9
    refuses: bool = True

    def adapt_grid(self, grid):
        if len(grid) <= self.nodes:
            return grid
        if self.refuses:
            raise ValueError(f"WalkableUpTo: expected at most {self.nodes} nodes, got {len(grid)}.")
        return closed_grid(self.nodes - 1)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (WalkableUpTo(), "WalkableUpTo: expected at most 9 nodes, got"),
        (WalkableUpTo(refuses=False), r"n_steps='auto' is not available on WalkableUpTo, whose adapt_grid\(\) changes"),
    ],
)
def test_paths_can_refuse_adaptive_grids(path, message):
    x = torch.ones(2, 1, 4, 4, dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        PathAttribution(step, path).attribute(x, n_steps="auto", tol=1e-3)


def test_paths_that_keep_adaptive_grids_change_nothing():
    x = torch.ones(2, 1, 4, 4, dtype=torch.float64)
    ours = PathAttribution(step, WalkableUpTo(1000)).attribute(x, n_steps="auto")
    torch.testing.assert_close(ours, PathAttribution(step).attribute(x, n_steps="auto"), rtol=0, atol=0)


@pytest.mark.parametrize("normalize", [False, True])
def test_the_path_itself_has_errors_too(normalize):
    """Decision gradients are quadratic in the path's velocity, so a linear F on the blur path needs many steps."""
    x = torch.randn(2, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(36, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rule = DecisionGradients("riemann_trapezoid", normalize=normalize)
    method = PathAttribution(lambda x: x.flatten(1) @ weight, BlurPath(max_sigma=2.0), rule)
    got, diagnostics = method.attribute(x, n_steps="auto", tol=1e-3, max_steps=1024, return_diagnostics=True)
    limit = method.attribute(x, n_steps=4096)
    assert diagnostics.converged.all()
    assert ((got - limit).flatten(1).norm(dim=1) <= 1e-3 * limit.flatten(1).norm(dim=1)).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_the_estimate_without_the_input_factor_has_the_units_of_the_map(scale):
    x = torch.rand(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * scale

    def run(scale, x):
        method = IntegratedGradients(lambda x: torch.tanh(4 * x / scale).prod(1), multiply_by_inputs=False)
        return method.attribute(x, n_steps="auto", tol=0.01, return_diagnostics=True)[1]

    got, expected = run(scale, x), run(1.0, x / scale)
    assert got.n_gradients.tolist() == expected.n_gradients.tolist()
    torch.testing.assert_close(got.estimated_error, expected.estimated_error)
