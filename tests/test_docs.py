"""The README's code runs as it stands."""

import re
from pathlib import Path

import torch

README = Path(__file__).parent.parent / "README.md"


def test_the_readmes_python_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 2
    names = {}
    for block in blocks:
        exec(block, names)
    shapes = {names[name].shape for name in ("blur", "guided", "both", "ig", "pgig")}
    assert shapes == {(2, 3, 32, 32)}


def test_the_readme_names_make_demo_and_make_test_before_pip():
    text = README.read_text()
    assert text.index("make demo") < text.index("make test") < text.index("pip install") < text.index("import torch")
