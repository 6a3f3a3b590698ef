"""The README's code runs as it stands."""

import re
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def run(path):
    """The names that a page's blocks of Python define, run from top to bottom."""
    torch.manual_seed(0)
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 2
    names = {}
    for block in blocks:
        exec(block, names)
    return names


def test_the_readmes_python_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run(README)
    shapes = {names[name].shape for name in ("blur", "guided", "both", "ig", "pgig")}
    assert shapes == {(2, 3, 32, 32)}


def test_the_readme_names_make_demo_and_make_test_before_pip():
    text = README.read_text()
    assert text.index("make demo") < text.index("make test") < text.index("pip install") < text.index("import torch")


def test_the_page_on_inputs():
    names = run(ROOT / "docs" / "inputs.md")
    assert names["by_token"].shape == (2, 4)
    # On a path from zero the second example's padding, which the mask hides, has no influence.
    assert names["by_token"][1, 3] == 0
    assert (names["by_token"][0] != 0).all()
    assert names["graph_maps"].shape == (3, 5, 4)
    assert names["steps"].shape == (2, 6, 3)


def test_the_page_on_baselines():
    names = run(ROOT / "docs" / "baselines.md")
    for name in ("from_noise", "from_mean", "over_colours", "sampled"):
        assert names[name].shape == (2, 3, 16, 16)
        assert (names[name] != 0).any()
    assert names["delta"].shape == (2,)
