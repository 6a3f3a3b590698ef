"""The command ``captum-ext report``."""

import subprocess
import sys
from pathlib import Path

import pytest

from captum_ext.cli import main
from captum_ext.evaluation.store import ResultRow
from tests.evaluation.results import write


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("results"), {"net": [ResultRow("x.png", "ig", 8, "deletion", "signed", 0.5)]}, models=["net"])
    return tmp_path


def test_it_writes_a_report_and_says_where(here, capsys):
    assert main(["report", "results"]) == 0
    printed = capsys.readouterr().out
    assert printed == (
        "wrote results/report/report.md, 2 files in results/report/tables and 1 files in results/report/figures\n"
    )
    assert len(list(Path("results/report").glob("*/*"))) == 3
    assert main(["report", "results", "--output", "elsewhere/deep"]) == 0
    assert Path("elsewhere/deep/report.md").exists()


def test_a_second_report_takes_the_place_of_the_first(here):
    assert main(["report", "results"]) == 0
    Path("results/report/report.md").write_text("old")
    assert main(["report", "results"]) == 0
    assert Path("results/report/report.md").read_text().startswith("# Evaluation")


def begun():
    write(Path("begun"), {}, models=["net"])


def damaged():
    write(Path("damaged"), {"net": [ResultRow("x.png", "ig", 8, "deletion", "signed", 0.5)]}, models=["net"])
    next(Path("damaged").rglob("*.parquet")).write_bytes(b"PAR1")


def malformed():
    for name, text in {"list": "[1, 2]", "other": '{"models": 3}', "binary": "\udcff\0"}.items():
        Path(name).mkdir()
        Path(name, "settings.json").write_bytes(text.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no results of captum-ext evaluate: settings.json can't be read"),
        (["begun"], "begun: no finished batch yet."),
        (["damaged"], "can't be read"),
        (["list"], "list/settings.json: changed, damaged, or not written by this version"),
        (["other"], "other/settings.json: changed, damaged, or not written by this version"),
        (["binary"], "binary/settings.json: changed, damaged, or not written by this version"),
        (["results", "--output", "file"], "file/tables: can't be written (Not a directory)"),
        (["results", "--output", "results/settings.json/deep"], "can't be written"),
        ([], "the following arguments are required: RESULTS"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(here, capsys, arguments, message):
    begun()
    damaged()
    malformed()
    Path("file").write_text("")
    assert main(["report", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("captum-ext: error: ")
    assert len(error.splitlines()) == 1
    assert message in error
    assert not Path("results/report").exists()


@pytest.mark.parametrize("package", ["pandas", "matplotlib", "pyarrow"])
def test_a_missing_package_is_named_with_its_extra(here, capsys, monkeypatch, package):
    missing = [name for name in sys.modules if name.split(".")[0] == package] + [package]
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["report", "results"]) == 2
    error = capsys.readouterr().err
    assert f"captum-ext: error: this needs {package}: pip install 'captum_ext[evaluation]'" in error
    assert len(error.splitlines()) == 1


def test_the_command_line_starts_without_the_packages_of_the_extra():
    script = "import captum_ext.cli, sys; print([m for m in ('pandas', 'pyarrow') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"
