"""Questions about text: what a language model or a classifier says about it, as one number per example.

Each question is a :class:`TextTarget`; ``target.of(model)`` is a function of embeddings and an attention mask, which
every method can explain.

Example:
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> from captum_ext import targets
    >>> from captum_ext.attr import IntegratedGradients
    >>> config = GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> embeddings = model.get_input_embeddings()(torch.tensor([[5, 6, 7, 8]])).detach()
    >>> why_9_rather_than_10 = targets.contrast(9, 10).of(model)
    >>> IntegratedGradients(why_9_rather_than_10).attribute(embeddings, n_steps=8).sum(2).shape
    torch.Size([1, 4])
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from captum_ext._utils.language_models import Prediction, TextModel
from captum_ext._utils.numbers import is_integer

__all__ = ["TextTarget", "contrast", "label", "next_token", "sequence"]

Output: TypeAlias = Literal["logit", "log_probability", "probability"]
_IGNORED = -100  # torch.nn.functional.cross_entropy's own


class TextTarget(ABC):
    """One number per example that a model gives for a text: a question that can be explained.

    :func:`next_token`, :func:`contrast`, :func:`sequence` and :func:`label` make these.
    """

    @property
    @abstractmethod
    def arguments(self) -> tuple[str, ...]:
        """The tokens that differ between examples and come as additional arguments, in this order."""

    @abstractmethod
    def score(self, model: TextModel, text: Tensor, mask: Tensor | None, tokens: tuple[Tensor, ...]) -> Tensor:
        """The number, (rows,), for embeddings (rows, T, D) or ids (rows, T)."""

    def of(self, model: Callable[..., Any]) -> Callable[..., Tensor]:
        """The target as a function that methods take as ``forward_func``.

        Args:
            model: A model with the interface of Hugging Face's transformers: it takes ``inputs_embeds`` (or
                ``input_ids``) and ``attention_mask``, and returns logits, or an output with ``.logits``: (rows, T,
                tokens) for a language model, (rows, classes) for a classifier. Models with encoder and decoder get the
                text in the encoder.

        Returns:
            A function of embeddings (rows, T, D), floating point, or token ids (rows, T), integers, for methods at the
            embedding layer; an attention mask (rows, T), 1 for tokens and 0 for padding (default: no padding); and the
            tokens that differ between examples, which were left out when the target was made. It returns (rows,).

        Raises:
            TypeError: If the model is not callable.

        Example:
            >>> from captum_ext import targets
            >>> model = lambda inputs_embeds, attention_mask: inputs_embeds.mean(1)  # a classifier of 3 classes
            >>> targets.label(2).of(model)(torch.ones(4, 5, 3))
            tensor([1., 1., 1., 1.])
        """
        if not callable(model):
            raise TypeError(f"model: expected a model, got {type(model).__name__}.")
        reader = TextModel(model)

        def forward(text: Tensor, attention_mask: Tensor | None = None, *tokens: Tensor) -> Tensor:
            if len(tokens) != len(self.arguments):
                raise ValueError(
                    f"additional_forward_args: expected the attention mask and then {list(self.arguments)} of each "
                    f"example, got {len(tokens)} tensors after the mask."
                )
            return self.score(reader, text, attention_mask, tokens)

        return forward


def next_token(
    token: int | None = None, *, output: Output = "log_probability", position: int | None = None
) -> TextTarget:
    """The probability that a language model gives to a token.

    Args:
        token: The token's id. Default ``None``: another one for each example, a tensor (B,) in
            ``additional_forward_args``, after the attention mask.
        output: ``"log_probability"`` (default), ``"probability"`` or ``"logit"``.
        position: Whose prediction is read: the index of a position, as that of [MASK] in a masked language model.
            Default ``None``: that of the last token that the mask shows, from which a model with a decoder only
            predicts the next one; for a model with encoder and decoder, the first token that the decoder writes.

    Returns:
        The target.

    Raises:
        TypeError: If ``token`` or ``position`` is not an integer.
        ValueError: If ``output`` is none of the three.

    Example:
        >>> from captum_ext import targets
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> config = GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
        >>> model = GPT2LMHeadModel(config).eval()
        >>> targets.next_token(42, output="probability").of(model)(torch.tensor([[3, 1, 4]])).shape
        torch.Size([1])
    """
    if output not in get_args(Output):
        raise ValueError(f"output: expected one of {get_args(Output)}, got {output!r}.")
    return _TokenTarget((_checked("token", token),), ("token",), (1,), output, _checked("position", position), "token")


def contrast(a: int | None = None, b: int | None = None, *, position: int | None = None) -> TextTarget:
    """The difference of two tokens' or two classes' logits: why one rather than the other.

    For probabilities p it is log p(a) - log p(b), so what speaks for both cancels.

    Args:
        a: The id of the token or class to explain. Default ``None``: another one for each example, a tensor (B,) in
            ``additional_forward_args``, after the attention mask.
        b: The one to compare it with. Default ``None``: likewise, after ``a``.
        position: Whose prediction is read; see :func:`next_token`. A classifier has none.

    Returns:
        The target.

    Raises:
        TypeError: If an argument is not an integer.

    Reference:
        Yin, Neubig: Interpreting Language Models with Contrastive Explanations. EMNLP 2022.
        https://arxiv.org/abs/2202.10419

    Example:
        >>> from captum_ext import targets
        >>> model = lambda inputs_embeds, attention_mask: inputs_embeds.sum(1)  # a classifier
        >>> targets.contrast(0, 1).of(model)(torch.tensor([[[3.0, 1.0], [1.0, 1.0]]]))
        tensor([2.])
    """
    tokens = (_checked("a", a), _checked("b", b))
    return _TokenTarget(tokens, ("a", "b"), (1, -1), "logit", _checked("position", position), "token or class")


def label(index: int | None = None, *, output: Output = "logit") -> TextTarget:
    """The output of a classifier for a class.

    Args:
        index: The class. Default ``None``: another one for each example, a tensor (B,) in
            ``additional_forward_args``, after the attention mask.
        output: ``"logit"`` (default), ``"log_probability"`` or ``"probability"``.

    Returns:
        The target.

    Raises:
        TypeError: If ``index`` is not an integer.
        ValueError: If ``output`` is none of the three.

    Example:
        >>> from captum_ext import targets
        >>> model = lambda inputs_embeds, attention_mask: inputs_embeds.sum(1)
        >>> targets.label(1, output="probability").of(model)(torch.zeros(1, 3, 2))
        tensor([0.5000])
    """
    if output not in get_args(Output):
        raise ValueError(f"output: expected one of {get_args(Output)}, got {output!r}.")
    return _TokenTarget((_checked("index", index),), ("index",), (1,), output, None, "class")


def sequence(tokens: Sequence[int] | Tensor | None = None) -> TextTarget:
    """The log-probability of a continuation of the text: the sum of its tokens' log-probabilities.

    Args:
        tokens: The ids of the continuation, at least one. Default ``None``: another one for each example, a tensor
            (B, L) in ``additional_forward_args``, after the attention mask, with -100 after those that are shorter.

    Returns:
        The target. A model with a decoder only reads the continuation after the text, so a batch must be padded on the
        left (``tokenizer.padding_side = "left"``); otherwise the target raises ``ValueError``.

    Raises:
        TypeError: If ``tokens`` are not integers.
        ValueError: If there are none.

    Example:
        >>> from captum_ext import targets
        >>> targets.sequence([3, 1, 4])
        _SequenceTarget(tokens=(3, 1, 4))
    """
    if tokens is None:
        return _SequenceTarget(None)
    ids = tokens.tolist() if isinstance(tokens, Tensor) else tokens
    if isinstance(ids, str) or not isinstance(ids, Sequence) or not all(map(is_integer, ids)):
        raise TypeError(f"tokens: expected a list of token ids such as [464, 3290], got {tokens!r:.60}.")
    if not len(ids):
        raise ValueError("tokens: expected at least one token to continue with, got none.")
    return _SequenceTarget(tuple(map(int, ids)))


@dataclass(frozen=True)
class _TokenTarget(TextTarget):
    """A sum, with signs, of what the model says about single tokens or classes."""

    tokens: tuple[int | None, ...]
    names: tuple[str, ...]
    signs: tuple[int, ...]
    output: Output
    position: int | None
    kind: Literal["token", "class", "token or class"]

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(name for name, token in zip(self.names, self.tokens, strict=True) if token is None)

    def score(self, model: TextModel, text: Tensor, mask: Tensor | None, tokens: tuple[Tensor, ...]) -> Tensor:
        prediction = model.prediction(text, mask, self.position)
        self._check_kind(prediction)
        scores = _transformed(prediction.logits, self.output)
        of_examples = iter(tokens)
        terms = [
            sign * _selected(scores, next(of_examples) if token is None else token, name)
            for name, token, sign in zip(self.names, self.tokens, self.signs, strict=True)
        ]
        return sum(terms[1:], terms[0])

    def _check_kind(self, prediction: Prediction) -> None:
        if prediction.of_tokens and self.kind == "class":
            raise ValueError(
                "label: expected logits (rows, classes) of a classifier; this model has logits for each position. "
                "Write targets.next_token(token)."
            )
        if not prediction.of_tokens and self.kind == "token":
            raise ValueError(
                "next_token: expected logits (rows, T, tokens) of a language model; this model has one row of logits "
                "per text. For a classifier write targets.label(index) or targets.contrast(a, b)."
            )
        if not prediction.of_tokens and self.position is not None:
            raise ValueError("position: a classifier has one prediction for the whole text. Leave it out.")


@dataclass(frozen=True)
class _SequenceTarget(TextTarget):
    tokens: tuple[int, ...] | None

    @property
    def arguments(self) -> tuple[str, ...]:
        return () if self.tokens is not None else ("tokens",)

    def score(self, model: TextModel, text: Tensor, mask: Tensor | None, tokens: tuple[Tensor, ...]) -> Tensor:
        if self.tokens is not None:
            ids = torch.tensor(self.tokens, device=text.device).expand(len(text), -1)
        else:
            ids = _checked_ids(tokens[0], len(text), 2, "tokens")
        read = ids != _IGNORED
        if not bool(read.any(1).all()) or bool((read[:, 1:] & ~read[:, :-1]).any()):
            raise ValueError("tokens: expected at least one token per example, and -100 only after its last token.")
        known = torch.where(read, ids, 0)
        logits = model.logits_of(text, mask, known)
        _check_range(known, logits.shape[-1], "tokens")
        log_probabilities = logits.log_softmax(2).gather(2, known.unsqueeze(2)).squeeze(2)
        return torch.where(read, log_probabilities, 0).sum(1)


def _transformed(logits: Tensor, output: Output) -> Tensor:
    if output == "logit":
        return logits
    return logits.log_softmax(1) if output == "log_probability" else logits.softmax(1)


def _selected(scores: Tensor, token: int | Tensor, name: str) -> Tensor:
    """The scores (rows,) of one token for all rows, or of one per row."""
    if isinstance(token, Tensor):
        ids = _checked_ids(token, len(scores), 1, name)
        _check_range(ids, scores.shape[1], name)
        return scores.gather(1, ids.unsqueeze(1)).squeeze(1)
    if not 0 <= token < scores.shape[1]:
        raise ValueError(f"{name}: expected an id from 0 to {scores.shape[1] - 1}, got {token}.")
    return scores[:, token]


def _checked_ids(ids: object, rows: int, rank: int, name: str) -> Tensor:
    shape = f"({rows},)" if rank == 1 else f"({rows}, L)"
    if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.dim() != rank or len(ids) != rows:
        got = f"{ids.dtype} {tuple(ids.shape)}" if isinstance(ids, Tensor) else type(ids).__name__
        raise ValueError(f"{name}: expected a tensor of integer ids, {shape}, one row per example; got {got}.")
    return ids.long()


def _check_range(ids: Tensor, count: int, name: str) -> None:
    if bool(((ids < 0) | (ids >= count)).any()):
        raise ValueError(f"{name}: expected ids from 0 to {count - 1}, got {ids.flatten().tolist()[:10]}.")


def _checked(name: str, value: int | None) -> int | None:
    if value is None:
        return None
    if not is_integer(value):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}. Leave it out for one per example.")
    return int(value)
