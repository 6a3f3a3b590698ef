"""What is evaluated: everything that the numbers depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from captum_ext._numbers import check_integer, check_positive
from captum_ext.evaluation.measures import parse
from captum_ext.evaluation.methods import METHODS, STEPPED
from captum_ext.vision.starts import STARTS

Target = Literal["label", "predicted"]
StepsProtocol = Literal["corrected", "reference"]
COUNTS = ("batch_size", "references", "smoothgrad_ig_samples", "patch_size", "n_patches", "patches_per_point")


@dataclass(frozen=True)
class Settings:
    """Methods, measures and everything else that the results depend on.

    Args:
        methods: Names, of ``captum_ext.evaluation.METHODS``.
        measures: Names, some with a variant: ``insertion``, ``deletion`` (``:signed``, ``:absolute``), ``degradation``
            (``:paper``, ``:code``), ``information`` (``:corrected``, ``:pair``, ``:study``, each with ``:webp``,
            ``:png`` or ``:ms-ssim``, and these with ``:signed`` or ``:absolute``), ``completeness``, ``stability``,
            ``class-sensitivity``, ``randomization``.
        steps: Of the paths. On paths that can look ahead one walk gives all, if each divides the largest.
        steps_protocol: ``"corrected"`` (default): every run goes from the baseline to the input. ``"reference"``: a
            coarser run takes every k-th of the points 0, ..., 1 of the finest, as the study (seed of the tables) did,
            and stops short of the input: at alpha .88 with 8 of 128. Weighted sums then take the left rule.
        target: ``"label"`` (default): the label's probability, of images that are classified correctly; or
            ``"predicted"``: the predicted class's, of all images.
        baseline: Where straight and guided paths start: ``black`` (default), ``white``, ``gray``, ``blurred``,
            ``uniform`` or ``maximum-distance``.
        batch_size: Images in a batch. Default: 8. What is lost when a run is killed is one batch a process.
        rows: The most rows in a forward pass; ``None`` for the methods' default.
        references: How many images Expected Gradients draws its baselines from. Default: 49, the paper's.
        smoothgrad_ig_samples: How many noisy paths of 25 steps SmoothGrad-IG has. Default: 25, the paper's.
        patch_size: The side of degradation's patches. Default: 9, the paper's, for 224 x 224.
        n_patches: How many of them are replaced. Default: 100, the paper's.
        patches_per_point: How many more are replaced from one forward pass to the next. Default: 1, the paper's.
        seed: For random masks, noise and maps. Default: 0.

    Raises:
        TypeError, ValueError: If a name or a number is none of these.

    Example:
        >>> from captum_ext.evaluation import Settings
        >>> Settings(methods=("ig", "idgi"), measures=("insertion", "information:study:ms-ssim"), steps=(8, 32)).steps
        (8, 32)
    """

    methods: tuple[str, ...] = ("ig", "idgi", "guided-ig", "guided-ig+idgi", "blur-ig", "blur-ig+idgi")
    measures: tuple[str, ...] = ("insertion", "deletion", "information", "completeness")
    steps: tuple[int, ...] = (32,)
    steps_protocol: StepsProtocol = "corrected"
    target: Target = "label"
    baseline: str = "black"
    batch_size: int = 8
    rows: int | None = None
    references: int = 49
    smoothgrad_ig_samples: int = 25
    patch_size: int = 9
    n_patches: int = 100
    patches_per_point: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check everything before the work."""
        _check("methods", self.methods, tuple(METHODS))
        pairs = [(measure.judge, variant) for text in self.measures for measure, variant in parse(text)]
        for name, given in (("measures", pairs), ("steps", self.steps)):
            if not given or len(set(given)) < len(given):
                raise ValueError(f"{name}: expected at least one, each once; got {getattr(self, name)}.")
        for number in self.steps:
            check_positive("steps", number)
        for name in COUNTS:
            check_positive(name, getattr(self, name))
        if self.rows is not None:
            check_positive("rows", self.rows)
        check_integer("seed", self.seed)
        _check("steps_protocol", (self.steps_protocol,), get_args(StepsProtocol))
        _check("target", (self.target,), get_args(Target))
        _check("baseline", (self.baseline,), tuple(STARTS))
        finest = max(self.steps)
        if self.steps_protocol == "reference" and any(finest % number for number in self.steps):
            raise ValueError(
                f"steps: by steps_protocol='reference' coarser runs are slices of the finest, so each number must "
                f"divide {finest}, got {self.steps}."
            )
        if self.steps_protocol == "reference" and min(self.steps) < 2:
            raise ValueError(f"steps: expected 2 at least by steps_protocol='reference', got {self.steps}.")

    def maps_an_image(self) -> int:
        """How many maps an image gets."""
        stepped = sum(name in STEPPED for name in self.methods)
        return stepped * len(self.steps) + len(self.methods) - stepped

    def of_pattern_methods(self) -> list[str]:
        """The methods that need patterns."""
        return [name for name in self.methods if METHODS[name].needs_patterns]


def _check(name: str, given: tuple[Any, ...], known: tuple[str, ...]) -> None:
    unknown = [value for value in given if value not in known]
    if unknown or not given:
        raise ValueError(f"{name}: expected some of {', '.join(known)}; got {unknown or 'none'}.")
    if len(set(given)) < len(given):
        raise ValueError(f"{name}: expected each once, got {given}.")
