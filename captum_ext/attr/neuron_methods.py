"""Named neuron methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from captum_ext._utils.gaussian import PaddingMode
from captum_ext.attr.neuron import NeuronPathAttribution
from captum_ext.backward import BackwardRule
from captum_ext.paths import BlurPath, GuidedPath, Path, StraightPath
from captum_ext.paths.blur import Schedule
from captum_ext.quadratures import ImportantDirection


class NeuronIntegratedGradients(NeuronPathAttribution):
    """Integrated Gradients of a neuron inside the model, with Captum's constructor and results.

    The attributions equal those of :class:`captum.attr.NeuronIntegratedGradients`, apart from the rounding of Captum's
    weights to float32 and ``riemann_trapezoid``.

    Args:
        forward_func: The model, or any function that runs it.
        layer: The module that has the neuron.
        device_ids: The order of the devices if ``forward_func`` wraps a DataParallel model. Default: ``None``.
        multiply_by_inputs: ``False`` leaves out the factor (inputs - baselines). Default: True.

    Raises:
        TypeError: If an argument has another type.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017.
        https://arxiv.org/abs/1703.01365

    Example:
        >>> from captum_ext.attr import NeuronIntegratedGradients
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> NeuronIntegratedGradients(model, model[1]).attribute(torch.rand(3, 4), 7).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        super().__init__(forward_func, layer, device_ids, multiply_by_inputs=multiply_by_inputs)


class NeuronIDGI(NeuronPathAttribution):
    """Important Direction Gradient Integration (IDGI) of a neuron, on any path of the inputs.

    The neuron's change on each step is distributed in proportion to the squared gradient. See
    :class:`~captum_ext.attr.IDGI` and :class:`~captum_ext.attr.NeuronPathAttribution`.

    Args:
        forward_func: The model, or any function that runs it.
        layer: The module that has the neuron.
        device_ids: The order of the devices if ``forward_func`` wraps a DataParallel model. Default: ``None``.
        path: The points between baseline and input. Default: the straight line.
        backward: The backward rule. Default: the ordinary gradient.
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    Raises:
        TypeError, ValueError: See :class:`~captum_ext.attr.NeuronPathAttribution`.

    Reference:
        Yang, Wang, Bilgic: IDGI: A Framework to Eliminate Explanation Noise from Integrated Gradients.
        CVPR 2023. https://arxiv.org/abs/2303.14242

    Example:
        >>> from captum_ext.attr import NeuronIDGI
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Softplus(), torch.nn.Linear(8, 2))
        >>> NeuronIDGI(model, model[1]).attribute(torch.rand(3, 4), 7).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module,
        device_ids: list[int] | None = None,
        path: Path = StraightPath(),  # noqa: B008 -- immutable
        backward: BackwardRule | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        super().__init__(forward_func, layer, device_ids, path, ImportantDirection(), backward, multiply_by_inputs)


class NeuronGuidedIG(NeuronPathAttribution):
    """Guided Integrated Gradients of a neuron: the features with small gradients move first.

    See :class:`~captum_ext.attr.GuidedIG` and :class:`~captum_ext.attr.NeuronPathAttribution`.

    Args:
        forward_func: The model, or any function that runs it.
        layer: The module that has the neuron.
        device_ids: The order of the devices if ``forward_func`` wraps a DataParallel model. Default: ``None``.
        fraction: The share of all features, in (0, 1], that moves at once. Default: 0.25.
        max_dist: The largest deviation of a feature from the straight line, in [0, 1]. Default: 0.02.
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    Raises:
        TypeError, ValueError: See :class:`~captum_ext.attr.NeuronPathAttribution`.

    Reference:
        Kapishnikov et al.: Guided Integrated Gradients: An Adaptive Path Method for Removing Noise. CVPR 2021.
        https://arxiv.org/abs/2106.09788

    Example:
        >>> from captum_ext.attr import NeuronGuidedIG
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> NeuronGuidedIG(model, model[1]).attribute(torch.rand(3, 4), 7).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module,
        device_ids: list[int] | None = None,
        fraction: float = 0.25,
        max_dist: float = 0.02,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        super().__init__(
            forward_func, layer, device_ids, GuidedPath(fraction, max_dist), multiply_by_inputs=multiply_by_inputs
        )


class NeuronBlurIG(NeuronPathAttribution):
    """Blur Integrated Gradients of a neuron: from the blurred input to the sharp one.

    ``attribute`` accepts only ``baselines=None``. See :class:`~captum_ext.attr.BlurIG` and
    :class:`~captum_ext.attr.NeuronPathAttribution`.

    Args:
        forward_func: The model, or any function that runs it.
        layer: The module that has the neuron.
        device_ids: The order of the devices if ``forward_func`` wraps a DataParallel model. Default: ``None``.
        max_sigma: The strongest blur, in pixels. Default: 50.
        schedule: The decrease of sigma along the path: ``"linear"`` (default), ``"square"`` or ``"sqrt"``.
        padding_mode: ``"constant"`` (zeros, default), ``"reflect"`` or ``"replicate"``.
        spatial_dims: The dimensions to blur. Default: all after (batch, channel).
        multiply_by_inputs: Accepted for compatibility with Captum; must be True, the default.

    Raises:
        TypeError, ValueError: See :class:`~captum_ext.attr.NeuronPathAttribution`.

    Reference:
        Xu, Venugopalan, Sundararajan: Attribution in Scale and Space. CVPR 2020.
        https://arxiv.org/abs/2004.03383

    Example:
        >>> from captum_ext.attr import NeuronBlurIG
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(), torch.nn.Flatten())
        >>> NeuronBlurIG(model, model[1], max_sigma=3.0).attribute(torch.rand(2, 3, 8, 8), (5, 2, 2)).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        forward_func: Callable[..., Tensor],
        layer: nn.Module,
        device_ids: list[int] | None = None,
        max_sigma: float = 50.0,
        schedule: Schedule = "linear",
        padding_mode: PaddingMode = "constant",
        spatial_dims: Sequence[int] | None = None,
        *,
        multiply_by_inputs: bool = True,
    ) -> None:
        """See the class."""
        path = BlurPath(max_sigma, schedule, padding_mode, spatial_dims)
        super().__init__(forward_func, layer, device_ids, path, multiply_by_inputs=multiply_by_inputs)
