"""The completions of shells."""

import shutil
import subprocess
import sys

import pytest

from captum_ext.cli import main

BASH = shutil.which("bash")
COMPLETE = """
source "$1"
COMP_WORDS=(captum-ext explain --st); COMP_CWORD=2
_shtab_captum_ext captum-ext --st explain
echo "${COMPREPLY[@]}"
COMP_WORDS=(captum-ext ev); COMP_CWORD=1; COMPREPLY=()
_shtab_captum_ext captum-ext ev captum-ext
echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_all_commands_and_options_are_completed(capsys, shell):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("explain", "fit-patterns", "evaluate", "report", "--top-k", "--preset", "--pdf"):
        assert word.removeprefix("--") in script, word


@pytest.mark.skipif(BASH is None, reason="no bash")
def test_bash_completes_options_and_commands(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "completions"
    script.write_text(capsys.readouterr().out)
    run = subprocess.run([BASH, "-c", COMPLETE, "bash", str(script)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["--steps --style", "evaluate"]


def test_a_missing_package_is_named_with_its_extra(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'captum_ext[completion]'" in capsys.readouterr().err
    assert main(["completion", "fish"]) == 2
    assert "invalid choice: 'fish'" in capsys.readouterr().err
