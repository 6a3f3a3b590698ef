"""Adversarial Gradient Integration."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

from torch import Tensor

from captum_ext._utils.numbers import check_positive, is_integer
from captum_ext.attr._parts import check_not_flag
from captum_ext.attr.diagnostics import Diagnostics
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.paths import AdversarialPath
from captum_ext.paths.adversarial import ClassChoice, ClipBound, UnlessTarget, WrongClass


class AGI(PathAttribution):
    """Adversarial Gradient Integration: paths from the input to several wrong classes, summed.

    Each path climbs the output of one wrong class until the model decides for it, at most ``n_steps`` steps (15 in the
    paper). Attributions sum to the sum over the classes of F(input) - F(end found), in the limit of small steps; the
    convergence delta compares them. Each step takes two gradients and one forward pass. ``attribute`` takes
    ``baselines=None`` only, and as target class indices, an int or one per example: the outputs must be scores of
    classes (B, classes). The published method explains probabilities: ``AGI(lambda x: model(x).softmax(1))``.

    With ``return_diagnostics=True`` a list with the diagnostics of each class comes last.

    Args:
        forward_func: The model, or any function that takes the inputs and returns the scores of at least two classes.
        classes: How many wrong classes, evenly spaced in the order of their indices, and all if there are fewer; or a
            list of indices, from which the target of an example is left out. (The only index of a list must not be a
            target.) Default: 15, the published number. The even spacing is ours.
        step: How far a step moves each feature, in the inputs' units. Default: 0.05, published for images in [0, 1].
        clip: The range of valid inputs, such as (0, 1), the published one, with a bound per channel if these are
            sequences. Default ``None``: no clipping. Inputs outside the range raise an error.
        protocol: ``"paper"`` (default) sums along the path. ``"code"`` is what the published code computes: each step
            starts from the input again, so that gradients at neighbors of the input are multiplied by the neighbors'
            distances from the input. It is not complete, so there is no convergence delta.
        multiply_by_inputs: Taken for Captum's keyword. Only True, the default, has a meaning here.

    See :class:`~captum_ext.paths.AdversarialPath`, which makes one of the paths.

    Raises:
        TypeError, ValueError: If a setting is out of range, or ``multiply_by_inputs=False``.

    Reference:
        Pan, Li, Zhu: Explaining Deep Neural Network Models with Adversarial Gradient Integration. IJCAI 2021.
        https://doi.org/10.24963/ijcai.2021/396

    Example:
        >>> from captum_ext.attr import AGI
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Softplus(), torch.nn.Linear(8, 3))
        >>> method = AGI(lambda x: model(x).softmax(1), clip=(0, 1))
        >>> method.attribute(torch.rand(2, 4), target=[1, 2], n_steps=15).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        classes: int | Sequence[int] = 15,
        step: float = 0.05,
        clip: tuple[ClipBound, ClipBound] | None = None,
        protocol: Literal["paper", "code"] = "paper",
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("classes", classes, "how many wrong classes, or their indices")
        self._classes, self._choices = classes, _choices(classes)
        path = AdversarialPath(self._choices[0], step, clip=clip, protocol=protocol)
        super().__init__(forward_func, path, multiply_by_inputs=multiply_by_inputs)

    def __repr__(self) -> str:
        """The class with its settings, instead of one of its paths."""
        path = cast(AdversarialPath, self.path)
        return f"AGI(classes={self._classes!r}, step={path.step}, clip={path.clip}, protocol={path.protocol!r})"

    def _attribute(self, *arguments: Any) -> list[Any]:
        """The sum over the classes."""
        total: list[Any] = []
        for method in self._methods():
            results = [_listed(result) for result in PathAttribution._attribute(method, *arguments)]
            total = [_plus(*pair) for pair in zip(total, results, strict=True)] if total else results
        return total

    def _methods(self) -> Iterator[AGI]:
        """This method with the path to one class after another."""
        assert isinstance(self.path, AdversarialPath), "made in __init__"
        n_wrong: list[int] = []  # of the outputs, learned on the first path
        for k, choice in enumerate(self._choices):
            if n_wrong and k >= n_wrong[0]:
                return
            method = copy.copy(self)
            method.path = replace(self.path, toward=partial(_chosen, choice, n_wrong) if callable(choice) else choice)
            yield method


def _choices(classes: object) -> list[int | ClassChoice]:
    if is_integer(classes):
        check_positive("classes", classes)
        return [WrongClass(k, int(classes)) for k in range(int(classes))]
    if not isinstance(classes, Sequence) or not classes or not all(map(is_integer, classes)):
        raise TypeError(f"classes: expected how many wrong classes, or a list of their indices, got {classes!r:.60}.")
    if len(set(classes)) < len(classes) or min(classes) < 0:
        raise ValueError(f"classes: expected different classes, at least 0, got {list(classes)[:20]}.")
    return [int(classes[0])] if len(classes) == 1 else [UnlessTarget(int(index)) for index in classes]


def _chosen(choice: ClassChoice, n_wrong: list[int], scores: Tensor, targets: Tensor) -> Tensor:
    if isinstance(choice, WrongClass):
        n_wrong.append(scores.shape[1] - 1)
    return choice(scores, targets)


def _listed(result: Any) -> Any:
    """A result with its diagnostics in a list, which adds as results of several classes shall."""
    if isinstance(result, tuple):
        return tuple(map(_listed, result))
    return [result] if isinstance(result, Diagnostics) else result


def _plus(total: Any, result: Any) -> Any:
    return tuple(map(_plus, total, result)) if isinstance(result, tuple) else total + result
