"""Models and transforms of anybody's: what can't be explained is one line that names it."""

import os
import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from captum_ext.cli import main

MODELS = """
import torch
from torch import nn
from torchvision.transforms.functional import to_tensor

class Fixed(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(x)

def transform(image):
    return to_tensor(image.resize((8, 8)))

def raising(): return Fixed(lambda x: x @ torch.ones(3, 3)), transform
def nan(): return Fixed(lambda x: x.flatten(1)[:, :2] / 0), transform
def one_logit(): return Fixed(lambda x: x.flatten(1)[:, :1]), transform
def flat(): return Fixed(lambda x: x.flatten()[:3]), transform
def wrapped(): return Fixed(lambda x: {"logits": x}), transform
def batched(): return Fixed(lambda x: x.flatten(1)[:, :3]), lambda image: transform(image).unsqueeze(0)
def array(): return Fixed(lambda x: x.flatten(1)[:, :3]), lambda image: transform(image).numpy()
def broken(): return Fixed(lambda x: x.flatten(1)[:, :3]), lambda image: transform(image) / image.width_in_cm
def standardizing():
    return Fixed(lambda x: x.flatten(1)[:, :3]), lambda image: (lambda x: (x - x.mean()) / x.std())(transform(image))
def good(): return Fixed(lambda x: x.flatten(1)[:, :3]), transform
def failing_function(): raise RuntimeError("two\\nlines")
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("zoo.py").write_text(MODELS)
    Image.fromarray(data.chelsea()).save("cat.jpg")
    monkeypatch.delitem(sys.modules, "zoo", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raising", r"cat\.jpg: the model fails on an input of shape \(1, 3, 8, 8\): "),
        ("nan", r"cat\.jpg: the model returns NaN or infinite logits"),
        ("one_logit", r"logits \(1, classes\) for at least 2 classes, got shape \(1, 1\)"),
        ("flat", r"got shape \(3,\)"),
        ("wrapped", "got dict"),
        ("batched", r"expected the transform to return a tensor \(C, H, W\), got shape \(1, 3, 8, 8\)"),
        ("array", "got ndarray"),
        ("broken", "cat.jpg: the transform fails: .*width_in_cm"),
        ("standardizing", "standardizes each image, use a transform with fixed constants"),
        ("failing_function", "--model zoo:failing_function: RuntimeError: two lines"),
    ],
)
def test_what_can_not_be_explained(here, capsys, name, message):
    assert main(["explain", "cat.jpg", "--model", f"zoo:{name}", "--steps", "2"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert not Path("explain.png").exists()


def test_any_name_of_a_file_can_be_drawn(here):
    os.rename("cat.jpg", "$\\frac{cat$ 100%.jpg")  # noqa: PTH104
    assert main(["explain", "$\\frac{cat$ 100%.jpg", "--model", "zoo:good", "--steps", "2", "--methods", "ig"]) == 0
    assert Path("explain.png").stat().st_size > 5_000


def test_a_reader_that_leaves(here, monkeypatch):
    def leave(*args, **kwargs):
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", leave)
    monkeypatch.setattr(sys, "stderr", open(os.devnull, "w"))  # noqa: SIM115, PTH123
    assert main(["explain", "cat.jpg", "--model", "zoo:good", "--steps", "2", "--methods", "ig"]) == 1


def test_interrupted(here, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("captum_ext.cli.explain_outputs.write_png", interrupt)
    assert main(["explain", "cat.jpg", "--model", "zoo:good", "--steps", "2", "--methods", "ig"]) == 130
    assert capsys.readouterr().err == "captum-ext: interrupted\n"
