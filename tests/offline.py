"""Stand-ins for what a page loads: small random networks for downloaded weights, and small files.

Only loading is replaced: the code of a page runs as shown, on smaller networks and pictures.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import torchvision.models.resnet
import torchvision.models.video.resnet
from PIL import Image
from scipy.io import wavfile
from skimage import data
from torchvision.models._api import WeightsEnum
from torchvision.models.detection import ssdlite
from torchvision.models.detection.ssd import SSD
from torchvision.transforms import _presets

WORDS = ["a", "wonderful", "film", "the", "plot", "is", "dull", "but", "cast", "great", ",", "."]


def replace_downloads(monkeypatch):
    """Random weights for torchvision's and transformers' models; torchvision's transforms make small pictures."""
    load = torch.nn.Module.load_state_dict
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *arguments, **keywords: None)
    monkeypatch.setattr(
        torch.nn.Module,
        "load_state_dict",
        lambda self, state, *rest, **keywords: _draw(self) if state is None else load(self, state, *rest, **keywords),
    )
    for module in (torchvision.models.resnet, torchvision.models.video.resnet):
        name = "ResNet" if module is torchvision.models.resnet else "VideoResNet"
        monkeypatch.setattr(module, name, _shallow(getattr(module, name)))
    monkeypatch.setattr(
        ssdlite,
        "SSD",
        lambda backbone, anchors, _, *rest, **keywords: SSD(backbone, anchors, (96, 96), *rest, **keywords),
    )
    for preset in (_presets.ImageClassification, _presets.VideoClassification, _presets.SemanticSegmentation):
        monkeypatch.setattr(preset, "__init__", _smaller(preset.__init__))


def replace_transformers(monkeypatch, folder):
    """A small DistilBERT and a tokenizer of a few words."""
    import transformers

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(special + WORDS))
    config = transformers.DistilBertConfig(
        vocab_size=len(special + WORDS), dim=32, hidden_dim=48, n_heads=2, n_layers=2, num_labels=2
    )
    for name, make in (
        ("AutoTokenizer", lambda _: transformers.BertTokenizerFast(str(vocabulary))),
        ("AutoModelForSequenceClassification", lambda _: transformers.DistilBertForSequenceClassification(config)),
    ):
        monkeypatch.setattr(transformers, name, SimpleNamespace(from_pretrained=make))


def write_files(folder: Path):
    """A photograph, a folder of photographs, a clip and a recording."""
    Image.fromarray(data.coffee()).save(folder / "photo.jpg")
    (folder / "photos").mkdir()
    for name in ("astronaut", "chelsea", "coffee"):
        Image.fromarray(getattr(data, name)()).save(folder / "photos" / f"{name}.jpg")
    generator = np.random.default_rng(0)
    np.save(folder / "clip.npy", generator.integers(0, 256, (6, 3, 48, 48), dtype=np.uint8))
    tone = np.sin(2 * np.pi * 440 * np.arange(2000) / 16000) * np.hanning(2000)
    wavfile.write(folder / "speech.wav", 16000, (20000 * tone).astype(np.int16))


def _draw(network):
    """Draw random weights; those of SSD are so small at first that all scores are equal."""
    if isinstance(network, SSD):
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)


def _shallow(network):
    """The network with one narrow block per stage."""

    def make(*arguments, **keywords):
        short = [[1, 1, 1, 1] if argument == [3, 4, 6, 3] else argument for argument in arguments]
        return network(*short, **({"width_per_group": 8, **keywords} if network.__name__ == "ResNet" else keywords))

    return make


def _smaller(initialize):
    """Sides of at most 40 pixels, or 96 where a page asks for large ones."""

    def shorter(side):
        if isinstance(side, tuple):
            return tuple(map(shorter, side))
        return 96 if side > 600 else min(side, 40)

    def make(self, **keywords):
        sides = {name: shorter(value) for name, value in keywords.items() if name.endswith("_size")}
        initialize(self, **{**keywords, **sides})

    return make
