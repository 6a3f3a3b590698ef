"""Path methods at a layer: against Captum, and against the model cut in two by hand."""

import captum.attr
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from captum_ext.attr import (
    IDGI,
    Expected,
    LayerBlurIG,
    LayerGuidedIG,
    LayerIDGI,
    LayerIntegratedGradients,
    LayerPathAttribution,
    PathAttribution,
    SharedArgument,
)
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.patterns import PatternRule, fit_patterns
from captum_ext.quadratures import ImportantDirection, WeightedSum
from tests.conformance.cases import LAYER_METHODS
from tests.helpers import close

STEPS = 7
TARGETS = [0, 3, 1]


class Cut(nn.Module):
    """tail(head(x)), images (B, 3, 6, 5) to (B, 4); float64."""

    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Softplus())
        self.tail = nn.Sequential(nn.Conv2d(4, 2, 3), nn.Softplus(), nn.Flatten(), nn.Linear(24, 4), nn.Softmax(1))
        self.double()

    def forward(self, x):
        return self.tail(self.head(x))


class Tokens(nn.Module):
    """Token ids (B, 5) to (B, 3); float64."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.rnn = nn.GRU(6, 8, batch_first=True)
        self.last = nn.Linear(8, 3)
        self.double()

    def from_embedding(self, embedded):
        return self.last(self.rnn(embedded)[0][:, -1]).softmax(1)

    def forward(self, ids):
        return self.from_embedding(self.embedding(ids))


@pytest.fixture
def cut():
    torch.manual_seed(5)
    return Cut()


@pytest.fixture
def tokens():
    torch.manual_seed(6)
    return Tokens()


IDS = torch.tensor([[1, 2, 3, 4, 5], [7, 7, 0, 19, 2], [9, 8, 7, 6, 5]])


# Captum ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle"])
@pytest.mark.parametrize("at_input", [False, True])
@pytest.mark.parametrize("layer", ["head", "head.0", "tail.1", "tail", "tail.3"])
def test_captums_layer_integrated_gradients(cut, images, layer, at_input, method):
    module = dict(cut.named_modules())[layer]
    arguments = {
        "baselines": torch.rand(1, 3, 6, 5).double(),
        "target": TARGETS,
        "n_steps": STEPS,
        "method": method,
        "return_convergence_delta": True,
        "attribute_to_layer_input": at_input,
    }
    for multiply in (True, False):
        theirs = captum.attr.LayerIntegratedGradients(cut, module, multiply_by_inputs=multiply)
        ours = LayerIntegratedGradients(cut, module, multiply_by_inputs=multiply)
        assert ours.multiplies_by_inputs is multiply
        expected, expected_delta = theirs.attribute(images, **arguments)
        for cap in (None, 1, 2, 5):
            got, delta = ours.attribute(images, internal_batch_size=cap, **arguments)
            close(got, expected, 1e-7)
            close(delta, expected_delta, 1e-7)


@pytest.mark.parametrize("method", ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle"])
def test_captums_layer_integrated_gradients_of_token_ids(tokens, method):
    theirs = captum.attr.LayerIntegratedGradients(tokens, tokens.embedding)
    ours = LayerIntegratedGradients(tokens, tokens.embedding)
    for baselines in (None, 3, torch.full((1, 5), 11), torch.randint(0, 20, (3, 5))):
        expected = theirs.attribute(IDS, baselines, [0, 1, 2], None, STEPS, method)
        close(ours.attribute(IDS, baselines, [0, 1, 2], None, STEPS, method, 2), expected, 1e-7)


def test_it_is_captums_class_and_takes_its_arguments_in_order(cut, images):
    ours = LayerIntegratedGradients(cut, cut.head, None, False)
    assert isinstance(ours, captum.attr.LayerIntegratedGradients)
    assert isinstance(ours, captum.attr.LayerAttribution)
    assert isinstance(ours, captum.attr.GradientAttribution)
    got, _ = ours.attribute(images, 0.0, 1, None, STEPS, "riemann_left", 4, True, True, {"allow_unused": True})
    expected = captum.attr.LayerIntegratedGradients(cut, cut.head, None, False).attribute(
        images, 0.0, 1, None, STEPS, "riemann_left", 4, True, True, {"allow_unused": True}
    )[0]
    close(got, expected, 1e-7)


# The model cut in two --------------------------------------------------------------------------------------------

PATHS = {"straight": StraightPath(), "blur": BlurPath(max_sigma=2.0), "guided": GuidedPath(fraction=0.4, max_dist=0.5)}
QUADRATURES = [WeightedSum("riemann_left"), WeightedSum("riemann_trapezoid"), ImportantDirection()]


@pytest.mark.parametrize("quadrature", QUADRATURES, ids=lambda q: f"{type(q).__name__} {q.method}")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("at_input", [False, True])
def test_any_path_and_quadrature_is_the_plain_method_on_the_tail(cut, images, path, quadrature, at_input):
    head = cut.head[0] if at_input else cut.head
    tail = (lambda h: cut.tail(cut.head[1](h))) if at_input else cut.tail
    baseline = torch.rand_like(images)
    start = {} if path == "blur" else {"baselines": head(baseline).detach()}
    expected, expected_delta = PathAttribution(tail, PATHS[path], quadrature).attribute(
        head(images).detach(), target=TARGETS, n_steps=STEPS, return_convergence_delta=True, **start
    )
    start = {} if path == "blur" else {"baselines": baseline}
    layer = cut.head[1] if at_input else cut.head
    for cap in (None, 1, 2, 7):
        got, delta = LayerPathAttribution(lambda x: cut(x), layer, None, PATHS[path], quadrature).attribute(
            images,
            target=TARGETS,
            n_steps=STEPS,
            internal_batch_size=cap,
            return_convergence_delta=True,
            attribute_to_layer_input=at_input,
            **start,
        )
        close(got, expected)
        close(delta, expected_delta)


def test_tokens_on_any_path_are_the_plain_method_on_embeddings(tokens):
    ends, starts = tokens.embedding(IDS).detach(), tokens.embedding(torch.zeros_like(IDS)).detach()
    for ours, plain in (
        (LayerIDGI(tokens, tokens.embedding), IDGI(tokens.from_embedding)),
        (LayerGuidedIG(tokens, tokens.embedding), PathAttribution(tokens.from_embedding, GuidedPath())),
        (
            LayerBlurIG(tokens, tokens.embedding, max_sigma=2.0, spatial_dims=[1]),
            PathAttribution(tokens.from_embedding, BlurPath(2.0, spatial_dims=[1])),
        ),
    ):
        baselines = starts if plain.path.takes_baselines else None
        expected = plain.attribute(ends, baselines, [0, 1, 2], n_steps=STEPS)
        close(ours.attribute(IDS, target=[0, 1, 2], n_steps=STEPS, internal_batch_size=2), expected)


def test_idgi_is_complete_at_any_layer_and_step_count(cut, images):
    baseline = torch.rand_like(images)
    change = (cut(images) - cut(baseline))[range(3), TARGETS]
    for layer in (cut.head, cut.head[0], cut.tail[0], cut.tail[3]):
        for steps in (1, 4):
            attributions, delta = LayerIDGI(cut, layer).attribute(
                images, baseline, TARGETS, n_steps=steps, return_convergence_delta=True
            )
            close(attributions.flatten(1).sum(1), change.detach())
            close(delta, torch.zeros(3, dtype=torch.float64))


def test_several_quadratures_share_a_walk(cut, images):
    forwards = []
    cut.register_forward_hook(lambda *_: forwards.append(1))
    method = LayerPathAttribution(cut, cut.head)
    both = method.attribute_each([WeightedSum("riemann_trapezoid"), ImportantDirection()], images, target=1, n_steps=4)
    close(both[0], method.attribute(images, target=1, n_steps=4, method="riemann_trapezoid"))
    close(both[1], LayerIDGI(cut, cut.head).attribute(images, target=1, n_steps=4))
    assert sum(forwards[:3]) == 3  # the layer at the inputs, at the baselines, and all points in one pass


def test_a_part_of_the_effect_that_goes_round_the_layer():
    """The delta is that of the path; Captum's, from F at inputs and baselines, is what the layer leaves out too."""
    layer = nn.Linear(4, 4).double()
    model = lambda x: torch.tanh(x + layer(x)).sum(1)  # noqa: E731
    x = torch.randn(3, 4, dtype=torch.float64)
    ours = LayerIntegratedGradients(model, layer)
    attributions, delta = ours.attribute(x, n_steps=100, return_convergence_delta=True)
    assert delta.abs().max() < 1e-9
    theirs = captum.attr.LayerIntegratedGradients(model, layer)
    expected, expected_delta = theirs.attribute(x, n_steps=100, return_convergence_delta=True)
    close(attributions, expected, 1e-7)
    assert expected_delta.abs().min() > 1e-2
    close(ours.compute_convergence_delta(attributions, torch.zeros_like(x), x), expected_delta, 1e-7)


