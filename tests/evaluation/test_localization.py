"""Masks and mosaics in the evaluation: scores by hand, chance levels, missing and broken masks."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from captum_ext import metrics
from captum_ext._utils.errors import UserError
from captum_ext.attr import IDGI
from captum_ext.cli import main
from captum_ext.evaluation import (
    EvaluationConfig,
    Results,
    evaluate,
    find_images,
    model_evaluator,
    mosaic_batch,
    report,
)
from tests.evaluation.tiny import load, pictures, transform

ALL = ("localization-auc", "best-f1", "map-mae", "pointing-game", "relevance-mass-accuracy",
       "relevance-rank-accuracy", "localization-iou")  # fmt: skip
BLACK, SPAN = -127 / 128, 255 / 128


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("images"), 8)


@pytest.fixture
def masks(folder, tmp_path):
    """Masks of different objects; that of the last picture is missing."""
    for k in range(7):
        mask = np.zeros((120, 120), np.uint8)
        mask[10 * k : 10 * k + 50, 20:70] = 1 + k
        Image.fromarray(mask).save(tmp_path / f"{k:03d}.png")
    return tmp_path


def run(folder, masks, output, metric_names=ALL, methods=("idgi", "random"), **settings):
    config = EvaluationConfig(methods, metric_names, steps=(4,), target="predicted", **settings)
    evaluate({"tiny": load()}, find_images(folder, masks=masks), output, config)
    frame = Results(output).read()
    return frame[frame.score != "image"]


def by_hand(folder):
    net, _ = load()
    x = torch.stack([transform(Image.open(folder / f"{k:03d}.png")) for k in range(7)])
    target = net(x).argmax(1)
    return x, target, IDGI(lambda z: net(z).softmax(1)).attribute(x, BLACK, target, n_steps=4)


def test_scores_with_masks_are_those_of_the_metrics_by_hand(folder, masks, tmp_path):
    frame = run(folder, masks, tmp_path / "r", (*ALL, "localization-auc:positive"), batch_size=8)
    _, _, maps = by_hand(folder)
    files = [np.asarray(Image.open(masks / f"{k:03d}.png")) > 0 for k in range(7)]
    white = torch.stack([transform(Image.fromarray(file).convert("RGB")) for file in files])
    inside = (white[:, 0] - BLACK) / SPAN > 0.5
    for (score, variant), function in {
        ("localization-auc", "signed"): metrics.localization_auc,
        ("localization-auc", "positive"): metrics.localization_auc,
        ("best-f1", "absolute"): metrics.best_f1,
        ("map-mae", "positive"): metrics.map_mae,
        ("pointing-game", "signed"): metrics.pointing_game,
        ("relevance-mass-accuracy", "positive"): metrics.relevance_mass_accuracy,
        ("relevance-rank-accuracy", "signed"): metrics.relevance_rank_accuracy,
        ("localization-iou", "positive"): metrics.localization_iou,
    }.items():
        rows = frame[(frame.score == score) & (frame.variant == variant)]
        ours = rows[rows.method == "idgi"].sort_values("image")
        expected = function(maps, inside, ranking=variant)
        torch.testing.assert_close(torch.tensor(list(ours.value))[:7].double(), expected.double(), rtol=1e-3, atol=1e-3)
        assert ours.value.isna().tolist() == [False] * 7 + [True]
        assert ours.note.iloc[7].startswith("no mask:")
        chance = rows[rows.method == "chance"].sort_values("image")
        if score in ("localization-iou", "map-mae"):  # in which a constant map is not a random order
            assert chance.empty
        else:
            constant = function(torch.zeros_like(maps), inside, ranking=variant)
            torch.testing.assert_close(torch.tensor(list(chance.value))[:7].double(), constant.double())
            assert chance.note.iloc[7].startswith("no mask:")


def test_a_mask_is_cropped_with_its_image(folder, masks, tmp_path):
    def crop(picture):
        return transform(picture.crop((60, 0, 120, 60)))

    net, _ = load()
    config = EvaluationConfig(("random",), ("relevance-mass-accuracy",), target="predicted")
    evaluate({"tiny": (net, crop)}, find_images(folder, masks=masks), tmp_path / "r", config)
    frame = Results(tmp_path / "r").read()
    chance = frame[(frame.method == "chance")].set_index("image")
    # In the crop, columns 60 to 69 of the picture are inside, and rows from 10 * k on.
    for k in range(6):
        expected = (10 / 60) * (min(60, 10 * k + 50) - 10 * k) / 60
        assert chance.value[f"{k:03d}.png"] == pytest.approx(expected, abs=0.02)
    assert chance.note["006.png"].startswith("the mask is empty")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: Image.new("L", (60, 120)).save(file), "001.png: expected a mask of 120 x 120 pixels"),
        (lambda file: Image.new("RGBA", (120, 120)).save(file), r"001.png: its mask 001.png has transparency"),
        (lambda file: file.write_bytes(file.read_bytes()[:60]), "001.png: its mask 001.png can't be read"),
    ],
)
def test_masks_that_do_not_fit_are_named(folder, masks, tmp_path, change, message):
    change(masks / "001.png")
    with pytest.raises(UserError, match=message) as error:
        run(folder, masks, tmp_path / "r", methods=("random",))
    assert str(masks) not in str(error.value)


def test_folders_of_masks(folder, masks, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"has no mask of any of 8 images, such as 000\.png"):
        find_images(folder, masks=tmp_path / "empty")
    with pytest.raises(UserError, match="is the folder of images"):
        find_images(folder, masks=folder)
    with pytest.raises(UserError, match="no such folder"):
        find_images(folder, masks=tmp_path / "none")
    with pytest.raises(UserError, match="need masks, got none"):
        run(folder, None, tmp_path / "r")
    images = tmp_path / "images"
    images.mkdir()
    for name in ("000.png", "000.bmp"):
        Image.open(folder / "000.png").save(images / name)
    with pytest.raises(UserError, match=r"is the mask of 000\.bmp and of 000\.png"):
        find_images(images, masks=masks)


def test_a_changed_mask_is_another_run(folder, masks, tmp_path):
    run(folder, masks, tmp_path / "r", methods=("random",))
    run(folder, masks, tmp_path / "r", methods=("random",))
    Image.new("L", (120, 120), 255).save(masks / "001.png")
    with pytest.raises(UserError, match="masks was"):
        run(folder, masks, tmp_path / "r", methods=("random",))


def test_the_command_takes_masks_and_the_report_shows_chance(folder, masks, tmp_path, capsys):
    arguments = ["evaluate", str(tmp_path / "r"), "--images", str(folder), "--models", "tests.evaluation.tiny:load",
                 "--methods", "random,gradient", "--masks", str(masks)]  # fmt: skip
    assert main([*arguments, "--metrics", "insertion"]) == 2
    assert "no metric in --metrics uses it" in capsys.readouterr().err
    assert main([*arguments, "--metrics", ",".join(ALL)]) == 0
    page = report(tmp_path / "r")[0].read_text()
    assert re.search(r"AUC of the mask \(signed\) ↑ \|.*0\.500 \[0\.500, 0\.500\] \(7\)", page)
    assert "| Chance |" in page


class Colors(torch.nn.Module):
    """A network that accepts pictures of any size and finds the strongest of four colors."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Conv2d(3, 4, 1)
        with torch.no_grad():
            self.head.weight.copy_(torch.cat([torch.eye(3), torch.full((1, 3), 0.4)])[:, :, None, None])
            self.head.bias.zero_()

    def forward(self, x):
        return 60 * self.head(x).square().mean((2, 3))


