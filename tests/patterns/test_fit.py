"""The fitter against explicit patches, and what it makes of whole models."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from captum_ext.attr import PGIG, PatternAttribution, PatternNet
from captum_ext.patterns import PatternFitter, fit_patterns
from captum_ext.patterns._calls import chunk_values
from tests.references import naive_patterns as naive

LAYERS = {
    "linear": (lambda: nn.Linear(7, 5), (7,)),
    "linear without bias": (lambda: nn.Linear(7, 5, bias=False), (7,)),
    "linear on sequences": (lambda: nn.Linear(4, 5), (6, 4)),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3, padding=1), (3, 9)),
    "conv2d": (lambda: nn.Conv2d(3, 4, 3), (3, 7, 6)),
    "stride and padding": (lambda: nn.Conv2d(3, 4, (3, 2), stride=(2, 3), padding=(2, 1)), (3, 8, 7)),
    "dilation": (lambda: nn.Conv2d(2, 4, 3, dilation=2, padding=1), (2, 8, 7)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1), (4, 5, 5)),
    "depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4, stride=2, padding=1), (4, 7, 7)),
    "depthwise, two a channel": (lambda: nn.Conv2d(3, 6, 3, groups=3), (3, 6, 6)),
    "grouped, dilated": (lambda: nn.Conv2d(4, 4, (3, 2), groups=2, dilation=(2, 3), stride=(1, 2)), (4, 8, 9)),
    "depthwise in 3d, dilated": (lambda: nn.Conv3d(2, 4, 2, groups=2, dilation=(1, 2, 1), padding=1), (2, 3, 4, 3)),
    "pointwise, stride": (lambda: nn.Conv2d(5, 3, 1, stride=2, padding=1), (5, 5, 4)),
    "pointwise": (lambda: nn.Conv2d(5, 3, 1, bias=False), (5, 4, 4)),
    "same": (lambda: nn.Conv2d(2, 3, 3, padding="same", dilation=2), (2, 6, 6)),
    "same, even kernel": (lambda: nn.Conv2d(2, 3, (4, 2), padding="same"), (2, 6, 6)),
    "valid": (lambda: nn.Conv2d(2, 3, 2, padding="valid"), (2, 5, 5)),
    "reflect": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), (2, 5, 5)),
    "circular": (lambda: nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="circular"), (2, 5, 6)),
    "replicate": (lambda: nn.Conv1d(2, 3, 4, padding=2, padding_mode="replicate"), (2, 7)),
    "conv3d": (lambda: nn.Conv3d(2, 3, (2, 3, 1), stride=(1, 2, 1), padding=(1, 0, 0)), (2, 4, 5, 3)),
}
MODES = {"zeros": "zeros", "reflect": "reflect", "circular": "circular", "replicate": "replicate"}


def samples_of(layer, x):
    if isinstance(layer, nn.Linear):
        return naive.linear_samples(x)
    kernel, dilation = layer.kernel_size, layer.dilation
    if layer.padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        padding = [(t // 2, t - t // 2) for t in totals]
    elif layer.padding == "valid":
        padding = [(0, 0)] * len(kernel)
    else:
        padding = [(p, p) for p in layer.padding]
    return naive.conv_patches(x, kernel, layer.stride, padding, dilation, layer.groups, layer.padding_mode)


def expected_pattern(layer, x, estimator, mean):
    bias = None if layer.bias is None else layer.bias.detach().numpy()
    return naive.fit(samples_of(layer, x.numpy()), layer.weight.detach().numpy(), bias, estimator, mean)


def relatively_close(got, expected, tolerance=1e-9):
    error = np.abs(np.asarray(got) - np.asarray(expected)).max()
    assert error <= tolerance * np.abs(np.asarray(expected)).max()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(
    ("estimator", "mean"),
    [("linear", "preactivation"), ("positive", "preactivation"), ("positive", "rectified")],
)
def test_equals_explicit_patches(name, estimator, mean):
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer = make().double()
    x = torch.randn(6, *shape, dtype=torch.float64) + 0.5
    patterns = fit_patterns(nn.Sequential(layer), x.split(4), estimator=estimator, mean=mean)
    relatively_close(patterns["0"], expected_pattern(layer, x, estimator, mean))
    assert patterns.info.layers["0"].samples == len(samples_of(layer, x.numpy())[0])
    assert patterns.info.inputs == 6


@pytest.mark.parametrize("estimator", ["linear", "positive"])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.ConvTranspose1d(3, 4, 3, stride=2, padding=1, output_padding=1), (3, 6)),
        (nn.ConvTranspose2d(3, 4, 3, dilation=2), (3, 4, 5)),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), (4, 4, 4)),
        (nn.ConvTranspose3d(2, 3, 2, bias=False), (2, 3, 2, 3)),
    ],
)
def test_transposed_convolutions_equal_what_each_output_sees(layer, shape, estimator):
    """Each output is linear in the weights; its Jacobian with respect to them is the sample it sees."""
    torch.manual_seed(1)
    layer = layer.double()
    x = torch.randn(3, *shape, dtype=torch.float64)
    bias = None if layer.bias is None else layer.bias.detach().numpy()

    def forward(weight):
        return torch.func.functional_call(layer, {"weight": weight}, (x,))

    seen = torch.func.jacrev(forward)(layer.weight.detach())  # (B, out, ..., in, out / groups, ...)
    out = layer.out_channels
    per_group, inputs = out // layer.groups, layer.in_channels // layer.groups
    weight = layer.weight.detach()
    for unit in range(out):
        group, within = divmod(unit, per_group)
        rows = slice(group * inputs, (group + 1) * inputs)
        samples = seen[:, unit].flatten(0, len(shape) - 1)[:, rows, within].flatten(1).numpy()
        w = weight[rows, within].reshape(1, -1).numpy()
        expected = naive.fit([samples], w, None if bias is None else bias[unit : unit + 1], estimator, "preactivation")
        got = fit_patterns(nn.Sequential(layer), [x], estimator=estimator)["0"][rows, within]
        relatively_close(got.flatten(), expected.ravel())


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), split=st.integers(0, 6), seed=st.integers(0, 99))
def test_any_batching_and_merging_equal_one_pass(sizes, split, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)).double()
    x = torch.randn(sum(sizes), 2, 5, 5, dtype=torch.float64)
    whole = fit_patterns(model, [x])
    one, two = PatternFitter(model), PatternFitter(model)
    for k, batch in enumerate(x.split(sizes)):
        (one if k < split else two).update(batch)
    one.merge(two)
    merged = one.patterns()
    for name in whole:
        relatively_close(merged[name], whole[name])
        assert merged.info.layers[name] == whole.info.layers[name]
    assert merged.info.inputs == len(x)


def test_weight_times_pattern_is_one_unless_the_unit_is_dead():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 6), nn.ReLU(), nn.Linear(6, 2))
    model.double()
    with torch.no_grad():
        model[0].bias[3] = -100.0  # never fires, so whatever it feeds is constant
        model[3].weight[1] = 0
    patterns = fit_patterns(model, [torch.randn(20, 3, 6, 6, dtype=torch.float64)])
    for name in patterns:
        products = (patterns[name] * model.get_submodule(name).weight).flatten(1).sum(1)
        dead = patterns[name].flatten(1).abs().amax(1) == 0
        torch.testing.assert_close(products[~dead], torch.ones_like(products[~dead]))
        assert int(dead.sum()) == patterns.info.layers[name].dead
    assert patterns.info.layers["0"].dead == 1
    assert patterns.info.layers["3"].dead == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("estimator", ["linear", "positive", "auto"])
def test_constant_inputs_are_finite_and_counted_as_dead(dtype, estimator):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 2)).to(dtype)
    patterns = fit_patterns(model, [torch.full((16, 2, 5, 5), 0.3, dtype=dtype)], estimator="linear")
    for name in patterns:
        assert torch.isfinite(patterns[name]).all()
        assert patterns.info.layers[name].dead == len(patterns[name])
    assert all(
        torch.isfinite(p).all() for p in fit_patterns(model, [torch.zeros(3, 2, 5, 5, dtype=dtype)], estimator).values()
    )


def test_one_example_is_finite():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert all(torch.isfinite(pattern).all() for pattern in fit_patterns(model, [torch.rand(1, 3)]).values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_models_have_patterns_in_their_dtype(dtype):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    x = torch.randn(64, 3, 8, 8)
    exact = fit_patterns(model.double(), [x.double()])
    got = fit_patterns(model.to(dtype), x.to(dtype).split(16))
    for name in exact:
        assert got[name].dtype == dtype
        error = (got[name].double() - exact[name]).norm() / exact[name].norm()
        assert error < {torch.float32: 1e-4, torch.bfloat16: 0.15}[dtype]


class Functional(nn.Module):
    """ReLU in every form, a module used twice, and a layer called by its weight."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.c = nn.Conv2d(4, 4, 3, padding=1)
        self.twice = nn.Conv2d(4, 4, 1)
        self.pooled = nn.Conv2d(4, 4, 1)
        self.clamped = nn.Conv2d(4, 4, 1)
        self.added = nn.Conv2d(4, 4, 1)
        self.dropped = nn.Linear(4 * 9, 5)
        self.gelu = nn.Linear(5, 5)
        self.both_ways = nn.Linear(5, 5)
        self.last = nn.Linear(5, 2)
        self.act = nn.ReLU6()
        self.drop = nn.Dropout()

    def forward(self, x):
        x = self.act(self.a(x))
        x = functional.relu(self.b(x), inplace=True)
        x = torch.relu_(functional.conv2d(x, self.c.weight, self.c.bias, padding=1))
        x = self.act(self.twice(x))
        x = self.act(self.twice(x))
        x = functional.relu(functional.max_pool2d(self.pooled(x), 2))
        x = self.clamped(x).clamp(min=0)
        x = torch.relu(x + self.added(x))
        x = self.drop(self.dropped(x.flatten(1))).relu()
        x = functional.gelu(self.gelu(x))
        y = self.both_ways(x)
        return self.last(y.relu() + y)


