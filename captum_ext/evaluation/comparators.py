"""The methods that the papers compare with, from Captum where it has them.

Their settings are those in the appendix of Pattern-Guided Integrated Gradients: 25 samples, noise of variance 0.15 in
the units of the model's input, 25 steps.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn

from captum_ext._utils.errors import UserError
from captum_ext.attr import ExpectedGradients, IntegratedGradients, PatternAttribution, PatternNet
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel

SAMPLES, VARIANCE, STEPS = 25, 0.15, 25
_MAX_ROWS = 16  # in a forward pass, if the user sets no limit


def random(model: ProbabilityModel, batch: ImageBatch) -> Tensor:
    """Noise, which any method must outperform."""
    maps = []
    for name, image in zip(batch.names, batch.inputs, strict=True):
        generator = torch.Generator().manual_seed(derive_seed(model.generator, name))
        maps.append(torch.randn(image.shape, generator=generator))
    return torch.stack(maps).to(batch.inputs)


def gradient(model: ProbabilityModel, batch: ImageBatch) -> Tensor:
    """The gradient, with its sign."""
    method = captum.attr.Saliency(model.probability)
    return _maps_in_chunks(model, batch, partial(method.attribute, abs=False))


def gradient_x_input(model: ProbabilityModel, batch: ImageBatch) -> Tensor:
    """The gradient times the input."""
    return _maps_in_chunks(model, batch, captum.attr.InputXGradient(model.probability).attribute)


def vargrad(model: ProbabilityModel, batch: ImageBatch) -> Tensor:
    """The variance of gradients at noisy inputs."""
    return _maps_per_image(model, batch, partial(_noise_tunnel, "vargrad"))


def smoothgrad_squared(model: ProbabilityModel, batch: ImageBatch) -> Tensor:
    """The mean square of gradients at noisy inputs."""
    return _maps_per_image(model, batch, partial(_noise_tunnel, "smoothgrad_sq"))


def _noise_tunnel(kind: str, model: ProbabilityModel, image: ImageBatch) -> Tensor:
    result: Tensor = captum.attr.NoiseTunnel(captum.attr.Saliency(model.probability)).attribute(
        image.inputs.clone(),
        nt_type=kind,
        nt_samples=SAMPLES,
        nt_samples_batch_size=min(SAMPLES, model.internal_batch_size or _MAX_ROWS),
        stdevs=VARIANCE**0.5,
        target=image.target,
        abs=False,
    )
    return result


def smoothgrad_ig(model: ProbabilityModel, batch: ImageBatch) -> Tensor:
    """Integrated Gradients with gradients averaged over noisy inputs, times the clean input's distance."""
    return _maps_per_image(model, batch, _smoothgrad_ig)


def _smoothgrad_ig(model: ProbabilityModel, image: ImageBatch) -> Tensor:
    tunnel = captum.attr.NoiseTunnel(IntegratedGradients(model.probability, multiply_by_inputs=False))
    mean_gradient: Tensor = tunnel.attribute(
        image.inputs.clone(),
        nt_samples=model.smoothgrad_ig_samples,
        stdevs=VARIANCE**0.5,
        baselines=image.baselines,
        target=image.target,
        n_steps=STEPS,
        method="riemann_right",
        internal_batch_size=model.internal_batch_size,
    )
    return mean_gradient * (image.inputs - image.baselines)


def expected_gradients(model: ProbabilityModel, batch: ImageBatch) -> Tensor:
    """Expected Gradients, with as many samples as there are references."""
    return _maps_per_image(model, batch, _expected_gradients)


def _expected_gradients(model: ProbabilityModel, image: ImageBatch) -> Tensor:
    result: Tensor = ExpectedGradients(model.probability, model.references).attribute(
        image.inputs,
        image.target,
        n_samples=len(model.references),
        internal_batch_size=model.internal_batch_size,
        generator=torch.Generator().manual_seed(derive_seed(model.generator, image.names[0])),
    )
    return result


def guided_backprop(model: ProbabilityModel, batch: ImageBatch) -> Tensor:
    """Guided Backpropagation.

    Captum's supports only nn.ReLU, so each nn.ReLU6 of a copy is split into an nn.ReLU and a clamp.

    Raises:
        UserError: If it equals the gradient because the model's ReLUs are not modules.
    """
    probabilities = nn.Sequential(_with_relus(model.model), nn.Softmax(1))
    result = _maps_in_chunks(model, batch, captum.attr.GuidedBackprop(probabilities).attribute)
    if torch.equal(result, gradient(model, batch)) and bool(result.any()):
        raise UserError(
            "guided-backprop: equals the gradient on this model, which has no nn.ReLU or nn.ReLU6 modules. Leave it "
            "out."
        )
    return result


def patternnet(model: ProbabilityModel, batch: ImageBatch) -> Tensor:
    """PatternNet of the class's logit."""
    return _pattern_maps(PatternNet, model, batch)


def patternattribution(model: ProbabilityModel, batch: ImageBatch) -> Tensor:
    """PatternAttribution of the class's logit."""
    return _pattern_maps(PatternAttribution, model, batch)


def _pattern_maps(
    cls: type[PatternNet] | type[PatternAttribution], model: ProbabilityModel, batch: ImageBatch
) -> Tensor:
    model = model.with_folded_model
    result: Tensor = cls(model.model, model.require_patterns()).attribute(
        batch.inputs, batch.target, internal_batch_size=model.internal_batch_size
    )
    return result


class _Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(max=6)


def _with_relus(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in list(module._modules.items()):  # unlike named_children(), with all names of a shared module
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.Sequential(nn.ReLU(), _Clamp()))
    return model


def _maps_in_chunks(
    model: ProbabilityModel, batch: ImageBatch, attribute: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """The maps of a method that needs one row per image, in chunks of at most ``internal_batch_size`` images."""
    rows = model.internal_batch_size or _MAX_ROWS
    with _suppress_captum_warnings():
        parts = [
            attribute(batch.inputs[start : start + rows].clone(), batch.target[start : start + rows]).detach()
            for start in range(0, len(batch.inputs), rows)
        ]
    return torch.cat(parts)


def _maps_per_image(
    model: ProbabilityModel, batch: ImageBatch, attribute: Callable[[ProbabilityModel, ImageBatch], Tensor]
) -> Tensor:
    """The maps of a random method, one image at a time, so that its samples depend on no other image."""
    parts = []
    for index, name in enumerate(batch.names):
        image = ImageBatch((name,), *(tensor[index : index + 1] for tensor in batch[1:]))
        with _global_seed(model.generator, name), _suppress_captum_warnings():
            parts.append(attribute(model, image).detach())
    return torch.cat(parts)


def derive_seed(*key: object) -> int:
    """A seed that depends on the key only, such as on an image's name."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "big")


@contextmanager
def _global_seed(*key: object) -> Iterator[None]:
    """Seed the global generators, which Captum uses, and restore them afterwards."""
    state = np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(derive_seed(*key))
            np.random.seed(derive_seed(*key))
            yield
    finally:
        np.random.set_state(state)


@contextmanager
def _suppress_captum_warnings() -> Iterator[None]:
    """Suppress Captum's warnings about the hooks that it sets and the gradients that it requires."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"captum\.")
        yield
