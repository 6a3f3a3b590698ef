"""The versions that ``make test-oldest`` installs are those that pyproject.toml and the documentation promise."""

import re
from pathlib import Path

import pytest

from tests.oldest import lower_bounds, project

ROOT = Path(__file__).parents[1]


def test_every_dependency_of_users_has_a_lower_bound():
    bounds = lower_bounds(project())
    assert {"captum", "torch", "torchvision", "numpy", "pillow", "pandas", "safetensors"} <= set(bounds)
    assert not {"captum_ext", "pytest", "sphinx", "ruff"} & set(bounds)


def test_extras_that_name_extras_are_resolved_and_the_highest_bound_counts():
    extras = {
        "completion": [],
        "demo": [],
        "evaluation": ["captum_ext[metrics]", "scipy>=1.9"],
        "metrics": ["scipy>=1.11.1"],
    }
    extras |= {
        "patterns": ["safetensors>=0.4"],
        "regions": [],
        "tutorials": ["captum_ext[demo,patterns]"],
        "test": ["pytest>=8"],
        "visualization": [],
    }
    table = {"name": "captum_ext", "dependencies": ["torch>=2.6"], "optional-dependencies": extras}
    assert lower_bounds(table) == {"torch": "2.6", "scipy": "1.11.1", "safetensors": "0.4"}


@pytest.mark.parametrize("requirement", ["numpy", "numpy<3", "numpy==2.0", "numpy>=1.24,<3"])
def test_dependencies_without_a_plain_lower_bound_are_refused(requirement):
    table = {"name": "captum_ext", "dependencies": [requirement], "optional-dependencies": {}}
    with pytest.raises(ValueError, match=re.escape(f"got {requirement!r}")):
        lower_bounds(table)


@pytest.mark.parametrize("page", ["README.md", "docs/install.md"])
def test_pages_state_these_bounds(page):
    table = project()
    names = [re.split(r"[^\w-]", requirement)[0] for requirement in table["dependencies"]]
    stated = dict(re.findall(r"`?([a-z]+)`? (?:>= |\()([\d.]+\d)", (ROOT / page).read_text(encoding="utf-8")))
    assert {name: stated.get(name) for name in names} == {name: lower_bounds(table)[name] for name in names}