def test_auto_follows_tensors_to_what_rectifies_them():
    torch.manual_seed(0)
    patterns = fit_patterns(Functional().eval(), [torch.randn(4, 3, 6, 6)])
    estimators = {name: layer.estimator for name, layer in patterns.info.layers.items()}
    positive = {"a", "b", "c", "twice", "pooled", "clamped", "dropped"}
    assert {name for name, estimator in estimators.items() if estimator == "positive"} == positive
    assert set(estimators) == positive | {"added", "gelu", "both_ways", "last"}
    assert patterns.info.layers["twice"].samples == 2 * patterns.info.layers["pooled"].samples


@pytest.mark.parametrize(
    ("act", "estimator"),
    [
        (nn.ReLU(), "positive"),
        (nn.ReLU(inplace=True), "positive"),
        (nn.ReLU6(inplace=True), "positive"),
        (nn.Hardtanh(0, 5), "positive"),
        (nn.Threshold(0, 0), "positive"),
        (nn.Hardtanh(), "linear"),
        (nn.Threshold(0.1, 0), "linear"),
        (nn.LeakyReLU(), "linear"),
        (nn.SiLU(), "linear"),
        (nn.Sigmoid(), "linear"),
        (nn.Identity(), "linear"),
        (nn.AvgPool1d(2), "linear"),
    ],
)
def test_which_activations_rectify(act, estimator):
    model = nn.Sequential(nn.Conv1d(2, 4, 3), act, nn.Flatten(), nn.LazyLinear(2))
    x = torch.randn(8, 2, 10)
    model(x)
    assert fit_patterns(model, [x]).info.layers["0"].estimator == estimator


