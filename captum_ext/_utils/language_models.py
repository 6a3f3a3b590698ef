"""Calls of models with the interface of Hugging Face's transformers, with embeddings or token ids."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Prediction(NamedTuple):
    """Logits of one prediction per row."""

    logits: Tensor  # (rows, tokens or classes)
    of_tokens: bool


class TextModel:
    """A model with the interface of transformers, called with embeddings or token ids."""

    def __init__(self, model: Callable[..., Any]) -> None:
        """Read what the model takes."""
        self.model = model
        function = getattr(model, "forward", model)
        self._takes = frozenset(inspect.signature(function).parameters)
        self._generates = bool(getattr(model, "can_generate", lambda: False)())
        config = getattr(model, "config", None)
        self._start = getattr(config, "decoder_start_token_id", None)
        self._decodes = self._generates and bool(getattr(config, "is_encoder_decoder", False))

    def prediction(self, text: Tensor, mask: Tensor | None, position: int | None) -> Prediction:
        """The logits of a classifier, or of a language model at one position."""
        if self._decodes:
            if position is not None:
                raise ValueError("position: a model with encoder and decoder predicts the first token. Leave it out.")
            first = torch.zeros(len(text), 1, dtype=torch.long, device=text.device)
            return Prediction(_widened(self._decoded(text, mask, first)[:, 0]), True)
        at = _positions(text, mask, position)
        at_end = bool((at == text.shape[1] - 1).all())
        logits = self(text, mask, 1 if at_end else None)
        if logits.dim() == 2:
            return Prediction(_widened(logits), False)
        if at_end:
            return Prediction(_widened(logits[:, -1]), True)
        return Prediction(_widened(logits[torch.arange(len(logits), device=logits.device), at]), True)

    def logits_of(self, text: Tensor, mask: Tensor | None, continuation: Tensor) -> Tensor:
        """The logits (rows, L, tokens) that predict each token of a continuation (rows, L)."""
        if self._decodes:
            return _widened(self._decoded(text, mask, continuation))
        if mask is not None and not bool(mask[:, -1].bool().all()):
            raise ValueError(
                "attention_mask: expected padding on the left, since the continuation follows the text; the last "
                "position of an example is padding. Set tokenizer.padding_side = 'left'."
            )
        length = continuation.shape[1]
        before_last = continuation[:, :-1]
        if text.is_floating_point():
            before_last = self._embedding()(before_last).to(text.dtype)
        if mask is not None:
            mask = torch.cat([mask, mask.new_ones(len(mask), length - 1)], 1)
        logits = self(torch.cat([text, before_last], 1), mask, length)
        if logits.dim() != 3:
            raise ValueError(
                f"sequence: expected logits (rows, T, tokens) of a language model, got {tuple(logits.shape)}."
            )
        return _widened(logits[:, -length:])

    def _embedding(self) -> Callable[..., Tensor]:
        get = getattr(self.model, "get_input_embeddings", None)
        if get is None:
            raise TypeError(
                "model: sequence() needs get_input_embeddings() to embed the continuation, which "
                f"{type(self.model).__name__} does not have. Explain token ids at the embedding layer instead."
            )
        embedding: Callable[..., Tensor] = get()
        return embedding

    def _decoded(self, text: Tensor, mask: Tensor | None, continuation: Tensor) -> Tensor:
        if self._start is None:
            raise ValueError(
                "model: its config has no decoder_start_token_id. Set model.config.decoder_start_token_id."
            )
        begin = continuation.new_full((len(continuation), 1), self._start)
        return self(text, mask, None, decoder_input_ids=torch.cat([begin, continuation[:, :-1]], 1))

    def __call__(self, text: Tensor, mask: Tensor | None, keep: int | None, **arguments: Any) -> Tensor:
        """Run the model for its logits, all of them or the last ``keep`` positions'."""
        arguments["inputs_embeds" if text.is_floating_point() else "input_ids"] = text
        arguments["attention_mask"] = mask
        if "use_cache" in self._takes:
            arguments["use_cache"] = False
        if keep is not None and "logits_to_keep" in self._takes:
            arguments["logits_to_keep"] = keep  # the others would take most of the memory
        if mask is not None and self._counts_positions and not bool(mask[:, 0].bool().all()):
            # As in generate(): without these the first token of a text padded on the left has another position.
            arguments["position_ids"] = (mask.long().cumsum(1) - 1).clamp(min=0)
        output = self.model(**arguments)
        logits = getattr(output, "logits", output)
        if not isinstance(logits, Tensor) or logits.dim() not in (2, 3) or len(logits) != len(text):
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(output).__name__
            raise ValueError(
                f"model: expected logits (rows, classes) or (rows, T, tokens), or an output with .logits, for "
                f"{len(text)} rows; got {got}."
            )
        return logits

    @property
    def _counts_positions(self) -> bool:
        return self._generates and not self._decodes and "position_ids" in self._takes


def _widened(logits: Tensor) -> Tensor:
    """Logits in at least float32: in bfloat16, log-probabilities have two digits."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _positions(text: Tensor, mask: Tensor | None, position: int | None) -> Tensor:
    """The position of each row whose prediction is read, (rows,)."""
    length = text.shape[1]
    if mask is not None and mask.shape != text.shape[:2]:
        raise ValueError(f"attention_mask: expected shape {tuple(text.shape[:2])}, got {tuple(mask.shape)}.")
    if position is not None and not -length <= position < length:
        raise ValueError(f"position: expected one of {length} positions (0 to {length - 1}), got {position}.")
    if position is not None or mask is None:
        at = length - 1 if position is None else position % length
        return torch.full((len(text),), at, device=text.device)
    shown = mask.bool()
    if not bool(shown.any(1).all()):
        raise ValueError("attention_mask: expected at least one token per example, got a row of zeros.")
    return torch.where(shown, torch.arange(length, device=mask.device), 0).amax(1)
