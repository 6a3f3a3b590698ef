"""The study is a package of its own: it uses public names of the library, and its dependencies are the tests' too."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import evidence
from tests.oldest import project, tomllib

ROOT = Path(__file__).parents[1]
FILES = sorted(Path(evidence.__file__).parent.rglob("*.py"))


def private_uses(text):
    """What a module uses of the library that has a leading underscore, or that a package does not export."""
    tree, names = ast.parse(text), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) != "self":
            is_private = re.match("_[^_]", node.attr) and node.attr != "_replace"  # a named tuple's public method
            yield from [node.attr] * bool(is_private)
    for module, name in names:
        if module.split(".")[0] not in ("captum", "captum_ext"):
            continue
        if any(part.startswith("_") for part in (*module.split("."), name)):
            yield f"{module}.{name}"
        elif module.startswith("captum_ext") and name:
            exported = getattr(importlib.import_module(module), "__all__", None)
            if exported is not None and name not in exported:
                yield f"{module}.{name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_only_public_names_are_used(file):
    assert not list(private_uses(file.read_text()))


@pytest.mark.parametrize(
    "line",
    [
        "from captum_ext._engine.loop import integrate",
        "import captum_ext._engine.batching",
        "from captum_ext.cli.figure import _overlay",
        "from captum_ext.evaluation import Team",
        "from captum._utils.gradient import compute_gradients",
        "model._modules",
    ],
)
def test_private_names_are_noticed(line):
    assert list(private_uses(line))


def test_the_tests_install_what_the_study_needs():
    own = tomllib.loads((ROOT / "studies" / "evidence" / "pyproject.toml").read_text())["project"]["dependencies"]
    extras = project()["optional-dependencies"]
    installed = {*extras["test"], *extras["evaluation"]}
    assert own[0] == "captum_ext[demo,evaluation,patterns]"
    assert set(own[1:]) <= installed


def test_the_study_stays_small():
    assert sum(len(file.read_text().splitlines()) for file in FILES) <= 3000
    results = Path(evidence.__file__).parent / "results"
    assert sum(file.stat().st_size for file in results.iterdir()) <= 3_000_000