def test_patterns_from_the_output_down_to_the_layer(images):
    torch.manual_seed(3)
    head, tail = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.ReLU())
    model = nn.Sequential(head, tail, nn.Linear(4, 2)).double()
    patterns = fit_patterns(model, [torch.randn(40, 3, 6, 5, dtype=torch.float64)])
    rest = nn.Sequential(tail, model[2])
    tail_patterns = fit_patterns(rest, [head(torch.randn(40, 3, 6, 5, dtype=torch.float64)).detach()])
    weights = {"0.1": "1.1", "1": "2"}  # the layers' names in the two models
    for name, whole in weights.items():
        tail_patterns[name].copy_(patterns[whole])
    for quadrature in (None, ImportantDirection()):
        expected = PathAttribution(rest, quadrature=quadrature, backward=PatternRule(tail_patterns)).attribute(
            head(images).detach(), head(0 * images).detach(), 1, n_steps=STEPS
        )
        method = LayerPathAttribution(model, head, quadrature=quadrature, backward=PatternRule(patterns))
        close(method.attribute(images, target=1, n_steps=STEPS), expected)
        plain = LayerPathAttribution(model, head, quadrature=quadrature).attribute(images, target=1, n_steps=STEPS)
        assert (plain - expected).abs().max() > 1e-3
        with pytest.raises(ValueError, match="with a custom backward rule"):
            method.attribute(images, target=1, return_convergence_delta=True)


