"""The metrics by name, as scores of the images of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from captum_ext.evaluation.subject import Question
from captum_ext.metrics import (
    PerturbationCurve,
    class_sensitivity,
    degradation,
    deletion,
    information_curve,
    insertion,
    stability,
)


class Patches(NamedTuple):
    """What degradation replaces: patches of this side, so many, so many more from one look at the model to the next."""

    size: int
    n_patches: int
    per_point: int


class Score(NamedTuple):
    """One number an image, its curve if it is the area of one, and why there is none."""

    name: str
    variant: str
    values: Tensor  # (B,)
    curves: Tensor | None = None  # (B, P)
    notes: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True)
class Scene:
    """What the maps of a batch are judged by.

    Args:
        probability: From inputs to probabilities.
        question: The images and their classes.
        black: Black, as the model gets it, (B, C, H, W): what insertion starts from and deletion ends at.
        pixels: The inputs as uint8 pixels (B, C, H, W), if a measure needs them.
        as_input: From such pixels to inputs.
        rows: The most rows in a forward pass; ``None`` for the metrics' default.
        seed: For random masks.
        patches: For degradation.
    """

    probability: Callable[[Tensor], Tensor]
    question: Question
    black: Tensor
    pixels: Tensor | None
    as_input: Callable[[Tensor], Tensor]
    rows: int | None
    seed: int
    patches: Patches


@dataclass(frozen=True)
class Maps:
    """The maps of one method, (B, C, H, W) each.

    Args:
        plain: Of the images.
        compressed: Of the images once compressed, if a measure needs them.
        rival: Of the next best class, likewise.
        incompleteness: |delta| / |F's change|, (B,), of methods that have a delta.
        similarity: With the maps of randomised models, (layers, B), likewise.
    """

    plain: Tensor
    compressed: Tensor | None = None
    rival: Tensor | None = None
    incompleteness: Tensor | None = None
    similarity: Tensor | None = None

    def made_finite(self) -> tuple[Maps, list[bool]]:
        """With zeros for the maps of images of which one has a NaN or infinity, and which images these are."""
        given = [maps for maps in (self.plain, self.compressed, self.rival) if maps is not None]
        finite = torch.stack([torch.isfinite(maps).flatten(1).all(1) for maps in given]).all(0)
        plain, compressed, rival = (
            None if maps is None else torch.where(finite.reshape(-1, *(1,) * (maps.dim() - 1)), maps, 0)
            for maps in (self.plain, self.compressed, self.rival)
        )
        assert plain is not None, "given"
        return replace(self, plain=plain, compressed=compressed, rival=rival), (~finite).tolist()


Judge = Callable[[Scene, Maps, str], Iterator[Score]]


@dataclass(frozen=True)
class Measure:
    """A metric.

    Args:
        judge: What gives its scores.
        usual: The variants that its bare name stands for.
        others: Further ones.
        needs: ``"pixels"``, or the field of :class:`Maps` beside ``plain`` that it takes.
    """

    judge: Judge
    usual: tuple[str, ...]
    others: tuple[str, ...] = ()
    needs: str | None = None


def _insertion(scene: Scene, maps: Maps, ranking: str) -> Iterator[Score]:
    found = _over_positions(insertion, scene, maps, ranking)
    yield Score("insertion", ranking, found.area, found.scores)
    ratio = found.scores / found.scores[:, -1:]
    yield Score("insertion-ratio", ranking, torch.trapezoid(ratio, found.fractions), ratio)


def _deletion(scene: Scene, maps: Maps, ranking: str) -> Iterator[Score]:
    found = _over_positions(deletion, scene, maps, ranking)
    yield Score("deletion", ranking, found.area, found.scores)


def _over_positions(
    metric: Callable[..., PerturbationCurve], scene: Scene, maps: Maps, ranking: str
) -> PerturbationCurve:
    return metric(
        scene.probability,
        scene.question.inputs,
        maps.plain,
        scene.question.target,
        baselines=scene.black,
        ranking=ranking,
        internal_batch_size=scene.rows,
    )


def _degradation(scene: Scene, maps: Maps, protocol: str) -> Iterator[Score]:
    found = degradation(
        scene.probability,
        scene.question.inputs,
        maps.plain,
        scene.question.target,
        scene.patches.size,
        scene.patches.n_patches,
        protocol=protocol,  # type: ignore[arg-type]
        internal_batch_size=scene.rows,
        patches_per_point=scene.patches.per_point,
    )
    yield Score("degradation", protocol, found.area, found.scores)


def _information(scene: Scene, maps: Maps, variant: str) -> Iterator[Score]:
    protocol, kind, ranking = (*variant.split(":"), None, None)[:3]
    assert scene.pixels is not None, "asked for"
    found = information_curve(
        scene.probability,
        scene.pixels,
        maps.plain,
        scene.question.target,
        scene.as_input,
        protocol=protocol,  # type: ignore[arg-type]
        information=kind,  # type: ignore[arg-type]
        ranking=ranking,  # type: ignore[arg-type]
        seed=scene.seed,
        internal_batch_size=scene.rows,
    )
    yield Score("sic", variant, found.sic_area, found.sic, found.sic_skipped)
    yield Score("aic", variant, found.aic_area, found.aic, found.aic_skipped)


def _stability(scene: Scene, maps: Maps, normalization: str) -> Iterator[Score]:
    assert maps.compressed is not None, "asked for"
    yield Score("stability", normalization, stability(maps.plain, maps.compressed, normalization))  # type: ignore[arg-type]


def _class_sensitivity(scene: Scene, maps: Maps, ranking: str) -> Iterator[Score]:
    assert maps.rival is not None, "asked for"
    yield Score("class-sensitivity", ranking, class_sensitivity(maps.plain, maps.rival, ranking))  # type: ignore[arg-type]


def _completeness(scene: Scene, maps: Maps, variant: str) -> Iterator[Score]:
    if maps.incompleteness is not None:
        yield Score("completeness", variant, maps.incompleteness)


def _randomization(scene: Scene, maps: Maps, variant: str) -> Iterator[Score]:
    if maps.similarity is not None:
        yield Score("randomization", variant, maps.similarity.mean(0), maps.similarity.T)


_RANKINGS = ("signed", "absolute")
_PROTOCOLS = ("corrected", "pair", "study")
_KINDS = [f"{protocol}:{kind}" for protocol in _PROTOCOLS for kind in ("webp", "png", "ms-ssim")]
MEASURES = {
    "insertion": Measure(_insertion, _RANKINGS),
    "deletion": Measure(_deletion, _RANKINGS),
    "degradation": Measure(_degradation, ("paper",), ("code",)),
    "information": Measure(
        _information,
        ("corrected",),
        (
            *_PROTOCOLS[1:],
            *_KINDS,
            *(f"{kind}:{ranking}" for kind in _KINDS for ranking in _RANKINGS),
        ),
        needs="pixels",
    ),
    "completeness": Measure(_completeness, ("relative",)),
    "stability": Measure(_stability, (*_RANKINGS, "rank"), needs="compressed"),
    "class-sensitivity": Measure(_class_sensitivity, _RANKINGS, needs="rival"),
    "randomization": Measure(_randomization, ("absolute",), needs="similarity"),
}


def name_of(measure: Measure) -> str:
    """A measure's name."""
    return next(name for name, known in MEASURES.items() if known is measure)


def parse(text: str) -> list[tuple[Measure, str]]:
    """The measures and variants of a name such as ``"insertion"`` or ``"information:study:ms-ssim"``.

    Raises:
        ValueError: If there is none of that name.
    """
    name, _, variant = text.partition(":")
    measure = MEASURES.get(name)
    if measure is None:
        raise ValueError(f"measures: expected some of {', '.join(MEASURES)}; got {text!r}.")
    if variant and variant not in (*measure.usual, *measure.others):
        raise ValueError(f"measures: {name} takes {', '.join((*measure.usual, *measure.others))}; got {variant!r}.")
    return [(measure, one) for one in ((variant,) if variant else measure.usual)]