def test_a_module_used_twice_sums_both_uses():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU()).double()
    twice = nn.Sequential(model, model)
    x = torch.randn(10, 3, dtype=torch.float64)
    inputs = torch.cat([x, model(x).detach()])
    relatively_close(fit_patterns(twice, [x])["0.0"], expected_pattern(model[0], inputs, "positive", "preactivation"))


def test_subclasses_with_their_own_forward():
    class Asymmetric(nn.Conv2d):
        def forward(self, x):
            x = functional.pad(x, (0, 1, 0, 1))
            return functional.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    torch.manual_seed(0)
    layer = Asymmetric(2, 3, 3, stride=2).double()
    x = torch.randn(4, 2, 6, 6, dtype=torch.float64)
    padded = functional.pad(x, (0, 1, 0, 1))
    relatively_close(
        fit_patterns(nn.Sequential(layer), [x])["0"], expected_pattern(layer, padded, "linear", "preactivation")
    )


def test_the_real_network_has_asymmetric_padding_and_is_fitted_after_folding():
    from captum_ext.cli.models import efficientnet_lite
    from captum_ext.patterns import fold_batch_norm

    model = efficientnet_lite("efficientnet-lite0", None).model.eval()
    x = torch.rand(4, 3, 64, 64) * 2 - 1
    with pytest.raises(ValueError, match=r"49 BatchNorm layers .* folded.*fold_batch_norm\(model, example_inputs\)"):
        fit_patterns(model, [x])
    folded = fold_batch_norm(model)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), model(x), atol=1e-3, rtol=1e-3)
    patterns = fit_patterns(folded, [x])
    assert len(patterns) == 50
    assert all(torch.isfinite(pattern).all() for pattern in patterns.values())
    estimators = {name: layer.estimator for name, layer in patterns.info.layers.items()}
    assert {name for name, estimator in estimators.items() if estimator == "linear"} == {
        "_fc",
        *(f"_blocks.{k}._project_conv" for k in range(16)),
    }


