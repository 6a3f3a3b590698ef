"""Fit patterns to data in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from captum_ext._utils._captum import progress
from captum_ext._utils.buffers import preserve_buffers
from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.warnings import warn
from captum_ext.patterns._collector import StatisticsCollector
from captum_ext.patterns._layer_uses import trace_uses
from captum_ext.patterns._layers import first_input, layer_weights, unwrap, weight_versions, weights_to_fit
from captum_ext.patterns._statistics import Estimator, Mean, Statistics, UnitLayout, empty_statistics
from captum_ext.patterns.bank import FitReport, LayerInfo, Patterns, batch_norms, fingerprint
from captum_ext.patterns.fold import fold, foldable_pairs

Choice = Literal["auto", "positive", "linear"]


class PatternFitter:
    """Fits patterns to a stream of batches. Memory does not depend on the number of batches.

    Args:
        model: The model, in evaluation mode. It is not changed.
        estimator: ``"linear"`` or ``"positive"`` (the part of the two-component estimator where the unit fires) for
            all layers, or ``"auto"`` (default): positive for layers whose output only ReLU-like functions use, and
            linear for other layers, such as the last one.
        mean: The definition of E[y] in the positive estimator: ``"preactivation"`` (default), the mean of the layer's
            output before the ReLU, as in the first author's code; or ``"rectified"``, the mean after it, as in the code
            of the PGIG paper's Fig. 2. Both are means over all samples.
        layers: The names of the layers to fit. Default: all linear and convolution layers.
        fold: Whether to fold BatchNorm first. The patterns then belong to the attribute ``model``, the folded copy.
            Default: False, which raises an error if there is BatchNorm to fold.

    Raises:
        ValueError, TypeError: If an argument is invalid.

    Reference:
        Kindermans et al.: Learning how to explain neural networks: PatternNet and PatternAttribution. ICLR 2018.
        https://arxiv.org/abs/1705.05598

    Example:
        >>> from captum_ext.patterns import PatternFitter
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> fitter = PatternFitter(model)
        >>> for _ in range(3):
        ...     fitter.update(torch.randn(16, 4))
        >>> {name: layer.estimator for name, layer in fitter.patterns().info.layers.items()}
        {'0': 'positive', '2': 'linear'}
    """

    def __init__(
        self,
        model: nn.Module,
        estimator: Choice = "auto",
        mean: Mean = "preactivation",
        layers: Iterable[str] | None = None,
        fold: bool = False,
    ) -> None:
        """See the class."""
        if not isinstance(model, nn.Module):
            raise TypeError(f"model: expected an nn.Module, got {type(model).__name__}.")
        for name, value, choices in (("estimator", estimator, Choice), ("mean", mean, Mean)):
            if value not in get_args(choices):
                raise ValueError(f"{name}: expected one of {get_args(choices)}, got {value!r}.")
        self.model = unwrap(model)
        self._estimator = estimator
        self._mean: Mean = mean
        if isinstance(layers, str):
            raise TypeError(f"layers: expected a list of names, got the string {layers!r}. Write [{layers!r}].")
        self._layers = None if layers is None else list(layers)
        self._fold = fold
        self._weights = weights_to_fit(self.model, self._layers)
        # Fitters to be merged must agree in these; the weights of the folded model follow from the model's.
        fingerprints = {name: fingerprint(weight) for name, weight in self._weights.items()}
        self._settings = (fingerprints, estimator, mean, fold)
        self._versions: list[tuple[int, int]] = []
        self._estimators: dict[str, Estimator] = {}
        self._unfolded: tuple[str, ...] = ()
        self._folded = False
        self._statistics: dict[str, Statistics] = {}
        self._inputs = 0

    def update(self, batch: Any) -> None:
        """Add a batch to the sums.

        Args:
            batch: The model's input, a tensor (B, ...), or a tuple or list whose first item is this input.

        Raises:
            TypeError: If the batch has another type.
            ValueError: If the batch contains a NaN or infinity, or, for the first batch, the model's BatchNorm is not
                folded.

        Warns:
            UserWarning: If the model is in training mode, or a chosen layer does not run.
        """
        inputs = first_input(batch)
        if not bool(torch.isfinite(inputs).all()):
            raise ValueError("batch: contains a NaN or infinity.")
        weight = next(iter(self._weights.values()))
        inputs = inputs.to(weight.device)
        with torch.inference_mode(False), torch.no_grad(), preserve_model_state(self.model):
            if not self._estimators:
                self._inspect_model(inputs)
            if self._versions != weight_versions(self._weights):
                raise ValueError("The model's weights changed since the first batch. Create a new fitter.")
            collector = StatisticsCollector(
                {id(self._weights[name]): name for name in self._estimators}, self._estimators
            )
            with preserve_buffers(self.model.modules()), collector:  # _inspect_model may have replaced the model
                self.model(inputs.clone())  # the model may change its inputs
            # Only now, because a forward pass that fails must not leave some layers with more samples than others.
            for name, statistics in collector.statistics.items():
                self._add_statistics(name, statistics)
            for name, call, output in collector.samples:
                if name not in self._statistics:
                    self._statistics[name] = empty_statistics(call, self._estimators[name])
                self._statistics[name].add_samples(call.input, output, self._estimators[name])
        self._inputs += len(inputs)

    def merge(self, other: PatternFitter) -> None:
        """Add the sums of another fitter of the same model, for example from another machine.

        Raises:
            ValueError: If the other fitter has another model or other settings.
        """
        is_empty = not self._inputs
        if self._settings != other._settings or not (
            is_empty or not other._inputs or (self._estimators, self._unfolded) == (other._estimators, other._unfolded)
        ):
            raise ValueError("merge: expected a fitter of the same model, layers, estimator, mean and fold.")
        if not other._inputs:
            return
        if is_empty:
            self._estimators, self._unfolded = dict(other._estimators), other._unfolded
            self.model, self._weights, self._versions = other.model, other._weights, other._versions
            self._folded = other._folded
        with torch.inference_mode(False), torch.no_grad():
            for name, statistics in other._statistics.items():
                self._add_statistics(name, statistics)
        self._inputs += other._inputs

    def patterns(self) -> Patterns:
        """The patterns for all batches so far, in the weights' dtype and on their device.

        Raises:
            ValueError: If there were no batches.

        Warns:
            UserWarning: If a layer has fewer samples than a unit has weights.
        """
        if not self._inputs:
            raise ValueError("There are no data yet. Call update(batch) first.")
        if not self._statistics:
            raise ValueError("None of the layers runs in a forward pass of the model, so there is nothing to fit.")
        tensors, layers = {}, {}
        for name in filter(self._statistics.__contains__, self._weights):  # in the model's order
            weight, estimator = self._weights[name].detach(), self._estimators[name]
            statistics = self._statistics[name]
            layer = self.model.get_submodule(name)
            layout = UnitLayout(getattr(layer, "groups", 1), getattr(layer, "transposed", False))
            fit = statistics.fit(weight, estimator, self._mean, layout)
            tensors[name] = fit.pattern.to(weight)
            if bool(fit.dead.all()):
                warn(
                    f"No unit of {name!r} varies with its input, within the precision of {weight.dtype}: its pattern "
                    "is zero, so attributions through this layer are zero. Standardize the inputs, or fit in float64."
                )
            layers[name] = LayerInfo(estimator, statistics.samples, int(fit.dead.sum()), fingerprint(weight))
        self._warn_of_few_samples(layers)
        report = FitReport(self._mean, self._inputs, layers, self._unfolded)
        return Patterns(tensors, report, self.model if self._folded else None)

    def _warn_of_few_samples(self, layers: dict[str, LayerInfo]) -> None:
        """Warn of layers whose patterns are noise: with N samples of d features, about sqrt(d / N) of the signal."""
        features = {name: self._n_features(name) for name in layers}
        few = [name for name, layer in layers.items() if layer.samples < features[name]]
        if few:
            worst = min(few, key=lambda name: layers[name].samples / features[name])
            warn(
                f"Too few samples for the patterns of {len(few)} of {len(layers)} layers: {worst!r} has "
                f"{layers[worst].samples} samples for {features[worst]} weights per unit. With fewer samples than "
                "weights, noise can exceed the signal; fit more data."
            )

    def _n_features(self, name: str) -> int:
        """The number of a layer's weights per unit."""
        weight, layer = self._weights[name], self.model.get_submodule(name)
        transposed, groups = bool(getattr(layer, "transposed", False)), int(getattr(layer, "groups", 1))
        return weight.numel() // (weight.shape[1] * groups if transposed else len(weight))

    def _inspect_model(self, inputs: Tensor) -> None:
        """Determine from the first batch which functions follow each layer."""
        tracer = trace_uses(self.model, layer_weights(self.model), inputs)
        pairs = foldable_pairs(self.model, tracer)
        if pairs and not self._fold:
            layer, norm = next(iter(pairs.items()))
            raise ValueError(
                f"The model has {len(pairs)} BatchNorm layers that can be folded (the first is {norm!r}, after "
                f"{layer!r}). Pass fold=True, or fit captum_ext.patterns.fold_batch_norm(model, example_inputs)."
            )
        if pairs:
            self.model = fold(self.model, pairs, inputs)
            self._folded = True
            self._weights = weights_to_fit(self.model, self._layers)
            tracer = trace_uses(self.model, layer_weights(self.model), inputs)
        idle = [name for name in self._weights if not tracer.uses[name].calls]
        if idle:
            warn(
                f"No pattern for {idle}: these layers do not run in a forward pass, or only inside another function, "
                "as the projections of nn.MultiheadAttention do."
            )
        self._versions = weight_versions(self._weights)
        self._unfolded = batch_norms(self.model)
        unfolded = [name for name, count in tracer.norm_calls.items() if count]
        if unfolded:
            warn(f"BatchNorm that can't be folded keeps its ordinary gradient: {', '.join(unfolded)}.")
        for name in self._weights:
            if name not in idle:
                automatic: Estimator = "positive" if tracer.uses[name].only_rectified else "linear"
                self._estimators[name] = automatic if self._estimator == "auto" else self._estimator

    def _add_statistics(self, name: str, statistics: Statistics) -> None:
        if name in self._statistics:
            self._statistics[name].merge(statistics)
        else:
            self._statistics[name] = statistics.double()


