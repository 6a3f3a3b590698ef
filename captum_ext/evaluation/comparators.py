"""The methods that the papers compare with, by Captum where Captum has them.

The numbers are those of Pattern-Guided Integrated Gradients' appendix: 25 samples, noise of variance .15 in the units
of the model's input, 25 steps.
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
    method = captum.attr.Saliency(subject.probability)
    return _by_rows(subject, question, partial(method.attribute, abs=False))


def gradient_x_input(subject: Subject, question: Question) -> Tensor:
    """The gradient times the input."""
    return _by_rows(subject, question, captum.attr.InputXGradient(subject.probability).attribute)


def vargrad(subject: Subject, question: Question) -> Tensor:
    """The variance of gradients at noisy inputs."""
    return _each(subject, question, partial(_tunnel, "vargrad"))


def smoothgrad_squared(subject: Subject, question: Question) -> Tensor:
    """The mean square of gradients at noisy inputs."""
    return _each(subject, question, partial(_tunnel, "smoothgrad_sq"))


def _tunnel(kind: str, subject: Subject, one: Question) -> Tensor:
    result: Tensor = captum.attr.NoiseTunnel(captum.attr.Saliency(subject.probability)).attribute(
        one.inputs.clone(),
        nt_type=kind,
        nt_samples=SAMPLES,
        nt_samples_batch_size=min(SAMPLES, subject.rows or _ROWS),
        stdevs=VARIANCE**0.5,
        target=one.target,
        abs=False,
    )
    return result


def smoothgrad_ig(subject: Subject, question: Question) -> Tensor:
    """Integrated Gradients with gradients averaged over noisy inputs, times the clean input's distance."""
    return _each(subject, question, _smoothgrad_ig)


def _smoothgrad_ig(subject: Subject, one: Question) -> Tensor:
    tunnel = captum.attr.NoiseTunnel(IntegratedGradients(subject.probability, multiply_by_inputs=False))
    local: Tensor = tunnel.attribute(
        one.inputs.clone(),
        nt_samples=subject.smoothgrad_ig_samples,
        stdevs=VARIANCE**0.5,
        baselines=one.baseline,
        target=one.target,
        n_steps=STEPS,
        method="riemann_right",
        internal_batch_size=subject.rows,
    )
    return local * (one.inputs - one.baseline)


def expected_gradients(subject: Subject, question: Question) -> Tensor:
    """Expected Gradients: as many draws of (baseline, alpha) as there are references."""
    return _each(subject, question, _expected_gradients)


def _expected_gradients(subject: Subject, one: Question) -> Tensor:
    method = captum.attr.GradientShap(subject.probability)
    draws, rows = len(subject.references), subject.rows or _ROWS
    total = torch.zeros_like(one.inputs)
    for at in range(0, draws, rows):  # GradientShap alone would take all draws in one forward pass
        some = min(rows, draws - at)
        shares = method.attribute(one.inputs, subject.references, n_samples=some, stdevs=0.0, target=one.target)
        total += some * shares.detach()
    return total / draws


def guided_backprop(subject: Subject, question: Question) -> Tensor:
    """Guided Backpropagation, on a copy whose ReLU6 are a ReLU and a ceiling: Captum's knows nn.ReLU only.

    Raises:
        UserError: If it equals the gradient, since the model's ReLUs are no modules.
    """
    model = nn.Sequential(_with_relus(subject.model), nn.Softmax(1))
    result = _by_rows(subject, question, captum.attr.GuidedBackprop(model).attribute)
    if torch.equal(result, gradient(subject, question)) and bool(result.any()):
        raise UserError(
            "guided-backprop: equals the gradient on this model, which has no nn.ReLU or nn.ReLU6 modules. Leave it "
            "out."
        )
    return result


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
        for name, child in list(module._modules.items()):  # a shared one under each of its names
            if isinstance(child, nn.ReLU6):
                setattr(module, name, nn.Sequential(nn.ReLU(), _Ceiling()))
    return model


def _by_rows(subject: Subject, question: Question, attribute: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """A method of one pass, over as many images at a time as may be in one."""
    rows = subject.rows or _ROWS
    with _quiet():
        parts = [
            attribute(question.inputs[at : at + rows].clone(), question.target[at : at + rows]).detach()
            for at in range(0, len(question.inputs), rows)
        ]
    return torch.cat(parts)


def _each(subject: Subject, question: Question, attribute: Callable[[Subject, Question], Tensor]) -> Tensor:
    """A method that draws, image by image: what is drawn for one depends on no other."""
    parts = []
    for index, name in enumerate(question.names):
        one = Question((name,), *(tensor[index : index + 1] for tensor in question[1:]))
        with seeded(subject.seed, name), _quiet():
            parts.append(attribute(subject, one).detach())
    return torch.cat(parts)


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
