"""The tree's rules: imports run one way, modules are short, private Captum names stay in one place."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path

import pytest
import torch

import captum_ext

ROOT = Path(captum_ext.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MODULES = [name for _, name, _ in pkgutil.walk_packages([str(ROOT)], "captum_ext.") if not name.endswith("__main__")]


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


# Imports run down this list.
ORDER = (
    "cli",
    "evaluation",
    "metrics",
    "testing",
    "attr",
    "regions",
    "visualization",
    "vision",
    "patterns",
    "baselines",
    "_engine",
    "paths",
    "quadratures",
    "backward",
    "_utils",
)


@pytest.mark.parametrize("folder", ORDER)
def test_imports_run_one_way(folder):
    allowed = ORDER[ORDER.index(folder) :]
    for file in (ROOT / folder).rglob("*.py"):
        for module in imported(file):
            parts = module.split(".")
            if parts[0] == "captum_ext" and len(parts) > 1 and parts[1] in ORDER:
                assert parts[1] in allowed, (file, module)


def test_every_folder_has_its_place_in_the_order():
    assert {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(ORDER)


def defined(node):
    """The names that a top-level statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    for target in getattr(node, "targets", [getattr(node, "target", None)]):
        if isinstance(target, ast.Name):
            yield target.id


def test_no_top_level_name_is_defined_in_two_modules():
    shared = {"__all__", "compare"}  # visualization.compare draws maps, evaluation.compare measures them
    modules = {}
    for file in FILES:
        if file.name == "__init__.py":
            continue
        for node in ast.parse(file.read_text()).body:
            for name in defined(node):
                modules.setdefault(name, set()).add(str(file.relative_to(ROOT)))
    assert not {name: where for name, where in modules.items() if len(where) > 1 and name not in shared}


def test_helpers_of_tests_are_written_once():
    bodies = {}
    for file in (ROOT.parent / "tests").rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("test_"):
                bodies.setdefault(ast.unparse(node.body), set()).add(f"{file.name}: {node.name}")
    assert not [names for names in bodies.values() if len(names) > 1]


def test_private_captum_helpers_come_through_one_module():
    for file in FILES:
        if file.name != "_captum.py":
            private = [m for m in imported(file) if m.startswith("captum.") and "._" in m]
            assert not private, f"{file} imports {private}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_modules_are_short(file):
    assert len(file.read_text().splitlines()) <= 400


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(name)
    torch.manual_seed(0)
    results = doctest.testmod(module, extraglobs={"torch": torch}, optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


FOR_EXTENDERS = (
    "Accumulator",
    "Grid",
    "Path",
    "PathEvaluator",
    "Quadrature",
    "SearchedPath",
    "Segment",
    "Step",
    "Trajectory",
)


@pytest.mark.parametrize(
    "name", ["attr", "paths", "quadratures", "patterns", "metrics", "baselines", "evaluation", "regions", "testing"]
)
def test_public_classes_and_functions_say_what_they_take(name):
    module = importlib.import_module(f"captum_ext.{name}")
    for public in module.__all__:
        thing = getattr(module, public)
        if isinstance(thing, dict) or (isinstance(thing, type) and issubclass(thing, Exception)):  # a table of names
            continue
        assert thing.__doc__, public
        result = isinstance(thing, type) and is_dataclass(thing) and "Attributes:" in thing.__doc__
        if not result and public not in (*FOR_EXTENDERS, "white", "gray"):  # these two refer to black
            assert "Example:" in thing.__doc__, public
            assert "Args:" in thing.__doc__ or public == "StraightPath", public
            gives = not isinstance(thing, type) and public not in ("pattern_backward",)  # a context gives nothing
            assert "Returns:" in thing.__doc__ or not gives, public


def test_methods_say_what_they_raise_and_which_paper_they_are_from():
    from captum_ext import attr

    for name in attr.__all__:
        if name not in ("Diagnostics", "SharedArgument"):
            assert "Raises:" in getattr(attr, name).__doc__, name
            assert "Reference:" in getattr(attr, name).__doc__, name


def test_what_extenders_implement_says_what_comes_in_and_goes_out():
    from captum_ext.paths import Path as CaptumPath
    from captum_ext.paths import SearchedPath, Trajectory
    from captum_ext.quadratures import Accumulator, Quadrature

    for kind in (CaptumPath, SearchedPath, Trajectory, Quadrature, Accumulator):
        for name in getattr(kind, "__abstractmethods__", ()):
            method = getattr(kind, name)
            takes = len(inspect.signature(method).parameters) > 1
            assert ("Args:" in method.__doc__) == takes, method
            assert "Returns:" in method.__doc__ or not takes or name == "update", method


def test_importing_the_package_is_cheap():
    script = "import captum_ext, sys; print([m for m in sys.modules if 'captum_ext.' in m or m == 'torch'])"
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"


def test_sub_packages_are_there_after_one_import():
    script = (
        "import captum_ext, sys; before = 'torch' in sys.modules; print(before, captum_ext.attr.IDGI.__name__, "
        "captum_ext.paths.Path.__name__, 'attr' in dir(captum_ext), hasattr(captum_ext, 'nothing'))"
    )
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["False", "IDGI", "Path", "True", "False"]
