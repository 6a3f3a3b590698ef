"""Compare methods on tensors of any kind: images, tables, sequences."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from captum.attr import Attribution
from torch import Tensor

from captum_ext._utils.optional import optional
from captum_ext._utils.text import did_you_mean
from captum_ext._utils.types import TargetType
from captum_ext._utils.warnings import warn
from captum_ext.evaluation.estimates import Estimate, combine
from captum_ext.evaluation.reporting.figures import methods as draw_methods
from captum_ext.evaluation.scores import ScoreTable, ScoreVariant
from captum_ext.metrics import PerturbationCurve, degradation, deletion, diffid, insertion, road

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MetricFunction = Callable[[Callable[..., Any], Tensor, Tensor, TargetType], Any]
_MODEL = ""
_SIGNS = ("signed", "absolute")
_WITH_BASELINES: dict[str, Callable[..., Any]] = {"insertion": insertion, "deletion": deletion, "diffid": diffid}
_OF_IMAGES: dict[str, Callable[..., Any]] = {"degradation": degradation, "road": road}


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """The scores of several methods for the same examples.

    Attributes:
        frame: One row per method and score: ``method``, ``score``, ``value``, ``low``, ``high`` (95% bootstrap interval
            over the examples), ``n`` (examples with a value) and ``better`` (``"higher"``, ``"lower"``, or empty).
        examples: One row per method, score and example: ``method``, ``score``, ``example``, ``value``.
    """

    frame: pd.DataFrame
    examples: pd.DataFrame
    _table: ScoreTable

    def difference(self, score: str, method: str, other: str) -> Estimate:
        """A method's value minus another's, over the examples that both have; both are resampled together.

        Args:
            score: A score of :attr:`frame`.
            method: A method's name.
            other: Another's.

        Returns:
            The difference with its 95% interval.

        Raises:
            ValueError: If one of them has no such score.
        """
        variant = next((each for each in self._table.scores if _score_name(each) == score), None)
        samples = [
            None if variant is None else self._table.sample(_MODEL, name, variant.name, variant.variant)
            for name in (method, other)
        ]
        estimate = combine(samples, lambda values: values[0] - values[1])
        if estimate is None:
            known = sorted(set(zip(self.frame["score"], self.frame["method"], strict=True)))
            raise ValueError(
                f"difference: expected a score and two methods of {known}; got {score!r}, {method!r} and {other!r}."
            )
        return estimate

    def plot(self) -> Figure:
        """A matplotlib figure with one panel per score: each method's value and interval.

        Raises:
            ValueError: If no score has a value.
        """
        drawing = draw_methods(self._table, _MODEL, self._table.scores, "Value and 95% interval over examples")
        if drawing is None:
            raise ValueError("plot: no score has a value.")
        return drawing.figure

    def __repr__(self) -> str:
        """The frame."""
        return repr(self.frame)


def compare(
    methods: Mapping[str, Attribution],
    forward_func: Callable[..., Any],
    inputs: Tensor,
    target: TargetType = None,
    metrics: Sequence[str] | Mapping[str, MetricFunction] = ("insertion", "deletion", "completeness"),
    baselines: Tensor | float = 0,
    arguments: Mapping[str, Mapping[str, Any]] | None = None,
    additional_forward_args: object = None,
    internal_batch_size: int | None = None,
) -> Comparison:
    """Explain the same examples with several methods and measure the maps with several metrics.

    Args:
        methods: By name, attribution objects of this library or Captum's, whose ``attribute`` takes inputs and target.
        forward_func: The function that the metrics evaluate, which returns one row of scores per example. Give the
            methods the same one. Most papers use the softmax.
        inputs: One tensor: images (B, C, H, W), sequences (B, C, T), whose channels share their positions, or tables
            (B, F), whose features are the positions.
        target: The score to explain; see :meth:`captum_ext.attr.PathAttribution.attribute`.
        metrics: Names: ``"insertion"``, ``"deletion"`` and ``"diffid"`` for all inputs; ``"degradation"`` and
            ``"road"`` for images; ``"completeness"``, the relative delta of methods that have one. Insertion and
            deletion rank by sign and by magnitude; ``"insertion:signed"`` or ``"insertion:absolute"`` does one of them.
            Or functions by name, called with forward_func, inputs, attributions and target, that return one value per
            example or a :class:`~captum_ext.metrics.PerturbationCurve`.
        baselines: The path's start, for methods that take one, and the values before insertion and after deletion.
            Default: 0.
        arguments: Further arguments of ``attribute`` for each method's name, such as ``{"ig": {"n_steps": 200}}``.
        additional_forward_args: Further arguments of ``forward_func``, for methods and metrics.
        internal_batch_size: Maximum number of rows in a forward pass, for metrics and for methods that have it.

    Returns:
        The comparison with ``frame``, ``examples``, ``difference(...)`` and ``plot()``.

    Raises:
        TypeError, ValueError: If a method, a metric or an input is invalid, or a metric does not fit the inputs.

    Warns:
        RuntimeWarning: If a method's map has a NaN or infinity; that example has no value then.

    Example:
        >>> from captum_ext.attr import IDGI, IntegratedGradients
        >>> from captum_ext.evaluation import compare
        >>> model = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
        >>> probability = lambda x: model(x).softmax(1)
        >>> table = torch.randn(20, 6)
        >>> methods = {"ig": IntegratedGradients(probability), "idgi": IDGI(probability)}
        >>> result = compare(methods, probability, table, target=1, metrics=["insertion:signed", "completeness"])
        >>> result.frame[["method", "score", "n"]].values.tolist()[0]
        ['ig', 'insertion (signed)', 20]
        >>> result.difference("insertion (signed)", "ig", "idgi").n
        20
    """
    pandas = optional("pandas", "evaluation")
    _check(methods, inputs, arguments)
    functions = _metric_functions(metrics, inputs, baselines, additional_forward_args, internal_batch_size)
    common = {"additional_forward_args": additional_forward_args, "internal_batch_size": internal_batch_size}
    has_completeness = not isinstance(metrics, Mapping) and "completeness" in metrics
    rows: list[tuple[Any, ...]] = []
    for name, method in methods.items():
        own = (arguments or {}).get(name, {})
        keywords = {**_accepted(method, {"baselines": baselines, **common}), **own}
        maps, error = _attribute_by_name(name, method, inputs, target, keywords, has_completeness)
        nonfinite = ~torch.isfinite(maps).flatten(1).all(1)
        if bool(nonfinite.any()):
            warn(f"{name}: NaN or infinity in the maps of examples {_indices(nonfinite)}, left out.", RuntimeWarning)
            maps = torch.where(nonfinite.reshape(-1, *(1,) * (maps.dim() - 1)), 0, maps)
        for (score, variant), function in functions.items():
            values = function(forward_func, inputs, maps, target)
            rows += _rows_of_metric(name, score, variant, values, nonfinite)
        if error is not None:
            rows += _rows_of_metric(name, "completeness", "relative", error, nonfinite)
    columns = ["model", "method", "steps", "score", "variant", "image", "value", "curve"]
    frame = pandas.DataFrame(rows, columns=columns)
    table = ScoreTable(frame, {"models": [_MODEL], "methods": list(methods)})
    return Comparison(_estimate_rows(table, methods), _examples(frame, table), table)


def _check(methods: object, inputs: object, arguments: Mapping[str, Any] | None) -> None:
    if not isinstance(methods, Mapping) or not methods:
        raise TypeError(f"methods: expected attribution objects by name, got {type(methods).__name__}.")
    for name, method in methods.items():
        if isinstance(method, type) or not hasattr(method, "attribute"):
            got = f"the class {method.__name__}" if isinstance(method, type) else type(method).__name__
            raise TypeError(f"methods: expected an object such as IDGI(model) for {name!r}, got {got}.")
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs: expected one tensor, got {type(inputs).__name__}.")
    if inputs.dim() < 2 or len(inputs) == 0:
        raise ValueError(
            f"inputs: expected (B, F), (B, C, T) or (B, C, H, W) with at least one example, got {tuple(inputs.shape)}."
        )
    unknown = set(arguments or {}) - set(methods)
    if unknown:
        raise ValueError(f"arguments: expected names of methods, {list(methods)}; got {sorted(unknown)}.")


def _metric_functions(
    metrics: Sequence[str] | Mapping[str, MetricFunction], inputs: Tensor, baselines: Any, forward_args: Any, rows: Any
) -> dict[tuple[str, str], MetricFunction]:
    """The functions by score and variant; completeness is computed with the maps."""
    if isinstance(metrics, Mapping):
        return {(name, ""): function for name, function in metrics.items()}
    if isinstance(metrics, str):
        raise TypeError(f"metrics: expected a list of names, got the string {metrics!r}. Write [{metrics!r}].")
    common = {"additional_forward_args": forward_args, "internal_batch_size": rows}
    fitting = {**_WITH_BASELINES, **(_OF_IMAGES if inputs.dim() == 4 else {})}
    functions: dict[tuple[str, str], MetricFunction] = {}
    for text in metrics:
        name, _, ranking = text.partition(":")
        if text == "completeness":
            continue
        if name not in fitting or ranking not in ("", *_SIGNS):
            hint = did_you_mean(text, fitting)
            raise ValueError(
                f"metrics: expected some of {', '.join([*fitting, 'completeness'])} for inputs of shape "
                f"{tuple(inputs.shape)}, the first with :signed or :absolute; got {text!r}.{hint}"
            )
        keywords = common if name in _OF_IMAGES else {**common, "baselines": baselines}
        default = _SIGNS if name in ("insertion", "deletion") else ("signed",)
        for each in (ranking,) if ranking else default:
            functions[name, each] = _bind_metric(fitting[name], {**keywords, "ranking": each})
    return functions


def _bind_metric(metric: Callable[..., Any], keywords: dict[str, Any]) -> MetricFunction:
    return lambda forward_func, inputs, maps, target: metric(forward_func, inputs, maps, target, **keywords)


def _accepted(method: Any, keywords: dict[str, Any]) -> dict[str, Any]:
    """The keywords that a method's ``attribute`` takes; of a wrapper such as NoiseTunnel, those of its method."""
    accepted = inspect.signature(method.attribute).parameters
    inner = getattr(method, "attribution_method", None)
    passes_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
    taken = {key: value for key, value in keywords.items() if value is not None}
    if passes_on and inner is not None:
        return _accepted(inner, taken)
    if not getattr(getattr(method, "path", None), "takes_baselines", True):
        taken.pop("baselines", None)
    return {key: value for key, value in taken.items() if passes_on or key in accepted}


