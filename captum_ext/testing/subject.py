"""The subject of checks: a path, a quadrature, inputs and a model, with the traits that follow from the parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext._utils.tensors import Tensors, by_example
from captum_ext.attr import PathAttribution
from captum_ext.paths import Path
from captum_ext.quadratures import Quadrature, WeightedSum

N_STEPS = 6  # an even number, which some rules need
TARGETS = [0, 1, 2]


class Network(nn.Module):
    """A smooth model in float64 from inputs of any shapes to three outputs."""

    def __init__(self, inputs: Tensors, hidden: int = 5) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)

        def normal(rows: int, columns: int) -> nn.Parameter:
            values = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
            return nn.Parameter(values.to(inputs[0].device) / rows**0.5)

        self.first = nn.ParameterList([normal(tensor[0].numel(), hidden) for tensor in inputs])
        self.last = normal(hidden, 3)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The outputs (rows, 3)."""
        mixed = [by_example(tensor) @ weight for tensor, weight in zip(inputs, self.first, strict=True)]
        return torch.tanh(torch.stack(mixed).sum(0) + 0.3) @ self.last


@dataclass(frozen=True)
class Subject:
    """The parts under test, what they are run on, and what to expect of them.

    Attributes:
        path: The path.
        quadrature: The quadrature.
        inputs: Examples, one tensor (B, ...) per input, in float64.
        baselines: Where a path that takes baselines starts, in the same shapes or (1, ...).
        forward_func: The model, to at least three outputs.
        own_inputs: Whether the inputs are the user's, so that the path may not take others.
    """

    path: Path
    quadrature: Quadrature
    inputs: Tensors
    baselines: Tensors
    forward_func: Callable[..., Tensor]
    own_inputs: bool

    def __str__(self) -> str:
        """The two parts."""
        return f"{self.path!r} with {self.quadrature!r}"

    @property
    def complete(self) -> bool:
        """Whether attributions sum to F's change on the path in the limit of many steps."""
        return self.quadrature.complete and self.path.complete

    @property
    def has_fixed_nodes(self) -> bool:
        """Whether the quadrature has the user's own nodes, on an open grid, whatever the number of steps."""
        grid = self.quadrature.grid(2)
        return grid.steps is None and grid == self.quadrature.grid(8)

    @property
    def sum_is_exact_for_linear_functions(self) -> bool:
        """Not where a quadrature needs F or its gradient at the end of a search, which has neither."""
        needs_end = self.quadrature.needs_values or self.quadrature.grid(N_STEPS).nodes[-1] == 1
        return self.complete and (self.path.ends_at_inputs or not needs_end)

    @property
    def adaptive(self) -> bool:
        """Whether ``n_steps="auto"`` is for these parts: the path looks ahead, and the quadrature estimates errors."""
        try:
            self.quadrature.for_adaptive_steps()
        except ValueError:
            return False
        return self.path.look_ahead

    def can_walk(self, quadrature: Quadrature) -> bool:
        """Whether the path has points where the quadrature takes gradients."""
        try:
            self.path.adapt_grid(quadrature.grid(N_STEPS))
        except ValueError:
            return False
        return True

    def ends(self) -> tuple[Tensors, Tensors]:
        """The path's start, and the inputs."""
        baselines = tuple(
            start.expand_as(tensor).contiguous() for start, tensor in zip(self.baselines, self.inputs, strict=True)
        )
        return self.path.start(self.inputs, baselines if self.path.takes_baselines else None), self.inputs

    def method(self, forward_func: Callable[..., Tensor] | None = None) -> PathAttribution:
        """The method of these parts for the model, or for another function."""
        return PathAttribution(forward_func or self.forward_func, self.path, self.quadrature)

    def attribute(self, forward_func: Callable[..., Tensor] | None = None, **arguments: Any) -> Any:
        """Run the method, with a target per example and few steps unless arguments say otherwise."""
        defaults = {"inputs": self.inputs, "target": TARGETS[: len(self.inputs[0])], "n_steps": N_STEPS}
        if self.path.takes_baselines:
            defaults["baselines"] = self.baselines
        return self.method(forward_func).attribute(**{**defaults, **arguments})

    def attribute_with_delta(self, **arguments: Any) -> tuple[Any, Tensor | None]:
        """The attributions, and the deltas of parts that are complete."""
        if self.complete:
            maps, delta = self.attribute(return_convergence_delta=True, **arguments)
            return maps, delta
        return self.attribute(**arguments), None

    def of_rows(self, rows: slice) -> Subject:
        """The same for some of the examples."""
        starts = tuple(start if len(start) == 1 else start[rows] for start in self.baselines)
        return replace(self, inputs=tuple(tensor[rows] for tensor in self.inputs), baselines=starts)

    def counting(self) -> tuple[Callable[..., Tensor], list[int]]:
        """The model, and a list to which it adds the number of rows of each pass."""
        rows: list[int] = []

        def counted(*inputs: Tensor) -> Tensor:
            rows.append(len(inputs[0]))
            return self.forward_func(*inputs)

        return counted, rows


def make_subject(
    path: Path,
    quadrature: Quadrature | None,
    inputs: Tensor | Tensors | None,
    baselines: Tensor | Tensors | None,
    forward_func: Callable[..., Tensor] | None,
) -> Subject:
    """The subject, with defaults for what is left out.

    Raises:
        TypeError: If a part is none.
        ValueError: If there are other than three examples, or the path can't walk the quadrature's grid.
    """
    if not isinstance(path, Path):
        raise TypeError(f"path: expected a path such as StraightPath(), got {_kind(path)}.")
    if quadrature is None:
        quadrature = WeightedSum(path.default_method)
    elif isinstance(quadrature, Quadrature):
        path.adapt_grid(quadrature.grid(N_STEPS))  # raises what the path has against this rule
    else:
        raise TypeError(f"quadrature: expected a quadrature such as WeightedSum(), got {_kind(quadrature)}.")
    own = inputs is not None
    given = default_images() if inputs is None else inputs
    tensors = given if isinstance(given, tuple) else (given,)
    if any(len(tensor) != len(TARGETS) for tensor in tensors):
        raise ValueError(f"inputs: expected {len(TARGETS)} examples, got {[len(tensor) for tensor in tensors]}.")
    tensors = tuple(tensor.detach().double() for tensor in tensors)
    if baselines is None:
        starts = tuple(torch.full_like(tensor[:1], 0.1) for tensor in tensors)
    else:
        starts = tuple(s.detach().double() for s in (baselines if isinstance(baselines, tuple) else (baselines,)))
    return Subject(path, quadrature, tensors, starts, _in_float64(forward_func or Network(tensors)), own)


def _in_float64(forward_func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The model in its own dtype, whatever the dtype of the inputs is."""

    def run(*inputs: Tensor) -> Tensor:
        return forward_func(*(tensor.double() for tensor in inputs)).to(inputs[0].dtype)

    return run


def default_images(*shape: int, seed: int = 0) -> Tensor:
    """Three examples of different size, so that searches end at different times."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([1.0, 0.05, 0.5], dtype=torch.float64)
    images = torch.randn(3, *(shape or (2, 5, 4)), generator=generator, dtype=torch.float64)
    return images * scale.reshape(3, *(1,) * (images.dim() - 1))


def _kind(value: object) -> str:
    return f"the class {value.__name__}; write {value.__name__}()" if isinstance(value, type) else type(value).__name__
