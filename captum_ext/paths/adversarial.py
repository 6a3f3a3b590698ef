"""The paths of AGI and MFABA, which lead from the input across the model's decision boundary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from captum_ext._utils.numbers import check_number, is_integer, is_number
from captum_ext._utils.tensors import Tensors
from captum_ext.paths.evaluation import PathEvaluator
from captum_ext.paths.searched import Search, SearchedPath
from captum_ext.paths.stepwise import stepwise_search, unit_length

ClipBound: TypeAlias = float | Sequence[float]
ClassChoice: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_SLACK = 1e-3  # of the range: what rounding and interpolation leave outside


@dataclass(frozen=True)
class AdversarialPath(SearchedPath):
    r"""From the input to where the model decides otherwise, step by step along the gradient.

    With a class to approach, :math:`x_{t+1} = \mathrm{clip}(x_t + \mathrm{step} \cdot n(\nabla F_c(x_t)))` until the
    largest output is :math:`c` (AGI). Without one, :math:`x_{t+1} = \mathrm{clip}(x_t - \mathrm{step} \cdot
    n(\nabla F(x_t)))` until the largest output is no longer the one at the input (MFABA). ``n_steps`` is the most
    steps.

    Attributions sum to F(input) - F(end found) in the limit of small steps; the convergence delta compares them. An
    example stops when it reaches its goal, or when it can't move because its gradient is zero or the range ends. Then
    it costs nothing further.

    Args:
        toward: The class to approach, or a function of the outputs at the inputs (B, classes) and the targets (B,) that
            returns a class per example, (B,), -1 for none. Default ``None``: away from the target.
        step: The length of a step, in the inputs' units. Default: 0.05.
        norm: What of the gradient counts: ``"sign"`` (default) moves each feature by ``step``, ``"l2"`` divides the
            gradient by its L2 norm over all features of an example.
        clip: The range of valid inputs, such as (0, 1), to which points are clipped. Each bound is a number, or a
            sequence with one per channel (dimension 1). For several inputs it holds for all. Default ``None``: no
            clipping. Inputs outside the range raise an error.
        epsilon: The farthest that a feature may move from the input, in the inputs' units. Default ``None``: no limit.
        protocol: ``"paper"`` (default), or ``"code"``: each step starts from the input again, so that the points are
            neighbors of the input, one step away from it. AGI's published code does so.

    Raises:
        TypeError, ValueError: If a setting is out of range. When used: if F is not one of several outputs per example,
            the inputs are outside ``clip``, or baselines are passed.

    Note:
        At a layer, ``clip`` and ``epsilon`` are in units of the activation. A neuron has no classes, so this path can't
        explain one.

    Reference:
        Pan, Li, Zhu: Explaining Deep Neural Network Models with Adversarial Gradient Integration. IJCAI 2021.
        https://doi.org/10.24963/ijcai.2021/396
        Zhu et al.: MFABA: A More Faithful and Accelerated Boundary-based Attribution Method for Deep Neural Networks.
        AAAI 2024. https://arxiv.org/abs/2312.13630

    Example:
        >>> from captum_ext.attr import PathAttribution
        >>> from captum_ext.paths import AdversarialPath
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Softplus(), torch.nn.Linear(8, 3))
        >>> method = PathAttribution(model, AdversarialPath(toward=2, clip=(0, 1)))
        >>> method.attribute(torch.rand(2, 4), target=1, n_steps=20).shape
        torch.Size([2, 4])
    """

    toward: int | ClassChoice | None = None
    step: float = 0.05
    norm: Literal["sign", "l2"] = "sign"
    clip: tuple[ClipBound, ClipBound] | None = None
    epsilon: float | None = None
    protocol: Literal["paper", "code"] = "paper"

    from_inputs: ClassVar[bool] = True
    takes_baselines: ClassVar[bool] = False

    @property
    def complete(self) -> bool:  # type: ignore[override]
        """Whether the moves follow one another, which those of the published code do not."""
        return self.protocol == "paper"

    def __post_init__(self) -> None:
        """Check the settings."""
        if not (self.toward is None or is_integer(self.toward) or callable(self.toward)):
            raise TypeError(f"toward: expected a class, a function or None, got {type(self.toward).__name__}.")
        if is_integer(self.toward) and self.toward < 0:  # type: ignore[operator]
            raise ValueError(f"toward: expected a class index, at least 0, got {self.toward}.")
        for name, value in (("step", self.step), ("epsilon", self.epsilon)):
            if value is not None or name == "step":
                check_number(name, value)
                if not 0 < value < float("inf"):  # type: ignore[operator]
                    raise ValueError(f"{name}: expected a positive number, got {value}.")
        for name, choice, choices in (
            ("norm", self.norm, ("sign", "l2")),
            ("protocol", self.protocol, ("paper", "code")),
        ):
            if choice not in choices:
                raise ValueError(f"{name}: expected {choices[0]!r} or {choices[1]!r}, got {choice!r}.")
        if self.clip is not None:
            _check_clip(self.clip)

    def start(self, inputs: Tensors, baselines: Tensors | None) -> Tensors:
        """The inputs.

        Raises:
            ValueError: If baselines are passed.
        """
        if baselines is not None:
            raise ValueError(
                "baselines: AdversarialPath starts from the input and finds its own end. Leave out the baselines."
            )
        return inputs

    def search(self, inputs: Tensors, start: Tensors, n_steps: int, evaluator: PathEvaluator) -> Search:
        """Step by step to the decision boundary."""
        limits = [self._limits(tensor, position) for position, tensor in enumerate(inputs)]
        first = _class_scores(evaluator, inputs)
        classes = first.argmax(1) if self.toward is None else self._classes(first, evaluator)
        climbed = evaluator if self.toward is None else evaluator.with_target(classes)

        def arrived(scores: Tensor, rows: Tensor) -> Tensor:
            same = scores.argmax(1) == classes[rows]
            return same if self.toward is not None else ~same

        def move(here: Tensors, gradients: Tensors, rows: Tensor) -> tuple[Tensors, Tensor]:
            if self.toward is None:
                direction = tuple(-gradient for gradient in gradients)
            else:
                direction = climbed.rows(rows).at(here)[1]
            direction = tuple(map(torch.sign, direction)) if self.norm == "sign" else unit_length(direction)
            base = here if self.protocol == "paper" else tuple(tensor[rows] for tensor in inputs)
            moved = tuple(
                (point + self.step * way).clamp(low[rows], high[rows])
                for point, way, (low, high) in zip(base, direction, limits, strict=True)
            )
            return moved, ~arrived(evaluator.rows(rows).outputs(moved), rows)

        everything = torch.arange(len(first), device=first.device)
        active = ~arrived(first, everything) & (classes >= 0)
        origin = None if self.protocol == "paper" else inputs
        return (yield from stepwise_search(inputs, active, n_steps, move, origin))

    def _classes(self, scores: Tensor, evaluator: PathEvaluator) -> Tensor:
        """The class that each example approaches, (B,)."""
        targets = _class_indices(evaluator, scores)
        if callable(self.toward):
            classes = self.toward(scores, targets)
            if not isinstance(classes, Tensor) or classes.shape != targets.shape or classes.is_floating_point():
                raise ValueError(
                    f"toward: expected the function to return one class index per example, shape {tuple(targets.shape)}"
                    f", got {tuple(classes.shape) if isinstance(classes, Tensor) else type(classes).__name__}."
                )
            classes = classes.to(targets)
        else:
            classes = torch.full_like(targets, int(self.toward))  # type: ignore[arg-type]
            if bool((classes == targets).any()):
                raise ValueError(f"toward: class {self.toward} is the target of an example. Give another class.")
        if bool((classes >= scores.shape[1]).any()):
            raise ValueError(f"toward: expected classes from 0 to {scores.shape[1] - 1}, got {int(classes.max())}.")
        return classes

    def _limits(self, inputs: Tensor, position: int) -> Tensors:
        """The lowest and highest value of each feature."""
        low, high = torch.full_like(inputs, -torch.inf), torch.full_like(inputs, torch.inf)
        if self.clip is not None:
            low, high = (_bound(bound, inputs).expand_as(inputs) for bound in self.clip)
            slack = _SLACK * (high - low)
            if bool(((inputs < low - slack) | (inputs > high + slack)).any()):
                raise ValueError(
                    f"clip: expected inputs in the range {self.clip}, got {float(inputs.min()):.4g} to "
                    f"{float(inputs.max()):.4g} in inputs[{position}]. Give the range of your inputs, for normalized "
                    "images the values of black and white per channel, or None."
                )
        if self.epsilon is not None:
            low, high = low.maximum(inputs - self.epsilon), high.minimum(inputs + self.epsilon)
        return low, high


@dataclass(frozen=True)
class WrongClass:
    """One of n wrong classes at even distances: number k of them, in the order of their indices.

    Args:
        k: Which of them, from 0 to n - 1.
        n: How many. Of an output with fewer wrong classes each is taken once, and there is none for the other k.
    """

    k: int
    n: int

    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The class of each example, (B,); -1 for none.

        Args:
            scores: The outputs, (B, classes).
            targets: The classes that are explained, (B,).
        """
        wrong = scores.shape[1] - 1
        if self.k >= wrong:
            return torch.full_like(targets, -1)
        place = self.k * wrong // min(self.n, wrong)
        return place + (targets <= place).to(targets)  # the target is left out of the count


