"""The quality of patterns: rho of Kindermans et al."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captum_ext._utils._captum import progress
from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.numbers import check_positive
from captum_ext._utils.random import as_seed
from captum_ext._utils.warnings import warn
from captum_ext.patterns._layers import first_input, unwrap
from captum_ext.patterns._sample import InputSampler, LayerSamples
from captum_ext.patterns.bank import Patterns

_ESTIMATORS = ("pattern", "weight", "random")
# Relative to the mean variance: larger values ignore directions of low variance, smaller ones are unstable.
_RIDGE = 1e-6
_SAMPLES, _FEWEST_SAMPLES = 20_000, 1_000
_MEMORY, _BYTES = 2_000_000_000, 4  # of all samples, which are float32


@dataclass(frozen=True)
class SignalQuality:
    """Rho of each measured unit, by layer and by signal estimator.

    Attributes:
        rho: For each layer, the tensors (units,) of ``"pattern"``, ``"weight"`` and ``"random"``. Layers that
            did not run are not included.
    """

    rho: dict[str, dict[str, Tensor]]

    def mean(self, layer: str, estimator: str) -> float:
        """The mean over a layer's units."""
        return float(self.rho[layer][estimator].mean())

    def __str__(self) -> str:
        """A table of the means."""
        width = max(map(len, self.rho), default=5)
        lines = [f"{'layer':{width}}  units  " + "  ".join(f"{name:>7}" for name in _ESTIMATORS)]
        for layer, rho in self.rho.items():
            means = "  ".join(f"{self.mean(layer, name):7.3f}" for name in _ESTIMATORS)
            lines.append(f"{layer:{width}}  {len(rho['pattern']):5}  {means}")
        return "\n".join(lines)

    def plot(self, path: str | Path) -> None:
        """Plot the means by layer, with the quartiles over units, to an image file."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(max(5.0, 1.5 + 0.45 * len(self.rho)), 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        panel = figure.subplots()
        places = torch.arange(len(self.rho))
        for shift, name in zip((-0.2, 0.0, 0.2), _ESTIMATORS, strict=True):
            values = [rho[name] for rho in self.rho.values()]
            means = torch.stack([value.mean() for value in values])
            low, high = (torch.stack([value.quantile(q) for value in values]) for q in (0.25, 0.75))
            spread = torch.stack([(means - low).clamp(min=0), (high - means).clamp(min=0)])
            panel.errorbar(places + shift, means, yerr=spread, fmt="o", capsize=2, label=name)
        panel.set_xticks(places, list(self.rho), rotation=60, ha="right", fontsize=7)
        panel.set_ylim(0, 1.05)
        panel.set_ylabel("rho (1: no signal remains)")
        panel.set_title("Signal quality: mean and quartiles over units", fontsize=10)
        panel.legend(fontsize=8)
        figure.savefig(path, dpi=150)


def signal_quality(
    model: nn.Module,
    patterns: Patterns,
    loader: Iterable[Any],
    samples: int | None = None,
    units: int = 32,
    generator: int | torch.Generator = 0,
    show_progress: bool = False,
) -> SignalQuality:
    r"""Kindermans' measure of how much of a unit's signal a pattern captures, by layer.

    A signal estimator determines which part of a layer's input x produced a unit's output y = w.x: for a direction a
    (with w.a = 1), this part is a y. The remainder x - a y should contain no information about y:
    :math:`\rho(a) = 1 - \max_v \operatorname{corr}(w^T x, v^T (x - a\,w^T x))` is 0 if y can be predicted perfectly
    from the remainder, and 1 if it can't be predicted at all. v is fitted to one half of the samples, and the
    correlation is computed on the other half.

    As in the paper, a positive pattern is evaluated together with the other part of the two-component estimator, the
    direction where the unit does not fire. Backward passes do not use this direction, so it is fitted here, to the
    first half of the samples.

    Args:
        model: The model to which the patterns were fitted, in evaluation mode.
        patterns: The patterns.
        loader: Batches, as for :func:`~captum_ext.patterns.fit_patterns`; preferably other data than in the fit.
        samples: Number of a layer's inputs (rows or patches) to keep, a uniform sample. Default ``None``: 20,000, or as
            many as fit into 2 GB for all layers together, after a warning. If a unit has more weights than half this
            number, v is estimated poorly, and rho is too high for all estimators.
        units: Number of units of a layer to evaluate, chosen at random. Default: 32.
        generator: For the choice of samples and units, and for the random direction: an integer seed, or a generator,
            from which one is drawn. Default: 0.
        show_progress: Whether to show a progress bar on a terminal. Default: False.

    Returns:
        Rho of the patterns, the weights (a = w / w.w) and a random direction; ``print`` shows the means by layer. Dead
        units and transposed convolutions are not included.

    Raises:
        ValueError: If the patterns do not fit the model, or there are too few data.
        TypeError: If arguments are swapped, or a batch is neither a tensor nor a tuple whose first item is one.

    Reference:
        Kindermans et al.: Learning how to explain neural networks: PatternNet and PatternAttribution. ICLR 2018.
        https://arxiv.org/abs/1705.05598

    Example:
        >>> from captum_ext.patterns import fit_patterns, signal_quality
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> data = torch.randn(1000, 4) * torch.tensor([3.0, 1.0, 1.0, 0.1])
        >>> quality = signal_quality(model, fit_patterns(model, [data]), [data])
        >>> quality.mean("2", "pattern") > quality.mean("2", "random")
        True
    """
    if not isinstance(model, nn.Module) or not isinstance(patterns, Patterns):
        raise TypeError(
            "signal_quality: expected model, patterns, loader in this order, got "
            f"{type(model).__name__}, {type(patterns).__name__}, {type(loader).__name__}."
        )
    if samples is not None:
        check_positive("samples", samples)
    check_positive("units", units)
    model = unwrap(model)
    weights = patterns.weights(model)
    source = torch.Generator().manual_seed(as_seed(generator))
    sampler = InputSampler({name: _choose_units(patterns[name], units, source) for name in patterns}, weights, model)
    sampler.max_samples = _default_samples(sampler, weights) if samples is None else samples
    bar = progress(loader, desc="signal quality", disable=None if show_progress else True)
    with torch.no_grad(), preserve_model_state(model):
        for batch in bar:
            inputs = first_input(batch)
            with sampler.sampling(source):
                model(inputs.to(next(iter(weights.values())).device).clone())  # the model may change its inputs
    rho = {}
    for name, layer in sampler.layers.items():
        positive = patterns.info is not None and patterns.info.layers[name].estimator == "positive"
        halves = {group: _SampleHalves(x.double()) for group, x in layer.by_group().items() if len(x) >= 4}
        values = [
            _unit_rho(layer, k, halves[group], patterns[name], weights[name], positive, source)
            for k, group in enumerate(layer.groups)
            if group in halves
        ]
        if values:
            rho[name] = dict(zip(_ESTIMATORS, torch.tensor(values, device="cpu").T, strict=True))
    if not rho:
        raise ValueError(
            "loader: too little data to evaluate a layer. Pass an iterable of batches with at least four inputs; a "
            "generator that was used for the fit is empty."
        )
    return SignalQuality(rho)


def _default_samples(sampler: InputSampler, weights: dict[str, Tensor]) -> int:
    """20,000 samples of each layer, or as many as the memory allows."""
    features = sampler.n_values(weights)
    fitting = max(_FEWEST_SAMPLES, _MEMORY // (_BYTES * max(features, 1)))
    if fitting >= _SAMPLES:
        return _SAMPLES
    wanted, used = (count * _BYTES * features / 1e9 for count in (_SAMPLES, fitting))
    warn(
        f"signal_quality: {_SAMPLES:,} samples of {len(sampler.layers)} layers would take {wanted:.1f} GB, so "
        f"{fitting:,} are kept ({used:.1f} GB). Pass samples= for another number."
    )
    return fitting


def _choose_units(pattern: Tensor, units: int, generator: torch.Generator) -> Tensor:
    alive = pattern.flatten(1).abs().amax(1).nonzero().flatten().cpu()
    return alive[torch.randperm(len(alive), generator=generator, device="cpu")[:units]]


def _unit_rho(
    layer: LayerSamples,
    k: int,
    halves: _SampleHalves,
    pattern: Tensor,
    weight: Tensor,
    positive: bool,
    generator: torch.Generator,
) -> list[float]:
    """Rho of the three estimators for one unit."""
    unit = int(layer.units[k])
    w, a = (tensor[unit].detach().flatten().cpu().double() for tensor in (weight, pattern))
    y = halves.x @ w + layer.bias[unit]
    random = torch.randn(len(w), dtype=torch.float64, generator=generator, device="cpu")
    # A signal estimator's parts of y, (samples, parts), and the direction of each, (parts, features).
    whole = y.unsqueeze(1)
    signals = [(whole, direction.unsqueeze(0)) for direction in (a, w / (w @ w), random / (w @ random))]
    if positive:
        half = len(halves.search)
        other = _negative_part(halves.x[:half], y[:half], w)
        signals[0] = (torch.stack([y.clamp(min=0), y.clamp(max=0)], 1), torch.stack([a, other]))
    return [1 - halves.residual_correlation(y, parts, directions) for parts, directions in signals]


def _negative_part(x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """The two-component estimator's direction where the unit does not fire."""
    negative = y <= 0
    if not negative.any():
        return torch.zeros_like(w)
    numerator = (x[negative] * y[negative].unsqueeze(1)).mean(0) - x[negative].mean(0) * y.mean()
    denominator = w @ numerator
    return numerator / torch.where(denominator == 0, 1, denominator)


