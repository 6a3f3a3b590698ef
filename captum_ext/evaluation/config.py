"""The configuration of an evaluation: everything that its numbers depend on besides models and images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch

from captum_ext._utils.numbers import check_positive
from captum_ext._utils.random import as_seed
from captum_ext._utils.text import did_you_mean
from captum_ext.evaluation.method_registry import METHODS, XRAI_SUFFIX, base_name, method_spec
from captum_ext.evaluation.metric_registry import parse_metric
from captum_ext.vision.starts import STARTS

Target = Literal["label", "predicted"]
StepsProtocol = Literal["corrected", "reference"]
COUNTS = ("batch_size", "references", "smoothgrad_ig_samples", "patch_size", "n_patches", "patches_per_point")


@dataclass(frozen=True)
class EvaluationConfig:
    """Methods, metrics and all other settings that the results depend on.

    Args:
        methods: Names from ``captum_ext.evaluation.METHODS``; with ``+xrai`` after one, such as ``"ig+xrai"``, XRAI's
            regions of its maps (needs the extra ``regions``).
        metrics: Names from ``captum_ext.evaluation.METRICS``, some with a variant: ``insertion``, ``deletion``
            (``:signed``, ``:absolute``), ``degradation`` (``:paper``, ``:code``), ``information`` (``:corrected``,
            ``:pair``, ``:study``, each with ``:webp``, ``:png`` or ``:ms-ssim``, and these with ``:signed`` or
            ``:absolute``), ``completeness``, ``stability``, ``class-sensitivity``, ``randomization``, ``road``,
            ``road-lerf``, ``diffid``, ``grid-pointing-game``; and, for images with masks, ``localization-auc``,
            ``best-f1``, ``pointing-game``, ``relevance-mass-accuracy``, ``relevance-rank-accuracy``, ``map-mae``,
            ``localization-iou``. Default: insertion, deletion and completeness.
        steps: Step counts of the path methods. If each divides the largest, one walk along a path that can look ahead
            serves all of them.
        steps_protocol: With ``"corrected"`` (default), every run goes from the baseline to the input. With
            ``"reference"``, a coarser run takes every k-th of the points 0, ..., 1 of the finest one, as in the study
            (see the tables), and stops short of the input: at alpha 0.88 for 8 of 128 steps. Weighted sums then use the
            left rule.
        target: ``"label"`` (default): the probability of the label, for images that are classified correctly; or
            ``"predicted"``: the probability of the predicted class, for all images.
        baseline: The start of straight and guided paths: ``black`` (default), ``white``, ``gray``, ``blurred``,
            ``uniform`` or ``maximum-distance``.
        batch_size: Images per batch. A killed run loses at most one batch per process. Default: 8.
        internal_batch_size: Maximum number of rows in a forward pass; ``None`` (default) for each method's default.
        references: Number of images from which Expected Gradients draws its baselines, and of its samples. Default: 49,
            as in the paper.
        smoothgrad_ig_samples: Number of noisy paths, each of 25 steps, of SmoothGrad-IG. Default: 25, as in the paper.
        patch_size: The side of the patches of degradation. Default: 9, as in the paper for 224 x 224.
        n_patches: Number of patches to replace. Default: 100, as in the paper.
        patches_per_point: Number of patches replaced between two forward passes. Default: 1, as in the paper.
        generator: For random masks, noise and maps: an integer seed, or a generator, from which one is drawn.
            Default: 0.

    Raises:
        TypeError, ValueError: If a name or a number is invalid.

    Example:
        >>> from captum_ext.evaluation import EvaluationConfig
        >>> config = EvaluationConfig(("ig", "idgi"), metrics=("insertion", "information:study:ms-ssim"), steps=(8, 32))
        >>> config.steps
        (8, 32)
    """

    methods: tuple[str, ...] = ("ig", "idgi", "guided-ig", "guided-ig+idgi", "blur-ig", "blur-ig+idgi")
    metrics: tuple[str, ...] = ("insertion", "deletion", "completeness")
    steps: tuple[int, ...] = (32,)
    steps_protocol: StepsProtocol = "corrected"
    target: Target = "label"
    baseline: str = "black"
    batch_size: int = 8
    internal_batch_size: int | None = None
    references: int = 49
    smoothgrad_ig_samples: int = 25
    patch_size: int = 9
    n_patches: int = 100
    patches_per_point: int = 1
    generator: int | torch.Generator = 0

    def __post_init__(self) -> None:
        """Check all values before the run."""
        with_regions = tuple(name for name in self.methods if base_name(name) in METHODS and name.endswith(XRAI_SUFFIX))
        _check_names("methods", self.methods, (*METHODS, *with_regions))
        variants = [variant for text in self.metrics for variant in parse_metric(text)]
        for name, items in (("metrics", variants), ("steps", self.steps)):
            if not items or len(set(items)) < len(items):
                raise ValueError(f"{name}: expected at least one, each once; got {getattr(self, name)}.")
        for number in self.steps:
            check_positive("steps", number)
        for name in COUNTS:
            check_positive(name, getattr(self, name))
        if self.internal_batch_size is not None:
            check_positive("internal_batch_size", self.internal_batch_size)
        object.__setattr__(self, "generator", as_seed(self.generator))
        _check_names("steps_protocol", (self.steps_protocol,), get_args(StepsProtocol))
        _check_names("target", (self.target,), get_args(Target))
        _check_names("baseline", (self.baseline,), tuple(STARTS))
        finest = max(self.steps)
        if self.steps_protocol == "reference" and any(finest % number for number in self.steps):
            raise ValueError(
                f"steps: with steps_protocol='reference', coarser runs are slices of the finest, so each number must "
                f"divide {finest}, got {self.steps}."
            )
        if self.steps_protocol == "reference" and min(self.steps) < 2:
            raise ValueError(f"steps: expected at least 2 with steps_protocol='reference', got {self.steps}.")

    @property
    def maps_per_image(self) -> int:
        """The number of maps of each image."""
        with_steps = sum(method_spec(name).has_steps for name in self.methods)
        return with_steps * len(self.steps) + len(self.methods) - with_steps

    @property
    def pattern_methods(self) -> list[str]:
        """The methods that need patterns."""
        return [name for name in self.methods if method_spec(name).needs_patterns]


def _check_names(name: str, values: Sequence[Any], known: Sequence[str]) -> None:
    unknown = [value for value in values if value not in known]
    if unknown or not values:
        hint = did_you_mean(str(unknown[0]), known) if unknown else ""
        raise ValueError(f"{name}: expected some of {', '.join(known)}; got {unknown or 'none'}.{hint}")
    if len(set(values)) < len(values):
        raise ValueError(f"{name}: expected each once, got {values}.")
