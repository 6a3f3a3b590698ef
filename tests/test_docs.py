"""The Python of the README and of every page runs as it stands, and gives what the page says."""

import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop
from matplotlib.figure import Figure
from PIL import Image
from skimage import data

from captum_ext import visualization
from captum_ext.attr import IntegratedGradients, PathAttribution
from captum_ext.quadratures import ImportantDirection, WeightedSum

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
# What a page's blocks take for granted.
NETWORK = """
import torch
from captum_ext.attr import *
from captum_ext.paths import *
from captum_ext.patterns import *

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)
).eval()
f = lambda x: model(x).softmax(1)
x, black, data = torch.rand(2, 3, 8, 8), torch.zeros(1, 3, 8, 8), torch.rand(9, 3, 8, 8)
loader = [torch.rand(32, 3, 8, 8)]
batches, optimizer = [(data, torch.arange(9) % 5)], torch.optim.Adam(model.parameters())
patterns = fit_patterns(model, loader)
classifier = torch.nn.Sequential()
classifier.add_module("embedding", torch.nn.Embedding(20, 4))
classifier.add_module("rest", torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24, 2)))
ids, pad_id = torch.randint(20, (2, 6)), 0
"""
ALONE = (
    "README.md",
    "docs/index.md",
    "docs/output.md",
    "docs/inputs.md",
    "docs/baselines.md",
    "docs/own_parts.md",
    "docs/text.md",
    "docs/visualize.md",
)
# The README's ResNet-50 has random weights here, since there may be no network, and a small picture.
OFFLINE = {
    "resnet50(weights=weights)": "resnet50(weights=None)",
    "weights.transforms()": "weights.transforms(crop_size=48, resize_size=48)",
    "attribute(image, black, target)": "attribute(image, black, target, n_steps=4)",
}
PEERS = ("docs/migration.md",)  # compared with other libraries: a test of its own
SLOW = ("docs/attribution_priors.md",)  # trains networks: its own test runs it
PAGES = [
    str(path.relative_to(ROOT))
    for path in [README, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "methods").glob("*.md"))]
    if "```python" in path.read_text()
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a page's blocks of Python from top to bottom and returns the names that they define."""
    monkeypatch.chdir(tmp_path)

    def of(name):
        torch.manual_seed(0)
        names = {}
        if name not in (*ALONE, *PEERS):
            exec(NETWORK, names)
        text = (ROOT / name).read_text()
        if name == "README.md":
            for shown, offline in OFFLINE.items():
                assert shown in text
                text = text.replace(shown, offline)
            Image.fromarray(data.coffee()).save("photo.jpg")
        blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
        assert blocks
        for block in blocks:
            exec(compile(block, name, "exec"), names)
        return names

    return of


@pytest.mark.parametrize("name", [name for name in PAGES if name not in (*PEERS, *SLOW, "README.md")])
def test_a_pages_python_runs_from_top_to_bottom(run, name):
    run(name)


def test_the_readme(run):
    names = run("README.md")
    shapes = {names[name].shape for name in ("blur_idgi", "ig", "idgi", "pgig", "pattern_idgi")}
    assert shapes == {(2, 3, 32, 32)}
    assert names["attributions"].shape == (1, 3, 48, 48)
    assert (names["black"] < 0).all()
    assert np.asarray(Image.open("map.png")).std() > 1
    block = re.search(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)[1]
    assert len([line for line in block.splitlines() if line]) <= 12


def test_the_readme_names_make_demo_and_make_test_before_pip():
    text = README.read_text()
    assert text.index("make demo") < text.index("make test") < text.index("pip install") < text.index("import torch")


def test_the_landing_page_has_ten_lines(run):
    names = run("docs/index.md")
    assert names["ig"].shape == names["idgi"].shape == names["guided"].shape == names["blur"].shape == (2, 3, 32, 32)
    block = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "index.md").read_text(), flags=re.DOTALL)[1]
    assert len([line for line in block.splitlines() if line]) <= 10


def test_the_page_on_inputs(run):
    names = run("docs/inputs.md")
    assert names["by_token"].shape == (2, 4)
    # On a path from zero the second example's padding, which the mask hides, has no influence.
    assert names["by_token"][1, 3] == 0
    assert (names["by_token"][0] != 0).all()
    assert names["graph_maps"].shape == (3, 5, 4)
    assert names["steps"].shape == (2, 6, 3)