def test_the_model_is_as_before():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten(), nn.LazyLinear(2)
    ).train()
    x = torch.rand(4, 3, 6, 6, requires_grad=True)
    model(x)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.warns(UserWarning, match="training mode"):
        fit_patterns(model, [x])
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in (x, *model.parameters()))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_batch_that_fails_leaves_the_fitter_as_it_was():
    class Fragile(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):
            hidden = self.first(x)
            if (x > 100).any():
                raise KeyboardInterrupt
            return self.second(hidden)

    torch.manual_seed(0)
    fitter = PatternFitter(Fragile())
    x = torch.randn(8, 3)
    fitter.update(x)
    before = fitter.patterns()
    with pytest.raises(KeyboardInterrupt):
        fitter.update(x + 1000)
    after = fitter.patterns()
    assert after.info == before.info
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_forms_of_batches():
    model = nn.Linear(3, 2)
    x, y = torch.randn(8, 3), torch.arange(8)
    expected = fit_patterns(nn.Sequential(model), [x])["0"]
    for batch in ((x, y), [x, y], (x,)):
        assert torch.equal(fit_patterns(nn.Sequential(model), [batch])["0"], expected)


def test_only_some_layers():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    x = torch.randn(8, 3)
    patterns = fit_patterns(model, [x], layers=["2"])
    assert list(patterns) == ["2"]
    assert torch.equal(patterns["2"], fit_patterns(model, [x])["2"])


def test_layers_that_do_not_run_are_named():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return self.used(x)

    with pytest.warns(UserWarning, match=r"No pattern for \['unused'\]"):
        patterns = fit_patterns(Unused(), [torch.randn(8, 3)])
    assert list(patterns) == ["used"]


