"""The maps of a batch for many methods and step counts, from as few walks along paths as possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.evaluation.method_registry import COMPARATORS, PATH_METHODS, STEP_METHODS, XRAI_SUFFIX, base_name
from captum_ext.quadratures import Quadrature, Subsampled
from captum_ext.regions import segment, xrai

# By the inputs: shared by all methods, classes and randomized models.
_segments: WeakIdKeyDictionary = WeakIdKeyDictionary()


class MethodMaps(NamedTuple):
    """The maps of a batch for one method and step count.

    Attributes:
        method: The method's name.
        steps: The number of steps; 0 for methods without a path.
        maps: (B, C, H, W), or (B, 1, H, W) for regions.
        completeness_error: ``|delta| / |change of the output|``, (B,), of methods with a convergence delta.
    """

    method: str
    steps: int
    maps: Tensor
    completeness_error: Tensor | None


def compute_maps(
    model: ProbabilityModel, batch: ImageBatch, methods: Sequence[str], steps: Sequence[int], truncated: bool = False
) -> Iterator[MethodMaps]:
    """Explain a batch with each method and number of steps; methods on the same path share a walk.

    Args:
        model: The model.
        batch: The images and their classes.
        methods: Names of methods.
        steps: Numbers of steps; methods without a path are computed once.
        truncated: Whether coarse runs take every k-th point of the finest run, which stops short of the input.
    """
    for result in _pixel_maps(model, batch, list(dict.fromkeys(map(base_name, methods))), steps, truncated):
        if result.method in methods:
            yield result
        if result.method + XRAI_SUFFIX in methods:
            yield result._replace(method=result.method + XRAI_SUFFIX, maps=region_maps(result.maps, batch.inputs))


def region_maps(maps: Tensor, inputs: Tensor) -> Tensor:
    """XRAI's regions of maps (B, C, H, W), (B, 1, H, W); a map with a NaN or infinity becomes NaN.

    The sum over channels, which regions keep; with PAIR's maximum, they follow the picture's brightness.
    """
    if inputs not in _segments:
        _segments[inputs] = segment(inputs)
    finite = torch.isfinite(maps).flatten(1).all(1)[:, None, None, None]
    regions = xrai(torch.where(finite, maps, 0), segments=_segments[inputs], channels="sum").unsqueeze(1)
    return torch.where(finite, regions, torch.nan)


def _pixel_maps(
    model: ProbabilityModel, batch: ImageBatch, methods: Sequence[str], steps: Sequence[int], truncated: bool
) -> Iterator[MethodMaps]:
    on_paths = sorted((name for name in methods if name in PATH_METHODS), key=_walk_key)
    for _, names in groupby(on_paths, key=_walk_key):
        yield from _path_maps(model, batch, list(names), steps, truncated)
    for name in methods:
        if name in STEP_METHODS:
            for number in steps:
                maps, delta = STEP_METHODS[name].attribute(model, batch, number)
                yield MethodMaps(name, number, maps, None if delta is None else _relative_delta(maps, delta))
        if name in COMPARATORS:
            yield MethodMaps(name, 0, COMPARATORS[name].attribute(model, batch), None)


def _walk_key(name: str) -> tuple[str, bool, bool]:
    """The properties that methods in one walk have in common."""
    spec = PATH_METHODS[name]
    return str(spec.path), spec.needs_patterns, spec.quadrature.complete


def _relative_delta(maps: Tensor, delta: Tensor) -> Tensor:
    change = maps.flatten(1).sum(1) - delta
    return delta.abs() / change.abs()


def _path_maps(
    model: ProbabilityModel, batch: ImageBatch, names: list[str], steps: Sequence[int], truncated: bool
) -> Iterator[MethodMaps]:
    """The maps of methods on the same path."""
    spec = PATH_METHODS[names[0]]
    method = spec.bind(model)
    has_delta = method.has_convergence_delta()
    for n_steps, runs in _plan_walks(spec.path.look_ahead, steps, truncated):
        jobs = [(name, number, every) for name in names for number, every in runs]
        quadratures = [
            Subsampled(_run_quadrature(PATH_METHODS[name].quadrature, truncated), every) for name, _, every in jobs
        ]
        results = method.attribute_each(
            quadratures,
            batch.inputs,
            spec.baselines(batch),
            batch.target,
            n_steps=n_steps,
            internal_batch_size=model.internal_batch_size,
            return_convergence_delta=has_delta,
        )
        for (name, number, _), result in zip(jobs, results, strict=True):
            maps, delta = result if has_delta else (result, None)
            yield MethodMaps(name, number, maps, None if delta is None else _relative_delta(maps, delta))


def _run_quadrature(quadrature: Quadrature, truncated: bool) -> Quadrature:
    # With the left rule, the last point of a truncated run covers the rest of the path; the trapezoid rule drops half.
    return quadrature.with_method("riemann_left") if truncated else quadrature


def _plan_walks(look_ahead: bool, steps: Sequence[int], truncated: bool) -> list[tuple[int, list[tuple[int, int]]]]:
    """The number of steps of each walk, and the runs that it serves: (steps of the run, every k-th point)."""
    finest = max(steps)
    if look_ahead and truncated:
        return [(finest - 1, [(number, finest // number) for number in steps])]
    if look_ahead and all(finest % number == 0 for number in steps):
        return [(finest, [(number, finest // number) for number in steps])]
    return [(number, [(number, 1)]) for number in steps]