def test_the_page_on_text(run):
    names = run("docs/text.md")
    text, scores = names["text"], names["scores"]
    assert (scores[~text.moves] == 0).all()
    assert (scores[text.moves] != 0).all()
    torch.testing.assert_close(names["words"].sum(), scores[1].sum())
    torch.testing.assert_close(names["by_layer"], names["attributions"], atol=1e-6, rtol=1e-4)
    assert names["which"].shape == (10, 2, 5)
    assert "cab" in names["page"]
    assert (names["falls"] > names["random"]).all()


def test_the_page_on_baselines(run):
    names = run("docs/baselines.md")
    for name in ("from_noise", "from_mean", "over_baselines", "sampled"):
        assert names[name].shape == (2, 3, 16, 16)
        assert (names[name] != 0).any()
    assert names["delta"].shape == (2,)


def test_the_page_on_visualization(run):
    names = run("docs/visualize.md")
    public = [name for name in visualization.__all__ if name in names]
    assert {"heatmap", "overlay", "compare", "regions", "bars", "curves"} == set(public)
    assert isinstance(names["figure"], Figure)
    for file in ("heatmap.png", "both.png"):
        assert np.asarray(Image.open(file)).std() > 1


def test_the_page_on_outputs(run):
    names = run("docs/output.md")
    x, zero = names["x"], torch.zeros_like(names["x"])
    for name, function in names["functions"].items():
        change = (function(x) - function(zero)).detach()
        torch.testing.assert_close(names["maps"][name].sum((1, 2, 3)), change, atol=1e-4, rtol=1e-3)


def test_the_page_on_attribution_priors(run):
    names = run("docs/attribution_priors.md")
    plain, smooth = names["plain"], names["smooth"]
    assert smooth["total variation"] < 0.6 * plain["total variation"]
    assert smooth["log loss"] < plain["log loss"]
    assert smooth["accuracy with noise"] > plain["accuracy with noise"]
    first = (ROOT / "docs/attribution_priors.md").read_text().split("```python\n")[1].split("```")[0]
    assert len([line for line in first.splitlines() if line]) <= 10


def test_a_path_of_ones_own(run):
    names = run("docs/own_parts.md")
    method, x, model = names["PathAttribution"], names["x"], names["model"]
    change = (model(x) - model(torch.zeros_like(x)))[:, 1].detach()
    assert (names["delta"].abs() < 0.01 * change.abs()).all()
    torch.testing.assert_close(names["idgi_on_it"].sum((1, 2, 3)), change, atol=1e-5, rtol=1e-4)
    one_row = method(model, names["WipePath"]()).attribute(x, target=1, n_steps=80, internal_batch_size=1)
    torch.testing.assert_close(one_row, names["wiped"])
    # A linear F is exact on any path, by any rule and number of steps.
    weight = torch.randn(1, 8, 8)
    for rule in ("riemann_left", "riemann_trapezoid", "gausslegendre"):
        maps = method(lambda x: (x * weight).sum((1, 2, 3)), names["WipePath"]()).attribute(x, n_steps=3, method=rule)
        torch.testing.assert_close(maps, x * weight)
    # The first of four points, at 1/8: one of eight columns has appeared.
    seen = []
    method(lambda x: seen.append(x.detach()) or x.sum((1, 2, 3)), names["WipePath"]()).attribute(
        x[:1], n_steps=4, method="riemann_middle"
    )
    assert (torch.cat(seen)[0, ..., 1:] == 0).all()
    assert (torch.cat(seen)[0, ..., 0] == x[0, ..., 0]).all()


def test_a_searched_path_of_ones_own(run):
    names = run("docs/own_parts.md")
    model, x, winner = names["model"], names["x"], names["winner"]
    path = names["DescentPath"](step=0.002)
    finer, delta = names["PathAttribution"](model, path).attribute(
        x, target=winner, n_steps=3000, return_convergence_delta=True
    )
    # Complete to the ends that the search found, where the classes meet.
    change = finer.sum((1, 2, 3)) - delta
    assert (delta.abs() < 0.02 * change.abs()).all()
    assert (names["to_its_end"].abs() >= delta.abs()).all()


