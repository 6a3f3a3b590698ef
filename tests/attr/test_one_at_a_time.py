"""One position at a time, against a separate call for each position."""

import pytest
import torch
from torch import nn

from captum_ext.attr import (
    IDGI,
    BlurIG,
    Expected,
    GuidedIG,
    IntegratedGradients,
    LayerIntegratedGradients,
    OneAtATime,
    SharedArgument,
)
from tests.helpers import close, normal

B, T, D = 3, 5, 4


class Recurrent(nn.Module):
    """(B, T, D), and a factor per example, to three outputs per example; counts the rows of its passes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.mix = nn.GRU(D, 6, batch_first=True)
        self.last = nn.Linear(6, 3)
        self.double()
        self.rows = []

    def forward(self, x, factor=None):
        self.rows.append(len(x))
        out = torch.tanh(self.last(self.mix(x)[0].cumsum(1)[:, -1]) * 2)
        return out if factor is None else out * factor.unsqueeze(1)


@pytest.fixture
def model():
    return Recurrent()


@pytest.fixture
def x():
    return normal(B, T, D)


def replaced(x, position, mask):
    start = x.clone()
    start[:, position] = mask
    return start


def separately(explainer, x, mask, **arguments):
    """A call for each position, on whole inputs."""
    parts = [explainer.attribute(x, replaced(x, t, mask), **arguments)[:, t] for t in range(x.shape[1])]
    return torch.stack(parts, 1)


MASK = normal(D, seed=7)


@pytest.mark.parametrize("mask", [0.0, MASK], ids=["number", "tensor"])
@pytest.mark.parametrize("rule", ["gausslegendre", "riemann_left"])
@pytest.mark.parametrize(
    "target", [[0, 2, 1], torch.tensor([0, 2, 1]), 2, (1,)], ids=["list", "tensor", "int", "tuple"]
)
def test_integrated_gradients_equal_a_call_per_position(model, x, mask, rule, target):
    arguments = {"target": target, "n_steps": 7, "method": rule, "additional_forward_args": normal(B, seed=3)}
    expected = separately(IntegratedGradients(model), x, mask, **arguments)
    method = OneAtATime(IntegratedGradients(model), mask=mask)
    for rows in (None, 1, 4):
        close(method.attribute(x, internal_batch_size=rows, **arguments), expected, 1e-12)


def test_other_methods_see_one_position_only(model, x):
    """IDGI gives a position all of F's change, where a call on whole inputs shares it with positions that stay."""
    f = IDGI(model)
    got = OneAtATime(f).attribute(x, target=1, n_steps=9)
    change = torch.stack([model(x)[:, 1] - model(replaced(x, t, 0.0))[:, 1] for t in range(T)], 1)
    close(got.sum(2), change)
    for t in range(T):

        def at(piece, t=t):
            whole = x.repeat(len(piece) // B, 1, 1).clone()
            whole[:, t] = piece
            return model(whole)

        alone = IDGI(at).attribute(x[:, t], target=1, n_steps=9, internal_batch_size=B)
        close(got[:, t], alone)
    guided = OneAtATime(GuidedIG(model, max_dist=0.3)).attribute(x, target=1, n_steps=200)
    assert (guided.sum(2) - change).abs().max() < 0.02


def test_baselines_may_differ_between_positions_and_examples(model, x):
    starts = normal(B, T, D, seed=5)
    method = IntegratedGradients(model)
    parts = []
    for t in range(T):
        start = x.clone()
        start[:, t] = starts[:, t]
        parts.append(method.attribute(x, start, target=1, n_steps=5)[:, t])
    close(OneAtATime(method).attribute(x, starts, target=1, n_steps=5), torch.stack(parts, 1), 1e-12)


def test_positions_that_do_not_move_get_zero_and_cost_nothing(model, x):
    starts = x.clone()
    starts[0, 1] = starts[2, 3] = starts[2, 4] = 0
    got = OneAtATime(IntegratedGradients(model)).attribute(x, starts, target=1, n_steps=8)
    moved = (starts != x).any(2)
    assert ((got != 0).any(2) == moved).all()
    assert sum(model.rows) == 3 * 8
    model.rows.clear()
    assert (OneAtATime(IntegratedGradients(model)).attribute(x, x, target=1) == 0).all()
    assert not model.rows


def test_without_the_factor_positions_that_do_not_move_have_gradients(model, x):
    local = IntegratedGradients(model, multiply_by_inputs=False)
    got = OneAtATime(local).attribute(x, x, target=1, n_steps=3)
    close(got, local.attribute(x, x, target=1, n_steps=3), 1e-12)


def test_rows_of_all_positions_and_examples_share_passes(model, x):
    OneAtATime(IntegratedGradients(model)).attribute(x, target=1, n_steps=8)
    assert model.rows == [B * T * 8]
    model.rows.clear()
    OneAtATime(IntegratedGradients(model)).attribute(x, target=1, n_steps=8, internal_batch_size=30)
    assert model.rows == [30] * 4


def test_tuples_move_together_and_other_dimensions_count_positions(x):
    def pair(a, b, factor):
        return (torch.tanh(a.sum(2)) * b).sum(1) * factor

    a, b = x, normal(B, T, seed=2)
    factor = normal(B, seed=4)
    method = OneAtATime(IntegratedGradients(pair), mask=(MASK, 0.5))
    got = method.attribute((a, b), additional_forward_args=factor, n_steps=30)
    assert [part.shape for part in got] == [a.shape, b.shape]
    for t in range(T):
        change = pair(a, b, factor) - pair(replaced(a, t, MASK), replaced(b, t, 0.5), factor)
        close(got[0][:, t].sum(1) + got[1][:, t], change)

    channels_first = OneAtATime(IntegratedGradients(lambda a, b, f: pair(a.mT, b, f)), dim=-1, mask=(MASK, 0.5))
    turned = channels_first.attribute((a.mT, b), additional_forward_args=factor, n_steps=30)
    close(turned[0].mT, got[0], 1e-12)
    assert turned[0].is_contiguous()


def test_shared_arguments_stay_whole_and_others_follow_their_example(model, x):
    adjacency = normal(D, D, seed=6)

    def f(x, adjacency, power, factor):
        return (torch.tanh(x @ adjacency).sum(2).cumsum(1)[:, -1] * factor) ** power

    args = (SharedArgument(adjacency), 2, normal(B, seed=8))
    got = OneAtATime(IntegratedGradients(f)).attribute(x, additional_forward_args=args, n_steps=6)
    for k in range(B):
        one = (args[0], 2, args[2][k : k + 1])
        alone = OneAtATime(IntegratedGradients(f)).attribute(x[k : k + 1], additional_forward_args=one, n_steps=6)
        close(got[k : k + 1], alone, 1e-12)
    with pytest.raises(ValueError, match="SharedArgument"):
        OneAtATime(IntegratedGradients(f)).attribute(x, additional_forward_args=(adjacency, 2, args[2]))


def test_dtypes_and_flags_and_the_callers_tensors(model, x):
    half = x.to(torch.bfloat16).requires_grad_()
    before = half.detach().clone()
    f = model.float()
    got = OneAtATime(IntegratedGradients(lambda x: f(x.float()))).attribute(half, target=1, n_steps=3)
    assert got.dtype == torch.float32
    assert not got.requires_grad
    assert torch.equal(half.detach(), before)
    assert half.grad is None
    integers = OneAtATime(IntegratedGradients(lambda x: (x**2).sum(1))).attribute(torch.tensor([[3, 4]]), n_steps=4)
    close(integers, torch.tensor([[9.0, 16.0]]), 1e-5)


def test_adaptive_steps_are_chosen_per_position(model, x):
    got = OneAtATime(IntegratedGradients(model)).attribute(x, target=1, n_steps="auto", tol=1e-3)
    close(got, separately(IntegratedGradients(model), x, 0.0, target=1, n_steps=64), 1e-2)


def test_the_mean_over_masks_is_expected(model, x):
    method = OneAtATime(IntegratedGradients(model))
    mean = Expected(method, [0.0, 0.5]).attribute(x, target=1, n_steps=5)
    parts = [OneAtATime(IntegratedGradients(model), mask=m).attribute(x, target=1, n_steps=5) for m in (0.0, 0.5)]
    close(mean, (parts[0] + parts[1]) / 2, 1e-12)


def test_a_nan_is_reported_with_what_is_counted(model, x):
    factor = torch.tensor([1.0, torch.nan, 1.0], dtype=torch.float64)
    with pytest.warns(RuntimeWarning, match=r"\[5, 6, 7, 8, 9\] are not finite.*one position that moves"):
        got = OneAtATime(IntegratedGradients(model)).attribute(x, target=1, additional_forward_args=factor, n_steps=3)
    assert got[[0, 2]].isfinite().all()


def test_a_model_in_training_mode_warns(x):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(T * D, 3)).double()
    with pytest.warns(UserWarning, match="training mode"):
        OneAtATime(IntegratedGradients(model)).attribute(x, target=1, n_steps=2)