def _attribute_by_name(
    name: str, method: Any, inputs: Tensor, target: TargetType, keywords: dict[str, Any], with_delta: bool
) -> tuple[Tensor, Tensor | None]:
    """The maps, and the relative completeness error of methods with a delta."""
    has_delta = with_delta and method.has_convergence_delta()
    if has_delta:
        keywords = {**keywords, "return_convergence_delta": True}
    result = method.attribute(inputs, target=target, **keywords)
    maps, delta = result if has_delta else (result, None)
    if not isinstance(maps, Tensor) or len(maps) != len(inputs):
        got = f"shape {tuple(maps.shape)}" if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(f"{name}: expected attributions with {len(inputs)} rows, as the inputs have; got {got}.")
    maps = maps.detach()
    if delta is None or delta.shape != (len(inputs),):
        return maps, None
    change = maps.flatten(1).sum(1) - delta
    return maps, torch.where(delta == 0, 0.0, delta.abs() / change.abs())


def _rows_of_metric(name: str, score: str, variant: str, result: Any, nonfinite: Tensor) -> Iterator[tuple[Any, ...]]:
    curves = result.scores.tolist() if isinstance(result, PerturbationCurve) else None
    values = result.area if isinstance(result, PerturbationCurve) else torch.as_tensor(result)
    if values.dim() == 2 and score == "diffid":  # one per ratio
        values = values.double().mean(1)
    if values.shape != (len(nonfinite),):
        raise ValueError(
            f"metrics: expected {score!r} to return one value per example, ({len(nonfinite)},), got shape "
            f"{tuple(values.shape)}."
        )
    for index, (value, missing) in enumerate(zip(values.tolist(), nonfinite.tolist(), strict=True)):
        curve = None if curves is None or missing else curves[index]
        yield _MODEL, name, 0, score, variant, f"{index:09d}", float("nan") if missing else float(value), curve


def _indices(mask: Tensor) -> list[int]:
    return mask.nonzero().flatten().tolist()[:10]


def _score_name(score: ScoreVariant) -> str:
    return f"{score.name} ({score.variant})" if score.variant in _SIGNS else score.name


def _estimate_rows(table: ScoreTable, methods: Iterable[str]) -> pd.DataFrame:
    rows = []
    for score in table.scores:
        for method in methods:
            value = table.estimate(_MODEL, method, score)
            if value is not None:
                better = {1: "higher", -1: "lower", 0: ""}[score.better]
                rows.append((method, _score_name(score), value.value, value.low, value.high, value.n, better))
    frame: pd.DataFrame = optional("pandas", "evaluation").DataFrame(
        rows, columns=["method", "score", "value", "low", "high", "n", "better"]
    )
    return frame


def _examples(frame: pd.DataFrame, table: ScoreTable) -> pd.DataFrame:
    names = {(score.name, score.variant): _score_name(score) for score in table.scores}
    scores = [names[pair] for pair in zip(frame["score"], frame["variant"], strict=True)]
    examples = frame.assign(score=scores, example=frame["image"].astype(int))
    return examples[["method", "score", "example", "value"]]
