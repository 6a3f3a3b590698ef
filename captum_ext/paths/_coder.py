"""The user's encoder and decoder, checked, and F as a function of latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from captum_ext._utils.model_state import preserve_model_state
from captum_ext._utils.tensors import Tensors
from captum_ext._utils.types import TargetType
from captum_ext.paths.evaluation import PathEvaluator

Coder: TypeAlias = Callable[..., Tensor | tuple[Tensor, ...]]


def encode_rows(encode: Coder, points: Tensors) -> tuple[Tensors, dict[int, int]]:
    """The latents of inputs or baselines (B, ...), and which inputs (keys) are latents (values) themselves.

    Raises:
        TypeError: If the encoder returns anything but floating point tensors.
        ValueError: If there is not one latent per example.
    """
    copies = tuple(point.clone() for point in points)  # an encoder may work in place
    with preserve_model_state(encode):
        encoded = encode(*copies)
    latents = encoded if isinstance(encoded, tuple) else (encoded,)
    for latent in latents:
        if not isinstance(latent, Tensor) or not latent.is_floating_point():
            kind = latent.dtype if isinstance(latent, Tensor) else type(latent).__name__
            raise TypeError(f"encode: expected it to return floating point tensors, got {kind}.")
        if not latent.dim() or len(latent) != len(points[0]):
            raise ValueError(
                f"encode: expected one latent for each of {len(points[0])} examples, got shape {tuple(latent.shape)}."
            )
    return latents, {
        index: position for index, copy in enumerate(copies) for position, z in enumerate(latents) if z is copy
    }


class Decoder:
    """The user's decoder, whose results must fit the inputs that they stand for."""

    def __init__(self, decode: Coder, inputs: Tensors) -> None:
        """See the class."""
        self._decode = decode
        self._inputs = inputs

    def __call__(self, latents: Tensors) -> Tensors:
        """Inputs (N, ...) from latents (N, ...); a tensor that is passed through stays the same object.

        Raises:
            TypeError: If the decoder returns anything but tensors.
            ValueError: If their shapes are not those of the inputs.
        """
        with preserve_model_state(self._decode):
            return self._checked(latents)

    def _checked(self, latents: Tensors) -> Tensors:
        decoded = self._decode(*latents)
        tensors = decoded if isinstance(decoded, tuple) else (decoded,)
        if not all(isinstance(tensor, Tensor) for tensor in tensors):
            raise TypeError(f"decode: expected it to return tensors, got {[type(part).__name__ for part in tensors]}.")
        expected = [(len(latents[0]), *like.shape[1:]) for like in self._inputs]
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if shapes != expected:
            raise ValueError(f"decode: expected inputs of shapes {expected}, got {shapes}. Crop or pad inside decode.")
        return tuple(tensor.to(like.device, like.dtype) for tensor, like in zip(tensors, self._inputs, strict=True))

    def passed_through(self, latents: Tensors, kept: dict[int, int]) -> dict[int, int]:
        """Those of the inputs that the encoder keeps which the decoder keeps too."""
        row = tuple(latent[:1] for latent in latents)
        decoded = self(row)
        return {index: position for index, position in kept.items() if decoded[index] is row[position]}

    @contextmanager
    def with_vjp(self, latents: Tensors) -> Iterator[tuple[Tensors, Callable[[Tensors], Tensors]]]:
        """Inputs from latents, and the function that carries gradients from these back to those."""
        leaves = tuple(latent.detach().clone().requires_grad_() for latent in latents)

        def back(gradients: Tensors) -> Tensors:
            pairs = [
                (tensor, gradient.to(tensor.dtype))
                for tensor, gradient in zip(decoded, gradients, strict=True)
                if tensor.requires_grad
            ]
            if not pairs:
                raise ValueError(
                    "decode: its output does not depend on the latents by differentiable operations, so F has no "
                    "gradient in latent space. Look for detach(), numpy() or torch.no_grad() in it."
                )
            outputs, given = zip(*pairs, strict=True)
            parts = torch.autograd.grad(outputs, leaves, given, allow_unused=True)
            return tuple(
                torch.zeros_like(latent) if part is None else part for part, latent in zip(parts, latents, strict=True)
            )

        # The backward pass needs the decoder's buffers as the forward pass left them.
        with preserve_model_state(self._decode):
            with torch.enable_grad():
                decoded = self._checked(leaves)
            yield tuple(tensor.detach() for tensor in decoded), back


class LatentEvaluator:
    """F of decoded latents and its gradients with respect to these, as a path in latent space gets them.

    Args:
        evaluator: F and its gradients with respect to the inputs.
        decoder: From latents to inputs.
        arrive: Takes latents (1, B, ...) and the decoded point (B, ...), and returns the point to evaluate F at.

    Attributes:
        points: Where F was evaluated last, one tensor (K, B, ...) per input.
        gradients: F's gradients there.
    """

    points: Tensors
    gradients: Tensors

    def __init__(
        self,
        evaluator: PathEvaluator,
        decoder: Decoder,
        arrive: Callable[[Tensors, Tensors], Tensors] = lambda latents, decoded: decoded,
    ) -> None:
        """See the class."""
        self._evaluator = evaluator
        self._decoder = decoder
        self._arrive = arrive

    @property
    def target(self) -> TargetType:
        """Which output F is."""
        return self._evaluator.target

    @property
    def has_gradient(self) -> bool:
        """Whether there has been a gradient so far."""
        return self._evaluator.has_gradient

    def __call__(self, points: Tensors, keep: bool = False) -> tuple[Tensor | None, Tensors]:
        """F (K, B) and its gradients at latents (K, B, ...)."""
        shape = points[0].shape[:2]
        with self._decoder.with_vjp(tuple(latent.flatten(0, 1) for latent in points)) as (decoded, back):
            self.points = tuple(point.unflatten(0, shape) for point in self._arrive(points, decoded))
            values, self.gradients = self._evaluator(self.points, keep)
            carried = back(tuple(gradient.flatten(0, 1) for gradient in self.gradients))
        return values, tuple(gradient.unflatten(0, shape) for gradient in carried)

    def at(self, points: Tensors) -> tuple[Tensor, Tensors]:
        """F (B,) and its gradients at latents (B, ...)."""
        with self._decoder.with_vjp(points) as (decoded, back):
            values, gradients = self._evaluator.at(decoded)
            return values, back(gradients)

    def value(self, points: Tensors) -> Tensor:
        """F at latents (B, ...)."""
        return self._evaluator.value(self._decoder(points))

    def outputs(self, points: Tensors) -> Tensor:
        """All outputs at latents (B, ...)."""
        return self._evaluator.outputs(self._decoder(points))

    def rows(self, rows: slice | Tensor) -> LatentEvaluator:
        """The same for some of the examples."""
        return LatentEvaluator(self._evaluator.rows(rows), self._decoder)

    def with_target(self, target: Any) -> LatentEvaluator:
        """The same function for other targets."""
        return LatentEvaluator(self._evaluator.with_target(target), self._decoder)

    def with_function(self, function: Callable[..., Tensor]) -> LatentEvaluator:
        """Another function of the inputs."""
        return LatentEvaluator(self._evaluator.with_function(function), self._decoder)

    def at_layer(self, layer: nn.Module) -> LatentEvaluator:
        """The output of one of the model's layers as the function."""
        return LatentEvaluator(self._evaluator.at_layer(layer), self._decoder)

    def of_output(self, function: Callable[..., Tensor], *arguments: Tensor) -> LatentEvaluator:
        """A function of all outputs."""
        return LatentEvaluator(self._evaluator.of_output(function, *arguments), self._decoder)
