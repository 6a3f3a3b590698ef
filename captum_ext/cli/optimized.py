"""Cheaper gradients for the models that the commands load."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace

from torch import Tensor, nn

from captum_ext.cli.console import print_error
from captum_ext.optimize import for_attribution
from captum_ext.vision.classifier import Classifier


def add_exact_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that turns :func:`optimize` off."""
    parser.add_argument(
        "--exact",
        action="store_true",
        help="use the model as it is; by default, BatchNorm is folded into the preceding layer, which makes gradients "
        "cheaper and changes maps by rounding only",
    )


def optimize(name: str, classifier: Classifier, example: Tensor, shows_notes: bool = True) -> Classifier:
    """The classifier with BatchNorm folded, or the classifier itself if that is not possible.

    Args:
        name: The model's name, for messages.
        classifier: The classifier, in evaluation mode and on its device.
        example: An input (1, C, H, W), with which the copy is compared.
        shows_notes: Whether to print warnings, and why the classifier itself is returned.
    """
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in classifier.model.modules()):
        return classifier
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = for_attribution(classifier.model, example).model
        except Exception as error:  # users' models raise arbitrary exceptions
            if shows_notes:
                print_error(f"note: {name}: used as it is; BatchNorm can't be folded ({type(error).__name__}: {error})")
            return classifier
    for warning in caught if shows_notes else ():
        print_error(f"warning: {name}: {warning.message} Use --exact for the model as it is.")
    return replace(classifier, model=model)
