"""Patterns as a mapping, and in a file."""

import json
import os
import random
import sys
import threading
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from captum_ext.patterns import Patterns, bank, fit_patterns
from captum_ext.patterns.bank import _content_digest, fingerprint
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
        with pytest.raises(ValueError, match=r"p\.safetensors: truncated, or not a safetensors file"):
            Patterns.load(file)
    save_file({"0": torch.ones(2)}, file)
    with pytest.raises(ValueError, match="contains no patterns of this library"):
        Patterns.load(file)
    write(file, {"0": torch.ones(2)}, {"layers": {}})
    with pytest.raises(ValueError, match=r"p\.safetensors: contains no valid patterns of captum_ext"):
        Patterns.load(file)
    with pytest.raises(FileNotFoundError, match="no patterns at"):
        Patterns.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        Patterns.load(tmp_path)


def write(file, tensors, info, **changes):
    """A file of patterns with a valid digest, whatever it holds."""
    text = json.dumps(info)
    metadata = {"format": "captum_ext.patterns/2", "info": text, "digest": _content_digest(tensors, text)}
    save_file(tensors, file, metadata | changes)


def same(a, b):
    bits = [[(name, t.dtype, t.shape, t.view(torch.uint8).tolist()) for name, t in p.items()] for p in (a, b)]
    return bits[0] == bits[1] and a.info == b.info


