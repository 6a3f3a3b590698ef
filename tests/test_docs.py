"""The Python of the README and of every page runs as it stands, and gives what the page says."""

import math
import re
import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop
from matplotlib.figure import Figure
from PIL import Image

from captum_ext import visualization
from captum_ext.attr import IntegratedGradients, PathAttribution
from captum_ext.cli import main
from captum_ext.quadratures import ImportantDirection, WeightedSum
from tests.offline import replace_downloads, replace_transformers, write_files

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
FOLDERS = ("docs", "docs/methods", "docs/howto")
PEERS = ("docs/migration.md",)  # compared with other libraries: a test of its own
SLOW = ("docs/attribution_priors.md",)  # trains networks: its own test runs it
PAGES = [
    str(path.relative_to(ROOT))
    for path in [README, *(page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md")))]
    if "```python" in path.read_text()
]
HOWTO = [name for name in PAGES if name.startswith("docs/howto/")]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a page's blocks of Python from top to bottom and returns the names that they define.

    What a page downloads is replaced (``tests/offline.py``), and a how-to finds its files in the current folder. Its
    blocks of ``captum-ext`` run too.
    """
    monkeypatch.chdir(tmp_path)

    def of(name):
        torch.manual_seed(0)
        names = {}
        if name not in (*ALONE, *PEERS, *HOWTO):
            exec(NETWORK, names)
        if name in ("README.md", *HOWTO):
            replace_downloads(monkeypatch)
            write_files(tmp_path)
        if name == "docs/howto/text.md":
            replace_transformers(monkeypatch, tmp_path)
        blocks = re.findall(r"^```(python|sh)\n(.*?)^```", (ROOT / name).read_text(), flags=re.DOTALL | re.MULTILINE)
        assert blocks
        for language, block in blocks:
            if language == "python":
                exec(compile(block, name, "exec"), names)
            elif name in HOWTO:
                for line in block.splitlines():
                    command, *arguments = shlex.split(line)
                    assert command == "captum-ext"
                    assert main(arguments) == 0
        return names

    return of


@pytest.mark.parametrize("name", [name for name in PAGES if name not in (*PEERS, *SLOW, *HOWTO, "README.md")])
def test_a_pages_python_runs_from_top_to_bottom(run, name):
    run(name)


def test_the_readme(run):
    names = run("README.md")
    shapes = {names[name].shape for name in ("blur_idgi", "ig", "idgi", "pgig", "pattern_idgi")}
    assert shapes == {(2, 3, 32, 32)}
    assert names["attributions"].shape == (1, 3, 40, 40)
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


def is_picture(file):
    return np.asarray(Image.open(file)).std() > 1


def sums(attributions):
    return attributions.detach().flatten(1).sum(1)


def change_of(forward_func, inputs, baselines):
    with torch.no_grad():
        return forward_func(inputs) - forward_func(baselines)


def of_photograph(names):
    change = change_of(names["probability"], names["image"], names["black"])[:, names["target"]]
    torch.testing.assert_close(sums(names["attributions"]), change, atol=1e-6, rtol=1e-2)
    assert names["attributions"].shape == names["image"].shape
    assert names["target"] == int(names["probability"](names["image"]).argmax())
    assert is_picture("heatmap.png")


def of_table(names):
    model, x, y = names["model"], names["x"], names["y"]
    assert (model(x).argmax(1) == y).float().mean() > 0.97
    change = change_of(model, names["row"], torch.zeros(1, 13))[:, 0]
    assert (names["delta"].abs() < 0.01 * change.abs()).all()
    torch.testing.assert_close(sums(names["attributions"]), change, atol=0.01 * float(change.abs()), rtol=0)
    assert is_picture("bars.png")


def of_text(names):
    scores, text = names["scores"], names["text"]
    assert scores.shape == names["encoded"].input_ids.shape
    assert (scores[~text.moves] == 0).all()
    padding = (names["encoded"].attention_mask == 0).sum(1)
    assert torch.equal((~text.moves).sum(1), padding + 2), "padding, [CLS] and [SEP] stay"
    with torch.no_grad():
        logits = [
            names["model"](inputs_embeds=e, attention_mask=text.attention_mask).logits[:, 1]
            for e in (text.embeddings, text.baselines)
        ]
    change = logits[0] - logits[1]
    torch.testing.assert_close(scores.sum(1), change, atol=0.02 * float(change.abs().max()), rtol=0)
    assert is_picture("text0.png")
    assert is_picture("text1.png")


def of_batchnorm_pgig(names):
    model, folded = names["model"], names["folded"]
    torch.testing.assert_close(model(names["images"]), folded(names["images"]))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    page = (ROOT / "docs/howto/batchnorm_pgig.md").read_text()
    with pytest.raises(ValueError, match="The model has 2 BatchNorm layers that can be folded") as error:
        names["fit_patterns"](model, names["train"])
    assert str(error.value)[:50] in page.replace("\n", " ")
    assert names["attributions"].shape == (3, 1, 28, 28)
    assert (names["attributions"] != 0).any()
    assert not names["PGIG"](folded, names["patterns"]).has_convergence_delta()
    assert set(names["quality"].rho) == set(names["patterns"])


def of_compare(names):
    frame = names["result"].frame
    assert set(frame["method"]) == set(names["methods"])
    assert (frame["n"] == 3).all()
    error = frame[frame["score"] == "completeness"].set_index("method")["value"]
    assert error["IDGI"] < 1e-3
    assert error["IG"] < 0.2
    difference = names["result"].difference("insertion (signed)", "IDGI", "IG")
    assert difference.low <= difference.value <= difference.high
    assert all(each.shape == (1, 3, 40, 40) for each in names["maps"].values())
    assert is_picture("metrics.png")
    assert is_picture("maps.png")


def of_folder(names):
    assert sorted(path.name for path in Path("gallery").iterdir()) == [
        "astronaut.png",
        "chelsea.png",
        "coffee.png",
        "index.html",
    ]
    assert len(names["names"]) == 6
    assert {name.split("/")[2] for name in names["names"]} == {"ig", "idgi"}
    assert all(names["maps"][name].shape == (3, 40, 40) for name in names["names"])
    assert names["settings"]["steps"] == 50


def of_own_path(names):
    model, images, path = names["model"], names["images"], names["ColorLast"]()
    change = change_of(model, images, torch.zeros_like(images))[[0, 1], [3, 7]]
    assert (names["delta"].abs() < 0.02 * change.abs()).all()
    torch.testing.assert_close(sums(names["idgi"]), change, atol=1e-4, rtol=1e-3)
    zero = torch.zeros_like(images)
    torch.testing.assert_close(path.point((images,), (zero,), 0.0)[0], zero)
    torch.testing.assert_close(path.point((images,), (zero,), 1.0)[0], images)
    half = path.point((images,), (zero,), 0.5)[0]
    torch.testing.assert_close(half[:, 0], half[:, 2])


def of_auto_steps(names, printed):
    diagnostics = names["diagnostics"]
    assert diagnostics.converged.all()
    assert (diagnostics.completeness_error <= 0.01).all()
    assert (names["of_idgi"].completeness_error < 1e-3).all()
    change = change_of(names["probability"], names["images"], torch.zeros_like(names["images"]))[:, 3]
    torch.testing.assert_close(sums(names["ig"]), change, atol=0, rtol=0.011)
    assert diagnostics.n_gradients[0] < diagnostics.n_gradients[1]
    shown = re.search(r"```text\n(.*?)```", (ROOT / "docs/howto/auto_steps.md").read_text(), flags=re.DOTALL)[1]
    # The counts of another version of torch may differ.
    assert printed.splitlines()[0] == shown.splitlines()[0]
    assert len(printed.splitlines()) == len(shown.splitlines())
    assert is_picture("path.png")


def of_video(names):
    assert names["attributions"].shape == names["clip"].shape
    target = names["target"]
    change = change_of(names["model"], names["clip"], names["black"])[:, target]
    torch.testing.assert_close(names["by_frame"].sum()[None], change, atol=1e-3, rtol=1e-2)
    assert names["sound"].shape == names["waveform"].shape
    assert (names["delta"].abs() < 0.05 * sums(names["sound"]).abs()).all()
    assert is_picture("frame.png")
    assert is_picture("frames.png")


def of_several_baselines(names):
    ig, image, target = names["ig"], names["image"], names["target"]
    starts = [names["black"], names["white"], names["baselines"].blurred(image)]
    mean = sum(ig.attribute(image, start, target) for start in starts) / 3
    torch.testing.assert_close(names["maps"]["average of three"], mean, atol=1e-5, rtol=1e-3)
    assert set(names["maps"]) == {"from black", "from white", "average of three", "IDGI"}
    with pytest.raises(TypeError, match="Expected"):
        ig.attribute(image, starts, target)
    assert is_picture("baselines.png")


def of_large_images(names):
    assert names["attributions"].shape == (1, 3, 96, 96)
    assert names["report"].n_folded > 10
    assert names["diagnostics"].completeness_error.isfinite().all()
    assert int(names["diagnostics"].n_gradients) == 16
    assert is_picture("overlay.png")


def of_detection_segmentation(names):
    x, image = names["x"], names["image"]
    with torch.no_grad():
        change = names["mean_score"](x) - names["mean_score"](torch.zeros_like(x))
    assert (names["delta"].abs() < 0.05 * change.abs()).all()
    assert names["of_object"].shape == x.shape
    scores = names["anchor_scores"]
    change = change_of(scores, image, torch.zeros_like(image))[:, names["anchor"], names["label"] + 1]
    torch.testing.assert_close(sums(names["of_box"]), change, atol=1e-8, rtol=1e-2)
    assert scores(image)[0, :, 1:].max() == scores(image)[0, names["anchor"], names["label"] + 1]
    assert is_picture("segmentation.png")


def of_regression(names):
    y, progression = names["y"], names["progression"]
    assert (progression(names["x"]) - y).var() < 0.55 * y.var()
    change = names["change"].detach()
    torch.testing.assert_close(sums(names["attributions"]), change, atol=0, rtol=1e-3)
    torch.testing.assert_close(names["delta"], sums(names["attributions"]) - change, atol=1e-3, rtol=0)
    assert is_picture("bars.png")


@pytest.mark.parametrize("name", HOWTO)
def test_a_how_to(run, capsys, name):
    """The results are as the page says; the function of_PAGE above checks them."""
    names = run(name)
    check = globals()[f"of_{Path(name).stem}"]
    if "printed" in check.__code__.co_varnames:
        check(names, capsys.readouterr().out)
    else:
        check(names)


def test_a_how_to_is_one_screen():
    assert len(HOWTO) == 13
    index = (ROOT / "docs/howto/index.md").read_text()
    for name in HOWTO:
        shown = re.sub(r"^```\{index\}.*\n```\n\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
        lines = shown.splitlines()
        assert len(lines) <= 64, name
        assert {"## What can go wrong", "## See also"} < set(lines), name
        assert f"({Path(name).name})" in index
        code = re.findall(r"^```(?:python|sh)\n(.*?)^```", "\n".join(lines), flags=re.DOTALL | re.MULTILINE)
        assert all(len(line) <= 80 for block in code for line in block.splitlines()), name
