"""Patterns as a mapping, and in a file."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from captum_ext.patterns import Patterns, fit_patterns
from tests.patterns.models import branched, inputs


@pytest.fixture
def patterns():
    return fit_patterns(branched(torch.float32), [inputs(20, torch.float32)])


def test_mapping(patterns):
    assert list(patterns) == ["stem", "depthwise", "shared", "head"]
    assert len(patterns) == 4
    assert "head" in patterns
    assert patterns["head"].shape == (4, 72)
    assert dict(patterns).keys() == patterns.keys()
    shown = repr(patterns)
    assert "head: (4, 72) torch.float32, linear, 20 samples, 0 of 4 units dead" in shown


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_save_and_load(patterns, tmp_path, dtype):
    file = tmp_path / "p.safetensors"
    patterns.to(dtype=dtype).save(file)
    back = Patterns.load(file)
    assert back.info == patterns.info
    for name in patterns:
        assert back[name].dtype == dtype
        assert torch.equal(back[name], patterns[name].to(dtype))
    assert [path.name for path in tmp_path.iterdir()] == ["p.safetensors"]
    assert list(back) == list(patterns)  # the model's order; safetensors' own is by name


def test_patterns_from_elsewhere_have_no_info(tmp_path):
    patterns = Patterns({"0": torch.ones(2, 3)})
    patterns.save(str(tmp_path / "p.safetensors"))
    assert Patterns.load(str(tmp_path / "p.safetensors")).info is None


def test_files_that_are_none(patterns, tmp_path):
    file = tmp_path / "p.safetensors"
    patterns.save(file)
    whole = file.read_bytes()
    for content in (b"", b"PK\x03\x04", whole[:6], whole[:200], whole[:-100]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"p\.safetensors: truncated, or no safetensors file"):
            Patterns.load(file)
    save_file({"0": torch.ones(2)}, file)
    with pytest.raises(ValueError, match="holds no patterns of this library"):
        Patterns.load(file)
    save_file({"0": torch.ones(2)}, file, {"format": "captum_ext.patterns/1", "info": json.dumps({"layers": {}})})
    with pytest.raises(ValueError, match="captum_ext"):
        Patterns.load(file)
    with pytest.raises(FileNotFoundError, match="no patterns at"):
        Patterns.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        Patterns.load(tmp_path)


def test_a_save_that_fails_keeps_the_old_file(patterns, tmp_path, monkeypatch):
    file = tmp_path / "p.safetensors"
    patterns.save(file)
    before = file.read_bytes()

    whole = Path.write_bytes

    def fail(path, content):
        whole(path, content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        patterns.save(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.safetensors"]


def test_wrong_shapes_and_layers(patterns):
    model = branched()
    model.head = nn.Linear(72, 5).double()
    with pytest.raises(ValueError, match=r"'head' has shape \(4, 72\), its weight \(5, 72\)"):
        patterns.weights(model)
    with pytest.raises(ValueError, match=r"has no linear or convolution layers \['stem'"):
        patterns.weights(nn.Sequential(nn.Linear(2, 2)))


def test_a_cast_model_is_not_a_changed_one(patterns, recwarn):
    patterns.weights(branched(torch.float32).double())
    patterns.weights(branched(torch.float32).bfloat16())
    assert not recwarn.list
    changed = branched(torch.float32)
    with torch.no_grad():
        changed.stem.weight.mul_(1.0001)
    with pytest.warns(UserWarning, match="1 of 4 layers changed"):
        patterns.weights(changed)


@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        ({}, ValueError, "at least one layer"),
        ({"0": [1.0]}, TypeError, "got list for '0'"),
        ({"0": torch.ones(2, dtype=torch.int64)}, TypeError, r"got a torch\.int64 tensor"),
        ({"0": torch.tensor([float("inf")])}, ValueError, "'0' holds a NaN or infinity"),
    ],
)
def test_mistakes(tensors, error, message):
    with pytest.raises(error, match=message):
        Patterns(tensors)


def test_info_must_be_of_the_same_layers(patterns):
    with pytest.raises(ValueError, match=r"info: expected the layers \['head'\]"):
        Patterns({"head": patterns["head"]}, patterns.info)


def test_without_safetensors_the_extra_is_named(patterns, tmp_path, monkeypatch):
    patterns.save(tmp_path / "p.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for call in (patterns.save, Patterns.load):
        with pytest.raises(ImportError, match=r"captum_ext\[patterns\]"):
            call(tmp_path / "p.safetensors")


def test_patterns_are_copies(tmp_path):
    tensor = torch.ones(2, 3)
    patterns = Patterns({"0": tensor, "1": tensor})
    tensor.fill_(float("nan"))
    assert patterns["0"].isfinite().all()
    patterns.save(tmp_path / "p.safetensors")
    assert Patterns.load(tmp_path / "p.safetensors").keys() == {"0", "1"}
    with pytest.raises(OSError, match="nowhere"):
        patterns.save(tmp_path / "nowhere" / "p.safetensors")
