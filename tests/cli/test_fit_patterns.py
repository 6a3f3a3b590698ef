"""Patterns from a folder, and the figure that they add to."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from captum_ext.cli import main
from captum_ext.patterns import Patterns, fit_patterns, fold_batch_norm

NORMED = """
import torch
from torchvision.transforms.functional import to_tensor

def make(seed=0):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4),
        torch.nn.Flatten(), torch.nn.Linear(64, 5))
    with torch.no_grad():
        model[1].running_mean.uniform_(-1, 1)
    return model, lambda image: (to_tensor(image.resize((24, 20))) - 0.5) / 0.25

def other():
    return make(1)

def uneven():
    return make()[0], to_tensor

class Failing(torch.nn.Linear):
    def forward(self, x):
        return {}["missing"]

def failing():
    return Failing(3, 4), make()[1]

def untransformed():
    return make()[0], lambda image: image
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("normed.py").write_text(NORMED)
    Path("photos/more").mkdir(parents=True)
    cat = data.chelsea()
    for k in range(6):
        Image.fromarray(np.roll(cat, 40 * k, axis=k % 2)).save(f"photos/{'more/' if k % 2 else ''}{k}.png")
    Path("photos/notes.txt").write_text("no image")
    monkeypatch.delitem(sys.modules, "normed", raising=False)
    return tmp_path


def fit(*arguments):
    return main(["fit-patterns", "--model", "normed:make", "--images", "photos", *arguments])


def test_fit_and_explain(here, capsys):
    assert fit("--batch-size", "4", "--quality", "--output", "p.safetensors") == 0
    printed = capsys.readouterr().out
    assert "wrote p.safetensors: patterns of 2 layers from 6 images\n" in printed
    assert "0: (4, 3, 3, 3) torch.float32, positive" in printed
    assert re.search(r"layer +units +pattern +weight +random", printed)
    import normed

    model, transform = normed.make()
    files = sorted(Path("photos").rglob("*.png"))
    expected = fit_patterns(
        fold_batch_norm(model.eval()), torch.stack([transform(Image.open(f)) for f in files]).split(4)
    )
    loaded = Patterns.load("p.safetensors")
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert (
        main(["explain", "photos/0.png", "--model", "normed:make", "--steps", "3", "--patterns", "p.safetensors"]) == 0
    )
    printed = capsys.readouterr().out
    for title in ("IG", "Guided IG + IDGI", "PatternNet", "PatternAttribution", "PGIG"):
        assert f"0.png: {title}: " in printed
    assert re.search(r"PGIG: .* not complete", printed)


def test_broken_images_are_named_and_skipped(here, capsys):
    Path("photos/1_broken.png").write_bytes(b"\x89PNG\r\n\x1a\nxxxx")
    assert fit("--output", "p.safetensors") == 0
    captured = capsys.readouterr()
    assert "skipped: photos/1_broken.png: not a readable image" in captured.err
    assert "from 6 images, 1 unreadable files skipped" in captured.out
    assert Patterns.load("p.safetensors").info.inputs == 6


def test_patterns_of_another_model_are_refused(here, capsys):
    assert fit("--output", "p.safetensors") == 0
    assert main(["explain", "photos/0.png", "--model", "normed:other", "--patterns", "p.safetensors"]) == 2
    assert "--patterns p.safetensors: fitted to another model or other weights" in capsys.readouterr().err
    assert not Path("explain.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "nowhere"], "--images nowhere: no such folder"),
        (["--images", "."], "a batch size"),
        (["--output", "p.bin"], "--output p.bin: expected a name that ends with .safetensors"),
        (["--output", "no/p.safetensors"], "--output no/p.safetensors: can't be written"),
        (["--batch-size", "0"], "--batch-size 0: expected an integer"),
        (["--estimator", "both"], "--estimator both: expected one of auto, positive, linear"),
        (["--model", "normed:uneven"], "returns images of different shapes"),
        (["--model", "normed:failing"], "--model normed:failing: KeyError: 'missing'"),
        (["--model", "normed:untransformed"], "expected the transform to return a tensor (C, H, W), got Image"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(here, capsys, arguments, message):
    if arguments == ["--images", "."]:  # a folder of broken images only
        Path("broken").mkdir()
        Path("broken/x.png").write_bytes(b"")
        arguments, message = ["--images", "broken"], "none of 1 images can be read"
    Image.fromarray(data.chelsea()[:100]).save("photos/9.png")
    assert fit(*arguments) == 2
    error = capsys.readouterr().err
    assert next(line for line in error.splitlines() if not line.startswith("captum-ext: skipped")).startswith(
        "captum-ext: error: "
    )
    assert message in error
    assert not list(Path().glob("*.safetensors"))


def test_a_folder_without_images(here, capsys):
    Path("empty").mkdir()
    assert fit("--images", "empty") == 2
    assert "--images empty: has no image files" in capsys.readouterr().err
