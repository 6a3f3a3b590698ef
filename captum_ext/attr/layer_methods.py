"""Named layer methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from captum_ext._utils.gaussian import PaddingMode
from captum_ext.attr._parts import check_not_flag
from captum_ext.attr.layer import LayerPathAttribution
from captum_ext.backward.base import BackwardRule
from captum_ext.paths import BlurPath, GuidedPath, Path, StraightPath
from captum_ext.paths.blur import Schedule
from captum_ext.quadratures import ImportantDirection


class LayerIntegratedGradients(LayerPathAttribution):
    """Integrated Gradients at a layer, with Captum's constructor and results.

    The attributions equal those of :class:`captum.attr.LayerIntegratedGradients`, apart from the rounding of Captum's
    weights to float32, ``riemann_trapezoid``, and layers that run several times. See
    :class:`~captum_ext.attr.LayerPathAttribution`.

    Args:
        forward_func: The model, or any function that runs it and returns one row per example.
        layer: The module whose activation is explained, or a list of modules.
        device_ids: The order of the devices if ``forward_func`` wraps a DataParallel model. Default: ``None``.
        multiply_by_inputs: ``False`` leaves out the factor (activation - baseline's activation). Default: True.

    Raises:
        TypeError, ValueError: See :class:`~captum_ext.attr.LayerPathAttribution`.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017.
        https://arxiv.org/abs/1703.01365

    Example:
        >>> from captum_ext.attr import LayerIntegratedGradients
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.Flatten())
        >>> LayerIntegratedGradients(model, model[0]).attribute(torch.rand(2, 3, 8, 8), target=5).shape
        torch.Size([2, 6, 6, 6])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module | list[nn.Module] | None,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        super().__init__(forward_func, layer, device_ids, multiply_by_inputs=multiply_by_inputs)


class LayerIDGI(LayerPathAttribution):
    """Important Direction Gradient Integration (IDGI) at a layer, on any path.

    Each step's change of F is distributed in proportion to the squared gradient with respect to the layer. See
    :class:`~captum_ext.attr.IDGI` and :class:`~captum_ext.attr.LayerPathAttribution`.

    Args:
        forward_func: The model, or any function that runs it and returns one row per example.
        layer: The module whose activation is explained, or a list of modules.
        device_ids: The order of the devices if ``forward_func`` wraps a DataParallel model. Default: ``None``.
        path: The points between the two activations. Default: the straight line.
        backward: The backward rule. Default: the ordinary gradient.
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    Raises:
        TypeError, ValueError: See :class:`~captum_ext.attr.LayerPathAttribution`.

    Reference:
        Yang, Wang, Bilgic: IDGI: A Framework to Eliminate Explanation Noise from Integrated Gradients.
        CVPR 2023. https://arxiv.org/abs/2303.14242

    Example:
        >>> from captum_ext.attr import LayerIDGI
        >>> model = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Flatten(), torch.nn.Linear(12, 2))
        >>> LayerIDGI(lambda ids: model(ids).softmax(1), model[0]).attribute(torch.tensor([[1, 2, 3]]), target=0).shape
        torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module | list[nn.Module] | None,
        device_ids: list[int] | None = None,
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        backward: BackwardRule | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("path", path, "a path such as StraightPath()")
        super().__init__(forward_func, layer, device_ids, path, ImportantDirection(), backward, multiply_by_inputs)


class LayerGuidedIG(LayerPathAttribution):
    """Guided Integrated Gradients at a layer: the activation's features with small gradients move first.

    See :class:`~captum_ext.attr.GuidedIG` and :class:`~captum_ext.attr.LayerPathAttribution`.

    Args:
        forward_func: The model, or any function that runs it and returns one row per example.
        layer: The module whose activation is explained, or a list of modules.
        device_ids: The order of the devices if ``forward_func`` wraps a DataParallel model. Default: ``None``.
        fraction: The share of all features, in (0, 1], that moves at once. Default: 0.25.
        max_dist: The largest deviation of a feature from the straight line, in [0, 1]. Default: 0.02.
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    Raises:
        TypeError, ValueError: See :class:`~captum_ext.attr.LayerPathAttribution`.

    Reference:
        Kapishnikov et al.: Guided Integrated Gradients: An Adaptive Path Method for Removing Noise. CVPR 2021.
        https://arxiv.org/abs/2106.09788

    Example:
        >>> from captum_ext.attr import LayerGuidedIG
        >>> model = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Flatten(), torch.nn.Linear(12, 2))
        >>> LayerGuidedIG(model, model[0]).attribute(torch.tensor([[1, 2, 3]]), target=0).shape
        torch.Size([1, 3, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module | list[nn.Module] | None,
        device_ids: list[int] | None = None,
        fraction: float = 0.25,
        max_dist: float = 0.02,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("fraction", fraction, "a share of the features")
        path = GuidedPath(fraction, max_dist)
        super().__init__(forward_func, layer, device_ids, path, multiply_by_inputs=multiply_by_inputs)


class LayerBlurIG(LayerPathAttribution):
    """Blur Integrated Gradients at a layer with spatial dimensions: from the blurred activation to the sharp one.

    ``attribute`` accepts only ``baselines=None``. See :class:`~captum_ext.attr.BlurIG` and
    :class:`~captum_ext.attr.LayerPathAttribution`.

    Args:
        forward_func: The model, or any function that runs it and returns one row per example.
        layer: The module whose activation is explained, or a list of modules.
        device_ids: The order of the devices if ``forward_func`` wraps a DataParallel model. Default: ``None``.
        max_sigma: The strongest blur, in units of the layer's grid. Default: 50.
        schedule: The decrease of sigma along the path: ``"linear"`` (default), ``"square"`` or ``"sqrt"``.
        padding_mode: ``"constant"`` (zeros, default), ``"reflect"`` or ``"replicate"``.
        spatial_dims: The activation's dimensions to blur. Default: all after (batch, channel).
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    Raises:
        TypeError, ValueError: See :class:`~captum_ext.attr.LayerPathAttribution`.

    Reference:
        Xu, Venugopalan, Sundararajan: Attribution in Scale and Space. CVPR 2020.
        https://arxiv.org/abs/2004.03383

    Example:
        >>> from captum_ext.attr import LayerBlurIG
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.Flatten())
        >>> LayerBlurIG(model, model[0], max_sigma=3.0).attribute(torch.rand(2, 3, 8, 8), target=5).shape
        torch.Size([2, 6, 6, 6])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module | list[nn.Module] | None,
        device_ids: list[int] | None = None,
        max_sigma: float = 50.0,
        schedule: Schedule = "linear",
        padding_mode: PaddingMode = "constant",
        spatial_dims: Sequence[int] | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        check_not_flag("max_sigma", max_sigma, "a number of pixels")
        path = BlurPath(max_sigma, schedule, padding_mode, spatial_dims)
        super().__init__(forward_func, layer, device_ids, path, multiply_by_inputs=multiply_by_inputs)
