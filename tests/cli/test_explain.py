"""The command on real input: what it draws, and that every mistake is one line and exit code 2."""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from captum_ext.cli import main
from captum_ext.cli import models as cli_models
from captum_ext.cli.explain_methods import TITLES, compute_map
from captum_ext.evaluation import METHODS
from captum_ext.evaluation.batch_maps import compute_maps
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel

DEFAULT_TITLES = ("IG", "IDGI", "Blur IG", "Blur IG + IDGI", "Guided IG", "Guided IG + IDGI")
TINY = """
import torch
from torchvision.transforms.functional import to_tensor

def make():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4),
        torch.nn.Flatten(), torch.nn.Linear(64, 5))
    return model.train(), lambda image: (to_tensor(image.resize((24, 20))) - 0.5) / 0.25

def wrong():
    return make()[0]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a model of the user's own and two photographs."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.py").write_text(TINY)
    Image.fromarray(data.chelsea()).save("cat.jpg")
    Image.fromarray(data.camera()).save("camera.png")  # one channel
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tiny", raising=False)
    return tmp_path


def run(*arguments):
    return main(["explain", *arguments])


def test_own_model_several_images_every_method(here, capsys):
    assert run("cat.jpg", "camera.png", "--model", "tiny:make", "--steps", "4", "--output", "out.png") == 0
    printed = capsys.readouterr().out
    for name in ("cat.jpg", "camera.png"):
        for title in DEFAULT_TITLES:
            assert f"{name}: {title}: " in printed
    assert "wrote out.png" in printed
    picture = matplotlib.image.imread("out.png")
    assert picture.shape[1] > 2 * picture.shape[0]  # seven columns, two rows
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 1000


@pytest.mark.parametrize("baseline", ["white", "gray", "blurred", "uniform", "maximum-distance"])
def test_baselines_and_targets(here, capsys, baseline):
    arguments = ("cat.jpg", "--model", "tiny:make", "--steps", "3", "--methods", "ig,guided-ig+idgi")
    assert run(*arguments, "--baseline", baseline, "--target", "4", "--output", "o.png") == 0
    assert Path("o.png").stat().st_size > 10_000


def test_completeness_error_is_the_delta_of_the_softmax_from_a_black_photograph(here, capsys):
    """Black before the transform is -2 after it, not 0."""
    import tiny

    from captum_ext.attr import IntegratedGradients

    assert run("cat.jpg", "--model", "tiny:make", "--steps", "3", "--methods", "ig", "--target", "2") == 0
    shown = float(capsys.readouterr().out.split("completeness error ")[1].split()[0])
    model, transform = tiny.make()
    x = transform(Image.open("cat.jpg")).unsqueeze(0)
    _, delta = IntegratedGradients(lambda z: model.eval()(z).softmax(1)).attribute(
        x, torch.full_like(x, -2.0), target=2, n_steps=3, method="riemann_trapezoid", return_convergence_delta=True
    )
    assert shown == pytest.approx(abs(delta.item()), abs=6e-4)


@pytest.mark.parametrize("method", [name for name in TITLES if not METHODS[name].needs_patterns])
def test_a_name_means_the_same_as_in_evaluate(here, method):
    """The same path and quadrature rule, and so the same map."""
    import tiny

    model, transform = tiny.make()
    x = transform(Image.open("cat.jpg")).unsqueeze(0)
    image = ImageBatch(("cat",), x, torch.full_like(x, -2.0), torch.tensor([2]))
    probability_model = ProbabilityModel(model.eval(), x[:0], None, 0)
    (evaluated,) = compute_maps(probability_model, image, [method], [6])
    explained = compute_map(method, probability_model, image, 6)
    torch.testing.assert_close(explained.attributions, evaluated.maps, rtol=0, atol=1e-6)
    if evaluated.completeness_error is None:
        assert explained.delta is None
        return
    assert explained.delta.abs().item() == pytest.approx(
        evaluated.completeness_error.item() * (explained.attributions.sum() - explained.delta).abs().item(), abs=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jpg"], "nowhere.jpg: No such file"),
        (["tiny.py"], "tiny.py: not a readable image"),
        (["no-images"], "IMAGE no-images: has no image files"),
        (["*.bmp"], "no file has a name like this"),
        (["truncated.jpg"], "truncated.jpg: "),
        (["cat.jpg", "--model", "resnet19"], "--model resnet19: expected .* Did you mean resnet1"),
        (["cat.jpg", "--model", "efficientnet-lite9"], "--model efficientnet-lite9: "),
        (["cat.jpg", "--model", "nosuch:make"], "No module named 'nosuch'"),
        (["cat.jpg", "--model", "tiny:nosuch"], "nosuch"),
        (["cat.jpg", "--model", "tiny:wrong"], r"expected it to return \(model, transform\).*got Sequential"),
        (
            ["cat.jpg", "--model", "tiny:make", "--weights", "x.pt"],
            "--weights: module:function loads its own",
        ),
        (["cat.jpg", "--model", "resnet18", "--weights", "x.pt"], "--weights x.pt: not a readable checkpoint"),
        (
            ["cat.jpg", "--model", "resnet18", "--weights", "cat.jpg"],
            "--weights cat.jpg: not a readable checkpoint",
        ),
        (
            ["cat.jpg", "--model", "resnet18", "--weights", "IMAGENET"],
            "--weights IMAGENET: expected .*IMAGENET1K_V1",
        ),
        (
            ["cat.jpg", "--model", "resnet18", "--weights", "other.pt"],
            "--weights other.pt: does not fit resnet18",
        ),
        (
            ["cat.jpg", "--model", "tiny:make", "--methods", "ig,lime"],
            "--methods ig,lime: expected some of ig,idgi",
        ),
        (["cat.jpg", "--model", "tiny:make", "--methods", ","], "--methods ,: expected some of"),
        (["cat.jpg", "--model", "tiny:make", "--methods", "ig,pgig"], "--methods pgig: needs --patterns FILE"),
        (["cat.jpg", "--model", "tiny:make", "--patterns", "no.safetensors"], "--patterns no.safetensors: no such"),
        (["cat.jpg", "--model", "tiny:make", "--patterns", "cat.jpg"], "--patterns cat.jpg: truncated, or no"),
        (
            ["cat.jpg", "--model", "tiny:make", "--target", "5"],
            "--target 5: expected a class index from 0 to 4",
        ),
        (["cat.jpg", "--model", "tiny:make", "--target", "-1"], "--target -1: expected a class index"),
        (["cat.jpg", "--model", "tiny:make", "--target", "cat"], "--target cat: no class has this name"),
        (["cat.jpg", "--model", "tiny:make", "--steps", "0"], "--steps 0: expected an integer from 1 to 5000"),
        (["cat.jpg", "--model", "tiny:make", "--steps", "ten"], "--steps ten: expected an integer from 1 to 5000"),
        (["cat.jpg", "--model", "tiny:make", "--baseline", "red"], "--baseline red: expected one of black"),
        (
            ["cat.jpg", "--model", "tiny:make", "--output", "no/such/x.png"],
            "--output no/such/x.png: can't be written",
        ),
        (
            ["cat.jpg", "--model", "tiny:make", "--output", "x.jpg"],
            "--output x.jpg: expected a name that ends with .png",
        ),
        (["camera.png", "--model", "tiny:make", "--output", "camera.png"], "is one of the images to explain"),
        (["cat.jpg", "--model", "tiny:make", "--device", "toaster"], "--device toaster: "),
        (["cat.jpg", "--colour", "red"], "unrecognized arguments: --colour red"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(here, capsys, arguments, message):
    Path("truncated.jpg").write_bytes(Path("cat.jpg").read_bytes()[:3000])
    Path("no-images").mkdir()
    torch.save({"conv.weight": torch.zeros(1)}, "other.pt")
    before = sorted(path.name for path in here.iterdir())
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("captum-ext: error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert re.search(message, captured.err), captured.err
    assert sorted(path.name for path in here.iterdir() if path.name != "__pycache__") == before


def test_weights_that_can_not_be_downloaded(here, capsys, monkeypatch):
    def refuse(*arguments, **keywords):
        raise OSError("<urlopen error no network>")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    assert run("cat.jpg", "--model", "resnet18") == 2
    assert "could not be downloaded" in capsys.readouterr().err


def test_torchvision_model_from_a_checkpoint_file(here, capsys):
    from torchvision.models import mobilenet_v3_small

    torch.manual_seed(0)
    model = mobilenet_v3_small()
    torch.save({"state_dict": model.state_dict()}, "mine.pt")
    arguments = ("cat.jpg", "--model", "mobilenet_v3_small", "--weights", "mine.pt", "--methods", "idgi")
    assert run(*arguments, "--steps", "2", "--target", "tabby") == 0
    classifier = cli_models.load("mobilenet_v3_small", "mine.pt")
    assert torch.equal(classifier.model.state_dict()["classifier.3.bias"], model.state_dict()["classifier.3.bias"])
    assert not classifier.model.training
    assert classifier.category(281) == "tabby"


def test_the_embedded_default(tmp_path):
    """python -m captum_ext explain, as somebody would start it; few steps, all methods."""
    output = tmp_path / "coffee.png"
    done = subprocess.run(
        [sys.executable, "-m", "captum_ext", "explain", "--steps", "2", "--output", str(output)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert all(f"coffee: {title}: " in done.stdout for title in DEFAULT_TITLES)
    assert "Traceback" not in done.stderr
    assert matplotlib.image.imread(output).std() > 0.1


def test_usage(capsys):
    assert main([]) == 2
    assert main(["explian"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    with pytest.raises(SystemExit) as exit_:
        main(["explain", "--help"])
    assert exit_.value.code == 0