def as_pixels(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255


@pytest.fixture
def colors(tmp_path):
    """Twelve noisy pictures of three colors and of gray; the last one is dark, so its class is uncertain."""
    folder, random = tmp_path / "colors", np.random.default_rng(0)
    folder.mkdir()
    for k in range(12):
        color = np.eye(3)[k % 4] if k % 4 < 3 else np.ones(3)
        noise = random.uniform(0.5, 1, (8, 8, 1)) * (1 if k < 11 else 0.05)
        Image.fromarray((200 * noise * color).astype(np.uint8)).save(folder / f"{k:02d}.png")
    return folder


def grid_scores(colors, output, batch_size, methods=("idgi", "random")):
    config = EvaluationConfig(methods, ("grid-pointing-game",), steps=(4,), target="predicted", batch_size=batch_size)
    evaluate({"colors": (Colors().eval(), as_pixels)}, find_images(colors), output, config)
    frame = Results(output).read()
    return frame[frame.score == "grid-pointing-game"].sort_values(["method", "image"]).reset_index(drop=True)


def test_the_grid_pointing_game_explains_each_image_in_a_mosaic(colors, tmp_path, monkeypatch):
    made = []

    def keep(*arguments):
        made.append(mosaic_batch.mosaic_batch(*arguments))
        return made[-1]

    monkeypatch.setattr(model_evaluator, "mosaic_batch", keep)
    frame = grid_scores(colors, tmp_path / "r", 12)
    (mosaics,) = made
    assert mosaics.rows.tolist() == list(range(11))
    net = Colors()
    images = [as_pixels(Image.open(colors / f"{k:02d}.png")) for k in range(12)]
    known = {tuple(image.flatten().tolist()) for image in images[:11]}
    for k, (mosaic, cell) in enumerate(zip(mosaics.batch.inputs, mosaics.cells, strict=False)):
        tiles = [half for rows in mosaic.split(8, 1) for half in rows.split(8, 2)]
        assert torch.equal(tiles[cell], images[k])
        assert all(tuple(tile.flatten().tolist()) in known for tile in tiles)
        assert sorted(net(torch.stack(tiles)).argmax(1).tolist()) == [0, 1, 2, 3]
    assert len(set(mosaics.cells.tolist())) == 4
    maps = IDGI(lambda x: net(x).softmax(1)).attribute(mosaics.batch.inputs, 0, mosaics.batch.target, n_steps=4)
    expected = metrics.grid_pointing_game(maps, mosaics.cells[:11])
    values = {name: torch.tensor(list(rows.value)) for name, rows in frame.groupby("method")}
    torch.testing.assert_close(values["idgi"][:11].double(), expected, rtol=1e-4, atol=1e-5)
    assert all(value[11].isnan() for value in values.values())
    assert set(frame.note.dropna()) == {frame.note.iloc[11]}
    assert frame.note.iloc[11].startswith("confidence: the probability 0.")
    assert values["chance"][:11].tolist() == [0.25] * 11
    assert values["random"][:11].mean().item() == pytest.approx(0.25, abs=0.03)
    assert values["idgi"][:11].max() > 0.35


def test_mosaics_do_not_depend_on_the_batch(colors, tmp_path):
    methods = ("idgi", "random", "expected-gradients")
    one, other = (grid_scores(colors, tmp_path / str(size), size, methods) for size in (12, 5))
    np.testing.assert_allclose(one.value, other.value, rtol=1e-4)


def test_mosaics_need_four_classes_and_a_model_for_larger_pictures(colors, tmp_path):
    for k in range(3, 12, 4):
        (colors / f"{k:02d}.png").unlink()
    with pytest.raises(UserError, match=r"images of at least 4 classes .*; 9 images have 3"):
        grid_scores(colors, tmp_path / "r", 4)


def test_a_model_of_one_size_has_no_mosaics(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(mosaic_batch, "_MIN_CONFIDENCE", 0.0)
    monkeypatch.setattr(mosaic_batch, "_CELLS", 1)
    config = EvaluationConfig(("random",), ("grid-pointing-game",), target="predicted")
    with pytest.raises(UserError, match="needs a model that accepts pictures twice as large"):
        evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", config)


def test_road_and_diffid_by_hand(folder, tmp_path):
    config = EvaluationConfig(("idgi",), ("road", "road-lerf:absolute", "diffid"), (4,), target="predicted")
    evaluate({"tiny": load()}, find_images(folder)[:4], tmp_path / "r", config)
    frame = Results(tmp_path / "r").read().sort_values("image")
    net, _ = load()
    x = torch.stack([transform(Image.open(folder / f"{k:03d}.png")) for k in range(4)])

    def f(z):
        return net(z).softmax(1)

    target = net(x).argmax(1)
    maps = IDGI(f).attribute(x, BLACK, target, n_steps=4)
    expected = {
        ("road", "signed"): metrics.road(f, x, maps, target, noise=0).area,
        ("road", "absolute"): metrics.road(f, x, maps, target, noise=0, ranking="absolute").area,
        ("road-lerf", "absolute"): metrics.road(f, x, maps, target, order="lerf", noise=0, ranking="absolute").area,
        ("diffid", "signed"): metrics.diffid(f, x, maps, target, baselines=BLACK).mean(1),
    }
    for (score, variant), values in expected.items():
        ours = torch.tensor(list(frame[(frame.score == score) & (frame.variant == variant)].value))
        # The noise on imputed pixels is small, and differs from image to image.
        torch.testing.assert_close(ours.double(), values.double(), rtol=0.02, atol=5e-3)
