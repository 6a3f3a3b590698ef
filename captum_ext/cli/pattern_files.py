"""Pattern files, and the model that their patterns belong to."""

from __future__ import annotations

import os
import warnings

import torch
from torch import Tensor, nn

from captum_ext.cli.errors import CommandError
from captum_ext.patterns import Patterns, fold_batch_norm


def load_patterns(name: str, device: torch.device) -> Patterns:
    """Load patterns from a file.

    Raises:
        CommandError: If the file can't be used.
    """
    try:
        return Patterns.load(name, device)
    except FileNotFoundError as error:
        raise CommandError(f"--patterns {name}: no such file. captum-ext fit-patterns writes one") from error
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise CommandError(f"--patterns {_error_reason(error)}") from error


def fold_for_patterns(model: nn.Module, patterns: Patterns, name: str, image: Tensor) -> nn.Module:
    """Fold BatchNorm, as when the patterns were fitted.

    Raises:
        CommandError: If the patterns belong to another model.
    """
    try:
        folded_model = fold_batch_norm(model, image)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            patterns.weights(folded_model)
    except (KeyError, RuntimeError, UserWarning, ValueError) as error:
        raise CommandError(f"--patterns {name}: fitted to another model or other weights ({error})") from error
    return folded_model


def _error_reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{os.fspath(error.filename)}: {error.strerror}"
    return str(error)