class _SampleHalves:
    """A layer's samples x (samples, features): one half to fit v, the other to compute the correlation."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        half = len(x) // 2
        self.search, self.check = (part - part.mean(0) for part in (x[:half], x[half:]))
        # Shared by all units: the products of features, or of samples if there are fewer samples than features.
        self._primal = x.shape[1] <= half
        self._products = self.search.T @ self.search if self._primal else self.search @ self.search.T

    def residual_correlation(self, y: Tensor, parts: Tensor, directions: Tensor) -> float:
        """The correlation of y with its best prediction from the remainder, x minus the signal parts @ directions."""
        half = len(self.search)
        y_search, y_check = y[:half] - y[:half].mean(), y[half:] - y[half:].mean()
        z, z_check = (part - part.mean(0) for part in (parts[:half], parts[half:]))
        if self._primal:  # the covariance of the remainder, from that of x
            cross = (self.search.T @ z) @ directions
            products = self._products - cross - cross.T + directions.T @ (z.T @ z) @ directions
            v = _solve_ridge(products, self.search.shape, self.search.T @ y_search - directions.T @ (z.T @ y_search))
        else:
            cross = (self.search @ directions.T) @ z.T
            products = self._products - cross - cross.T + z @ (directions @ directions.T) @ z.T
            u = _solve_ridge(products, self.search.shape, y_search)
            v = self.search.T @ u - directions.T @ (z.T @ u)
        prediction = self.check @ v - z_check @ (directions @ v)
        norms = y_check.norm() * prediction.norm()
        return max(0.0, float(y_check @ prediction / norms)) if norms > 0 else 0.0


def _solve_ridge(products: Tensor, shape: torch.Size, right: Tensor) -> Tensor:
    ridge = _RIDGE * products.trace() / shape.numel() * shape[0] + torch.finfo(products.dtype).tiny
    solution: Tensor = torch.linalg.solve(
        products + ridge * torch.eye(len(products), dtype=products.dtype, device=products.device), right
    )
    return solution
