"""Integrated Gradients along paths in a latent space."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from captum_ext.attr._parts import check_not_flag
from captum_ext.attr.path_attribution import PathAttribution
from captum_ext.paths import GuidedPath, LatentPath
from captum_ext.paths._coder import Coder


class EIG(PathAttribution):
    """Enhanced Integrated Gradients: a straight line in latent space, decoded to inputs.

    The points between baseline and input look like data, as far as the coder's outputs do. The first and the last point
    are the baseline and the input themselves, so the path jumps at both ends by what the coder loses, and the
    convergence delta contains these jumps for any number of steps; see :class:`~captum_ext.paths.LatentPath`.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        encode: The encoder, from inputs to latents, such as :func:`~captum_ext.paths.fit_pca` makes.
        decode: The decoder, from latents to inputs.
        multiply_by_inputs: Accepted for compatibility with Captum. Only True, the default, has a meaning here.

    Raises:
        TypeError, ValueError: If a function is none, its results do not fit, or ``multiply_by_inputs=False``.

    Reference:
        Jha et al.: Enhanced Integrated Gradients: improving interpretability of deep learning models using splicing
        codes as a case study. Genome Biology 2020.

    Example:
        >>> from captum_ext.attr import EIG
        >>> from captum_ext.paths import fit_pca
        >>> pca = fit_pca(torch.rand(20, 3, 8, 8), 5)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5), torch.nn.Softmax(1))
        >>> EIG(model, pca.encode, pca.decode).attribute(torch.rand(2, 3, 8, 8), target=[1, 4]).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        encode: Coder,
        decode: Coder,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("encode", encode, "an encoder and a decoder")
        super().__init__(forward_func, LatentPath(encode, decode), multiply_by_inputs=multiply_by_inputs)


class MAGIG(PathAttribution):
    """Manifold-Aligned Guided Integrated Gradients (MA-GIG): Guided IG's path in latent space, decoded to inputs.

    The latent coordinates with the smallest gradient move first. ``method`` is ``riemann_left`` (default),
    ``riemann_right`` or ``riemann_trapezoid``. The paper uses a variational autoencoder and 200 steps.

    The path jumps at both ends by what the coder loses; see :class:`~captum_ext.paths.LatentPath`. It is chaotic, as
    every guided path; see :class:`~captum_ext.paths.GuidedPath`.

    Args:
        forward_func: The model, or any function that takes the inputs and returns one row per example.
        encode: The encoder, from inputs to latents, such as :func:`~captum_ext.paths.fit_pca` makes.
        decode: The decoder, from latents to inputs; gradients flow back through it.
        fraction: The share of the latent coordinates, in (0, 1], that moves at a time. Default: 0.1, the paper's.
        max_dist: How far, in [0, 1], a coordinate may be ahead of or behind the straight line. Default: 1, no limit.
        multiply_by_inputs: Accepted for compatibility with Captum. Only True, the default, has a meaning here.

    Raises:
        TypeError, ValueError: If a function is none, its results do not fit, a setting is out of range, or
            ``multiply_by_inputs=False``.

    Reference:
        Kim et al.: Manifold-Aligned Guided Integrated Gradients for Reliable Feature Attribution. ICML 2026.
        https://arxiv.org/abs/2605.02167

    Example:
        >>> from captum_ext.attr import MAGIG
        >>> from captum_ext.paths import fit_pca
        >>> pca = fit_pca(torch.rand(20, 3, 8, 8), 5)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5), torch.nn.Softmax(1))
        >>> method = MAGIG(model, pca.encode, pca.decode)
        >>> method.attribute(torch.rand(2, 3, 8, 8), target=[1, 4], n_steps=10).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        encode: Coder,
        decode: Coder,
        fraction: float = 0.1,
        max_dist: float = 1.0,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("encode", encode, "an encoder and a decoder")
        path = LatentPath(encode, decode, GuidedPath(fraction, max_dist))
        super().__init__(forward_func, path, multiply_by_inputs=multiply_by_inputs)