def test_points_share_passes_and_memory_is_that_of_the_cap(cut):
    x = torch.randn(5, 3, 6, 5, dtype=torch.float64)
    rows = []
    cut.tail.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    for method in (LayerIntegratedGradients, LayerIDGI, LayerGuidedIG):
        expected = method(cut, cut.head).attribute(x, target=1, n_steps=STEPS)
        for cap in (1, 2, 4, 5, 6, 11, 1000):
            rows.clear()
            got = method(cut, cut.head).attribute(x, 0, 1, None, STEPS, None, cap, return_convergence_delta=True)[0]
            close(got, expected)
            assert max(rows) <= cap


def test_without_a_cap_a_late_layer_does_not_make_passes_of_many_photographs():
    rows = []
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    model.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    LayerIntegratedGradients(model, model[2]).attribute(torch.rand(2, 3, 224, 224), target=1, n_steps=60)
    assert max(rows) <= 16


@settings(max_examples=40, deadline=None)
@given(
    case=st.sampled_from(LAYER_METHODS),
    examples=st.integers(1, 5),
    cap=st.none() | st.integers(1, 40),
    steps=st.integers(1, 9),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    at_input=st.booleans(),
    seed=st.integers(0, 999),
)
def test_shapes_and_batches(case, examples, cap, steps, shape, at_input, seed):
    """Examples do not see one another, whatever their number, shape and batching."""
    torch.manual_seed(seed)
    head = nn.Conv2d(shape[0], 2, 3, padding=1).double()
    weight = torch.randn(2, 2, *shape[1:], dtype=torch.float64)
    x = torch.randn(examples, *shape, dtype=torch.float64)
    factor = torch.randn(examples, dtype=torch.float64)
    rows = []

    def model(x, factor):
        rows.append(len(x))
        return torch.tanh((head(x).unsqueeze(1) * weight).flatten(2).sum(2) * factor.unsqueeze(1))

    method = case.make(model, head)
    together = method.attribute(x, None, 1, factor, steps, internal_batch_size=cap, attribute_to_layer_input=at_input)
    assert cap is None or max(rows) <= cap
    assert together.shape == (x.shape if at_input else (examples, 2, *shape[1:]))
    for k in range(examples):
        one = slice(k, k + 1)
        alone = method.attribute(x[one], None, 1, factor[one], steps, attribute_to_layer_input=at_input)
        close(together[one], alone)


def test_unrepeated_arguments_and_several_baselines_at_layers():
    """As the method of a function that has the argument bound; as the mean over the baselines."""
    torch.manual_seed(0)
    layer, mix = nn.Linear(4, 3).double(), torch.randn(3, 3, dtype=torch.float64)
    head = nn.Linear(3, 3).double()
    x = torch.randn(3, 4, dtype=torch.float64)

    def model(x, mix):
        return torch.tanh(head(layer(x) @ mix))

    arguments = {"target": 1, "n_steps": 6, "internal_batch_size": 2}
    ours = LayerIntegratedGradients(model, layer).attribute(x, additional_forward_args=SharedArgument(mix), **arguments)
    bound = LayerIntegratedGradients(lambda x: model(x, mix), layer)
    torch.testing.assert_close(ours, bound.attribute(x, **arguments), rtol=0, atol=1e-12)
    starts = torch.randn(2, 4, dtype=torch.float64)
    mean = sum(bound.attribute(x, start[None], **arguments) for start in starts) / 2
    torch.testing.assert_close(Expected(bound, starts).attribute(x, **arguments), mean, rtol=0, atol=1e-12)
