"""The methods of ``captum-ext explain``, a choice of those of ``captum-ext evaluate``, and their maps of one image."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import interpolate

from captum_ext._utils.text import did_you_mean
from captum_ext.attr import Diagnostics, LayerPathAttribution, PathAttribution
from captum_ext.cli.errors import CommandError
from captum_ext.evaluation.batch_maps import region_maps
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.evaluation.method_registry import (
    XRAI_SUFFIX,
    ComparatorSpec,
    PathMethodSpec,
    StepMethodSpec,
    base_name,
    method_spec,
)
from captum_ext.quadratures import ImportantDirection

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
_STEPS_WITHOUT_AUTO = 50
_AUTO_TOLERANCE = 0.05  # of --steps auto


class ImageMap(NamedTuple):
    """A map of one image and how well it was integrated.

    Attributes:
        attributions: (1, C, H, W); of a layer or of regions, (1, 1, H, W).
        delta: The convergence delta (1,) of methods that have one.
        change: The change of the output that the attributions should sum to, (1,), if there is a delta.
        diagnostics: Of path methods.
        exact_sum: Whether the sum is exact by construction, so that the delta says nothing about the map.
    """

    attributions: Tensor
    delta: Tensor | None = None
    change: Tensor | None = None
    diagnostics: Diagnostics | None = None
    exact_sum: bool = False


def parse_methods(names: str | None, patterns: str | None, at_layer: bool = False) -> list[str]:
    """The methods of a comma-separated list; ``None``: the defaults that can be computed.

    Raises:
        CommandError: If a method is unknown, or needs patterns and there are none, or is not available at a layer.
    """
    if names is None:
        return [name for name in _DEFAULT if _missing(name, patterns, at_layer) is None]
    methods = list(dict.fromkeys(name.strip().lower() for name in names.split(",") if name.strip()))
    unknown = [name for name in methods if base_name(name) not in TITLES]
    if not methods or unknown:
        hint = did_you_mean(unknown[0], TITLES) if unknown else ""
        raise CommandError(
            f"--methods {names}: expected some of {','.join(TITLES)}, and with {XRAI_SUFFIX} after each.{hint}"
        )
    for name in methods:
        reason = _missing(name, patterns, at_layer)
        if reason is not None:
            raise CommandError(f"--methods {name}: {reason}")
    return methods


def _missing(name: str, patterns: str | None, at_layer: bool) -> str | None:
    """The reason why a method is not available; ``None`` if it is."""
    spec = method_spec(name)
    if at_layer and (not isinstance(spec, PathMethodSpec) or spec.needs_patterns):
        return "not available with --layer"
    if spec.needs_patterns and patterns is None:
        return "needs --patterns FILE, which captum-ext fit-patterns writes"
    return None


def list_methods() -> list[str]:
    """One line per method: its name, its title and what it needs."""
    return [
        f"{name:20}{title}{' (needs --patterns)' if method_spec(name).needs_patterns else ''}"
        for name, title in TITLES.items()
    ]


def title(name: str) -> str:
    """The method's name in words."""
    return TITLES[base_name(name)] + (" regions" if name.endswith(XRAI_SUFFIX) else "")


def steps_of(name: str, steps: int | str) -> int | str:
    """The steps of a method: 50 for one that can't choose their number itself."""
    return steps if steps != "auto" or _is_adaptive(name) else _STEPS_WITHOUT_AUTO


def _is_adaptive(name: str) -> bool:
    spec = method_spec(name)
    if not isinstance(spec, PathMethodSpec) or spec.needs_patterns or not spec.path.look_ahead:
        return False
    try:
        spec.quadrature.for_adaptive_steps()
    except ValueError:
        return False
    return True


def compute_map(
    name: str,
    model: ProbabilityModel,
    image: ImageBatch,
    steps: int | str,
    layer: nn.Module | None = None,
) -> ImageMap:
    """The map of one image, resized to the image if it is computed at a layer.

    Raises:
        UserError: If the layer has no grid of units.
    """
    result = _compute_pixel_map(base_name(name), model, image, steps_of(name, steps), layer)
    if layer is not None:
        result = result._replace(attributions=_resize(result.attributions, image.inputs))
    if not name.endswith(XRAI_SUFFIX):
        return result
    # The regions have the sum of the pixels' map, so its errors are theirs.
    return result._replace(attributions=region_maps(result.attributions, image.inputs))


def _compute_pixel_map(
    name: str, model: ProbabilityModel, image: ImageBatch, steps: Any, layer: nn.Module | None
) -> ImageMap:
    spec = method_spec(name)
    if isinstance(spec, ComparatorSpec):
        return ImageMap(spec.attribute(model, image))
    if isinstance(spec, StepMethodSpec):
        attributions, delta = spec.attribute(model, image, steps)
        return ImageMap(attributions, delta, _change(attributions, delta))
    method: PathAttribution | LayerPathAttribution = spec.bind(model)
    if layer is not None:
        method = LayerPathAttribution(model.probability, layer, path=spec.path, quadrature=spec.quadrature)
    has_delta = method.has_convergence_delta()
    adaptive: dict[str, Any] = {"tol": _AUTO_TOLERANCE} if steps == "auto" else {}
    result = method.attribute(
        image.inputs,
        spec.baselines(image),
        image.target,
        n_steps=steps,
        return_convergence_delta=has_delta,
        return_diagnostics=has_delta,
        show_progress=model.show_progress,
        **adaptive,
    )
    if not has_delta:
        return ImageMap(result)
    attributions, delta, diagnostics = result
    exact_sum = isinstance(spec.quadrature, ImportantDirection)
    return ImageMap(attributions, delta, _change(attributions, delta), diagnostics, exact_sum)


def _change(attributions: Tensor, delta: Tensor | None) -> Tensor | None:
    return None if delta is None else attributions.flatten(1).sum(1) - delta


def _resize(attributions: Any, inputs: Tensor) -> Tensor:
    """The sum over a layer's channels in the size of the image."""
    if not isinstance(attributions, Tensor) or attributions.dim() != 4:
        got = f"shape {tuple(attributions.shape)}" if isinstance(attributions, Tensor) else "several tensors"
        raise CommandError(f"--layer: expected a layer whose output is (B, C, H, W), got {got}")
    total = attributions.sum(1, keepdim=True)
    return interpolate(total, size=inputs.shape[-2:], mode="bilinear", align_corners=False)
