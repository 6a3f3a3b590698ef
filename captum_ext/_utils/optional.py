"""Packages that only some parts need."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def optional(module: str, extra: str) -> Any:
    """A module of one of the extras.

    Raises:
        ImportError: If it is not installed; names the package and the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = {"PIL": "pillow"}.get(module.split(".")[0], module.split(".")[0])
        raise ImportError(f"this needs {package}: pip install 'captum_ext[{extra}]'. ({error})") from error