def test_no_flipped_bit_loads_with_changed_content(tmp_path):
    """In the header, whose JSON stays valid when a name or number changes, and in the tensors."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    patterns = fit_patterns(model, [torch.randn(30, 3, generator=torch.Generator().manual_seed(0))])
    file = tmp_path / "p.safetensors"
    patterns.save(file)
    whole = file.read_bytes()
    assert same(Patterns.load(file), patterns)
    header = 8 + int.from_bytes(whole[:8], "little")
    generator = random.Random(0)
    bits = generator.sample(range(8 * header), 300) + generator.sample(range(8 * header, 8 * len(whole)), 100)
    refused = 0
    for bit in bits:
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            loaded = Patterns.load(file)
        except ValueError:
            refused += 1
        else:
            assert same(loaded, patterns), f"bit {bit} changed what was loaded"
    assert refused > 390


@pytest.mark.parametrize("with_info", [True, False])
def test_changed_content_is_told_from_a_truncated_file(patterns, tmp_path, with_info):
    file = tmp_path / "p.safetensors"
    (patterns if with_info else Patterns(dict(patterns))).save(file)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"p\.safetensors: damaged, because its content does not match its digest"):
        Patterns.load(file)


@pytest.mark.parametrize("version", ["1", "3"])
def test_files_of_other_versions_are_refused(tmp_path, version):
    file = tmp_path / "p.safetensors"
    save_file({"0": torch.ones(2)}, file, {"format": f"captum_ext.patterns/{version}"})
    with pytest.raises(
        ValueError, match=rf"got 'captum_ext.patterns/{version}' from another .* Fit the patterns again"
    ):
        Patterns.load(file)


def test_missing_and_foreign_digests_are_refused(patterns, tmp_path):
    file = tmp_path / "p.safetensors"
    save_file(dict(patterns), file, {"format": "captum_ext.patterns/2"})
    with pytest.raises(ValueError, match="does not match its digest"):
        Patterns.load(file)
    write(file, dict(patterns), asdict(patterns.info), digest="0" * 32)
    with pytest.raises(ValueError, match="does not match its digest"):
        Patterns.load(file)
    write(file, dict(patterns), asdict(patterns.info))
    assert same(Patterns.load(file), patterns)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": "20"}, "inputs: expected int, got '20'"),
        ({"inputs": True}, "inputs: expected int, got True"),
        ({"inputs": 20.5}, r"inputs: expected int, got 20\.5"),
        ({"inputs": -1}, "inputs: expected 0 or more, got -1"),
        ({"mean": None}, "mean: expected str, got None"),
        ({"mean": "median"}, "mean: expected 'preactivation' or 'rectified', got 'median'"),
        ({"unfolded": "bn"}, "unfolded: expected list, got 'bn'"),
        ({"unfolded": [1]}, "unfolded: expected names"),
        ({"layers": []}, r"layers: expected dict, got \[\]"),
        ({"author": "me"}, "expected the fields"),
        ({"head": "linear"}, "expected the fields"),
        ({"head": {"samples": None}}, "samples: expected int, got None"),
        ({"head": {"dead": -1}}, "dead: expected 0 or more, got -1"),
        ({"head": {"estimator": "cubic"}}, "estimator: expected 'positive' or 'linear', got 'cubic'"),
        ({"head": {"weight": 7}}, "weight: expected str, got 7"),
        ({"head": {"extra": 7}}, "expected the fields"),
    ],
)
def test_info_of_other_types_is_refused(patterns, tmp_path, changes, message):
    info = asdict(patterns.info)
    layer = changes.pop("head", None)
    if layer is not None:
        info["layers"]["head"] = info["layers"]["head"] | layer if isinstance(layer, dict) else layer
    write(tmp_path / "p.safetensors", dict(patterns), info | changes)
    with pytest.raises(ValueError, match=rf"p\.safetensors: contains no valid patterns of captum_ext \(.*{message}"):
        Patterns.load(tmp_path / "p.safetensors")


def test_tensors_must_be_those_that_the_info_describes(patterns, tmp_path):
    file = tmp_path / "p.safetensors"
    for tensors in (
        dict(patterns) | {"tail": torch.ones(2)},
        {name: patterns[name] for name in patterns if name != "head"},
        {name.replace("head", "tail"): patterns[name] for name in patterns},
        dict(patterns) | {"head": torch.ones(4, 72, dtype=torch.int64)},
        dict(patterns) | {"head": torch.full((4, 72), float("nan"))},
    ):
        write(file, tensors, asdict(patterns.info))
        with pytest.raises(ValueError, match=r"p\.safetensors: contains no valid patterns of captum_ext"):
            Patterns.load(file)


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_save_that_fails_keeps_the_old_file(patterns, tmp_path, monkeypatch, where):
    file = tmp_path / "p.safetensors"
    patterns.save(file)
    before = file.read_bytes()

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": ("pathlib.Path.replace",)}[where], fail)
    with pytest.raises(OSError, match="No space left"):
        patterns.save(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.safetensors"]


def test_threads_may_save_to_one_path(tmp_path):
    """Each file that is there at any time is whole, and nothing else is left."""
    file = tmp_path / "p.safetensors"
    values = range(4)
    Patterns({"0": torch.full((300, 300), 0.0)}).save(file)
    failures, stop = [], threading.Event()

    def save(value):
        try:
            for _ in range(25):
                Patterns({"0": torch.full((300, 300), float(value))}).save(file)
        except Exception as error:
            failures.append(error)

    def load():
        try:
            while not stop.is_set():
                assert len(Patterns.load(file)["0"].unique()) == 1
        except Exception as error:
            failures.append(error)

    writers = [threading.Thread(target=save, args=(value,)) for value in values]
    reader = threading.Thread(target=load)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert not failures
    assert [path.name for path in tmp_path.iterdir()] == ["p.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_saved_file_has_the_permissions_of_any_new_file(patterns, tmp_path):
    (tmp_path / "other").touch()
    patterns.save(tmp_path / ("p" * 240 + ".safetensors"))  # a long name leaves no room for a suffix
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_scalars_and_empty_tensors_are_kept(tmp_path):
    patterns = Patterns({"a": torch.tensor(2.0), "b": torch.ones(0, 3), "c": torch.ones(2, 3, 4, 5).transpose(1, 2)})
    patterns.save(tmp_path / "p.safetensors")
    loaded = Patterns.load(tmp_path / "p.safetensors")
    assert all(torch.equal(loaded[name], patterns[name]) for name in patterns)


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
        ({"0": torch.tensor([float("inf")])}, ValueError, "'0' contains a NaN or infinity"),
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


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: weight.add_(1),
        lambda weight: weight.data.add_(1),
        lambda weight: weight.numpy().__iadd__(1),
        lambda weight: setattr(weight, "data", weight + 1),
    ],
    ids=["in place", "through .data", "through NumPy", "other storage"],
)
def test_a_fingerprint_is_computed_once_until_the_weight_changes(monkeypatch, change):
    digests, digest = [], bank._digest
    monkeypatch.setattr(bank, "_digest", lambda weight: digests.append(weight) or digest(weight))
    weight = torch.rand(3, 4)
    first = fingerprint(weight)
    assert fingerprint(weight) == first == fingerprint(weight.clone())
    assert len(digests) == 2, "one for each tensor"
    change(weight)
    assert fingerprint(weight) == digest(weight) != first
    with torch.inference_mode():
        assert fingerprint(torch.ones(2)) == fingerprint(torch.ones(2))
