"""Discretized Integrated Gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.backward.base import BackwardRule
from captum_ext.paths.vocabulary import Strategy, VocabularyPath


class DIG(PathAttribution):
    """Discretized Integrated Gradients (DIG): Integrated Gradients along the embeddings of real words.

    With ``strategy="uniform"`` it is Uniform Discretized Integrated Gradients (UDIG). The inputs are outputs of the
    embedding layer. See :class:`~captum_ext.paths.VocabularyPath`.

    Args:
        forward_func: A function of embeddings that returns one row per example, such as
            ``captum_ext.targets.contrast(a, b).of(model)``.
        embeddings: The embedding layer, as from ``model.get_input_embeddings()``, or its table (V, D).
        strategy: How words are chosen: ``"greedy"`` (default), ``"maxcount"`` or ``"uniform"``.
        n_words: How many words lie between baseline and input. Default: 30, the paper's.
        neighbors: How many of the nearest words are candidates. Default: 500, the paper's code's.
        special: Ids of tokens that the path neither moves nor visits. Default: none.
        backward: Which vector-Jacobian product is the gradient. Default: the ordinary one.
        multiply_by_inputs: Taken for Captum's keyword. Only True, the default, has a meaning here.

    Raises:
        TypeError, ValueError: As :class:`~captum_ext.paths.VocabularyPath` and
            :class:`~captum_ext.attr.PathAttribution`.

    Reference:
        Sanyal, Ren: Discretized Integrated Gradients for Explaining Language Models. EMNLP 2021.
        https://arxiv.org/abs/2108.13654

    Example:
        >>> from captum_ext.attr import DIG
        >>> embedding = torch.nn.Embedding(100, 8)
        >>> dig = DIG(lambda x: torch.tanh(x).sum((1, 2)), embedding, n_words=5)
        >>> dig.attribute(embedding(torch.tensor([[3, 14, 15]])).detach()).sum(2).shape  # one number per token
        torch.Size([1, 3])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        embeddings: nn.Embedding | Tensor,
        strategy: Strategy = "greedy",
        n_words: int = 30,
        neighbors: int = 500,
        special: Sequence[int] = (),
        backward: BackwardRule | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        path = VocabularyPath(embeddings, strategy, n_words, neighbors, special)
        super().__init__(forward_func, path, None, backward, multiply_by_inputs)
