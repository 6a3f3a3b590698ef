"""Print the lower bounds of pyproject.toml as pip constraints: ``make test-oldest`` installs those versions."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What users install. The remaining extras hold development tools (linters, Sphinx, pytest, peers), which stay newest.
EXTRAS = ("completion", "demo", "evaluation", "metrics", "patterns", "regions", "tutorials", "visualization")
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[(?P<extras>[\w,-]+)\])?(?:>=(?P<version>\d+(?:\.\d+)*))?")


def project() -> dict[str, Any]:
    """The ``[project]`` table of pyproject.toml."""
    return tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lower_bounds(project: dict[str, Any]) -> dict[str, str]:
    """The lower bound of every dependency that users install; the highest if several are stated.

    Raises:
        ValueError: If a dependency is not of the form name>=version.
    """
    bounds: dict[str, str] = {}
    for name, version in _requirements(project, project["dependencies"], EXTRAS):
        bounds[name] = max(bounds.get(name, version), version, key=_release)
    return bounds


def _requirements(
    project: dict[str, Any], requirements: list[str], extras: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for requirement in requirements:
        match = REQUIREMENT.fullmatch(requirement)
        if match and match["name"] == project["name"]:  # captum_ext[metrics]
            yield from _requirements(project, [], tuple(match["extras"].split(",")))
        elif match and match["version"]:
            yield match["name"], match["version"]
        else:
            raise ValueError(f"pyproject.toml: expected a lower bound, as in numpy>=1.24, got {requirement!r}.")
    for extra in extras:
        yield from _requirements(project, project["optional-dependencies"][extra], ())


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    for name, version in lower_bounds(project()).items():
        print(f"{name}=={version}")
