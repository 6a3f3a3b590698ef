"""Paths that search: early stops that cost nothing, ends of their own, other targets and functions."""

from dataclasses import dataclass

import pytest
import torch

from captum_ext.attr import IDGI, PathAttribution
from captum_ext.paths import SearchedPath, Step
from captum_ext.quadratures import ImportantDirection, WeightedSum


@dataclass(frozen=True)
class Halfway(SearchedPath):
    """The straight line; each example stops after as many steps as its first feature says, wherever it is then."""

    def search(self, inputs, start, n_steps, evaluator):
        moves = [(x - s) / n_steps for x, s in zip(inputs, start, strict=True)]
        point, steps = start, inputs[0][:, 0]
        for k in range(n_steps):
            active = k < steps
            yield Step(point, active)
            shape = [active.reshape(-1, *(1,) * (x.dim() - 1)) for x in inputs]
            point = tuple(p + move * rows for p, move, rows in zip(point, moves, shape, strict=True))
            if not (k + 1 < steps).any():
                return point
        return point


def cube(x):
    return (x**3).sum(1)


@pytest.mark.parametrize("cap", [None, 2, 1])
@pytest.mark.parametrize("quadrature", [WeightedSum("riemann_left"), ImportantDirection()])
def test_finished_examples_cost_nothing_and_end_where_they_stopped(quadrature, cap):
    x = torch.rand(3, 4, dtype=torch.float64) + 0.5
    x[:, 0] = torch.tensor([1.0, 2.0, 3.0])
    rows = []

    def function(z):
        rows.append(len(z))
        return cube(z)

    method = PathAttribution(function, Halfway(), quadrature)
    maps, delta = method.attribute(x, n_steps=8, return_convergence_delta=True, internal_batch_size=cap)
    gradients = sum(rows) - 6  # F at both ends of three examples, for the delta
    assert gradients == 1 + 2 + 3
    for k in range(3):  # a naive replica: the straight line to where the example stopped, in k + 1 steps
        end = x[k : k + 1] * (k + 1) / 8
        alone, its_delta = PathAttribution(cube, quadrature=quadrature).attribute(
            end, n_steps=k + 1, method="riemann_left", return_convergence_delta=True
        )
        if isinstance(quadrature, WeightedSum):
            torch.testing.assert_close(maps[k : k + 1], alone)
            torch.testing.assert_close(delta[k : k + 1], its_delta)
        else:  # no gradient is taken at the end, nor F there
            assert maps[k].isfinite().all()


def test_the_evaluator_gives_other_points_targets_and_functions():
    weight = torch.randn(4, 3, dtype=torch.float64)
    seen = {}

    @dataclass(frozen=True)
    class Curious(SearchedPath):
        def search(self, inputs, start, n_steps, evaluator):
            (x,) = inputs
            seen["value"], (seen["gradient"],) = evaluator.at((2 * x,))
            _, (seen["other"],) = evaluator.with_target(2).at((x,))
            _, (seen["distance"],) = evaluator.with_function(lambda z, scale: scale * (z - x).pow(2).sum(1)).at(
                (0 * x,)
            )
            _, (seen["row"],) = evaluator.rows(slice(1, 2)).at((x[1:2],))
            for k in range(n_steps):
                yield tuple(s + (e - s) * k / n_steps for s, e in zip(start, inputs, strict=True))
            return inputs

    def function(z, scale):
        return scale.unsqueeze(1) * (z @ weight)

    x, scale = torch.rand(2, 4, dtype=torch.float64), torch.tensor([1.0, 3.0], dtype=torch.float64)
    maps = PathAttribution(function, Curious()).attribute(x, None, 0, scale, n_steps=4)
    torch.testing.assert_close(maps, scale.unsqueeze(1) * x * weight[:, 0])
    torch.testing.assert_close(seen["value"], 2 * scale * (x @ weight)[:, 0])
    torch.testing.assert_close(seen["gradient"], scale.unsqueeze(1) * weight[:, 0])
    torch.testing.assert_close(seen["other"], scale.unsqueeze(1) * weight[:, 2])
    torch.testing.assert_close(seen["distance"], -2 * scale.unsqueeze(1) * x)
    torch.testing.assert_close(seen["row"], 3 * weight[:, 0].unsqueeze(0))


def test_rules_between_the_points_are_refused():
    with pytest.raises(ValueError, match="Halfway, which chooses each point from the gradient at the previous one"):
        PathAttribution(cube, Halfway()).attribute(torch.rand(2, 3), method="gausslegendre")
    with pytest.raises(ValueError, match="Halfway finds each point"):
        IDGI(cube, Halfway()).attribute(torch.rand(2, 3), n_steps="auto")


@dataclass(frozen=True)
class Still(SearchedPath):
    """No example moves on from the start."""

    def search(self, inputs, start, n_steps, evaluator):
        yield Step(start, torch.zeros(len(start[0]), dtype=torch.bool))


@dataclass(frozen=True)
class Nowhere(SearchedPath):
    def search(self, inputs, start, n_steps, evaluator):
        yield from ()
        return inputs


@pytest.mark.parametrize("cap", [None, 1])
def test_a_search_may_have_no_step_but_needs_a_point(cap):
    maps, delta = PathAttribution(cube, Still()).attribute(
        torch.rand(2, 3), return_convergence_delta=True, internal_batch_size=cap
    )
    assert maps.abs().max() == delta.abs().max() == 0
    with pytest.raises(ValueError, match="search: expected at least one point, got none"):
        PathAttribution(cube, Nowhere()).attribute(torch.rand(2, 3))


def test_the_progress_bar_ends_with_the_search(capsys):
    x = torch.rand(2, 4)
    x[:, 0] = 2
    PathAttribution(cube, Halfway()).attribute(x, n_steps=8, show_progress=True)
    assert "8/8" in capsys.readouterr().err
    PathAttribution(cube).attribute(x, n_steps="auto", internal_batch_size=1, show_progress=True)
    assert "2/2" in capsys.readouterr().err
