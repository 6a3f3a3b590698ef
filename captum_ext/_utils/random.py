"""The argument ``generator``: a seed or a random number generator."""

from __future__ import annotations

import torch

from captum_ext._utils.numbers import check_integer


def as_generator(generator: int | torch.Generator) -> torch.Generator:
    """The generator itself, or for a seed a new generator on the CPU.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(generator, torch.Generator):
        return generator
    return torch.Generator().manual_seed(as_seed(generator))


def as_seed(generator: int | torch.Generator) -> int:
    """The seed itself, or one that is drawn from the generator.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(generator, torch.Generator):
        return int(torch.randint(2**31, (), generator=generator, device=generator.device))
    check_integer("generator", generator, "an integer or a torch.Generator")
    return int(generator)
