"""What explain reads and writes besides one figure: folders, galleries, maps as numbers, JSON, layers, logits."""

import base64
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from skimage import data

from captum_ext.attr import IntegratedGradients, LayerPathAttribution
from captum_ext.cli.explain_images import find_image_files
from captum_ext.quadratures import WeightedSum
from tests.cli.test_explain import run

TINY = """
import torch
from torchvision.transforms.functional import to_tensor

class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 4, 3, stride=2)
        self.norm = torch.nn.BatchNorm2d(4)
        self.head = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(64, 5))
        with torch.no_grad():
            self.norm.running_mean.uniform_(-1, 1)
            self.norm.weight.uniform_(0.5, 2)
            self.head[2].weight *= 4

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu())

def make():
    return Tiny().eval(), lambda image: (to_tensor(image.resize((24, 20))) - 0.5) / 0.25
"""
FAST = ("--model", "tiny_norm:make", "--steps", "4", "--methods", "ig,idgi")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a model of the user's own, and photographs in a folder with a subfolder."""
    monkeypatch.chdir(tmp_path)
    Path("tiny_norm.py").write_text(TINY)
    Path("photos/more").mkdir(parents=True)
    Image.fromarray(data.chelsea()).save("photos/cat.jpg")
    Image.fromarray(data.coffee()).save("photos/cat.png")
    Image.fromarray(data.astronaut()).save("photos/more/</script>.jpg".replace("</script>", "&lt;b"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tiny_norm", raising=False)
    return tmp_path


def entries(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', Path(page).read_text(), re.DOTALL)[1])


def test_a_folder_becomes_a_gallery(here, capsys):
    Path("photos/broken.jpg").write_bytes(b"no image")
    assert run("photos", *FAST) == 0
    printed = capsys.readouterr()
    assert "skipped: photos/broken.jpg: not a readable image" in printed.err
    assert printed.out.splitlines()[-1] == "wrote explain/index.html"
    assert sorted(path.name for path in Path("explain").iterdir()) == ["cat.png", "cat_2.png", "index.html", "lt_b.png"]
    shown = entries("explain/index.html")
    assert [entry["name"] for entry in shown] == ["cat.jpg", "cat.png", "&lt;b.jpg"]
    assert [entry["file"] for entry in shown] == ["cat.png", "cat_2.png", "lt_b.png"]
    assert [each["title"] for each in shown[0]["maps"]] == ["IG", "IDGI"]
    picture = Image.open(io.BytesIO(base64.b64decode(shown[0]["maps"][0]["src"].split(",")[1])))
    assert picture.size == (24 * 11, 20 * 11)  # a multiple of the model's input
    page = Path("explain/index.html").read_text()
    assert not re.findall(r"""(?:src|href)=["']?(?!data:)\w""", page)  # nothing is loaded
    assert "http" not in page


def test_a_second_run_does_not_explain_the_first_ones_figures(here):
    assert run("photos", *FAST, "--output", "photos/out") == 0
    assert run("photos", *FAST, "--output", "photos/out") == 0
    assert len(entries("photos/out/index.html")) == 3
    assert len(list(Path("photos/out").iterdir())) == 4


def test_no_photograph_is_overwritten(here, capsys):
    assert run("photos", *FAST, "--output", "photos") == 2
    assert "is a folder of images to explain" in capsys.readouterr().err
    assert run("photos/cat.png", *FAST, "--output", "photos/") == 2
    assert "cat.png is one of the images to explain" in capsys.readouterr().err
    assert run("photos/cat.png", *FAST, "--output", "out.v2") == 2
    assert "a folder (with / at the end" in capsys.readouterr().err
    assert np.array_equal(np.asarray(Image.open("photos/cat.png")), data.coffee())


def test_patterns_and_duplicates(here):
    images = find_image_files(["photos/*.jpg", "photos/cat.jpg", "photos"])
    assert [image.name for image in images] == ["cat.jpg", "cat.png", "&lt;b.jpg"]
    assert [image.is_named for image in images] == [True, False, False]
    Path("other").mkdir()
    Image.fromarray(data.chelsea()).save("other/cat.jpg")
    assert [image.name for image in find_image_files(["photos/*.jpg", "other"])] == ["photos/cat.jpg", "other/cat.jpg"]


@pytest.mark.parametrize("name", ["maps.npz", "maps.safetensors"])
def test_saved_maps_are_the_methods(here, name):
    """In full precision, from the model as it is."""
    import tiny_norm

    assert run("photos/cat.jpg", *FAST, "--exact", "-t", "3", "--save", name) == 0
    if name.endswith(".npz"):
        with np.load(name) as file:
            maps = {key: file[key] for key in file.files}
        settings = json.loads(str(maps.pop("settings")))
    else:
        with safe_open(name, "np") as file:
            maps, settings = file.keys(), json.loads(file.metadata()["settings"])
            maps = {key: file.get_tensor(key) for key in maps}
    assert settings["steps"] == 4
    assert sorted(maps) == ["cat.jpg/3/idgi", "cat.jpg/3/ig"]
    model, transform = tiny_norm.make()
    x = transform(Image.open("photos/cat.jpg"))[None]
    own = IntegratedGradients(lambda z: model(z).softmax(1)).attribute(
        x, torch.full_like(x, -2), target=3, n_steps=4, method="riemann_trapezoid"
    )
    np.testing.assert_allclose(maps["cat.jpg/3/ig"], own[0].numpy(), atol=1e-6)


def test_folding_changes_maps_by_rounding_only(here, capsys):
    maps = []
    for options in ((), ("--exact",)):
        assert run("photos/cat.jpg", *FAST, "--save", "m.npz", *options) == 0
        with np.load("m.npz") as file:
            maps.append(file[next(key for key in file.files if key.endswith("/ig"))])
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)
    assert not np.array_equal(maps[0], maps[1])
    assert "note:" not in capsys.readouterr().err


def test_json_has_the_numbers_and_nothing_else_is_printed(here, capsys):
    assert run("photos/cat.jpg", *FAST, "--top-k", "2", "--format", "json") == 0
    result = json.loads(capsys.readouterr().out)
    assert [image["image"] for image in result["images"]] == ["cat.jpg"] * 2
    first, second = (image["probability"] for image in result["images"])
    assert first >= second
    assert result["files"] == ["explain.png"]
    ig, idgi = result["images"][0]["maps"]
    assert 0 < ig["completeness_error"] < ig["relative_completeness_error"]  # of a change below 1
    assert 0 < idgi["estimated_error"] < 10
    assert idgi["n_gradients"] == 5


def test_captions_of_idgi_have_the_estimated_error_and_few_steps_warn(here, capsys):
    assert run("photos/cat.jpg", *FAST[:2], "--steps", "2", "--methods", "ig,idgi") == 0
    printed = capsys.readouterr()
    assert re.search(r"IDGI: [\d.]+ s, estimated error [\d.]+%", printed.out)
    assert re.search(r"warning: cat.jpg: large errors \(.*%\)\. Give more --steps", printed.err)
    assert run("photos/cat.jpg", *FAST[:2], "--steps", "200", "--methods", "ig,idgi") == 0
    assert "large errors" not in capsys.readouterr().err
    assert run("photos/cat.jpg", *FAST[:2], "--steps", "3", "--methods", "idgi") == 0
    assert "IDGI: 0.0 s, error not known (odd steps)" in capsys.readouterr().out


def test_automatic_steps(here, capsys):
    """Methods that can't choose their steps take 50; the others meet the tolerance."""
    methods = "ig,idgi,guided-ig"
    assert run("photos/cat.jpg", *FAST[:2], "--steps", "auto", "--methods", methods, "-f", "json") == 0
    ig, idgi, guided = json.loads(capsys.readouterr().out)["images"][0]["maps"]
    assert ig["relative_completeness_error"] < 0.05
    assert idgi["estimated_error"] < 0.05
    assert ig["n_gradients"] < idgi["n_gradients"]
    assert guided["n_gradients"] in (50, 51)


def test_logits_are_explained(here, capsys):
    import tiny_norm

    assert run("photos/cat.jpg", *FAST[:2], "-n", "64", "-M", "ig", "--logit", "-t", "1", "--save", "m.npz") == 0
    model, transform = tiny_norm.make()
    x = transform(Image.open("photos/cat.jpg"))[None]
    change = (model(x) - model(torch.full_like(x, -2)))[0, 1].item()
    with np.load("m.npz") as file:
        assert file["cat.jpg/1/ig"].sum() == pytest.approx(change, rel=0.02)


def test_a_layer(here, capsys):
    import tiny_norm

    assert run("photos/cat.jpg", *FAST, "--layer", "conv", "-t", "1", "--save", "m.npz") == 0
    model, transform = tiny_norm.make()
    x = transform(Image.open("photos/cat.jpg"))[None]
    method = LayerPathAttribution(
        lambda z: model(z).softmax(1), model.conv, quadrature=WeightedSum("riemann_trapezoid")
    )
    own = method.attribute(x, torch.full_like(x, -2), 1, n_steps=4).sum(1, keepdim=True)
    own = torch.nn.functional.interpolate(own, size=(20, 24), mode="bilinear")
    with np.load("m.npz") as file:
        np.testing.assert_allclose(file["cat.jpg/1/ig"], own[0].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layer", "cnv"), "no layer of this name. Did you mean conv?"),
        (("--layer", "head.2"), "expected a layer whose output is .* got shape"),
        (("--layer", "conv", "--methods", "agi"), "--methods agi: not available with --layer"),
        (("--methods", "blur-ih"), "Did you mean blur-ig"),
        (("--steps", "some"), "--steps some: expected"),
        (("--top-k", "2", "--target", "1"), "leave out --target"),
        (("--top-k", "0"), "--top-k 0: expected an integer from 1"),
        (("--save", "maps.csv"), "--save maps.csv: expected a name that ends with .npz or .safetensors"),
        (("--style", "sepia"), "invalid choice: 'sepia'"),
    ],
)
def test_mistakes(here, capsys, arguments, message):
    assert run("photos/cat.jpg", *FAST[:4], *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error


def test_near_matches_of_classes():
    from captum_ext.cli.targets import parse_targets
    from captum_ext.vision.classifier import Classifier

    classifier = Classifier(None, None, ["tabby", "Labrador retriever", "golden retriever"])
    with pytest.raises(ValueError, match="Did you mean Labrador retriever, golden retriever"):
        parse_targets("retriever", 1, torch.ones(3), classifier)
    assert parse_targets("LABRADOR retriever", 1, torch.ones(3), classifier) == [1]
    assert parse_targets(None, 9, torch.tensor([0.2, 0.5, 0.3]), classifier) == [1, 2, 0]


def test_lists(capsys):
    assert run("--list-methods") == 0
    assert re.search(r"^pgig +PGIG \(needs --patterns\)$", capsys.readouterr().out, re.MULTILINE)
    assert run("--list-models") == 0
    assert {"resnet50", "efficientnet-lite0"} <= set(capsys.readouterr().out.split())


def test_styles_differ(here):
    pictures = []
    for style in ("overlay", "heatmap"):
        assert run("photos/cat.jpg", *FAST, "-s", style, "-o", "out/") == 0
        pictures.append(entries("out/index.html")[0]["maps"][0]["src"])
    assert pictures[0] != pictures[1]


def test_number_formats_are_restored(here):
    before = (torch.backends.cudnn.allow_tf32, torch.are_deterministic_algorithms_enabled())
    assert run("photos/cat.jpg", *FAST, "--tf32", "--deterministic") == 0
    assert (torch.backends.cudnn.allow_tf32, torch.are_deterministic_algorithms_enabled()) == before


def test_a_pdf_has_a_page_per_image(here, capsys):
    assert run("photos", *FAST, "--pdf", "maps.pdf", "--top-k", "2") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["wrote explain/index.html", "wrote maps.pdf"]
    content = Path("maps.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) == 3
    assert run("photos/cat.jpg", *FAST, "--pdf", "maps.png") == 2
    assert "--pdf maps.png: expected a name that ends with .pdf" in capsys.readouterr().err
    assert Path("maps.pdf").read_bytes() == content


def test_advice_on_large_errors_with_automatic_steps(here, capsys, monkeypatch):
    monkeypatch.setattr("captum_ext.cli.explanation._LARGE_COMPLETENESS_ERROR", 0.0)
    assert run("photos/cat.jpg", *FAST[:2], "--steps", "auto", "--methods", "guided-ig") == 0
    assert "Give more --steps: methods that can't choose their steps took 50" in capsys.readouterr().err
