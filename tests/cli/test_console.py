"""The command in terminals of any kind: closed streams, encodings, control characters, Ctrl-C, full disks, pipes."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from captum_ext.cli import main

ROOT = Path(__file__).parent.parent.parent
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

def first_passes_only(x, passes=iter([1, 1])):
    next(passes, None) or {}["no more"]
    return x.flatten(1)[:, :3]

def good(): return Fixed(lambda x: x.flatten(1)[:, :3]), transform
def failing(): return Fixed(first_passes_only), transform
def detached(): return Fixed(lambda x: x.detach().flatten(1)[:, :3]), transform
def without_graph(): return Fixed(torch.no_grad()(lambda x: x.flatten(1)[:, :3])), transform
"""
SMALL = ("--steps", "2", "--methods", "ig")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("terminal_zoo.py").write_text(MODELS)
    Image.fromarray(data.chelsea()).save("cat.jpg")
    monkeypatch.delitem(sys.modules, "terminal_zoo", raising=False)
    return tmp_path


def explain(name, *options, model="good"):
    return main(["explain", name, "--model", f"terminal_zoo:{model}", *SMALL, *options])


def test_closed_standard_error(here):
    """As a user starts it: with 2>&- Python has no sys.stderr, and the next file opened would get its number."""
    command = f"{sys.executable} -m captum_ext explain cat.jpg --model terminal_zoo:good {' '.join(SMALL)} 2>&-"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "wrote explain.png"


def test_without_standard_error_messages_do_not_go_to_standard_output(here, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert explain("nowhere.jpg") == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_that_can_not_be_written(here, monkeypatch, stream):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, stream, Full())
    assert explain("cat.jpg" if stream == "stdout" else "nowhere.jpg") == 2


def test_output_that_only_fails_at_the_flush(here, monkeypatch, capsys):
    full = io.TextIOWrapper(io.BufferedWriter(Refusing()), "utf-8")
    monkeypatch.setattr(sys, "stdout", full)
    assert explain("cat.jpg") == 2
    assert "No space left" in capsys.readouterr().err
    sys.stdout.flush()  # as the interpreter does at exit


class Refusing(io.RawIOBase):
    def writable(self):
        return True

    def write(self, content):
        raise OSError(28, "No space left on device")


def test_a_name_that_the_terminal_can_not_print(here, monkeypatch, capsys):
    Path("cat.jpg").rename("čat.jpg")
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert explain("čat.jpg") == 0
    assert out.buffer.getvalue().startswith(b"\\u010dat.jpg: IG: ")


def test_names_reach_the_terminal_without_control_characters(here, capsys):
    name = b"\x1b[2J\n\x07\xe2\x80\xae\xe9.jpg"  # clears, a new line, rings, turns the text round, is no UTF-8
    os.rename(b"cat.jpg", name)  # noqa: PTH104
    assert explain(os.fsdecode(name), "--output", "o.png") == 0
    assert explain(os.fsdecode(name), "--output", "no\x1b[2J/o.png") == 2
    assert explain("\x1b[2J.jpg") == 2
    printed = capsys.readouterr()
    assert printed.out.startswith("\\x1b[2J\\n\\x07\\u202e\\udce9.jpg: IG: ")
    assert all(line.isprintable() for line in (printed.out + printed.err).splitlines())
    assert printed.err.count("\n") == 2


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("failing", "error: cat.jpg: IG: KeyError: 'no more'"),
        ("detached", "cat.jpg: "),
        ("without_graph", "cat.jpg: "),
    ],
)
def test_a_model_that_fails_midway_is_one_line(here, capsys, model, message):
    assert explain("cat.jpg", model=model) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not Path("explain.png").exists()


def test_a_picture_survives_a_failed_write(here, capsys, monkeypatch):
    assert explain("cat.jpg", "--output", "o.png") == 0
    before = Path("o.png").read_bytes()
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert explain("cat.jpg", "--output", "o.png") == 2
    assert "--output o.png: can't be written (No space left on device)" in capsys.readouterr().err
    assert Path("o.png").read_bytes() == before
    assert not [path for path in here.iterdir() if path.name.startswith(".")]


def test_a_pipe_is_no_image_and_no_output(here, capsys):
    os.mkfifo("pipe.png")
    assert explain("pipe.png") == 2
    assert explain("cat.jpg", "--output", "pipe.png") == 2
    assert capsys.readouterr().err.splitlines() == [
        "captum-ext: error: pipe.png: not a regular file",
        "captum-ext: error: --output pipe.png: can't be written (not a regular file)",
    ]


@pytest.mark.parametrize(
    "interrupt",
    [
        "signal.raise_signal(signal.SIGINT)",
        "exec('signal.raise_signal(signal.SIGINT)')",
        "try: signal.raise_signal(signal.SIGINT)\n            except KeyboardInterrupt: raise ImportError('numpy')",
    ],
    ids=["plain", "inside exec", "made an ImportError of"],
)
def test_ctrl_c_while_torch_is_imported(tmp_path, interrupt):
    """Also where an extension that was interrupted raises an error of its own."""
    (tmp_path / "sitecustomize.py").write_text(f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process may inherit that it is ignored
class Finder:
    def find_spec(self, name, *ignored):
        if name == "torch":
            {interrupt}
sys.meta_path.insert(0, Finder())
""")
    command = [sys.executable, "-m", "captum_ext", "explain"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "captum-ext: interrupted\n")
