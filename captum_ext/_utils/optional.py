"""Optional dependencies."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def optional(module: str, extra: str) -> Any:
    """Import a module that one of the extras installs.

    Raises:
        ImportError: If it is not installed. The message has the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = {"PIL": "pillow"}.get(module.split(".")[0], module.split(".")[0])
        raise ImportError(f"this needs {package}: pip install 'captum_ext[{extra}]'. ({error})") from error
