"""Texts as inputs of methods, with padding and special tokens held fixed, and sums over tokens, words and sentences.

Example:
    >>> from captum_ext.attr import IDGI
    >>> from captum_ext.text import TextInputs
    >>> embedding = torch.nn.Embedding(10, 4)
    >>> ids, mask = torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    >>> def model(embeddings, mask):  # one number per text
    ...     return torch.tanh(embeddings * mask.unsqueeze(2)).sum((1, 2))
    >>> text = TextInputs.of(embedding, ids, mask, baseline=0, special=[1, 2])
    >>> attributions = IDGI(text.hold(model)).attribute(**text.arguments())
    >>> (text.by_token(attributions) == 0).tolist()  # special tokens and padding
    [[True, False, False, True], [True, False, True, True]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_ext._utils.numbers import is_integer
from captum_ext._utils.warnings import warn

__all__ = ["TextInputs", "group_sums", "sentence_groups", "word_groups"]

Group = int | None


@dataclass(frozen=True, eq=False)
class TextInputs:
    """A batch of texts as embeddings, where each path starts, and which tokens it moves.

    Make it with :meth:`of`.

    Attributes:
        embeddings: The texts, (B, T, D).
        baselines: Where paths start, (B, T, D): the same as the texts at tokens that do not move.
        attention_mask: 1 for tokens and 0 for padding, (B, T).
        moves: Which tokens a path moves, (B, T), bool: those that the mask shows and that are not special. Only
            these get attributions.
    """

    embeddings: Tensor
    baselines: Tensor
    attention_mask: Tensor
    moves: Tensor

    @classmethod
    def of(
        cls,
        embedding: Callable[[Tensor], Tensor],
        ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        baseline: int | float | Tensor,
        special: Iterable[int] = (),
        padding: int | None = None,
    ) -> TextInputs:
        """Embed a batch of token ids.

        Args:
            embedding: The model's embedding layer, as from ``model.get_input_embeddings()``.
            ids: The token ids, (B, T), as a tokenizer with ``return_tensors="pt"`` gives them.
            attention_mask: 1 for tokens and 0 for padding, (B, T). Default: all tokens are shown.
            baseline: What each token that moves starts from: the id of a token, such as ``tokenizer.mask_token_id`` or
                ``tokenizer.pad_token_id``, as an int; a floating point number for all coordinates, such as 0.0; or a
                tensor (D,).
            special: Ids of tokens that no path moves and that get no attributions, such as those of [CLS] and [SEP].
                Default: none.
            padding: The id of the padding token, to check that the mask hides it. Default: not checked.

        Returns:
            The texts.

        Raises:
            TypeError: If ``ids`` are not integers, or ``baseline`` is nothing of the above.
            ValueError: If shapes do not match, an id is not in the vocabulary, or a text has no token that moves.

        Warns:
            UserWarning: If there is padding that the mask does not hide. Where a path does not move it, Integrated
                Gradients attributes nothing to it; IDGI and other methods without the factor (input - baseline) do.

        Example:
            >>> from captum_ext.text import TextInputs
            >>> text = TextInputs.of(torch.nn.Embedding(10, 4), torch.tensor([[1, 5, 2]]), baseline=0.0, special=[1, 2])
            >>> text.moves
            tensor([[False,  True, False]])
        """
        if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.dim() != 2:
            got = f"{ids.dtype} {tuple(ids.shape)}" if isinstance(ids, Tensor) else type(ids).__name__
            raise TypeError(f"ids: expected a tensor of token ids (B, T), got {got}. Write return_tensors='pt'.")
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask
        if mask.shape != ids.shape:
            raise ValueError(f"attention_mask: expected the shape of ids, {tuple(ids.shape)}, got {tuple(mask.shape)}.")
        fixed = torch.tensor(sorted({int(one) for one in special}), dtype=ids.dtype, device=ids.device)
        moves = mask.bool() & ~torch.isin(ids, fixed)
        if not bool(moves.any(1).all()):
            rows = (~moves.any(1)).nonzero().flatten().tolist()[:10]
            raise ValueError(f"ids: texts {rows} have no token to explain: all are special or hidden by the mask.")
        if padding is not None and bool(((ids == padding) & moves).any()):
            warn(
                "The attention mask does not hide all padding, so the model sees it, and methods without the factor "
                "(input - baseline), such as IDGI, attribute a part of the output to it. Pass the tokenizer's "
                "attention_mask, or the padding token in special."
            )
        with torch.no_grad():
            try:
                embeddings = embedding(ids).detach()
            except IndexError as error:
                raise ValueError(f"ids: expected ids of the vocabulary, got {ids.min()} to {ids.max()}.") from error
            start = _start(embedding, embeddings, baseline, ids)
        return cls(embeddings, torch.where(moves.unsqueeze(2), start, embeddings), mask, moves)

    def hold(self, forward_func: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The function without a gradient at the tokens that do not move, whose attributions are then exactly 0.

        Args:
            forward_func: A function of embeddings (rows, T, D), the attention mask (rows, T) and further arguments, as
                :meth:`captum_ext.targets.TextTarget.of` returns.

        Returns:
            A function of the embeddings, the attention mask, ``moves`` (rows, T), and the further arguments, which fits
            :meth:`arguments`.
        """

        def held(embeddings: Tensor, attention_mask: Tensor, moves: Tensor, *others: Any) -> Tensor:
            return forward_func(
                torch.where(moves.unsqueeze(2), embeddings, embeddings.detach()), attention_mask, *others
            )

        return held

    def arguments(self, *others: Any) -> dict[str, Any]:
        """The arguments of ``attribute`` for a method of ``hold(...)``.

        Args:
            others: Further arguments of the function, such as tokens that differ between examples.

        Returns:
            A dictionary with ``inputs``, ``baselines`` and ``additional_forward_args``.
        """
        return {
            "inputs": self.embeddings,
            "baselines": self.baselines,
            "additional_forward_args": (self.attention_mask, self.moves, *others),
        }

    def by_token(self, attributions: Tensor) -> Tensor:
        """The sum of each token's attributions over its coordinates.

        Args:
            attributions: What a method returned, (B, T, D).

        Returns:
            One number per token, (B, T).

        Raises:
            ValueError: If the shape is not that of the embeddings, or a token that does not move has attributions,
                because the method does not explain ``hold(...)``.
        """
        if attributions.shape != self.embeddings.shape:
            raise ValueError(
                f"attributions: expected shape {tuple(self.embeddings.shape)}, got {tuple(attributions.shape)}."
            )
        if bool((attributions[~self.moves] != 0).any()):
            raise ValueError(
                "attributions: a special token or padding has some. Make the method with text.hold(forward_func), "
                "which holds these tokens fixed."
            )
        return attributions.sum(2)


