"""Patterns from a file, and the model to which they belong."""

from __future__ import annotations

import os
import warnings

import torch
from torch import Tensor, nn

from captum_ext.cli.errors import CommandError
from captum_ext.patterns import Patterns, fold_batch_norm


def load(name: str, device: torch.device) -> Patterns:
    """Load the patterns in a file.

    Raises:
        CommandError: If the file does not exist or contains no valid patterns.
    """
    try:
        return Patterns.load(name, device)
    except FileNotFoundError as error:
        raise CommandError(f"--patterns {name}: no such file. captum-ext fit-patterns writes one") from error
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise CommandError(f"--patterns {_reason(error)}") from error


def folded(model: nn.Module, patterns: Patterns, name: str, image: Tensor) -> nn.Module:
    """The model with folded BatchNorm, as in the fit of the patterns.

    Raises:
        CommandError: If the patterns belong to another model.
    """
    try:
        patterned = fold_batch_norm(model, image)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            patterns.weights(patterned)
    except (KeyError, RuntimeError, UserWarning, ValueError) as error:
        raise CommandError(f"--patterns {name}: fitted to another model or other weights ({error})") from error
    return patterned


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{os.fspath(error.filename)}: {error.strerror}"
    return str(error)