def test_projections_of_torchs_attention_are_named_and_left_alone():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    x = torch.randn(32, 5, 8, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match=r"No pattern for \['self_attn.out_proj'\].*nn.MultiheadAttention"):
        patterns = fit_patterns(layer, [x])
    assert list(patterns) == ["linear1", "linear2"]
    got = PGIG(lambda z: layer(z).flatten(1), patterns, model=layer).attribute(x[:2], target=3, n_steps=3)
    assert torch.isfinite(got).all()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"estimator": "two-component"}, ValueError, "estimator: expected one of"),
        ({"mean": "relu"}, ValueError, "mean: expected one of"),
        ({"layers": ["1"]}, ValueError, r"layers: expected some of \['0'\], got \['1'\]"),
        ({"layers": []}, ValueError, "got none"),
    ],
)
def test_settings(settings, error, message):
    with pytest.raises(error, match=message):
        PatternFitter(nn.Sequential(nn.Linear(3, 2)), **settings)


def test_mistakes():
    model = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(TypeError, match="got function"):
        PatternFitter(lambda x: x)
    with pytest.raises(ValueError, match="no linear or convolution layer"):
        PatternFitter(nn.ReLU())
    fitter = PatternFitter(model)
    with pytest.raises(ValueError, match=r"Call update\(batch\) first"):
        fitter.patterns()
    with pytest.raises(ValueError, match="There are no data yet"):
        fit_patterns(model, [])
    with pytest.raises(TypeError, match="got dict"):
        fitter.update({"x": torch.rand(2, 3)})
    with pytest.raises(ValueError, match="NaN or infinity"):
        fitter.update(torch.full((2, 3), float("nan")))
    fitter.update(torch.rand(4, 3))
    for other in (
        PatternFitter(nn.Sequential(nn.Linear(3, 2))),
        PatternFitter(model, "positive"),
        PatternFitter(model, mean="rectified"),
    ):
        other.update(torch.rand(4, 3))
        with pytest.raises(ValueError, match="merge: expected a fitter of the same model"):
            fitter.merge(other)


def test_progress_bar_is_for_terminals(capsys):
    fit_patterns(nn.Linear(3, 2), [torch.rand(4, 3)])
    assert capsys.readouterr().err == ""


def test_no_warning_for_a_model_in_order():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_patterns(nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval(), [torch.rand(4, 3)])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("estimator", ["linear", "positive"])
def test_sums_in_small_chunks_are_the_same(name, estimator, monkeypatch):
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer = make().double()
    x = torch.randn(7, *shape, dtype=torch.float64)
    whole = fit_patterns(nn.Sequential(layer), [x], estimator=estimator)["0"]
    monkeypatch.setattr("captum_ext.patterns._calls._CACHED_VALUES", 3)
    chunks = fit_patterns(nn.Sequential(layer), [x], estimator=estimator)["0"]
    assert (chunks - whole).abs().max() <= 1e-9 * whole.abs().max()


def test_large_linear_layers_are_not_misled_by_what_follows_in_place():
    """Their samples are kept to the end of the forward pass, when an in-place ReLU has long been over them."""
    torch.manual_seed(0)
    layers = [nn.Linear(12, 30), nn.Dropout(0.0, inplace=True), nn.ReLU(inplace=True), nn.Linear(30, 20)]
    model = nn.Sequential(*layers, nn.ReLU(inplace=True)).double().eval()
    x = torch.randn(40, 12, dtype=torch.float64)
    small = fit_patterns(model, x.split(4))
    whole = fit_patterns(model, [x])
    for name in whole:
        assert (small[name] - whole[name]).abs().max() <= 1e-9 * whole[name].abs().max()

    class Overwriting(nn.Linear):
        def forward(self, x):
            y = super().forward(x)
            x[:, :3] = 7.0
            return y

    overwriting = Overwriting(12, 30).double()
    plain = nn.Linear(12, 30).double()
    plain.load_state_dict(overwriting.state_dict())
    before = x.clone()
    expected = fit_patterns(nn.Sequential(plain), x.split(4))["0"]
    found = fit_patterns(nn.Sequential(overwriting), x.split(4))["0"]
    assert torch.equal(x, before)
    assert (found - expected).abs().max() <= 1e-9 * expected.abs().max()


