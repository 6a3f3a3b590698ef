"""How points and examples are split into forward passes."""

import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from captum_ext._engine.batching import split
from captum_ext.attr import (
    IDGI,
    BlurIG,
    GuidedIG,
    IntegratedGradients,
    LayerGuidedIG,
    LayerIDGI,
    PathAttribution,
)
from captum_ext.paths import BlurPath, GuidedPath, StraightPath
from captum_ext.quadratures import ImportantDirection, WeightedSum
from captum_ext.quadratures.grid import closed_grid, open_grid, shared_grid


def lengths(chunks):
    return [chunk.stop - chunk.start for chunk in chunks]


@given(
    examples=st.integers(1, 50),
    nodes=st.integers(1, 130),
    cap=st.integers(1, 300),
    look_ahead=st.booleans(),
)
def test_every_point_once_within_the_cap_in_passes_of_one_size(examples, nodes, cap, look_ahead):
    rows, steps = split((torch.zeros(examples, 2),), nodes, cap, look_ahead)
    for chunks, total in ((rows, examples), (steps, nodes)):
        assert [i for chunk in chunks for i in range(chunk.start, chunk.stop)] == list(range(total))
        assert len(set(lengths(chunks)[:-1])) <= 1
        assert 0 <= len(chunks) * lengths(chunks)[0] - total < len(chunks)  # no remainder that is much smaller
    assert max(lengths(rows)) * max(lengths(steps)) <= cap
    if not look_ahead:
        assert set(lengths(steps)) == {1}


@pytest.mark.parametrize(
    ("shape", "rows"),
    [((3, 224, 224), 8), ((3, 448, 448), 2), ((3, 4000, 4000), 1), ((10,), 1024), ((), 1024)],
)
def test_without_a_cap_a_pass_is_bounded_by_the_size_of_the_inputs(shape, rows):
    examples, nodes = split((torch.zeros(1, *shape),), 100_000, None, True)
    assert lengths(examples) == [1]
    assert rows * 0.8 <= max(lengths(nodes)) <= rows


def test_default_does_not_run_all_points_at_once():
    rows = []

    def model(x):
        rows.append(len(x))
        return x.sum((1, 2, 3))

    IntegratedGradients(model).attribute(torch.rand(8, 3, 224, 224), n_steps=50)
    assert set(rows) == {8}


def test_memory_does_not_grow_with_the_number_of_steps():
    """Peak resident memory of a process that explains by 20 and by 400 steps."""
    script = textwrap.dedent("""
        import sys, torch
        from pathlib import Path
        from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients, LayerGuidedIG, LayerIDGI
        method = eval(sys.argv[1])
        x = torch.rand(4, 3, 64, 64)
        layer = torch.nn.Softplus()
        model = lambda z: (layer(z) ** 2).sum((1, 2, 3))
        explain = method(model, layer) if "Layer" in sys.argv[1] else method(model)
        explain.attribute(x, n_steps=int(sys.argv[2]), internal_batch_size=16)
        status = Path("/proc/self/status").read_text()
        print([line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")][0])
    """)

    def peak(method, steps):
        command = [sys.executable, "-c", script, method.__name__, str(steps)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024

    for method in (IntegratedGradients, IDGI, BlurIG, GuidedIG, LayerIDGI, LayerGuidedIG):
        # All points of 400 steps would take 75 MB, and their gradients as much again.
        assert peak(method, 400) - peak(method, 20) < 30, method


def test_grids():
    full = closed_grid(4, "a")
    assert full.nodes == (0, 0.25, 0.5, 0.75, 1)
    assert full.lower == (0, 0, 0.25, 0.5, 0.75)
    assert full.upper == (0.25, 0.5, 0.75, 1, 1)
    left, right = closed_grid(4, "b", last=False), closed_grid(4, "c", first=False)
    assert (len(left), len(right)) == (4, 4)
    assert shared_grid([left, right]) == full
    assert shared_grid([left, left]) == left
    cells = open_grid([0.1, 0.9], [0.25, 0.75], "d")
    assert (cells.lower, cells.upper) == ((0, 0.25), (0.25, 1))
    for others in ([left, closed_grid(5, "e")], [cells, left], [left, cells]):
        with pytest.raises(ValueError, match="can't share a walk"):
            shared_grid(others)


def test_progress_bar_counts_forward_passes(capsys):
    x = torch.rand(2, 3, 8, 8)
    IntegratedGradients(lambda z: z.sum((1, 2, 3))).attribute(x, n_steps=6, internal_batch_size=4, show_progress=True)
    shown = capsys.readouterr().err
    assert "Integrated Gradients attribution" in shown
    assert "3/3" in shown
    IntegratedGradients(lambda z: z.sum((1, 2, 3))).attribute(x, n_steps=6)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("compiled", [False, True])
def test_compiled_models(compiled):
    if compiled and sys.version_info >= (3, 14):
        pytest.skip("torch.compile does not support this Python yet")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3), torch.nn.Tanh())
    model = torch.compile(net, backend="eager") if compiled else net
    x = torch.rand(2, 3, 4, 4)
    expected = IDGI(net).attribute(x, target=1)
    torch.testing.assert_close(IDGI(model).attribute(x, target=1), expected)


class Reads(TorchDispatchMode):
    """Counts what makes the host wait for a device: item(), bool(tensor), equal() and nonzero()."""

    OPERATORS = ("_local_scalar_dense", "is_nonzero", "equal", "nonzero")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket.__name__ in self.OPERATORS
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", [IntegratedGradients, IDGI, BlurIG])
def test_the_loop_never_waits_for_the_device(method):
    """With one target for all examples; Guided IG's rounds depend on the gradient, so it must."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3), torch.nn.Tanh())
    counts = []
    for steps in (3, 12):
        with Reads() as reads:
            method(net).attribute(torch.rand(2, 3, 4, 4), target=1, n_steps=steps, internal_batch_size=2)
        counts.append(reads.count)
    assert counts[0] == counts[1] > 0  # the check for NaN at the end


@pytest.mark.parametrize("path", [StraightPath(), BlurPath(2.0), GuidedPath()], ids=lambda path: type(path).__name__)
@pytest.mark.parametrize("cap", [None, 2, 3, 4])
def test_rules_that_share_a_walk_give_what_each_gives_alone(path, cap):
    """Also where a forward pass holds a node that a rule does not have: the left rule has no last one."""
    x = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    rules = [
        WeightedSum("riemann_left"),
        WeightedSum("riemann_right"),
        WeightedSum("riemann_trapezoid"),
        ImportantDirection(),
    ]

    def cube(z):
        return (z**3).sum((1, 2, 3))

    together = PathAttribution(cube, path).attribute_each(rules, x, n_steps=4, internal_batch_size=cap)
    for maps, rule in zip(together, rules, strict=True):
        alone = PathAttribution(cube, path, rule).attribute(x, n_steps=4)
        torch.testing.assert_close(maps, alone, rtol=0, atol=1e-12)