IG = IntegratedGradients


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda f, x: OneAtATime(IG), TypeError, "method: expected a method of captum_ext.attr"),
        (lambda f, x: OneAtATime(LayerIntegratedGradients(f, f.mix)), TypeError, "at the inputs"),
        (lambda f, x: OneAtATime(IG(f), dim=0), ValueError, "counts examples"),
        (lambda f, x: OneAtATime(IG(f), dim=1.0), TypeError, "dim: expected an integer"),
        (lambda f, x: OneAtATime(IG(f), mask="pad"), TypeError, "mask: expected a number or a tensor"),
        (lambda f, x: OneAtATime(IG(f), dim=3).attribute(x), ValueError, "positions in dimension 3"),
        (lambda f, x: OneAtATime(IG(f), dim=-3).attribute(x), ValueError, "positions in dimension -3"),
        (
            lambda f, x: OneAtATime(IG(f), mask=x[0]).attribute(x),
            ValueError,
            r"a position, \(4,\), got \(5, 4",
        ),
        (lambda f, x: OneAtATime(IG(f), mask=(0, 1)).attribute(x), ValueError, "mask: expected one for each of 1"),
        (lambda f, x: OneAtATime(IG(f), mask=0).attribute(x, x), ValueError, "Give one of the two"),
        (lambda f, x: OneAtATime(IG(f)).attribute((x, x[:, :2])), ValueError, "as many positions"),
        (lambda f, x: OneAtATime(IG(f)).attribute(x, return_convergence_delta=True), ValueError, "not the change of F"),
        (lambda f, x: OneAtATime(IG(f)).attribute(x, return_diagnostics=True), ValueError, "not available"),
        (lambda f, x: OneAtATime(BlurIG(f)).attribute(x), ValueError, "baselines"),
        (lambda f, x: OneAtATime(IG(f)).attribute(x, target=1, steps=3), TypeError, "steps"),
    ],
)
def test_mistakes(model, x, call, kind, message):
    with pytest.raises(kind, match=message):
        call(model, x)
