"""XRAI: the regions of any method's maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from captum.attr import Attribution
from captum.log import log_usage
from torch import Tensor

from captum_ext.attr.expected import Expected
from captum_ext.attr.integrated_gradients import IntegratedGradients
from captum_ext.regions import xrai
from captum_ext.regions.region_maps import Algorithm, ChannelReduction, Segments

_STEPS = 100


class XRAI(Attribution):
    """XRAI: the pixels of a method's maps, merged into regions of the picture.

    The method runs first; :func:`captum_ext.regions.xrai` then merges its maps. XRAI has no convergence delta: with
    ``channels="sum"`` the sum of the attributions is the method's, otherwise it is not.

    Args:
        method: A method of this library or of Captum's, such as ``IDGI(model)``, or a model, which gets PAIR's
            default: Integrated Gradients, averaged over two baselines, each picture's minimum and maximum in all
            pixels and channels, with 100 steps. (The rule is Gauss-Legendre, which is closer to the integral than
            PAIR's mean over 100 points.)
        algorithm: ``"full"`` (default) or ``"fast"``. See :func:`captum_ext.regions.xrai` for this and the following.
        area_threshold: The fraction of the picture to cover. Default: 1.0.
        min_pixel_diff: The minimum number of pixels that a segment must add. Default: 50.
        channels: How the channels of a pixel are reduced. Default: ``"max"``.

    Raises:
        TypeError: If the method is neither a method nor a model.

    Reference:
        Kapishnikov, Bolukbasi, Viégas, Terry: XRAI: Better Attributions Through Regions. ICCV 2019.
        https://arxiv.org/abs/1906.02825

    Example:
        >>> from captum_ext.attr import IDGI, XRAI
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 5), torch.nn.Softmax(1))
        >>> halves = (torch.arange(32) < 16).long().expand(32, 32)
        >>> XRAI(IDGI(model)).attribute(torch.rand(2, 3, 32, 32), target=4, segments=halves).shape
        torch.Size([2, 1, 32, 32])
    """

    def __init__(
        self,
        method: Attribution | Callable[..., Tensor],
        *,
        algorithm: Algorithm = "full",
        area_threshold: float = 1.0,
        min_pixel_diff: int = 50,
        channels: ChannelReduction = "max",
    ) -> None:
        """See the class."""
        if isinstance(method, type) or not (isinstance(method, Attribution) or callable(method)):
            raise TypeError(f"method: expected a method such as IDGI(model), or a model; got {method!r:.80}.")
        self._is_default = not isinstance(method, Attribution)
        if not isinstance(method, Attribution):
            method = Expected(IntegratedGradients(method), [_minimum, _maximum])
        super().__init__(method.forward_func)
        self.method = method
        self._options: dict[str, Any] = {
            "algorithm": algorithm,
            "area_threshold": area_threshold,
            "min_pixel_diff": min_pixel_diff,
            "channels": channels,
        }

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether the method's attributions contain the factor (inputs - baselines)."""
        return bool(getattr(self.method, "multiplies_by_inputs", False))

    def has_convergence_delta(self) -> bool:
        """False: the maximum over channels does not keep the sum."""
        return False

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor,
        *args: Any,
        images: Tensor | None = None,
        segments: Segments | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The maps of regions.

        Args:
            inputs: Pictures (B, C, H, W).
            *args: Further arguments of the method's ``attribute``, in its order.
            images: The pictures to segment, (B, C, H, W) or (1, C, H, W). Default ``None``: the inputs.
            segments: Your own segments, or those of :func:`captum_ext.regions.segment`. Default ``None``: segments of
                ``images``.
            **kwargs: Further arguments of the method's ``attribute``, such as ``target`` and ``n_steps``.

        Returns:
            The attributions, (B, 1, H, W), one channel, as regions have no others.

        Raises:
            TypeError, ValueError: If the inputs are not one tensor of pictures, or the method returns more than maps;
                otherwise as the method and :func:`captum_ext.regions.xrai`.
        """
        is_tuple = isinstance(inputs, tuple)
        if is_tuple and len(inputs) != 1:
            raise ValueError(f"inputs: expected one tensor of pictures (B, C, H, W), got {len(inputs)} inputs.")
        pictures = inputs[0] if is_tuple else inputs
        if not isinstance(pictures, Tensor) or pictures.dim() != 4:
            shape = tuple(getattr(pictures, "shape", ())) or type(pictures).__name__
            raise ValueError(f"inputs: expected pictures (B, C, H, W), got {shape}.")
        for name in ("return_convergence_delta", "return_diagnostics"):
            if kwargs.get(name):
                raise ValueError(f"{name}: XRAI returns maps only. Call attribute() of the method itself.")
        if self._is_default:
            kwargs.setdefault("n_steps", _STEPS)
        attributions = self.method.attribute(inputs, *args, **kwargs)
        attributions = attributions[0] if isinstance(attributions, tuple) else attributions
        maps = xrai(attributions, pictures if images is None else images, segments, **self._options).unsqueeze(1)
        return (maps,) if is_tuple else maps  # type: ignore[return-value]

    @classmethod
    def get_name(cls) -> str:
        """The class's name."""
        return cls.__name__

    def attribute_future(self) -> None:
        """Not implemented, as in Captum's gradient methods."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")


def _minimum(inputs: Tensor) -> Tensor:
    return inputs.amin((1, 2, 3), keepdim=True).expand_as(inputs)


def _maximum(inputs: Tensor) -> Tensor:
    return inputs.amax((1, 2, 3), keepdim=True).expand_as(inputs)
