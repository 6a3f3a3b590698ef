"""All methods on a batch, against the methods alone and naive replicas."""

import numpy as np
import pytest
import torch
from torch import nn

from captum_ext._utils.errors import UserError
from captum_ext.attr import IDGI, BlurIG, GuidedIG, PathAttribution
from captum_ext.evaluation import METHODS, comparators
from captum_ext.evaluation.methods import STEPPED, explain
from captum_ext.evaluation.subject import Question, Subject
from captum_ext.paths import BlurPath, GuidedPath
from captum_ext.patterns import fit_patterns, fold_batch_norm
from captum_ext.quadratures import WeightedSum
from tests.evaluation.tiny import load

FREE = [name for name in STEPPED if not STEPPED[name].needs_patterns]


class Counted(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.rows = 0

    def forward(self, x):
        self.rows += len(x)
        return self.model(x)


@pytest.fixture
def question():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 3, 32, 32, generator=generator, dtype=torch.float64)
    return Question(("a", "b", "c"), x, torch.full_like(x, -1.0), torch.tensor([0, 2, 4]))


@pytest.fixture
def subject(question):
    return Subject(load()[0].double(), question.inputs, None, 0)


def test_one_walk_gives_what_each_method_gives_alone(subject, question):
    found = {(a.method, a.steps): a for a in explain(subject, question, FREE, [3, 6, 12])}
    assert set(found) == {(name, steps) for name in FREE for steps in (3, 6, 12)}
    f = subject.probability
    for steps in (3, 6, 12):
        alone = {
            "ig": PathAttribution(f, quadrature=WeightedSum("riemann_trapezoid")),
            "idgi": IDGI(f),
            "blur-ig": PathAttribution(f, BlurPath(), WeightedSum("riemann_trapezoid")),
            "blur-ig+idgi": IDGI(f, BlurPath()),
            "guided-ig": GuidedIG(f),
            "guided-ig+idgi": IDGI(f, GuidedPath()),
        }
        for name, method in alone.items():
            start = None if name.startswith("blur") else question.baseline
            expected, delta = method.attribute(
                question.inputs, start, question.target, n_steps=steps, return_convergence_delta=True
            )
            answer = found[name, steps]
            torch.testing.assert_close(answer.maps, expected, rtol=0, atol=1e-10)
            relative = delta.abs() / (expected.sum((1, 2, 3)) - delta).abs()
            torch.testing.assert_close(answer.incompleteness, relative, rtol=1e-6, atol=1e-9)


def test_nested_steps_and_quadratures_cost_the_finest_walk(subject, question):
    counted = Counted(subject.model)
    list(explain(Subject(counted, question.inputs, None, 0), question, ["idgi", "ig"], [2, 4, 8]))
    assert counted.rows == 3 * (9 + 2), "9 points and the two ends of the delta"
    counted.rows = 0
    list(explain(Subject(counted, question.inputs, None, 0), question, ["ig"], [2, 3]))
    assert counted.rows == 3 * (3 + 2 + 4 + 2), "3 and 2 share no grid"


def test_truncated_weighted_sums_answer_for_the_whole_path(linear, question):
    subject, w = linear
    for answer in explain(subject, question, ["ig"], [2, 8], truncated=True):
        torch.testing.assert_close(answer.maps, w * (question.inputs - question.baseline), rtol=0, atol=1e-9)


def test_truncated_runs_are_slices_of_the_finest(subject, question):
    answers = list(explain(subject, question, ["idgi"], [2, 8], truncated=True))
    points = [(question.baseline + k / 7 * (question.inputs - question.baseline)) for k in range(8)]
    for answer, every in zip(answers, (4, 1), strict=True):
        taken = [point.clone().requires_grad_() for point in points[::every]]
        values = [subject.probability(p).gather(1, question.target[:, None])[:, 0] for p in taken]
        grads = [torch.autograd.grad(v.sum(), p)[0] for v, p in zip(values, taken, strict=True)]
        expected = sum(
            (grads[j] ** 2 / (grads[j] ** 2).sum((1, 2, 3), keepdim=True))
            * (values[j + 1] - values[j]).detach().reshape(-1, 1, 1, 1)
            for j in range(len(taken) - 1)
        )
        torch.testing.assert_close(answer.maps, expected, rtol=0, atol=1e-10)


def test_methods_by_patterns(subject, question):
    folded = fold_batch_norm(subject.model, question.inputs[:1])
    patterns = fit_patterns(folded, [question.inputs])
    patterned = Subject(subject.model, question.inputs, None, 0, patterns, folded)
    names = [name for name in METHODS if METHODS[name].needs_patterns]
    answers = {answer.method: answer for answer in explain(patterned, question, names, [4])}
    assert set(answers) == {"pgig", "patternnet", "patternattribution"}
    assert all(answer.incompleteness is None and answer.maps.abs().sum() > 0 for answer in answers.values())
    assert answers["pgig"].steps == 4
    assert answers["patternnet"].steps == 0


