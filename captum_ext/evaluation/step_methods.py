"""Methods with a number of steps or samples that share no gradients with others.

Each takes about as many gradients per image as there are steps, so that methods are compared at equal cost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from captum_ext.attr import AGI, EIG, IG2, IGOS, MAGIG, PathAttribution, SmoothTaylor
from captum_ext.evaluation.comparators import derive_seed
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel

_AGI_CLASSES, _AGI_STEP_GRADIENTS = 5, 2
_IGOS_POINTS = 5


def agi(model: ProbabilityModel, batch: ImageBatch, steps: int) -> tuple[Tensor, Tensor | None]:
    """AGI toward 5 wrong classes (15 in the paper), with ``steps / 10`` steps of two gradients for each."""
    per_class = max(1, round(steps / (_AGI_CLASSES * _AGI_STEP_GRADIENTS)))
    return _with_delta(AGI(model.probability, _AGI_CLASSES), model, batch, None, per_class)


def ig2(model: ProbabilityModel, batch: ImageBatch, steps: int) -> tuple[Tensor, Tensor | None]:
    """IG2 with the logits as the representation and the baselines as references; a step takes two gradients."""
    return _with_delta(IG2(model.probability, model.model), model, batch, batch.baselines, max(1, steps // 2))


def eig(model: ProbabilityModel, batch: ImageBatch, steps: int) -> tuple[Tensor, Tensor | None]:
    """EIG with the principal components of the references."""
    method = EIG(model.probability, model.pca.encode, model.pca.decode)
    return _with_delta(method, model, batch, batch.baselines, steps)


def ma_gig(model: ProbabilityModel, batch: ImageBatch, steps: int) -> tuple[Tensor, Tensor | None]:
    """MA-GIG with the principal components of the references."""
    method = MAGIG(model.probability, model.pca.encode, model.pca.decode)
    return _with_delta(method, model, batch, batch.baselines, steps)


def _with_delta(
    method: PathAttribution, model: ProbabilityModel, batch: ImageBatch, baselines: Tensor | None, n_steps: int
) -> tuple[Tensor, Tensor]:
    return method.attribute(
        batch.inputs,
        baselines,
        batch.target,
        n_steps=n_steps,
        internal_batch_size=model.internal_batch_size,
        show_progress=model.show_progress,
        return_convergence_delta=True,
    )


def smooth_taylor(model: ProbabilityModel, batch: ImageBatch, steps: int) -> tuple[Tensor, Tensor | None]:
    """SmoothTaylor with ``steps`` roots; each image's noise depends on its name only."""
    parts = [
        SmoothTaylor(model.probability).attribute(
            batch.inputs[k : k + 1],
            batch.target[k : k + 1],
            n_samples=steps,
            internal_batch_size=model.internal_batch_size,
            show_progress=model.show_progress,
            generator=derive_seed(model.generator, name),
        )
        for k, name in enumerate(batch.names)
    ]
    return torch.cat(parts), None


def igos(model: ProbabilityModel, batch: ImageBatch, steps: int) -> tuple[Tensor, Tensor | None]:
    """I-GOS with 5 points on the path (15 in its code) and ``steps / 5`` iterations, from the blurred image."""
    parts = [
        IGOS(model.probability).attribute(
            batch.inputs[k : k + 1],
            target=batch.target[k : k + 1],
            n_steps=_IGOS_POINTS,
            n_iterations=max(1, steps // _IGOS_POINTS),
            internal_batch_size=model.internal_batch_size,
            show_progress=model.show_progress,
            generator=derive_seed(model.generator, name),
        )
        for k, name in enumerate(batch.names)
    ]
    return torch.cat(parts).expand_as(batch.inputs) / batch.inputs.shape[1], None
