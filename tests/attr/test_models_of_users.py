"""Models and functions as users write them: what they may do, what is noticed, and what is put back."""

import functools
import types
import warnings

import pytest
import torch
from torch import nn

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients, PathAttribution
from captum_ext.paths import BlurPath, StraightPath
from captum_ext.quadratures import ImportantDirection, WeightedSum

X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))


class Counting(nn.Module):
    """Counts its calls in a buffer, in evaluation mode too."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.layer(x)


class Wrapper:
    """Callable, no module, and holds one."""

    def __init__(self, model):
        self.model = model

    def __call__(self, x):
        return self.model(x)

    def method(self, x):
        return self.model(x)


class Holder:
    """Not callable, and reaches a model through methods, a property and an attribute of an attribute."""

    def __init__(self, model):
        self.inner = types.SimpleNamespace(models=[model])

    @property
    def model(self):
        return self.inner.models[0]

    def predict(self, x):
        return self._run(x)

    def _run(self, x):
        return self.model(x)


class Slots:
    __slots__ = ("model",)

    def __init__(self, model):
        self.model = model

    def predict(self, x):
        return self.model(x)


class Ensemble(nn.Module):
    """Has models that are not registered as submodules."""

    def __init__(self, *models):
        super().__init__()
        self.models = {"all": list(models)}

    def forward(self, x):
        return sum(model(x) for model in self.models["all"])


GLOBAL = {}


def global_in_a_nested_function(x):
    return (lambda y: GLOBAL["model"](y))(x)


def forms(model):
    GLOBAL["model"] = model
    holder, models = Holder(model), {"first": (model,)}
    return {
        "module": model,
        "lambda": lambda x: model(x),
        "nested lambda": lambda x: (lambda y: model(y))(x),
        "method": Wrapper(model).method,
        "object": Wrapper(model),
        "bound forward": model.forward,
        "partial": functools.partial(lambda m, x: m(x), model),
        "default argument": lambda x, model=model: model(x),
        "dict of tuples": lambda x: models["first"][0](x),
        "global dict": global_in_a_nested_function,
        "method of a holder": holder.predict,
        "holder's method": lambda x: holder.predict(x),
        "holder's attributes": lambda x: holder.inner.models[0](x),
        "partial of a method": functools.partial(Holder.predict, holder),
        "slots": Slots(model).predict,
        "list in a module": Ensemble(model).eval(),
    }


FORMS = list(forms(nn.Identity()))


@pytest.mark.parametrize("form", FORMS)
def test_training_mode_is_noticed_behind_any_function(form):
    model = nn.Sequential(nn.Linear(8, 2), nn.BatchNorm1d(2)).train()
    with pytest.warns(UserWarning, match=r"training mode \(BatchNorm1d\)") as caught:
        IntegratedGradients(forms(model)[form]).attribute(X, target=0, n_steps=2)
    assert [warning.filename for warning in caught] == [__file__]  # at the user's line, not the library's


@pytest.mark.parametrize("form", FORMS)
def test_buffers_are_put_back_behind_any_function(form):
    model = Counting().eval()
    buffer = model.calls
    IntegratedGradients(forms(model)[form]).attribute(X, target=0, n_steps=2)
    assert model.calls is buffer
    assert buffer.item() == 0


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.RReLU(), nn.AlphaDropout(0.1), nn.InstanceNorm1d(3)])
def test_which_layers_have_two_modes(layer):
    model = nn.Sequential(layer, nn.Linear(8, 2)).train()
    x = X.unsqueeze(0) if isinstance(layer, nn.InstanceNorm1d) else X
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        IntegratedGradients(lambda z: model(z).reshape(len(z), -1)).attribute(x, target=0, n_steps=1)
    # InstanceNorm without running statistics does the same in both modes.
    assert bool(caught) != isinstance(layer, nn.InstanceNorm1d)


class DropPath(nn.Module):
    """Stochastic depth as timm and HuggingFace have it."""

    def __init__(self, drop_prob):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        if self.drop_prob == 0 or not self.training:
            return x
        return x * torch.empty(len(x), 1).bernoulli_(1 - self.drop_prob)


class BeitDropPath(DropPath):
    pass


class Functional(nn.Module):
    """Has dropout without a layer for it."""

    def __init__(self, rate):
        super().__init__()
        self.layer, self.rate = nn.Linear(8, 2), rate

    def forward(self, x):
        return nn.functional.dropout(self.layer(x), self.rate, self.training)


def scripted(rate):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.script(nn.Sequential(nn.Linear(8, 2), nn.Dropout(rate)))


@pytest.mark.parametrize(
    ("make", "rate"),
    # Not scripted dropout of nothing, which draws nevertheless.
    [*((make, rate) for make in (DropPath, BeitDropPath, Functional) for rate in (0.0, 0.5)), (scripted, 0.5)],
)
@pytest.mark.parametrize("training", [False, True])
def test_dropout_of_every_kind_is_noticed_where_it_drops(make, training, rate):
    model = nn.Sequential(make(rate), nn.Flatten()).train(training)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        IntegratedGradients(model).attribute(X, target=0, n_steps=2)
    assert [warning.filename for warning in caught] == [__file__] * (training and rate > 0)
    name = "RecursiveScriptModule" if make is scripted else make.__name__
    assert all(f"training mode ({name})" in str(warning.message) for warning in caught)


def test_random_numbers_drawn_outside_the_model_are_no_reason_to_warn(recwarn):
    """A model in training mode without dropout, and a function that draws."""
    model = Wrapper(nn.Sequential(nn.Linear(8, 2), nn.ReLU()).train())
    IntegratedGradients(lambda x: model(x + torch.rand(()))).attribute(X, target=0, n_steps=2)
    assert not recwarn.list


scale = nn.BatchNorm1d(8).train()


def test_an_attribute_named_as_a_global_model_is_no_reference_to_it(recwarn):
    settings = types.SimpleNamespace(scale=2.0)
    IntegratedGradients(lambda x: (x * settings.scale).sum(1)).attribute(X, n_steps=2)
    assert not recwarn.list


def test_long_lists_are_not_searched():
    numbers, searched = list(range(100_000)), []

    class Watched(list):
        def __iter__(self):
            searched.append(1)
            return super().__iter__()

    values = Watched(numbers)
    IntegratedGradients(lambda x: x.sum(1) * values[1]).attribute(X, n_steps=2)
    assert not searched


def test_dropout_of_nothing_is_no_reason_to_warn(recwarn):
    IntegratedGradients(nn.Sequential(nn.Dropout(0.0), nn.Linear(8, 2)).train()).attribute(X, target=0, n_steps=1)
    assert not recwarn.list


@pytest.mark.parametrize("method", [IntegratedGradients, IDGI, GuidedIG])
def test_a_gradient_that_vanishes_only_in_places_is_zero_there(method):
    """F has a gradient where x > 0; at other points autograd gives none for the whole batch."""

    def piecewise(x):
        return x.sum(1) if bool((x > 0.55).all()) else x.detach().sum(1)

    x = torch.ones(1, 8)
    rule = None if method is GuidedIG else "riemann_right"
    attributions = method(piecewise).attribute(x, n_steps=4, method=rule, internal_batch_size=1)
    assert torch.isfinite(attributions).all()
    if method is IntegratedGradients:  # points .25 .5 .75 1 : two of four have gradient 1
        torch.testing.assert_close(attributions, torch.full_like(x, 0.5))


@pytest.mark.parametrize("method", [IntegratedGradients, IDGI, BlurIG, GuidedIG])
def test_no_gradient_anywhere_raises_rather_than_gives_zeros(method):
    x = torch.rand(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"does not depend on its inputs.*detach\(\)"):
        method(lambda z: z.detach().sum((1, 2, 3))).attribute(x, n_steps=3)


def test_a_model_of_other_precision_inside(net, images):
    """bfloat16 autocast reaches the model and nothing else: the blurred points are the same."""
    seen = []

    def record(x):
        seen.append(x.detach().clone())
        return net(x.double()).float()

    BlurIG(record, max_sigma=3.0).attribute(images.float(), target=0, n_steps=1)  # the first call compares the layouts
    seen.clear()
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            BlurIG(record, max_sigma=3.0).attribute(images.float(), target=0, n_steps=4)
    half = len(seen) // 2
    for plain, under_autocast in zip(seen[:half], seen[half:], strict=True):
        assert torch.equal(plain, under_autocast)


@pytest.mark.parametrize("method", [IntegratedGradients, IDGI, BlurIG, GuidedIG])
def test_autocast(method):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(64, 3)).eval()
    x = torch.rand(2, 1, 6, 6)
    plain = method(model).attribute(x, target=1, n_steps=4)
    with torch.autocast("cpu", torch.bfloat16):
        attributions = method(model).attribute(x, target=1, n_steps=4)
    assert attributions.dtype == torch.float32
    if method is GuidedIG:  # by other gradients it takes another path; the sum is the change of F on any
        torch.testing.assert_close(attributions.sum((1, 2, 3)), plain.sum((1, 2, 3)), rtol=0.2, atol=0.05)
    else:
        torch.testing.assert_close(attributions, plain, rtol=0.05, atol=0.02 * plain.abs().max().item())
    assert not torch.equal(attributions, plain)


def test_parts_are_objects_of_their_kind(net):
    with pytest.raises(TypeError, match=r"path: expected a path such as .*the class BlurPath; write BlurPath\(\)"):
        PathAttribution(net, path=BlurPath)
    with pytest.raises(TypeError, match="quadrature: expected a quadrature such as"):
        PathAttribution(net, quadrature="riemann_left")
    with pytest.raises(TypeError, match="backward: expected a backward rule"):
        PathAttribution(net, backward="patterns")
    with pytest.raises(TypeError, match="forward_func: expected a model or a function, got str"):
        IntegratedGradients("resnet18")
    with pytest.raises(TypeError, match="path: expected"):
        PathAttribution(net, path=ImportantDirection())


def test_quadratures_of_a_shared_walk(net, images):
    both = [WeightedSum("riemann_trapezoid"), ImportantDirection()]
    method = PathAttribution(net, path=StraightPath())
    expected = method.attribute_each(both, images, target=0, n_steps=3)
    for given in (tuple(both), iter(both)):
        results = method.attribute_each(given, images, target=0, n_steps=3)
        assert all(torch.equal(result, other) for result, other in zip(results, expected, strict=True))
    for bad in ("riemann_left", WeightedSum("riemann_left"), 3, ["riemann_left"]):
        with pytest.raises(TypeError, match="quadratures: expected"):
            method.attribute_each(bad, images, target=0)
    with pytest.raises(ValueError, match="at least one"):
        method.attribute_each([], images, target=0)


def test_long_series_are_blurred_without_a_square_matrix():
    """16,384 samples at up to 50: a matrix of that side alone would take 2 GB."""
    x = torch.randn(1, 1, 16_384, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(1, 16_384, generator=torch.Generator().manual_seed(1))
    attributions, delta = BlurIG(lambda z: (z.flatten(1) * weight).sum(1), spatial_dims=(2,)).attribute(
        x, n_steps=3, return_convergence_delta=True
    )
    assert attributions.shape == x.shape
    assert abs(delta.item()) < 1e-3 * attributions.abs().sum().item()


def test_examples_without_features():
    x = torch.zeros(2, 0)
    assert IntegratedGradients(lambda z: z.sum(1)).attribute(x, n_steps=2).shape == (2, 0)


def test_the_callers_tensors_are_not_reached_by_a_model_that_works_in_place():
    shift = torch.ones(3)

    def forward(x, y):
        y.mul_(2)
        x.add_(y.unsqueeze(1))
        return x.sum(1)

    x = X.clone()
    IntegratedGradients(forward).attribute(x, additional_forward_args=shift, n_steps=3, return_convergence_delta=True)
    assert torch.equal(x, X)
    assert torch.equal(shift, torch.ones(3))


def test_a_baseline_of_integers_is_a_baseline(net, images):
    zeros = torch.zeros_like(images, dtype=torch.int64)
    expected = IntegratedGradients(net).attribute(images, target=0, n_steps=3)
    assert torch.equal(IntegratedGradients(net).attribute(images, zeros, target=0, n_steps=3), expected)
    ones = IntegratedGradients(net).attribute(images, torch.ones(1, 3, 6, 5, dtype=torch.uint8), target=0, n_steps=3)
    torch.testing.assert_close(ones, IntegratedGradients(net).attribute(images, 1, target=0, n_steps=3))
