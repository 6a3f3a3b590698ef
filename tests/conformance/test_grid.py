"""Every quadrature on every path, with fixed and adaptive steps, by the checks that users run too."""

import pytest

from captum_ext.attr import PathAttribution
from captum_ext.quadratures import Subsampled
from captum_ext.testing import path_checks, quadrature_checks
from tests.conformance.cases import PATHS, QUADRATURES


def can_walk(path, quadrature):
    try:
        path.adapt_grid(quadrature.grid(6))
    except ValueError:
        return False
    return True


def is_meant(path, quadrature):
    """A search may end between two of every k points, and Subsampled has nothing there."""
    return path.ends_at_inputs or not isinstance(quadrature, Subsampled)


PAIRS = [(path, quadrature) for path in PATHS for quadrature in QUADRATURES if is_meant(path, quadrature)]
GRID = [check for pair in PAIRS if can_walk(*pair) for check in path_checks(*pair)]
IN_GRID = {check.name for check in GRID}
ALONE = [check for one in QUADRATURES for check in quadrature_checks(one) if check.name not in IN_GRID]


def identify(check):
    path, quadrature = check.subject.path, check.subject.quadrature
    return f"{type(path).__name__}-{type(quadrature).__name__}-{quadrature.method}-{check}"


@pytest.mark.parametrize("check", GRID, ids=identify)
def test_every_quadrature_on_every_path(check):
    check()


@pytest.mark.parametrize("check", ALONE, ids=identify)
def test_every_quadrature_alone(check):
    check()


@pytest.mark.parametrize(("path", "quadrature"), [pair for pair in PAIRS if not can_walk(*pair)], ids=repr)
def test_pairs_that_do_not_fit_are_refused(path, quadrature, net, images):
    assert not path.look_ahead
    with pytest.raises(ValueError, match=type(path).__name__):
        PathAttribution(net, path, quadrature).attribute(images, target=1, n_steps=6)


def test_the_grid_holds_every_kind_of_part():
    """Fixed steps everywhere, adaptive ones wherever the parts allow them, and both kinds of refusal."""
    adaptive = {check.subject.adaptive for check in GRID}
    complete = {check.subject.complete for check in GRID}
    searched = {(check.subject.path.look_ahead, check.subject.path.ends_at_inputs) for check in GRID}
    assert adaptive == complete == {True, False}
    assert searched == {(True, True), (False, True), (False, False)}
