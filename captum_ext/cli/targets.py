"""The classes that ``captum-ext explain`` explains."""

from __future__ import annotations

from torch import Tensor

from captum_ext._utils.text import did_you_mean
from captum_ext.cli.errors import CommandError
from captum_ext.vision.classifier import Classifier


def parse_targets(text: str | None, top_k: int, scores: Tensor, classifier: Classifier) -> list[int]:
    """The class that the user named, or the most probable ones.

    Args:
        text: A class's index or name; ``None`` for the ``top_k`` most probable classes.
        top_k: At least 1; at most all classes are explained.
        scores: The probabilities (classes,).
        classifier: The model with its classes' names.

    Raises:
        CommandError: If there is no such class.
    """
    classes = len(scores)
    if text is None:
        best: list[int] = scores.topk(min(top_k, classes)).indices.tolist()
        return best
    matches = [k for k, category in enumerate(classifier.categories) if category.lower() == text.lower()]
    if len(matches) > 1:
        raise CommandError(f"--target {text}: {len(matches)} classes have that name; give one of the indices {matches}")
    if matches:
        return matches
    try:
        index = int(text)
    except ValueError:
        hint = did_you_mean(text, classifier.categories)
        raise CommandError(f"--target {text}: no class has this name; use an index below {classes}.{hint}") from None
    if not 0 <= index < classes:
        raise CommandError(f"--target {text}: expected a class index from 0 to {classes - 1}")
    return [index]
