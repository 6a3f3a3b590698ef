"""BatchNorm folded into the layer before it."""

import warnings

import pytest
import torch
from torch import nn

from captum_ext.attr import PGIG
from captum_ext.patterns import PatternFitter, fit_patterns, fold_batch_norm


def settled(model):
    """Statistics and affine parameters that are not the trivial ones."""
    torch.manual_seed(0)
    model.double()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return model.eval()


class Net(nn.Module):
    """BatchNorm that can be folded (a, b, c, fc) and that can't: before a layer, after an add, used twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.BatchNorm2d(3)
        self.conv_a, self.bn_a = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.conv_b, self.bn_b = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8)
        self.conv_c, self.bn_c = nn.ConvTranspose2d(8, 8, 1), nn.BatchNorm2d(8, affine=False)
        self.bn_add = nn.BatchNorm2d(8)
        self.conv_d, self.conv_e, self.bn_twice = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        self.conv_f, self.bn_f = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        self.fc, self.bn_fc = nn.Linear(8, 5), nn.BatchNorm1d(5)
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.act(self.bn_a(self.conv_a(self.first(x))))
        x = x + self.act(self.bn_b(self.conv_b(x)))
        x = self.bn_add(x + self.bn_c(self.conv_c(x)))
        x = self.bn_twice(self.conv_d(x)) + self.bn_twice(self.conv_e(x))
        seen_twice = self.conv_f(x)
        x = self.bn_f(seen_twice) + seen_twice
        return self.bn_fc(self.fc(x.mean((2, 3))))


@pytest.mark.parametrize("with_example", [False, True])
def test_folds_what_can_be_folded_and_computes_the_same(with_example):
    model = settled(Net())
    x = torch.randn(4, 3, 7, 7, dtype=torch.float64)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold_batch_norm(model, x if with_example else None)
    gone = {name for name, module in folded.named_modules() if isinstance(module, nn.Identity)}
    # Which axis BatchNorm works on after a linear layer depends on the input, which tracing does not see.
    assert gone == {"bn_a", "bn_b", "bn_c"} | ({"bn_fc"} if with_example else set())
    torch.testing.assert_close(folded(x), model(x))
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert not any(
        parameter.data_ptr() in {p.data_ptr() for p in model.parameters()} for parameter in folded.parameters()
    )


def test_what_can_not_be_folded_is_reported_and_keeps_its_ordinary_gradient():
    model = settled(Net())
    x = torch.randn(30, 3, 7, 7, dtype=torch.float64)
    with pytest.warns(UserWarning, match=r"keeps its ordinary gradient: first, bn_add, bn_twice, bn_f"):
        patterns = fit_patterns(fold_batch_norm(model, x), [x])
    assert set(patterns.info.unfolded) == {"first", "bn_add", "bn_twice", "bn_f"}
    assert "bn_add" in repr(patterns)
    assert torch.isfinite(PGIG(fold_batch_norm(model, x), patterns).attribute(x[:2], target=1)).all()


def test_fitting_and_explaining_an_unfolded_model_raise_with_advice():
    model = settled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2)))
    x = torch.randn(20, 3, 5, 5, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"1 BatchNorm layers that can be folded.*'1', after '0'.*fold=True"):
        fit_patterns(model, [x])
    patterns = fit_patterns(model, [x], fold=True)
    again = fit_patterns(fold_batch_norm(model), [x])
    for name in again:
        assert torch.equal(patterns[name], again[name])
    assert patterns.info == again.info
    assert patterns.info.layers["0"].estimator == "positive"
    with pytest.raises(ValueError, match=r"1 BatchNorm layers that are not folded.*fold_batch_norm\(model\)"):
        PGIG(model, patterns)
    PGIG(fold_batch_norm(model), patterns).attribute(x, target=0)


def test_a_fitter_that_folds_keeps_the_model_it_was_given():
    model = settled(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU()))
    fitter = PatternFitter(model, fold=True)
    fitter.update(torch.randn(9, 3, dtype=torch.float64))
    assert fitter.model is not model
    assert isinstance(model[1], nn.BatchNorm1d)
    assert isinstance(fitter.model[1], nn.Identity)
    other = PatternFitter(model, fold=True)
    other.update(torch.randn(9, 3, dtype=torch.float64))
    fitter.merge(other)
    assert fitter.patterns().info.inputs == 18


def test_models_that_can_not_be_traced_want_an_example():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)

        def forward(self, x):
            x = self.bn(self.conv(x))
            return x if x.sum() > 0 else -x

    model = settled(Branching())
    with pytest.raises(ValueError, match="Pass example_inputs"):
        fold_batch_norm(model)
    x = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    folded = fold_batch_norm(model, x)
    assert isinstance(folded.bn, nn.Identity)
    torch.testing.assert_close(folded(x), model(x))


def test_training_mode_raises_and_models_without_batch_norm_are_copied():
    with pytest.raises(ValueError, match=r"'1' is in training mode. Call model.eval\(\)"):
        fold_batch_norm(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    model = nn.Sequential(nn.Linear(2, 2))
    assert fold_batch_norm(model) is not model


def test_real_architectures():
    from torchvision.models import densenet121, mobilenet_v2, resnet18

    for make, left in ((resnet18, 0), (mobilenet_v2, 0), (densenet121, 62)):
        model = make().eval()
        folded = fold_batch_norm(model)
        x = torch.randn(1, 3, 64, 64)
        torch.testing.assert_close(folded(x), model(x), atol=1e-3, rtol=1e-3)
        assert sum(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) == left


class Act(nn.BatchNorm2d):
    def forward(self, x):
        return super().forward(x).relu()


class ConvAct(nn.Conv2d):
    def forward(self, x):
        return super().forward(x).relu()


class Standardized(nn.Conv2d):
    def forward(self, x):
        return nn.functional.conv2d(x, self.weight / self.weight.std(), self.bias)


class Strange(nn.Module):
    """A convolution and a BatchNorm, used in some way that folding must see."""

    def __init__(self, way):
        super().__init__()
        self.way = way
        self.conv = {"conv with ReLU": ConvAct, "standardized": Standardized}.get(way, nn.Conv2d)(3, 4, 3)
        self.bn = Act(4) if way == "BatchNorm with ReLU" else nn.BatchNorm2d(4)
        if way == "conv of two names":
            self.other = self.conv
        if way == "BatchNorm of two names":
            self.others = nn.ModuleList([self.bn])
        if way == "hooked BatchNorm":
            self.bn.register_forward_hook(lambda module, args, output: output * 2)
        if way == "hooked conv":
            self.conv.register_forward_hook(lambda module, args, output: output * 2)
        if way == "conv with weight_norm":
            nn.utils.parametrizations.weight_norm(self.conv)

    def forward(self, x):
        if self.way == "conv of two names":
            return self.bn(self.other(x))
        if self.way == "BatchNorm of two names":
            return self.others[0](self.conv(x))
        y = self.conv(x)
        if self.way == "written to":
            y[:, :2] = 0.0
        if self.way == "returned too":
            return self.bn(y), y
        if self.way == "shape read":
            return self.bn(y).reshape(y.shape[0], -1)
        return self.bn(y)


WAYS = [
    "plain",
    "shape read",
    "BatchNorm with ReLU",
    "conv with ReLU",
    "standardized",
    "conv of two names",
    "BatchNorm of two names",
    "hooked BatchNorm",
    "hooked conv",
    "conv with weight_norm",
    "written to",
    "returned too",
]


@pytest.mark.parametrize("with_example", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_folded_model_computes_the_same_or_is_left_as_it_is(way, with_example):
    torch.manual_seed(0)
    model = settled(Strange(way))
    x = torch.randn(5, 3, 7, 7, dtype=torch.float64)
    if way == "written to" and not with_example:  # torch.fx can't trace it
        with pytest.raises(ValueError, match="Pass example_inputs"):
            fold_batch_norm(model)
        return
    folded = fold_batch_norm(model, x if with_example else None)
    torch.testing.assert_close(folded(x), model(x))
    assert isinstance(folded.bn, nn.Identity) == (way in ("plain", "shape read"))


def test_batch_norm_over_a_sequence_is_not_folded_into_a_linear_layer():
    torch.manual_seed(0)
    model = settled(nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16)))
    x = torch.randn(5, 16, 16, dtype=torch.float64)
    for folded in (fold_batch_norm(model), fold_batch_norm(model, x)):
        torch.testing.assert_close(folded(x), model(x))


def test_a_fold_that_went_wrong_is_noticed(monkeypatch):
    model = settled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    monkeypatch.setattr("captum_ext.patterns.fold.fuse_conv_bn_eval", lambda conv, bn, transpose: conv)
    with pytest.raises(ValueError, match="the folded model has other outputs"):
        fold_batch_norm(model, torch.randn(2, 3, 5, 5, dtype=torch.float64))


def test_batch_norm_that_does_not_run_is_no_reason_to_refuse():
    class Spare(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(36, 2)
            self.unused = nn.BatchNorm2d(7)

        def forward(self, x):
            return self.head(self.bn(self.conv(x)).relu().flatten(1))

    x = torch.randn(20, 3, 5, 5, dtype=torch.float64)
    folded = fold_batch_norm(settled(Spare()), x)
    patterns = fit_patterns(folded, [x])
    assert patterns.info.unfolded == ("unused",)
    assert PGIG(folded, patterns).attribute(x[:2], target=1).isfinite().all()


def test_training_mode_raises_also_on_request():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    with pytest.warns(UserWarning, match="training mode"), pytest.raises(ValueError, match=r"model\.eval\(\)"):
        fit_patterns(model, [torch.randn(4, 3, 5, 5)], fold=True)


class Counting(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.bn(self.conv(x))


@pytest.mark.parametrize("training", [False, True])
def test_buffers_are_as_before_in_the_model_and_its_copy(training):
    model = Counting().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.randn(4, 3, 5, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if training:
            with pytest.raises(ValueError, match=r"'bn' is in training mode. Call model.eval\(\)"):
                fold_batch_norm(model, x)
        else:
            assert fold_batch_norm(model, x).calls == 0
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_fitting_counts_no_calls_in_the_folded_copy():
    fitter = PatternFitter(Counting().eval(), fold=True)
    for _ in range(2):
        fitter.update(torch.randn(4, 3, 5, 5))
    assert isinstance(fitter.model.bn, nn.Identity)
    assert fitter.model.calls == 0
