"""The checks for users: each finds what it is for, says so, and passes what is right."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import captum_ext.testing
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import WeightedSum
from captum_ext.testing import Check, check_path, check_quadrature, path_checks, quadrature_checks
from tests.conformance.foreign import DescentPath, SimpsonSum, SpectralPath, TotalVariation
from tests.testing.broken import BROKEN_PATHS, BROKEN_QUADRATURES, SOUND

NAMES = {check.name for check in (*path_checks(StraightPath()), *quadrature_checks(WeightedSum()))}
BROKEN = [
    pytest.param(name, part, checks, id=f"{name}-{type(part).__name__}")
    for table, checks in ((BROKEN_PATHS, path_checks), (BROKEN_QUADRATURES, quadrature_checks))
    for name, parts in table.items()
    for part in parts
]


@pytest.mark.parametrize(("name", "part", "checks"), BROKEN)
def test_each_check_finds_what_it_is_for(name, part, checks):
    (check,) = [check for check in checks(part) if check.name == name]
    with pytest.raises(AssertionError, match=f"{re.escape(repr(part))}.* fails {name}: ") as failure:
        check()
    assert check.explanation in str(failure.value)


def test_every_check_has_a_broken_part():
    assert {*BROKEN_PATHS, *BROKEN_QUADRATURES} == NAMES


@pytest.mark.parametrize(
    "path", [*SOUND[0], BlurPath(max_sigma=2.0), GuidedPath(max_dist=0.3), SpectralPath()], ids=repr
)
def test_sound_paths_pass(path):
    check_path(path)


@pytest.mark.parametrize("quadrature", [*SOUND[1], SimpsonSum(), TotalVariation()], ids=repr)
def test_sound_quadratures_pass(quadrature):
    check_quadrature(quadrature)


@pytest.mark.parametrize("name", NAMES)
def test_explanations_say_what_is_checked_and_what_to_look_at(name):
    checks = (*path_checks(StraightPath()), *quadrature_checks(WeightedSum()))
    explanation = next(check.explanation for check in checks if check.name == name)
    assert len(explanation.split("\n\n")) == 2, explanation


@pytest.mark.parametrize("check", path_checks(SpectralPath()), ids=str)
def test_pytest_takes_the_generator(check):
    assert isinstance(check, Check)
    check()


def test_the_first_failure_ends_the_run_and_errors_of_parts_are_causes():
    (path,) = BROKEN_PATHS["parts_can_be_copied_and_shown"][:1]
    with pytest.raises(
        AssertionError, match="parts_can_be_copied_and_shown: it raised TypeError: no pickles"
    ) as failure:
        check_path(path)
    assert isinstance(failure.value.__cause__, TypeError)
    check_path(path, skip=["parts_can_be_copied_and_shown"])


def test_inputs_baselines_and_model_of_ones_own():
    seen = set()
    series, start = torch.rand(3, 1, 9), torch.zeros(1, 1, 9)

    def model(x):
        seen.add((x.shape[1:], x.dtype))
        return torch.stack([x.sum((1, 2)).tanh(), (x**2).sum((1, 2)), x[:, 0, 0].sin()], 1)

    check_path(BlurPath(max_sigma=1.0), inputs=series, forward_func=model)
    check_path(StraightPath(), inputs=(series,), baselines=start, forward_func=model)
    check_quadrature(WeightedSum("riemann_left"), inputs=series, baselines=start, forward_func=model)
    assert {shape for shape, _ in seen} == {(1, 9)}
    assert not series.requires_grad


@pytest.mark.parametrize("shape", [(3,), (3, 7), (3, 1, 4, 2, 3)])
def test_inputs_of_any_rank(shape):
    check_path(StraightPath(), inputs=torch.randn(shape))
    check_quadrature(WeightedSum(), inputs=(torch.randn(shape), torch.randn(3, 2)))


def test_other_pairs():
    check_path(DescentPath(), WeightedSum("riemann_left"))
    check_quadrature(WeightedSum("riemann_trapezoid"), GuidedPath(max_dist=0.2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: check_path(BlurPath),
            TypeError,
            r"path: expected a path such as.*the class BlurPath; write BlurPath\(\)",
        ),
        (lambda: check_path(WeightedSum()), TypeError, "path: expected a path"),
        (lambda: check_path(StraightPath(), "left"), TypeError, "quadrature: expected a quadrature .*got str"),
        (lambda: check_quadrature(StraightPath()), TypeError, "quadrature: expected a quadrature .*got StraightPath"),
        (lambda: check_path(StraightPath(), inputs=torch.rand(2, 4)), ValueError, r"expected 3 examples, got \[2\]"),
        (lambda: check_path(StraightPath(), skip=["nan"]), ValueError, r"skip: expected .*got \['nan'\]"),
        (lambda: check_path(StraightPath(), skip="nan_is_reported"), ValueError, "skip: expected a list"),
        (
            lambda: check_path(GuidedPath(), WeightedSum()),
            ValueError,
            "gausslegendre takes gradients between the points",
        ),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_no_pytest_is_needed_and_asserts_may_be_off():
    script = (
        "import sys; from captum_ext.testing import check_path; from captum_ext.paths import StraightPath; "
        "check_path(StraightPath()); print('pytest' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "False"
    files = Path(captum_ext.testing.__file__).parent.glob("*.py")
    assert not [
        node for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Assert)
    ]