@dataclass(frozen=True)
class UnlessTarget:
    """A class, where it is not the target.

    Args:
        index: The class.
    """

    index: int

    def __call__(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The class for each example, (B,); -1 where it is the target.

        Args:
            scores: The outputs, (B, classes).
            targets: The classes that are explained, (B,).
        """
        return torch.full_like(targets, self.index).masked_fill(targets == self.index, -1)


def _class_scores(evaluator: PathEvaluator, points: Tensors) -> Tensor:
    scores = evaluator.outputs(points)
    if scores.dim() != 2 or scores.shape[1] < 2:
        raise ValueError(
            "forward_func: AdversarialPath searches for another class, so it needs the scores of two classes or more, "
            f"shape (B, classes), got {tuple(scores.shape)}. For a single logit (B, 1) write "
            "lambda x: torch.cat([-f(x), f(x)], 1). A neuron has no classes."
        )
    return scores


def _class_indices(evaluator: PathEvaluator, scores: Tensor) -> Tensor:
    """The targets as class indices, (B,)."""
    target, rows = evaluator.target, len(scores)
    if isinstance(target, tuple) and len(target) == 1:
        target = target[0]
    if isinstance(target, int):
        target = [target] * rows
    if isinstance(target, list):
        entries = [entry[0] if isinstance(entry, tuple) and len(entry) == 1 else entry for entry in target]
        target = torch.tensor(entries) if all(isinstance(entry, int) for entry in entries) else None
    if isinstance(target, Tensor):
        indices = target.to(scores.device, torch.long)
        return torch.where(indices < 0, indices + scores.shape[1], indices)
    raise ValueError(
        "target: to approach another class the class that is explained must be known: expected a class index, or one "
        f"per example, got {evaluator.target!r:.60}."
    )


def _bound(bound: ClipBound, like: Tensor) -> Tensor:
    """A bound that broadcasts with (B, channels, ...)."""
    values = torch.as_tensor(bound, dtype=like.dtype, device=like.device)
    if not values.dim():
        return values
    if like.dim() < 2 or like.shape[1] != len(values):
        raise ValueError(
            f"clip: expected a number, or one for each channel in dimension 1 of inputs of shape {tuple(like.shape)}, "
            f"got {len(values)} numbers."
        )
    return values.reshape(1, -1, *(1,) * (like.dim() - 2))


def _check_clip(clip: object) -> None:
    if not isinstance(clip, tuple | list) or len(clip) != 2:
        raise TypeError(f"clip: expected (low, high), such as (0, 1), or None, got {clip!r:.60}.")
    bounds = [[bound] if is_number(bound) else bound for bound in clip]
    for bound in bounds:
        if not isinstance(bound, tuple | list) or not all(map(is_number, bound)):
            raise TypeError(f"clip: expected numbers, or a sequence with one per channel, got {bound!r:.60}.")
    low, high = bounds
    pairs = zip(low * len(high) if len(low) == 1 else low, high * len(low) if len(high) == 1 else high, strict=False)
    if len({len(low), len(high)} - {1}) > 1 or not all(below < above for below, above in pairs):
        raise ValueError(f"clip: expected a low bound below each high one, got {clip}.")