def group_sums(scores: Tensor, groups: Sequence[Group]) -> Tensor:
    """The sums of tokens' scores over words, sentences, or other groups.

    Args:
        scores: One number per token, (T,), or (..., T).
        groups: The group of each token, from 0, or ``None`` for special tokens and padding: a fast tokenizer's
            ``encoding.word_ids(k)``, :func:`word_groups`, or :func:`sentence_groups`.

    Returns:
        The sum of each group, (..., groups), in the order of their numbers.

    Raises:
        ValueError: If there are not as many groups as tokens.

    Warns:
        UserWarning: If tokens without a group have scores, which the sums leave out.

    Example:
        >>> from captum_ext.text import group_sums
        >>> group_sums(torch.tensor([0.0, 1.0, 2.0, 5.0]), [None, 0, 0, 1])
        tensor([3., 5.])
    """
    if len(groups) != scores.shape[-1]:
        raise ValueError(f"groups: expected one for each of {scores.shape[-1]} tokens, got {len(groups)}.")
    outside = torch.tensor([group is None for group in groups], device=scores.device)
    if bool((scores[..., outside] != 0).any()):
        warn("Tokens without a group have scores, which the sums leave out. Give them a group, or hold them fixed.")
    indices = torch.tensor([0 if group is None else group for group in groups], device=scores.device)
    count = 1 + max((group for group in groups if group is not None), default=-1)
    sums = scores.new_zeros(*scores.shape[:-1], max(count, 1))
    return sums.index_add(-1, indices, torch.where(outside, 0, scores))[..., :count]