def fit_patterns(
    model: nn.Module,
    loader: Iterable[Any],
    estimator: Choice = "auto",
    mean: Mean = "preactivation",
    layers: Iterable[str] | None = None,
    fold: bool = False,
    show_progress: bool = False,
) -> Patterns:
    """Fit patterns to the model's layers in one pass over the data.

    Args:
        model: The model; see :class:`PatternFitter` for this argument and for ``estimator``, ``mean``, ``layers`` and
            ``fold``.
        loader: Batches: tensors, or tuples or lists whose first item is the model's input.
        estimator: ``"auto"``, ``"positive"`` or ``"linear"``.
        mean: ``"preactivation"`` or ``"rectified"``.
        layers: The layers to fit.
        fold: Whether to fold BatchNorm first. The patterns then belong to their attribute ``folded_model``, a copy of
            the model; explain that copy, as in ``PGIG(patterns.folded_model, patterns)``.
        show_progress: Whether to show a progress bar on a terminal. Default: False.

    Returns:
        A pattern for each layer name, with the shape of the layer's weight.

    Warns:
        UserWarning: If a layer has fewer samples than a unit has weights.

    Raises:
        TypeError, ValueError: In the same cases as :class:`PatternFitter` and its ``update``.

    Reference:
        Kindermans et al.: Learning how to explain neural networks: PatternNet and PatternAttribution. ICLR 2018.
        https://arxiv.org/abs/1705.05598

    Example:
        >>> from captum_ext.patterns import fit_patterns
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
        >>> fit_patterns(model, [torch.rand(8, 1, 9, 9)])["0"].shape
        torch.Size([4, 1, 3, 3])
    """
    fitter = PatternFitter(model, estimator, mean, layers, fold)
    # disable=None shows the bar only on a terminal.
    for batch in progress(loader, desc="fitting patterns", disable=None if show_progress else True):
        fitter.update(batch)
    return fitter.patterns()
