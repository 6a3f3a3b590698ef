"""captum_ext: any path x any quadrature x any backward rule, next to Captum's Integrated Gradients.

Each subpackage is imported on first use, so ``import captum_ext`` does not import torch.

Example:
    >>> import captum_ext
    >>> captum_ext.attr.IDGI(lambda x: (x**2).sum(1)).attribute(torch.ones(1, 2)).shape
    torch.Size([1, 2])
"""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"

_SUBPACKAGES = (
    "attr",
    "backward",
    "baselines",
    "evaluation",
    "memory",
    "metrics",
    "optimize",
    "paths",
    "patterns",
    "quadratures",
    "regions",
    "targets",
    "testing",
    "text",
    "visualization",
)


def __getattr__(name: str) -> ModuleType:
    """Import a subpackage on first use (PEP 562)."""
    if name in _SUBPACKAGES:
        return importlib.import_module(f"captum_ext.{name}")
    raise AttributeError(f"module 'captum_ext' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the subpackages, for completion."""
    return [*_SUBPACKAGES, "__version__"]
