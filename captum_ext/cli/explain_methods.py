"""The methods of ``captum-ext explain``, a choice of those of ``captum-ext evaluate``, and their maps of one image."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from captum_ext.attr import Diagnostics
from captum_ext.cli.errors import CommandError
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.evaluation.method_registry import XRAI_SUFFIX, ComparatorSpec, StepMethodSpec, base_name, method_spec
from captum_ext.regions import xrai

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
    "idg": "IDG",
    "pwig": "PWIG",
    "left-ig": "Left IG",
    "samp": "SAMP",
    "mfaba": "MFABA",
    "agi": "AGI",
    "ig2": "IG2",
    "smooth-taylor": "SmoothTaylor",
    "igos": "I-GOS",
}
_DEFAULT = tuple(TITLES)[:9]


class ImageMap(NamedTuple):
    """Attributions (1, C, H, W), and their delta and diagnostics for methods that have them."""

    attributions: Tensor
    delta: Tensor | None = None
    diagnostics: Diagnostics | None = None


def parse_methods(names: str | None, patterns: str | None) -> list[str]:
    """The methods of a comma-separated list; ``None``: the defaults that can be computed.

    Raises:
        CommandError: If a method is unknown, or needs patterns and there are none.
    """
    if names is None:
        return [name for name in _DEFAULT if patterns is not None or not method_spec(name).needs_patterns]
    methods = [name.strip().lower() for name in names.split(",") if name.strip()]
    if not methods or not TITLES.keys() >= set(map(base_name, methods)):
        raise CommandError(f"--methods {names}: expected some of {','.join(TITLES)}, and with {XRAI_SUFFIX} after each")
    unavailable = [name for name in methods if method_spec(name).needs_patterns and patterns is None]
    if unavailable:
        raise CommandError(f"--methods {unavailable[0]}: needs --patterns FILE, which captum-ext fit-patterns writes")
    return methods


def title(name: str) -> str:
    """The method's name in words."""
    return TITLES[base_name(name)] + (" regions" if name.endswith(XRAI_SUFFIX) else "")


def compute_map(name: str, model: ProbabilityModel, image: ImageBatch, steps: int, show_progress: bool) -> ImageMap:
    """The map of one image."""
    result = _compute_pixel_map(base_name(name), model, image, steps, show_progress)
    if not name.endswith(XRAI_SUFFIX):
        return result
    return ImageMap(xrai(result.attributions, image.inputs, channels="sum").unsqueeze(1))


def _compute_pixel_map(
    name: str, model: ProbabilityModel, image: ImageBatch, steps: int, show_progress: bool
) -> ImageMap:
    spec = method_spec(name)
    if isinstance(spec, ComparatorSpec):
        return ImageMap(spec.attribute(model, image))
    if isinstance(spec, StepMethodSpec):
        return ImageMap(*spec.attribute(model, image, steps))
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