def word_groups(tokens: Sequence[str], special: Iterable[str] = ()) -> list[Group]:
    """Which word each token belongs to, from the marks of WordPiece, byte-level BPE or SentencePiece.

    Fast tokenizers of transformers know it themselves: use ``encoding.word_ids(k)`` where there is one.

    Args:
        tokens: The tokens, as ``tokenizer.convert_ids_to_tokens`` returns them.
        special: Special tokens, which belong to no word. Default: none.

    Returns:
        The number of its word for each token, ``None`` for special ones. If any token starts with ``Ġ`` or ``▁``, which
        mark a space, words start there. Otherwise every token without ``##`` starts one, so a text that is a single
        word in byte-level BPE, which has no mark, counts each of its tokens as a word.

    Example:
        >>> from captum_ext.text import word_groups
        >>> word_groups(["[CLS]", "un", "##like", "##ly", "film", "[SEP]"], ["[CLS]", "[SEP]"])
        [None, 0, 0, 0, 1, None]
        >>> word_groups(["Un", "like", "ly", "Ġfilm"])
        [0, 0, 0, 1]
    """
    outside = frozenset(special)
    marks_spaces = any(token.startswith(("Ġ", "▁")) for token in tokens if token not in outside)
    groups: list[Group] = []
    word, continues = -1, False
    for token in tokens:
        if token in outside:
            groups.append(None)
            continues = False
            continue
        joined = not token.startswith(("Ġ", "▁")) if marks_spaces else token.startswith("##")
        word += not (joined and continues)
        continues = True
        groups.append(word)
    return groups


def sentence_groups(tokens: Sequence[str], special: Iterable[str] = (), ends: str = ".!?") -> list[Group]:
    """Which sentence each token belongs to; a sentence ends with a token of punctuation, or before a special token.

    Args:
        tokens: The tokens, as ``tokenizer.convert_ids_to_tokens`` returns them.
        special: Separators such as [CLS] and [SEP], which belong to no sentence and end one. Leave out [MASK] and
            [UNK], which stand inside a sentence. Default: none.
        ends: The characters that end a sentence. Default: ``".!?"``. Abbreviations with a period end one too.

    Returns:
        The number of its sentence for each token, ``None`` for special ones.

    Example:
        >>> from captum_ext.text import sentence_groups
        >>> sentence_groups(["Good", ".", "Very", "good", "!", "!"])
        [0, 0, 1, 1, 1, 1]
    """
    outside = frozenset(special)
    groups: list[Group] = []
    sentence, ended = -1, True
    for token in tokens:
        if token in outside:
            groups.append(None)
            ended = True
            continue
        bare = token.lstrip("Ġ▁#")
        ends_here = bool(bare) and all(character in ends for character in bare)
        if ended and not (ends_here and sentence >= 0):
            sentence += 1
        ended = ends_here
        groups.append(sentence)
    return groups


def _start(embedding: Callable[[Tensor], Tensor], embeddings: Tensor, baseline: object, ids: Tensor) -> Tensor:
    """The baseline of every token, broadcastable to the embeddings."""
    if is_integer(baseline):
        try:
            return embedding(ids.new_full((1, 1), int(baseline))).detach()
        except IndexError as error:
            raise ValueError(
                f"baseline: expected an id of the vocabulary, got {baseline}. For zeros in all coordinates write 0.0."
            ) from error
    if isinstance(baseline, float):
        return torch.full_like(embeddings[:1, :1], baseline)
    if isinstance(baseline, Tensor) and baseline.is_floating_point():
        if baseline.shape != embeddings.shape[2:]:
            raise ValueError(f"baseline: expected shape {tuple(embeddings.shape[2:])}, got {tuple(baseline.shape)}.")
        return baseline.detach().to(embeddings)
    raise TypeError(
        f"baseline: expected a token id, a number such as 0.0, or a tensor (D,), got {type(baseline).__name__}."
    )
