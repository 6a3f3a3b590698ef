"""The methods of ``captum-ext explain``, a choice of those of ``captum-ext evaluate``, and their maps of one image."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from captum_ext.attr import Diagnostics
from captum_ext.cli.errors import CommandError
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.evaluation.method_registry import METHODS, ComparatorSpec

TITLES = {
    "ig": "IG",
    "idgi": "IDGI",
    "blur-ig": "Blur IG",
    "blur-ig+idgi": "Blur IG + IDGI",
    "guided-ig": "Guided IG",
    "guided-ig+idgi": "Guided IG + IDGI",
    "patternnet": "PatternNet",
    "patternattribution": "PatternAttribution",
    "pgig": "PGIG",
}


class ImageMap(NamedTuple):
    """Attributions (1, C, H, W), and their delta and diagnostics for methods that have them."""

    attributions: Tensor
    delta: Tensor | None = None
    diagnostics: Diagnostics | None = None


def parse_methods(names: str | None, patterns: str | None) -> list[str]:
    """The methods of a comma-separated list; ``None``: all of them, without those that need patterns if there are none.

    Raises:
        CommandError: If a method is unknown, or needs patterns and there are none.
    """
    if names is None:
        return [name for name in TITLES if patterns is not None or not METHODS[name].needs_patterns]
    methods = [name.strip().lower() for name in names.split(",") if name.strip()]
    if not methods or not TITLES.keys() >= set(methods):
        raise CommandError(f"--methods {names}: expected some of {','.join(TITLES)}")
    unavailable = [name for name in methods if METHODS[name].needs_patterns and patterns is None]
    if unavailable:
        raise CommandError(f"--methods {unavailable[0]}: needs --patterns FILE, which captum-ext fit-patterns writes")
    return methods


def compute_map(name: str, model: ProbabilityModel, image: ImageBatch, steps: int, show_progress: bool) -> ImageMap:
    """The map of one image."""
    spec = METHODS[name]
    if isinstance(spec, ComparatorSpec):
        return ImageMap(spec.attribute(model, image))
    method = spec.bind(model)
    arguments = (image.inputs, spec.baselines(image), image.target)
    if not method.has_convergence_delta():
        return ImageMap(method.attribute(*arguments, n_steps=steps, show_progress=show_progress))
    return ImageMap(
        *method.attribute(
            *arguments,
            n_steps=steps,
            return_convergence_delta=True,
            return_diagnostics=True,
            show_progress=show_progress,
        )
    )