def test_guided_backprop_finds_a_shared_relu6(question):
    shared = nn.ReLU6()
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 3).double(), nn.Conv2d(4, 4, 3).double()
    net = nn.Sequential(first, shared, second, shared, nn.Flatten(), nn.Linear(4 * 28 * 28, 5).double())
    ours = comparators.guided_backprop(Subject(net, question.inputs, None, 0), question)
    x = question.inputs.clone().requires_grad_()
    hidden = _Guided.apply(second(_Guided.apply(first(x), 6.0)), 6.0)
    out = net[-1](hidden.flatten(1)).softmax(1).gather(1, question.target[:, None]).sum()
    torch.testing.assert_close(ours, torch.autograd.grad(out, x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in METHODS if not METHODS[name].needs_patterns])
def test_rows_are_a_cap(subject, question, name):
    class Strict(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = subject.model

        def forward(self, x):
            assert len(x) <= 2
            return self.model(x)

    capped = Subject(Strict(), question.inputs, 2, 0)
    assert next(explain(capped, question, [name], [3])).maps.shape == question.inputs.shape


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, ceiling):
        ctx.save_for_backward((x > 0) & (x < ceiling))
        return x.clamp(0, ceiling)

    @staticmethod
    def backward(ctx, grad):
        (gate,) = ctx.saved_tensors
        return grad.clamp(min=0) * gate, None


def test_guided_backprop_knows_relu6(subject, question):
    ours = comparators.guided_backprop(subject, question)
    net = subject.model
    x = question.inputs.clone().requires_grad_()
    hidden = _Guided.apply(net.second(_Guided.apply(net.norm(net.first(x)), 6.0)), np.inf)
    out = net.rest[1:](hidden).softmax(1).gather(1, question.target[:, None]).sum()
    torch.testing.assert_close(ours, torch.autograd.grad(out, x)[0], rtol=0, atol=1e-12)
    assert not torch.allclose(ours, comparators.gradient(subject, question))


def test_guided_backprop_that_would_be_the_gradient_is_refused(question):
    class Functional(nn.Module):
        def forward(self, x):
            return torch.relu(x).flatten(1)[:, :5]

    with pytest.raises(UserError, match="equals the gradient"):
        comparators.guided_backprop(Subject(Functional(), question.inputs, None, 0), question)


@pytest.fixture
def linear(question):
    """Linear logits under no softmax: closed forms for all that averages gradients."""
    weight = torch.randn(5, 3 * 32 * 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    class Linear(Subject):
        def probability(self, x):
            return x.flatten(1) @ weight.T

    subject = Linear(nn.Identity(), question.inputs[:1], 4, 0)
    return subject, weight[question.target].reshape(question.inputs.shape)


def test_comparators_of_a_linear_function(linear, question):
    subject, w = linear
    expected = {
        "gradient": w,
        "gradient-x-input": w * question.inputs,
        "vargrad": torch.zeros_like(w),
        "smoothgrad-squared": w**2,
        "smoothgrad-ig": w * (question.inputs - question.baseline),
        "expected-gradients": w * (question.inputs - question.inputs[:1]),
    }
    for name, value in expected.items():
        (answer,) = explain(subject, question, [name], [1])
        torch.testing.assert_close(answer.maps, value, rtol=0, atol=1e-9, msg=name)


def test_smoothgrad_ig_takes_as_many_noisy_paths_as_it_is_told(subject, question):
    rows = []

    class Counted(nn.Module):
        def forward(self, x):
            rows.append(len(x))
            return subject.model(x)

    few = Subject(Counted(), question.inputs, None, 0, smoothgrad_ig_samples=2)
    comparators.smoothgrad_ig(few, question)
    # Two noisy paths of 25 steps an image, and what looks at the class once a path.
    assert 2 * 25 * len(question.inputs) <= sum(rows) <= 2 * 27 * len(question.inputs)


@pytest.mark.parametrize("name", ["random", "vargrad", "smoothgrad-squared", "smoothgrad-ig", "expected-gradients"])
def test_what_is_random_can_be_repeated_and_leaves_the_generators_alone(subject, question, name):
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (next(explain(subject, question, [name], [1])).maps for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    other = Subject(subject.model, subject.references, None, 1)
    assert not torch.equal(first, next(explain(other, question, [name], [1])).maps)


def test_random_maps_do_not_depend_on_the_batch(subject, question):
    alone = question._replace(names=("b",), inputs=question.inputs[1:2])
    assert torch.equal(comparators.random(subject, question)[1:2], comparators.random(subject, alone))


def test_blur_ig_is_on_the_papers_path():
    assert STEPPED["blur-ig"].path == BlurIG(lambda x: x).path
