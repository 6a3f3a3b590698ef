"""The methods that the papers compare with, by Captum where Captum has them.

The numbers are those of Pattern-Guided Integrated Gradients' appendix: 25 samples, noise of variance .15 in the units
of the model's input, 25 steps.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn

from captum_ext._errors import UserError
from captum_ext.attr import IntegratedGradients, PatternAttribution, PatternNet
from captum_ext.evaluation.subject import Question, Subject

SAMPLES, VARIANCE, STEPS = 25, 0.15, 25
_ROWS = 16  # in a forward pass, if the user sets no limit


def random(subject: Subject, question: Question) -> Tensor:
    """Noise, the same for an image whatever batch it is in: what any method must beat."""
    maps = []
    for name, image in zip(question.names, question.inputs, strict=True):
        generator = torch.Generator().manual_seed(_seed(subject.seed, name))
        maps.append(torch.randn(image.shape, generator=generator))
    return torch.stack(maps).to(question.inputs)


def gradient(subject: Subject, question: Question) -> Tensor:
    """The gradient, with its sign."""
    with _quiet():
        result: Tensor = captum.attr.Saliency(subject.probability).attribute(
            question.inputs.clone(), question.target, abs=False
        )
    return result.detach()


def gradient_x_input(subject: Subject, question: Question) -> Tensor:
    """The gradient times the input."""
    with _quiet():
        result: Tensor = captum.attr.InputXGradient(subject.probability).attribute(
            question.inputs.clone(), question.target
        )
    return result.detach()


def vargrad(subject: Subject, question: Question) -> Tensor:
    """The variance of gradients at noisy inputs."""
    return _tunnel(subject, question, "vargrad")


def smoothgrad_squared(subject: Subject, question: Question) -> Tensor:
    """The mean square of gradients at noisy inputs."""
    return _tunnel(subject, question, "smoothgrad_sq")


def _tunnel(subject: Subject, question: Question, kind: str) -> Tensor:
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(subject.probability))
    with seeded(subject.seed, kind, *question.names), _quiet():
        result: Tensor = tunnel.attribute(
            question.inputs.clone(),
            nt_type=kind,
            nt_samples=SAMPLES,
            nt_samples_batch_size=_samples_at_once(subject, question),
            stdevs=VARIANCE**0.5,
            target=question.target,
            abs=False,
        )
    return result.detach()


def smoothgrad_ig(subject: Subject, question: Question) -> Tensor:
    """Integrated Gradients with gradients averaged over noisy inputs, times the clean input's distance."""
    tunnel = captum.attr.NoiseTunnel(IntegratedGradients(subject.probability, multiply_by_inputs=False))
    with seeded(subject.seed, "smoothgrad-ig", *question.names), _quiet():
        local: Tensor = tunnel.attribute(
            question.inputs.clone(),
            nt_samples=SAMPLES,
            nt_samples_batch_size=1,
            stdevs=VARIANCE**0.5,
            baselines=question.baseline,
            target=question.target,
            n_steps=STEPS,
            method="riemann_right",
            internal_batch_size=subject.rows,
        )
    return local.detach() * (question.inputs - question.baseline)


def expected_gradients(subject: Subject, question: Question) -> Tensor:
    """Expected Gradients: as many draws of (baseline, alpha) as there are references."""
    method = captum.attr.GradientShap(subject.probability)
    total = torch.zeros_like(question.inputs)
    with seeded(subject.seed, "expected-gradients", *question.names), _quiet():
        for _ in range(len(subject.references)):  # GradientShap would take all draws in one forward pass
            total += method.attribute(
                question.inputs, subject.references, n_samples=1, stdevs=0.0, target=question.target
            ).detach()
    return total / len(subject.references)


def guided_backprop(subject: Subject, question: Question) -> Tensor:
    """Guided Backpropagation, on a copy whose ReLU6 are a ReLU and a ceiling: Captum's knows nn.ReLU only.

    Raises:
        UserError: If it equals the gradient, since the model's ReLUs are no modules.
    """
    model = nn.Sequential(_with_relus(subject.model), nn.Softmax(1))
    with _quiet():
        result: Tensor = captum.attr.GuidedBackprop(model).attribute(question.inputs.clone(), question.target)
    if torch.equal(result, gradient(subject, question)) and bool(result.any()):
        raise UserError(
            "guided-backprop: equals the gradient on this model, which has no nn.ReLU or nn.ReLU6 modules. Leave it "
            "out."
        )
    return result.detach()


def patternnet(subject: Subject, question: Question) -> Tensor:
    """PatternNet of the class's logit."""
    model = subject.patterned
    result: Tensor = PatternNet(model.model, model.given_patterns()).attribute(
        question.inputs, question.target, internal_batch_size=subject.rows
    )
    return result


def patternattribution(subject: Subject, question: Question) -> Tensor:
    """PatternAttribution of the class's logit."""
    model = subject.patterned
    result: Tensor = PatternAttribution(model.model, model.given_patterns()).attribute(
        question.inputs, question.target, internal_batch_size=subject.rows
    )
    return result


class _Ceiling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(max=6)


def _with_relus(model: nn.Module) -> nn.Module:
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.Sequential(nn.ReLU(), _Ceiling()))
    return model


def _samples_at_once(subject: Subject, question: Question) -> int:
    return max(1, (subject.rows or _ROWS) // len(question.inputs))


def _seed(*key: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "big")


@contextmanager
def seeded(*key: object) -> Iterator[None]:
    """The global generators, which Captum draws from, seeded by the key; put back afterwards."""
    state = np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(_seed(*key))
            np.random.seed(_seed(*key))
            yield
    finally:
        np.random.set_state(state)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Captum's warnings that it sets hooks and asks for gradients."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="captum")
        yield
