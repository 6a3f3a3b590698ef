"""Patterns by layer, with a description of their fit; saved without pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from captum_ext import __version__
from captum_ext._utils.files import replace_file
from captum_ext._utils.warnings import warn
from captum_ext.patterns._layers import check_not_tied, layer_weights, unwrap

_FORMAT = "captum_ext.patterns/2"
_digests: WeakIdKeyDictionary = WeakIdKeyDictionary()  # by weight: what it depends on, and the digest


@dataclass(frozen=True)
class LayerInfo:
    """The fit of one layer's pattern.

    Attributes:
        estimator: ``"positive"`` or ``"linear"``.
        samples: The number of inputs of the layer: rows, or patches of a convolution.
        dead: The number of units without a pattern, because they never fired or did not vary with their input.
        weight: A fingerprint of the layer's weight during the fit.
    """

    estimator: str
    samples: int
    dead: int
    weight: str


@dataclass(frozen=True)
class FitReport:
    """The origin of a set of patterns.

    Attributes:
        mean: The convention of E[y]: ``"preactivation"`` or ``"rectified"``.
        inputs: The number of inputs of the model.
        layers: The fit of each layer, by layer name.
        unfolded: BatchNorm layers of the fitted model that could not be folded, or did not run.
        version: The version of this library.
    """

    mean: str
    inputs: int
    layers: dict[str, LayerInfo]
    unfolded: tuple[str, ...] = ()
    version: str = field(default=__version__)


class Patterns(Mapping[str, Tensor]):
    """A pattern for each layer: a mapping from module names to tensors with the shapes of the layers' weights.

    Row i of a layer's pattern is the direction in which the layer's input varies with unit i's output. Weight times
    pattern sums to 1, unless the unit is dead (a pattern of zeros). Bias patterns are zero and are not stored.

    Args:
        tensors: The patterns by module name.
        info: The fit of the patterns; ``None`` for patterns from another source.
        folded_model: The copy with BatchNorm folded that the patterns belong to, which :meth:`save` does not write;
            ``None`` (default) if they belong to the model that they were fitted to, or if that is not known.

    Raises:
        TypeError: If a pattern is not a floating-point tensor.
        ValueError: If there are no patterns, one is not finite, or ``info`` describes other layers.

    Reference:
        Kindermans et al.: Learning how to explain neural networks: PatternNet and PatternAttribution. ICLR 2018.
        https://arxiv.org/abs/1705.05598

    Example:
        >>> from captum_ext.patterns import Patterns
        >>> Patterns({"0": torch.eye(2)}).to(dtype=torch.float64)["0"]
        tensor([[1., 0.],
                [0., 1.]], dtype=torch.float64)
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], info: FitReport | None = None, folded_model: nn.Module | None = None
    ) -> None:
        """See the class."""
        if not tensors:
            raise ValueError("patterns: expected the pattern of at least one layer, got none.")
        for name, tensor in tensors.items():
            if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
                kind = f"a {tensor.dtype} tensor" if isinstance(tensor, Tensor) else type(tensor).__name__
                raise TypeError(f"patterns: expected floating-point tensors, got {kind} for {name!r}.")
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"patterns: the pattern of {name!r} contains a NaN or infinity.")
        if info is not None and info.layers.keys() != tensors.keys():
            raise ValueError(f"info: expected the layers {list(tensors)}, got {list(info.layers)}.")
        with torch.inference_mode(False):  # cloned, because the caller may modify the originals
            self._tensors = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        self.info = info
        self.folded_model = folded_model

    def __getitem__(self, name: str) -> Tensor:
        """The pattern of a layer."""
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        """The layers' names."""
        return iter(self._tensors)

    def __len__(self) -> int:
        """The number of layers that have a pattern."""
        return len(self._tensors)

    def __repr__(self) -> str:
        """The layers and, if known, the fit of each."""
        lines = [f"Patterns of {len(self)} layers"]
        for name, tensor in self.items():
            line = f"  {name}: {tuple(tensor.shape)} {tensor.dtype}"
            if self.info is not None:
                layer = self.info.layers[name]
                line += f", {layer.estimator}, {layer.samples} samples, {layer.dead} of {len(tensor)} units dead"
            lines.append(line)
        if self.info is not None and self.info.unfolded:
            lines.append(f"  BatchNorm not folded: {', '.join(self.info.unfolded)}")
        return "\n".join(lines)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Patterns:
        """The same patterns on another device or in another dtype."""
        return Patterns(
            {name: tensor.to(device=device, dtype=dtype) for name, tensor in self._tensors.items()},
            self.info,
            self.folded_model,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file. An existing file is replaced only after the new one is complete.

        Several threads or processes may save to the same path; the last one to finish determines the file.

        Raises:
            ImportError: If safetensors is not installed.
            OSError: If the file can't be written.
        """
        save = _safetensors().torch.save
        metadata = {"format": _FORMAT}
        if self.info is not None:
            metadata["info"] = json.dumps(asdict(self.info))
        metadata["digest"] = _content_digest(self._tensors, metadata.get("info"))
        content = save({name: tensor.contiguous() for name, tensor in self._tensors.items()}, metadata)
        replace_file(Path(path), content)

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: torch.device | str = "cpu") -> Patterns:
        """Read a file that :meth:`save` wrote, and check it against its digest.

        Raises:
            FileNotFoundError: If the file does not exist.
            ImportError: If safetensors is not installed.
            ValueError: If the file is damaged, has the format of another version, or contains no patterns.
        """
        safetensors = _safetensors()
        if not Path(path).is_file():
            raise FileNotFoundError(f"no patterns at {os.fspath(path)}")
        content = Path(path).read_bytes()  # not safe_open, which opens the file twice: it may be replaced in between
        try:
            tensors = safetensors.torch.load(content)
        except (safetensors.SafetensorError, LookupError) as error:
            raise ValueError(
                f"{os.fspath(path)}: truncated, or not a safetensors file ({error}). Save the patterns again."
            ) from error
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size]).get("__metadata__") or {}
        _check_format(metadata.get("format"), path)
        if metadata.get("digest") != _content_digest(tensors, metadata.get("info")):
            raise ValueError(
                f"{os.fspath(path)}: damaged, because its content does not match its digest. Save or copy the patterns "
                "again."
            )
        try:
            info = _parse_report(json.loads(metadata["info"])) if "info" in metadata else None
            # In the model's order, since safetensors sorts by name; the constructor compares the names.
            ordered = {name: tensors[name] for name in info.layers if name in tensors} if info else {}
            return cls({name: tensor.to(device) for name, tensor in (ordered | tensors).items()}, info)
        except (LookupError, AttributeError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)}: contains no valid patterns of captum_ext ({error}).") from error

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's weights that these patterns belong to, by layer name.

        Raises:
            ValueError: If a layer is missing or has another shape, or BatchNorm is not folded as it was in the fit.

        Warns:
            UserWarning: If weights changed since the patterns were fitted.
        """
        model = unwrap(model)
        weights = layer_weights(model)
        check_not_tied({name: weights[name] for name in self if name in weights})
        missing = [name for name in self if name not in weights]
        if missing:
            raise ValueError(
                f"patterns: the model has no linear or convolution layers {missing[:5]}; it has "
                f"{list(weights)[:5]} ... . Pass the model to which they were fitted as model=."
            )
        for name, tensor in self.items():
            if tensor.shape != weights[name].shape:
                raise ValueError(
                    f"patterns: the pattern of {name!r} has shape {tuple(tensor.shape)}, its weight "
                    f"{tuple(weights[name].shape)}."
                )
        self._check_batch_norm(model)
        changed = [name for name in self if not self._matches_fit(name, weights[name])]
        if changed:
            warn(
                f"The weights of {len(changed)} of {len(self)} layers changed since their patterns were fitted "
                f"(the first is {changed[0]!r}). Fit them again unless this is intended."
            )
        return {name: weights[name] for name in self}

    def _check_batch_norm(self, model: nn.Module) -> None:
        if self.info is None:
            return
        unfolded = [name for name in batch_norms(model) if name not in self.info.unfolded]
        if unfolded:
            known = "patterns.folded_model, or " if self.folded_model is not None else ""
            raise ValueError(
                "The patterns were fitted to a model whose BatchNorm was folded, but this model has "
                f"{len(unfolded)} BatchNorm layers that are not folded (the first is {unfolded[0]!r}). Explain "
                f"{known}captum_ext.patterns.fold_batch_norm(model); it folds BatchNorm after linear layers only with "
                "example_inputs=."
            )

    def _matches_fit(self, name: str, weight: Tensor) -> bool:
        if self.info is None or weight.dtype != self[name].dtype:
            return True  # the model was cast, so its fingerprint differs
        return fingerprint(weight) == self.info.layers[name].weight


def batch_norms(model: nn.Module) -> tuple[str, ...]:
    """The names of a model's BatchNorm layers."""
    norm = nn.modules.batchnorm._BatchNorm
    return tuple(name for name, module in model.named_modules() if isinstance(module, norm))


def fingerprint(weight: Tensor) -> str:
    """A digest of a weight's bits, which is remembered until the weight changes."""
    if weight.is_inference():  # it has no version
        return _digest(weight)
    # The sum notices what the version does not: other storage, writes through .data, or to memory of NumPy.
    state = (weight._version, _sum_of_bits(weight))
    known: tuple[Any, str] | None = _digests.get(weight)
    if known is None or known[0] != state:
        known = _digests[weight] = (state, _digest(weight))
    return known[1]


def _digest(weight: Tensor) -> str:
    data = weight.detach().cpu().reshape(-1).view(torch.uint8).numpy()
    return hashlib.blake2b(data.data, digest_size=16).hexdigest()


def _sum_of_bits(weight: Tensor) -> int:
    flat = weight.detach().reshape(-1)
    integers = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[weight.element_size()]
    return int(flat.view(integers).sum(dtype=integers))  # it wraps around; a wider sum is slower than a digest


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError("Pattern files need safetensors. Run: pip install 'captum_ext[patterns]'") from error
    return safetensors


def _content_digest(tensors: Mapping[str, Tensor], info: str | None) -> str:
    """A digest of a file's contents: the JSON text of the info, and the tensors' names, dtypes, shapes, and bits."""
    parts = [[name, str(t.dtype), list(t.shape), fingerprint(t)] for name, t in sorted(tensors.items())]
    return hashlib.blake2b(json.dumps([info, parts]).encode(), digest_size=16).hexdigest()


def _check_format(file_format: str | None, path: str | os.PathLike[str]) -> None:
    if file_format is None or not file_format.startswith(_FORMAT.rpartition("/")[0]):
        raise ValueError(f"{os.fspath(path)}: contains no patterns of this library. Patterns.save writes them.")
    if file_format != _FORMAT:
        raise ValueError(
            f"{os.fspath(path)}: expected the format {_FORMAT!r}, got {file_format!r} from another version of this "
            "library. Fit the patterns again."
        )


def _parse_report(plain: Any) -> FitReport:
    """The info in a file's metadata.

    Raises:
        TypeError: If a field is missing, unknown or has another type.
        ValueError: If a field's value is invalid.
    """
    info = dict(_checked_fields(FitReport, plain))
    info["layers"] = {name: LayerInfo(**_checked_fields(LayerInfo, layer)) for name, layer in info["layers"].items()}
    info["unfolded"] = tuple(info["unfolded"])
    if any(not isinstance(name, str) for name in info["unfolded"]):
        raise TypeError(f"unfolded: expected names, got {info['unfolded']}")
    return FitReport(**info)


_JSON_TYPES = {"str": str, "int": int, "dict[str, LayerInfo]": dict, "tuple[str, ...]": list}
_FIELD_VALUES = {"mean": ("preactivation", "rectified"), "estimator": ("positive", "linear")}


def _checked_fields(cls: type[FitReport | LayerInfo], plain: Any) -> dict[str, Any]:
    expected = {item.name: _JSON_TYPES[str(item.type)] for item in fields(cls)}
    if not isinstance(plain, dict) or plain.keys() != expected.keys():
        raise TypeError(f"expected the fields {list(expected)}, got {plain!r:.200}")
    for name, value in plain.items():
        if type(value) is not expected[name]:
            raise TypeError(f"{name}: expected {expected[name].__name__}, got {value!r:.200}")
        if isinstance(value, int) and value < 0:
            raise ValueError(f"{name}: expected 0 or more, got {value}")
        if name in _FIELD_VALUES and value not in _FIELD_VALUES[name]:
            raise ValueError(f"{name}: expected {' or '.join(map(repr, _FIELD_VALUES[name]))}, got {value!r:.200}")
    return plain
