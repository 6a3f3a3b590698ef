"""Every check of a path or a quadrature, one by one or all at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from torch import Tensor

from captum_ext._utils.tensors import Tensors
from captum_ext.paths import Path, StraightPath
from captum_ext.quadratures import Quadrature
from captum_ext.testing import general, points, sums
from captum_ext.testing.check import Check
from captum_ext.testing.subject import Subject, make_subject

_GENERAL = (
    general.calls_are_deterministic,
    general.batches_equal_single_examples,
    general.any_internal_batch_size_gives_the_same,
    general.inputs_may_be_tuples,
    general.no_examples_give_no_attributions,
    general.results_are_plain_tensors,
    general.nothing_of_the_callers_changes,
    general.baselines_are_used_or_refused,
    general.constant_functions_get_nothing,
    general.sums_are_exact_for_linear_functions,
    general.sums_approach_the_change,
    general.more_steps_converge,
    general.nan_is_reported,
    general.adaptive_steps_work_or_are_refused,
    general.graphs_are_created_or_refused,
    general.parts_can_be_copied_and_shown,
    general.walks_can_be_shared,
)
_OF_PATHS = (
    points.default_rule_can_be_walked,
    points.path_reaches_from_start_to_inputs,
    points.moves_are_differences_of_points,
    points.finished_examples_cost_nothing,
    *_GENERAL,
)
_OF_QUADRATURES = (
    sums.grids_are_valid,
    sums.every_rule_works,
    sums.segments_of_any_size_give_the_same,
    sums.attributions_scale_with_f,
    *_GENERAL,
)


def path_checks(
    path: Path,
    quadrature: Quadrature | None = None,
    *,
    inputs: Tensor | Tensors | None = None,
    baselines: Tensor | Tensors | None = None,
    forward_func: Callable[..., Tensor] | None = None,
    skip: Collection[str] = (),
) -> Iterator[Check]:
    """The checks of a path, by name, such as for ``pytest.mark.parametrize``.

    What a path does not claim is not checked: a path with ``takes_baselines = False`` must refuse baselines, one with
    ``look_ahead = False`` must refuse ``n_steps="auto"``.

    Args:
        path: The path.
        quadrature: The quadrature to run it with. Default: ``WeightedSum`` with the path's own rule.
        inputs: Three examples (3, ...) that the path takes, or a tuple of such tensors; used in float64. Default: small
            images (3, 2, 5, 4) of random numbers.
        baselines: Where a path that takes baselines starts: tensors (1, ...) or (3, ...). Default: 0.1.
        forward_func: A smooth model for these inputs, in float64, to at least three outputs (3, outputs). It takes one
            row per point of the path. Default: a small network.
        skip: The names of checks to leave out.

    Returns:
        An iterator of checks; call one to run it.

    Raises:
        TypeError: If a part is none.
        ValueError: If there are other than three examples, or no check has a name in ``skip``.

    Example:
        >>> from captum_ext.paths import StraightPath
        >>> from captum_ext.testing import path_checks
        >>> for check in path_checks(StraightPath()):
        ...     check()
        >>> check.name
        'walks_can_be_shared'
    """
    return _checks(_OF_PATHS, make_subject(path, quadrature, inputs, baselines, forward_func), skip)


def quadrature_checks(
    quadrature: Quadrature,
    path: Path = StraightPath(),  # noqa: B008 -- immutable
    *,
    inputs: Tensor | Tensors | None = None,
    baselines: Tensor | Tensors | None = None,
    forward_func: Callable[..., Tensor] | None = None,
    skip: Collection[str] = (),
) -> Iterator[Check]:
    """The checks of a quadrature, by name, such as for ``pytest.mark.parametrize``.

    What a quadrature does not claim is not checked: one with ``complete = False`` need not sum to the change of F, and
    one without ``for_adaptive_steps()`` must refuse ``n_steps="auto"``.

    Args:
        quadrature: The quadrature.
        path: The path to run it on. Default: the straight line.
        inputs: As for :func:`path_checks`, and so are the arguments that follow.
        baselines: As for :func:`path_checks`.
        forward_func: As for :func:`path_checks`.
        skip: As for :func:`path_checks`.

    Returns:
        An iterator of checks; call one to run it.

    Raises:
        TypeError, ValueError: As :func:`path_checks`.

    Example:
        >>> from captum_ext.quadratures import ImportantDirection
        >>> from captum_ext.testing import quadrature_checks
        >>> [check.name for check in quadrature_checks(ImportantDirection())][:2]
        ['grids_are_valid', 'every_rule_works']
    """
    return _checks(_OF_QUADRATURES, make_subject(path, quadrature, inputs, baselines, forward_func), skip)


def check_path(
    path: Path,
    quadrature: Quadrature | None = None,
    *,
    inputs: Tensor | Tensors | None = None,
    baselines: Tensor | Tensors | None = None,
    forward_func: Callable[..., Tensor] | None = None,
    skip: Collection[str] = (),
) -> None:
    """Run all checks of a path: :func:`path_checks` has them one by one.

    Args:
        path: The path.
        quadrature: As for :func:`path_checks`, and so are the arguments that follow.
        inputs: As for :func:`path_checks`.
        baselines: As for :func:`path_checks`.
        forward_func: As for :func:`path_checks`.
        skip: As for :func:`path_checks`.

    Returns:
        Nothing.

    Raises:
        AssertionError: At the first check that fails, with its name, what was found, and what to look at.
        TypeError, ValueError: As :func:`path_checks`.

    Example:
        >>> from captum_ext.paths import BlurPath
        >>> from captum_ext.testing import check_path
        >>> check_path(BlurPath(max_sigma=2.0))
    """
    _run(
        path_checks(path, quadrature, inputs=inputs, baselines=baselines, forward_func=forward_func, skip=skip),
    )


def check_quadrature(
    quadrature: Quadrature,
    path: Path = StraightPath(),  # noqa: B008 -- immutable
    *,
    inputs: Tensor | Tensors | None = None,
    baselines: Tensor | Tensors | None = None,
    forward_func: Callable[..., Tensor] | None = None,
    skip: Collection[str] = (),
) -> None:
    """Run all checks of a quadrature: :func:`quadrature_checks` has them one by one.

    Args:
        quadrature: The quadrature.
        path: As for :func:`quadrature_checks`, and so are the arguments that follow.
        inputs: As for :func:`path_checks`.
        baselines: As for :func:`path_checks`.
        forward_func: As for :func:`path_checks`.
        skip: As for :func:`path_checks`.

    Returns:
        Nothing.

    Raises:
        AssertionError: At the first check that fails, with its name, what was found, and what to look at.
        TypeError, ValueError: As :func:`path_checks`.

    Example:
        >>> from captum_ext.quadratures import WeightedSum
        >>> from captum_ext.testing import check_quadrature
        >>> check_quadrature(WeightedSum("riemann_trapezoid"))
    """
    _run(
        quadrature_checks(quadrature, path, inputs=inputs, baselines=baselines, forward_func=forward_func, skip=skip),
    )


def _checks(functions: Iterable[Callable[[Subject], None]], subject: Subject, skip: Collection[str]) -> Iterator[Check]:
    checks = [Check(function.__name__, subject, function) for function in functions]
    names = [check.name for check in checks]
    unknown = [skip] if isinstance(skip, str) else [name for name in skip if name not in names]
    if unknown:
        raise ValueError(f"skip: expected a list with some of {names}, got {unknown}.")
    return iter([check for check in checks if check.name not in skip])


def _run(checks: Iterable[Check]) -> None:
    for check in checks:
        check()