class Uses(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self._forward = forward

    def forward(self, x):
        return self._forward(self, x)


def written(m, x):
    h = m.a(x)
    h[:, 0] = 5.0
    return m.b(h.relu())


def returned(m, x):
    h = m.a(x)
    return m.b(h.relu()), {"hidden": h}


@pytest.mark.parametrize(
    ("forward", "estimator"),
    [
        (lambda m, x: m.a(m.a(x).relu()), "linear"),
        (written, "linear"),
        (returned, "linear"),
        (lambda m, x: m.b(m.a(x).float().relu()), "positive"),
        (lambda m, x: m.b(torch.cat([part.relu() for part in m.a(x).split(2, 1)], 1)), "positive"),
        (lambda m, x: m.b(m.a(x).narrow(1, 0, 4)[:, :].relu()), "positive"),
        (lambda m, x: (m.a(x).isnan().any(), m.b(m.a(x).relu()))[1], "linear"),
    ],
)
def test_auto_looks_at_every_use(forward, estimator):
    torch.manual_seed(0)
    patterns = fit_patterns(Uses(forward), [torch.randn(30, 4)], layers=["a"])
    assert patterns.info.layers["a"].estimator == estimator


def test_merging_into_a_fresh_fitter_asks_for_the_same_settings():
    torch.manual_seed(0)
    one, other = (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)) for _ in range(2))
    x = torch.randn(50, 4)
    seen = PatternFitter(one)
    seen.update(x)
    for fresh in (
        PatternFitter(other),
        PatternFitter(one, "linear"),
        PatternFitter(one, mean="rectified"),
        PatternFitter(one, layers=["0"]),
    ):
        model = fresh.model
        with pytest.raises(ValueError, match="merge: expected a fitter of the same"):
            fresh.merge(seen)
        assert fresh.model is model
        with pytest.raises(ValueError, match="There are no data yet"):
            fresh.patterns()
    fresh = PatternFitter(one)
    fresh.merge(seen)
    before = {name: tensor.clone() for name, tensor in seen.patterns().items()}
    fresh.update(torch.randn(50, 4))  # must not reach into what was merged
    assert all(torch.equal(before[name], tensor) for name, tensor in seen.patterns().items())


def test_layers_that_can_not_be_told_apart_or_fitted():
    torch.manual_seed(0)
    x = torch.randn(50, 4)
    tied = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    with pytest.raises(ValueError, match=r"'0' and '2' share one weight.*clone"):
        PatternFitter(tied)
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 2))
    with pytest.warns(UserWarning, match=r"No pattern for \['0'\]: these layers recompute their weight"):
        assert list(fit_patterns(normed, [x])) == ["2"]
    with pytest.raises(TypeError, match="layers: expected a list of names, got the string '02'"):
        PatternFitter(tied, layers="02")
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    fitter = PatternFitter(model)
    fitter.update(x)
    with torch.no_grad():
        model[0].weight.mul_(2)
    with pytest.raises(ValueError, match="weights changed since the first batch"):
        fitter.update(x)


def test_all_units_of_a_layer_dead_warns():
    model = nn.Sequential(nn.Linear(4, 3))
    with pytest.warns(UserWarning, match="No unit of '0' varies with its input"):
        fit_patterns(model, [torch.ones(20, 4)])


def test_inference_mode():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    fitter = PatternFitter(model)
    with torch.inference_mode():
        x = torch.randn(30, 4)
        fitter.update(x)
        patterns = fit_patterns(model, [x])
    fitter.update(x)
    assert fitter.patterns().info.inputs == 60
    for method in (PatternNet, PatternAttribution, PGIG):
        assert method(model, patterns).attribute(x, target=0).shape == x.shape


def test_models_of_a_fixed_batch_size():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 3)

        def forward(self, x):
            return self.a(x.reshape(50, 4))

    assert fit_patterns(Fixed(), [torch.randn(50, 4)]).info.inputs == 50


def test_chunks_are_larger_on_other_devices():
    assert chunk_values(torch.device("cpu")) < chunk_values(torch.device("cuda")) == chunk_values(torch.device("mps"))
