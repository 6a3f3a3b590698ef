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
NOUNS = ("paths", "quadratures", "patterns")
MODULES = [name for _, name, _ in pkgutil.walk_packages([str(ROOT)], "captum_ext.") if not name.endswith("__main__")]


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_nouns_never_import_one_another_nor_what_uses_them():
    for noun in NOUNS:
        others = (set(NOUNS) | {"attr", "_walk", "_integrate", "cli"}) - {noun}
        for file in (ROOT / noun).glob("*.py"):
            for module in imported(file):
                assert not module.startswith(tuple(f"captum_ext.{other}" for other in others)), (file, module)


def test_nothing_but_attr_and_cli_imports_attr():
    for file in FILES:
        if file.parent.name not in ("attr", "cli", "evaluation", "metrics"):
            assert not any(module.startswith("captum_ext.attr") for module in imported(file)), file


def test_private_captum_helpers_come_through_compat():
    for file in FILES:
        if file.name != "_compat.py":
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


@pytest.mark.parametrize("name", ["attr", "paths", "quadratures", "patterns", "metrics", "baselines", "evaluation"])
def test_public_classes_and_functions_say_what_they_take(name):
    module = importlib.import_module(f"captum_ext.{name}")
    for public in module.__all__:
        thing = getattr(module, public)
        if isinstance(thing, dict) or (isinstance(thing, type) and issubclass(thing, Exception)):  # a table of names
            continue
        assert thing.__doc__, public
        for_extenders = ("Path", "Trace", "Quadrature", "RunningSum")
        result = isinstance(thing, type) and is_dataclass(thing) and "Attributes:" in thing.__doc__
        if not result and public not in (*for_extenders, "white", "gray"):  # these two refer to black
            assert "Example:" in thing.__doc__, public
            assert "Args:" in thing.__doc__ or public == "StraightPath", public
            gives = not isinstance(thing, type) and public not in ("pattern_backward",)  # a context gives nothing
            assert "Returns:" in thing.__doc__ or not gives, public


def test_methods_say_what_they_raise_and_which_paper_they_are_from():
    from captum_ext import attr

    for name in attr.__all__:
        if name not in ("Diagnostics", "Unrepeated"):
            assert "Raises:" in getattr(attr, name).__doc__, name
            assert "Reference:" in getattr(attr, name).__doc__, name


def test_what_extenders_implement_says_what_comes_in_and_goes_out():
    from captum_ext.paths import Path as CaptumPath
    from captum_ext.paths import Trace
    from captum_ext.quadratures import Quadrature, RunningSum

    for kind in (CaptumPath, Trace, Quadrature, RunningSum):
        for name in kind.__abstractmethods__:
            method = getattr(kind, name)
            takes = len(inspect.signature(method).parameters) > 1
            assert ("Args:" in method.__doc__) == takes, method
            assert "Returns:" in method.__doc__ or not takes or name == "update", method


def test_importing_the_package_is_cheap():
    script = "import captum_ext, sys; print([m for m in sys.modules if 'captum_ext.' in m or m == 'torch'])"
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"