def test_a_page_s_parts_are_short(run):
    """As the page promises: a path in 8 lines, a quadrature in 6, a search in 20."""
    page = (ROOT / "docs/own_parts.md").read_text()
    for name, most in (("WipePath", 8), ("simpson", 6), ("DescentPath", 20)):
        body = page[re.search(f"(class|def) {name}", page).start() :]
        lines = body[: min(body.index("\n\n\n"), body.index("```"))].splitlines()
        assert len([line for line in lines if line.strip()]) <= most, name


def test_simpsons_rule_has_order_4(run):
    simpson = run("docs/own_parts.md")["simpson"]
    x = torch.tensor([[1.5]], dtype=torch.float64)
    errors = []
    for n_steps in (4, 8, 16, 32):
        method = PathAttribution(lambda z: z.exp().sum(1), quadrature=simpson(n_steps))
        errors.append(abs(float(method.attribute(x, n_steps=n_steps)) - (math.exp(1.5) - 1)))
    orders = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert all(3.8 < order < 4.2 for order in orders), orders
    shared = PathAttribution(lambda z: z.exp().sum(1)).attribute_each(
        [simpson(8), WeightedSum("riemann_trapezoid"), ImportantDirection()], x, n_steps=8
    )
    torch.testing.assert_close(shared[0].item(), math.exp(1.5) - 1, rtol=1e-4, atol=0)
    (_, found), _ = PathAttribution(lambda z: z.exp().sum(1)).attribute_each(
        [simpson(8), WeightedSum("riemann_trapezoid")], x, n_steps=8, return_diagnostics=True
    )
    assert found.completeness_error < 1e-4
    assert bool(found.estimated_error.isnan())  # every other of its points has other weights


def test_a_quadrature_of_ones_own(run):
    names = run("docs/own_parts.md")
    assert (names["both_ways"] >= names["plain"].abs() - 1e-6).all()
    # Of sin over a whole period it is four times the amplitude; the sum is nothing.
    method = names["PathAttribution"](lambda x: x.sin().sum(1), quadrature=names["TotalVariation"]())
    period = torch.tensor([[2 * torch.pi]])
    torch.testing.assert_close(method.attribute(period, n_steps=400), torch.tensor([[4.0]]), atol=1e-3, rtol=0)


def test_checks_of_ones_own_parts(run, capsys):
    names = run("docs/own_parts.md")
    printed = capsys.readouterr().out
    assert "DeafPath() with WeightedSum(method='gausslegendre') fails baselines_are_used_or_refused: other" in printed
    (mark,) = names["test_wipe_path"].pytestmark
    assert len(list(names["path_checks"](names["WipePath"]()))) > 20
    assert mark.args[0] == "check"


def test_a_backward_rule_of_ones_own(run):
    names = run("docs/own_parts.md")
    net, rows = names["net"], names["rows"]
    method = names["PathAttribution"](net, backward=names["PositiveGradients"]())
    theirs = GuidedBackprop(net).attribute(rows.clone().requires_grad_(), target=0)
    at_the_input = method.attribute(rows, target=0, n_steps=1, method="riemann_right")
    torch.testing.assert_close(at_the_input, (rows * theirs).detach())
    assert not torch.allclose(names["along_the_path"], IntegratedGradients(net).attribute(rows, target=0))
    assert not any(module._backward_hooks for module in net.modules())


def test_the_page_on_migration(run, saliency):
    names = run("docs/migration.md")
    for name in ("idgi", "guided", "maps", "pgig"):
        assert names[name].shape == (2, 3, 4, 4)
        assert (names[name] != 0).any()
    theirs = saliency.GuidedIG().GetMask(names["image"], names["call_model"], x_steps=200, fraction=0.25, max_dist=0.02)
    assert np.abs(names["guided"][0].numpy() - theirs).max() < 0.05 * np.abs(theirs).max()
    # Captum's trapezoid, as the table has it.
    import captum.attr

    captums = captum.attr.IntegratedGradients(names["model"]).attribute(
        names["x"], target=1, n_steps=21, method="riemann_trapezoid"
    )
    ours = IntegratedGradients(names["model"]).attribute(names["x"], target=1, n_steps=20, method="riemann_trapezoid")
    torch.testing.assert_close(captums * 21 / 20, ours, atol=1e-6, rtol=1e-4)
