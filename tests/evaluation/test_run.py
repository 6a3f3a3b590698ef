"""Whole runs: the numbers against the metrics called by hand, broken images, kills, several processes, full disks."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from captum_ext import metrics
from captum_ext._utils.errors import UserError
from captum_ext.attr import IDGI, PathAttribution
from captum_ext.cli import main
from captum_ext.evaluation import METHODS, EvaluationConfig, Results, comparators, evaluate, find_images
from captum_ext.evaluation.method_registry import COMPARATORS, ComparatorSpec
from captum_ext.quadratures import WeightedSum
from tests.evaluation.tiny import load, pictures, transform

ROOT = Path(__file__).parent.parent.parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SMALL = ["--models", "tests.evaluation.tiny:load", "--threads", "1", "--steps", "4", "--methods", "ig,random"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("images"), 7, wrong=2)


def table(results):
    frame = Results(Path(results)).read()
    return frame.sort_values(["model", "image", "method", "steps", "score", "variant"]).reset_index(drop=True)


def test_scores_are_those_of_the_metrics_by_hand(folder, tmp_path):
    config = EvaluationConfig(
        methods=("ig", "idgi", "random"),
        metrics=("insertion", "deletion:absolute", "degradation", "degradation:code", "information", "completeness",
                  "information:study:png", "information:study:png:absolute", "stability", "class-sensitivity"),
        steps=(2, 6),
        batch_size=7,
    )  # fmt: skip
    summary = evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", config)
    assert summary.n_explained == {"tiny": 5}
    assert summary.n_misclassified == {"tiny": 2}
    frame = table(tmp_path / "r")
    assert not frame.duplicated(["image", "method", "steps", "score", "variant"]).any()

    net, _ = load()
    names = [f"{k:03d}.png" for k in range(5)]
    images = [Image.open(folder / name).convert("RGB") for name in names]
    x = torch.stack([transform(image) for image in images]).contiguous(memory_format=torch.channels_last)
    black = torch.full_like(x[:1], -127 / 128)

    def f(z):
        return net(z).softmax(1)

    scores = f(x).detach()
    target, rival = scores.topk(2).indices.T
    maps = IDGI(f).attribute(x, black, target, n_steps=6)
    jpeg = []
    for image in images:
        image.save(tmp_path / "x.jpg", quality=75)
        jpeg.append(transform(Image.open(tmp_path / "x.jpg").convert("RGB")))
    compressed = IDGI(f).attribute(torch.stack(jpeg), black, target, n_steps=6)
    other = IDGI(f).attribute(x, black, rival, n_steps=6)
    pixels = (x * 128 + 127).to(torch.uint8)

    def back(p):
        return (p.float() - 127) / 128

    insertion = metrics.insertion(f, x, maps, target, black)
    curves = metrics.information_curve(f, pixels, maps, target, back)
    study = metrics.information_curve(f, pixels, maps, target, back, protocol="study", information="png")
    absolute = metrics.information_curve(
        f, pixels, maps, target, back, protocol="study", information="png", ranking="absolute"
    )
    assert not torch.equal(study.sic, absolute.sic)
    expected = {
        ("insertion", "signed"): insertion.area,
        ("insertion-ratio", "signed"): insertion.area / scores.gather(1, target[:, None])[:, 0],
        ("insertion", "absolute"): metrics.insertion(f, x, maps, target, black, ranking="absolute").area,
        ("deletion", "absolute"): metrics.deletion(f, x, maps, target, black, ranking="absolute").area,
        ("degradation", "paper"): metrics.degradation(f, x, maps, target).area,
        ("degradation", "code"): metrics.degradation(f, x, maps, target, protocol="code").area,
        ("sic", "corrected"): curves.sic_area,
        ("aic", "corrected"): curves.aic_area,
        ("sic", "study:png"): study.sic_area,
        ("sic", "study:png:absolute"): absolute.sic_area,
        ("completeness", "relative"): metrics.completeness(f, x, maps, target, black).relative,
        ("stability", "rank"): metrics.rank_correlation(maps, compressed),
        ("stability", "signed"): metrics.stability_error(maps, compressed),
        ("class-sensitivity", "absolute"): metrics.class_sensitivity(maps, other, "absolute"),
    }
    rows = frame[(frame.method == "idgi") & (frame.steps == 6)]
    for (score, variant), values in expected.items():
        ours = rows[(rows.score == score) & (rows.variant == variant)].sort_values("image")
        assert list(ours.image) == names
        # float32 sums in another order; ranks that flip move an area by less than this
        torch.testing.assert_close(torch.tensor(list(ours.value)).double(), values.double(), rtol=2e-3, atol=2e-4,
                                   equal_nan=True, msg=f"{score} {variant}")  # fmt: skip
    curve = rows[(rows.score == "insertion") & (rows.variant == "signed") & (rows.image == names[0])].curve.item()
    torch.testing.assert_close(torch.tensor(curve).float(), insertion.scores[0].float(), rtol=1e-3, atol=1e-4)
    left = rows[(rows.score == "aic") & (rows.variant == "corrected")].sort_values("image")
    assert {k for k, note in enumerate(left.note) if isinstance(note, str)} == set(curves.aic_exclusions)
    status = frame[frame.score == "image"].sort_values("image")
    assert list(status.variant) == ["explained"] * 5 + ["misclassified"] * 2
    coarse = PathAttribution(f, quadrature=WeightedSum("riemann_trapezoid")).attribute(x, black, target, n_steps=2)
    ours = frame[
        (frame.method == "ig") & (frame.steps == 2) & (frame.score == "insertion") & (frame.variant == "signed")
    ]
    torch.testing.assert_close(
        torch.tensor(list(ours.sort_values("image").value)).float(),
        metrics.insertion(f, x, coarse, target, black).area, rtol=2e-3, atol=2e-4)  # fmt: skip


def test_degradation_in_other_patches(folder, tmp_path):
    config = EvaluationConfig(methods=("idgi",), metrics=("degradation",), steps=(2,), patch_size=4, n_patches=10,
                        patches_per_point=4)  # fmt: skip
    evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", config)
    frame = table(tmp_path / "r")
    row = frame[(frame.score == "degradation") & (frame.image == "000.png")]
    net, _ = load()
    x = transform(Image.open(folder / "000.png").convert("RGB"))[None]

    def f(z):
        return net(z).softmax(1)

    target = net(x).argmax(1)
    maps = IDGI(f).attribute(x, torch.full_like(x, -127 / 128), target, n_steps=2)
    every = metrics.degradation(f, x, maps, target, patch_size=4, n_patches=10).scores[0, [0, 4, 8, 10]]
    torch.testing.assert_close(torch.tensor(row.curve.item()).float(), every.float(), rtol=1e-3, atol=1e-4)


def test_randomized_models(folder, tmp_path):
    config = EvaluationConfig(methods=("ig",), metrics=("randomization",), steps=(3,), target="predicted", batch_size=3)
    evaluate({"tiny": load()}, find_images(folder)[:3], tmp_path / "r", config)
    frame = table(tmp_path / "r")
    net, _ = load()
    x = torch.stack([transform(Image.open(folder / f"{k:03d}.png")) for k in range(3)])
    target = net(x).argmax(1)

    def attribute(model):
        method = PathAttribution(lambda z: model(z).softmax(1), quadrature=WeightedSum("riemann_trapezoid"))
        return method.attribute(x, -127 / 128, target, n_steps=3)

    expected = metrics.model_randomization(attribute, net)
    for k, curve in enumerate(frame[frame.score == "randomization"].curve):
        torch.testing.assert_close(torch.tensor(curve).double(), expected.similarity[:, k], rtol=0, atol=5e-3)


def test_black_and_white_are_transformed_once_per_size(folder, tmp_path):
    colors = []

    def watched(picture):
        colors.append(len(picture.getcolors(2) or "many"))
        return transform(picture)

    net, _ = load()
    config = EvaluationConfig(("random",), ("insertion:signed",), target="predicted", batch_size=3)
    evaluate({"tiny": (net, watched)}, find_images(folder), tmp_path / "r", config)
    assert colors.count(1) == 2  # black and white
    expected = EvaluationConfig(("random",), ("insertion:signed",), target="predicted", batch_size=3)
    evaluate({"tiny": load()}, find_images(folder), tmp_path / "r2", expected)
    pd.testing.assert_frame_equal(table(tmp_path / "r"), table(tmp_path / "r2"))


def test_broken_images_are_named_and_skipped(folder, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("000.png", "001.png"):
        (images / name).write_bytes((folder / name).read_bytes())
    (images / "broken.png").write_bytes((folder / "000.png").read_bytes()[:300])
    config = EvaluationConfig(methods=("random",), metrics=("insertion:signed",), target="predicted")
    summary = evaluate({"tiny": load()}, find_images(images), tmp_path / "r", config)
    assert summary.n_explained == {"tiny": 2}
    assert list(summary.unreadable_images) == ["broken.png"]
    assert str(tmp_path) not in summary.unreadable_images["broken.png"]
    (images / "labels.csv").write_text("file,class_index\n000.png,1\ngone.png,1\n")
    summary = evaluate({"tiny": load()}, find_images(images), tmp_path / "r2", config)
    assert list(summary.unreadable_images) == ["gone.png"]


def test_a_nonfinite_map_is_reported_and_affects_no_other(folder, tmp_path, monkeypatch):
    def gradient(model, batch):
        maps = comparators.random(model, batch)
        maps[1, 0, 0, 0] = torch.nan
        return maps

    monkeypatch.setitem(METHODS, "gradient", ComparatorSpec(gradient))
    monkeypatch.setitem(COMPARATORS, "gradient", ComparatorSpec(gradient))
    config = EvaluationConfig(
        methods=("random", "gradient"), metrics=("insertion:signed", "stability:rank"), target="predicted"
    )
    evaluate({"tiny": load()}, find_images(folder)[:3], tmp_path / "r", config)
    frame = table(tmp_path / "r")
    broken = frame[(frame.method == "gradient") & (frame.image == "001.png")]
    assert set(broken.note) == {"the map has a NaN or infinity"}
    assert broken.value.isna().all()
    assert frame.drop(broken.index).value.notna().all()
    others = frame[frame.image != "001.png"]
    first, second = (others[(others.method == m) & (others.score == "insertion")].value for m in ("random", "gradient"))
    assert list(first) == list(second)


def test_labels_and_settings_that_do_not_match(folder, tmp_path):
    images, tiny = find_images(folder), {"tiny": load()}
    few = EvaluationConfig(methods=("random",), metrics=("insertion:signed",))
    with pytest.raises(UserError, match="no labels"):
        evaluate(tiny, [image._replace(label=None) for image in images], tmp_path / "r", few)
    with pytest.raises(UserError, match=r"tiny: 000\.png: expected a label below the model's 5 classes, got 900"):
        evaluate(tiny, [image._replace(label=900) for image in images], tmp_path / "r", few)
    with pytest.raises(UserError, match="tiny: pgig need patterns"):
        evaluate(tiny, images, tmp_path / "r2", EvaluationConfig(methods=("pgig",)))
    evaluate(tiny, images, tmp_path / "r3", few)
    with pytest.raises(UserError, match=r"other settings \(generator was 0, is 1\)"):
        evaluate(tiny, images, tmp_path / "r3", replace(few, generator=1))
    other = load()
    with torch.no_grad():
        other[0].first.weight += 1
    with pytest.raises(UserError, match="other settings"):
        evaluate({"tiny": other}, images, tmp_path / "r3", few)
    with pytest.raises(UserError, match="other settings"):
        evaluate({"tiny": (load()[0], lambda p: transform(p) / 2)}, images, tmp_path / "r3", few)
    with pytest.raises(UserError, match=r"each once, got 000.png 2 times"):
        evaluate(tiny, [*images, *images], tmp_path / "r4", few)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    for name in ("", "n\udcff"):
        with pytest.raises(UserError, match="models: expected a name in Unicode"):
            evaluate({name: load()}, images, tmp_path / "r5", few)
    with pytest.raises(UserError, match="has files but no settings"):
        evaluate(tiny, images, tmp_path / "full", few)


def test_models_that_can_not_be_evaluated(folder, tmp_path):
    images, few = find_images(folder), EvaluationConfig(methods=("random",), metrics=("insertion:signed",))
    net, _ = load()

    class Answering(torch.nn.Module):
        def __init__(self, answer):
            super().__init__()
            self.answer = answer

        def forward(self, x):
            return self.answer(net(x))

    for model, message in {
        Answering(lambda y: (y, y)): "expected the model to return logits .*got tuple",
        Answering(lambda y: y[:, 0]): r"got shape \(1,\)",
        Answering(lambda y: y @ y): "the model fails on an input of shape",
        load()[0].bfloat16(): r"tiny: expected float32 or float64, got torch.bfloat16",
        load()[0].train(): "in training mode",
    }.items():
        model = model if "training" in message else model.eval()
        with pytest.raises(UserError, match=message):
            evaluate({"tiny": (model, transform)}, images, tmp_path / "r", few)
    sizes = iter([32] * 3 + [24] * 1000)
    with pytest.raises(UserError, match="of different shapes"):
        evaluate({"tiny": (net, lambda p: transform(p)[:, : next(sizes)])}, images, tmp_path / "r2", few)
    in_folders = [image._replace(folders=3) for image in images]
    with pytest.raises(UserError, match="3 folders of images, and the model has 5 classes"):
        evaluate({"tiny": load()}, in_folders, tmp_path / "r3", few)
    few = EvaluationConfig(methods=("random",), metrics=("insertion:signed",), target="predicted")
    assert evaluate({"tiny": load()}, in_folders, tmp_path / "r4", few).n_explained == {"tiny": 7}
    small = EvaluationConfig(methods=("random",), metrics=("information:study:ms-ssim",))
    with pytest.raises(UserError, match=r"information: .*five scales"):
        evaluate({"tiny": load()}, images, tmp_path / "r5", small)


def test_an_image_without_finite_logits_is_left_out(folder, tmp_path):
    net, _ = load()

    class Strict(torch.nn.Module):
        def forward(self, x):
            return net(x).masked_fill((x.mean((1, 2, 3)) == darkest)[:, None], torch.nan)

    darkest = min(transform(Image.open(folder / f"{k:03d}.png"))[None].mean((1, 2, 3)) for k in range(7))
    config = EvaluationConfig(methods=("random",), metrics=("insertion:signed",), target="predicted")
    summary = evaluate({"s": (Strict().eval(), transform)}, find_images(folder), tmp_path / "r", config)
    assert summary.n_explained == {"s": 6}
    assert list(summary.unreadable_images.values()) == ["the model returns NaN or infinite logits"]


def test_noise_for_an_image_depends_on_no_other(folder, tmp_path):
    methods = ("vargrad", "smoothgrad-ig", "expected-gradients")
    images, net = find_images(folder), load()
    found = []
    for size in (1, 7):
        config = EvaluationConfig(methods=methods, metrics=("insertion:signed",), batch_size=size, references=3)
        evaluate({"tiny": net}, images, tmp_path / str(size), config)
        found.append(table(tmp_path / str(size)).value.to_numpy())
    torch.testing.assert_close(*map(torch.tensor, found), rtol=1e-3, atol=1e-4, equal_nan=True)


def test_a_name_that_is_no_utf_8_is_an_image_like_any(tmp_path):
    folder = pictures(tmp_path / "images", 3)
    (folder / "labels.csv").unlink()
    os.rename(folder / "001.png", os.fsencode(folder) + b"/caf\xe9.png")  # noqa: PTH104
    (Path(os.fsdecode(os.fsencode(folder) + b"/broken\xe9.png"))).write_bytes(b"")
    config = EvaluationConfig(methods=("ig", "vargrad"), metrics=("insertion:signed",), steps=(2,), target="predicted")
    summary = evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", config)
    assert summary.n_explained == {"tiny": 3}
    assert list(summary.unreadable_images) == ["broken\\udce9.png"]
    assert set(table(tmp_path / "r").image) == {"000.png", "002.png", "caf\\udce9.png", "broken\\udce9.png"}
    assert evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", config) == summary


def test_a_model_that_fails_midway_is_named_and_the_run_goes_on(folder, tmp_path):
    net, _ = load()
    failing = True

    class Midway(torch.nn.Module):
        def forward(self, x):
            if failing and results.folder.exists() and results.has("m", 0):
                raise RuntimeError("out of\nmemory")
            return net(x)

    results = Results(tmp_path / "r")
    few = EvaluationConfig(methods=("ig",), metrics=("insertion:signed",), steps=(2,), target="predicted", batch_size=3)
    run = ({"m": (Midway().eval(), transform)}, find_images(folder), tmp_path / "r", few)
    message = r"m: fails on the batch from 003.png to 005.png \(.* intact\): RuntimeError: out of memory"
    with pytest.raises(UserError, match=message):
        evaluate(*run)
    failing = False
    assert evaluate(*run).n_explained == {"m": 7}


def test_a_model_without_a_gradient_is_reported(folder, tmp_path):
    net, _ = load()

    class Detached(torch.nn.Module):
        def forward(self, x):
            return net(x).detach()

    few = EvaluationConfig(methods=("ig",), metrics=("insertion:signed",), steps=(2,), target="predicted")
    with pytest.raises(UserError, match=r"m: fails on the batch from 000.png to 006.png .* it has no gradient"):
        evaluate({"m": (Detached().eval(), transform)}, find_images(folder), tmp_path / "r", few)


def test_models_of_like_names_keep_their_own_results(folder, tmp_path):
    config = EvaluationConfig(methods=("random",), metrics=("insertion:signed",))
    summary = evaluate({"a/b": load(), "a_b": load(), "a:b": load()}, find_images(folder), tmp_path / "r", config)
    assert summary.n_explained == {"a/b": 5, "a_b": 5, "a:b": 5}


def test_finished_batches_are_skipped(folder, tmp_path, monkeypatch):
    config = EvaluationConfig(methods=("random",), metrics=("insertion:signed",), batch_size=2)
    first = evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", config)
    monkeypatch.setattr("captum_ext.evaluation.model_evaluator.ModelEvaluator.rows", None)
    assert evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", config) == first


def test_pixels_are_what_the_transform_made_inputs_of(folder, tmp_path):
    def squared(picture):
        return transform(picture).square()

    config = EvaluationConfig(methods=("random",), metrics=("information",), target="predicted")
    with pytest.raises(UserError, match="not a fixed scaling of pixels"):
        evaluate({"tiny": (load()[0], squared)}, find_images(folder), tmp_path / "r", config)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": ("lime",)}, r"methods: expected some of ig, .*; got \['lime'\]"),
        ({"methods": ("ig", "ig")}, "each once"),
        ({"metrics": ("insertion:best",)}, "insertion takes signed, absolute; got 'best'"),
        ({"metrics": ("accuracy",)}, "metrics: expected some of insertion"),
        ({"steps": ()}, "steps: expected at least one"),
        ({"steps": (2, 2)}, "steps: expected at least one, each once"),
        ({"steps": (1, 8), "steps_protocol": "reference"}, "at least 2"),
        ({"metrics": ("insertion:signed", "insertion")}, "metrics: expected at least one, each once"),
        ({"steps": (5, 8), "steps_protocol": "reference"}, "must divide 8"),
        ({"target": "true"}, "target: expected some of label, predicted"),
        ({"baseline": "pink"}, "baseline: expected some of black"),
        ({"batch_size": 0}, "batch_size"),
        ({"patches_per_point": 0}, "patches_per_point"),
        ({"metrics": ("information:study:png:largest",)}, "information takes"),
    ],
)
def test_invalid_configurations_name_the_valid_values(wrong, message):
    with pytest.raises(ValueError, match=message):
        EvaluationConfig(**wrong)


def test_a_generator_of_a_configuration_becomes_an_integer():
    first, second = (EvaluationConfig(generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert isinstance(first.generator, int)
    assert first == second != EvaluationConfig(generator=torch.Generator().manual_seed(6))
    assert replace(first, steps=(4,)).generator == first.generator, "not drawn again"
    with pytest.raises(TypeError, match=r"generator: expected an integer or a torch\.Generator, got str"):
        EvaluationConfig(generator="5")


def command(results, folder, *options):
    return [sys.executable, "-m", "captum_ext", "evaluate", str(results), "--images", str(folder), *SMALL, *options]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_a_run_killed_at_any_moment_resumes(tmp_path):
    folder = pictures(tmp_path / "images", 12)
    options = ["--batch-size", "1", "--metrics", "insertion,information", "--methods", "ig,idgi,random"]
    subprocess.run(command(tmp_path / "whole", folder, *options), check=True, cwd=ROOT, env=environment())
    kills = 0
    for wait, start in ((1, []), (4, []), (8, TORCHRUN)):
        process = subprocess.Popen(
            [*(start or [sys.executable]), *command(tmp_path / "r", folder, *options)[1:]],
            cwd=ROOT, env=environment(), start_new_session=True)  # fmt: skip
        while len(list((tmp_path / "r").glob("*/batch-*.parquet"))) < wait and process.poll() is None:
            time.sleep(0.005)
        kills += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "r").glob("*/batch-*.parquet")}
    assert kills
    assert 0 < len(done) < 12
    part = next(iter(done)).parent / ".batch-000011.parquet.99.tmp"  # as a kill while writing leaves it
    part.write_bytes(b"PAR1")
    os.utime(part, (0, 0))  # long ago: a new one may be another process's
    subprocess.run(command(tmp_path / "r", folder, *options), check=True, cwd=ROOT, env=environment())
    assert all(path.stat().st_mtime_ns == when for path, when in done.items()), "finished images are not done again"
    assert not part.exists()
    pd.testing.assert_frame_equal(table(tmp_path / "r"), table(tmp_path / "whole"), check_exact=True)


def test_two_processes_give_the_table_of_one(tmp_path):
    folder = pictures(tmp_path / "images", 7, wrong=1)
    options = ["--batch-size", "2", "--metrics", "insertion,information", "--methods",
               "ig,idgi,guided-ig,vargrad,random"]  # fmt: skip
    subprocess.run(command(tmp_path / "one", folder, *options), check=True, cwd=ROOT, env=environment())
    again = subprocess.run(
        TORCHRUN + command(tmp_path / "two", folder, *options)[1:], check=True, cwd=ROOT, env=environment(),
        capture_output=True, text=True)  # fmt: skip
    assert again.stdout.count("results in") == 1, "one process speaks"
    pd.testing.assert_frame_equal(table(tmp_path / "two"), table(tmp_path / "one"), check_exact=True)


def test_mistakes_reach_all_processes(tmp_path):
    folder = pictures(tmp_path / "images", 2)
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mine.txt").write_text("")
    failed = subprocess.run(
        TORCHRUN + command(tmp_path / "r", folder)[1:], cwd=ROOT, env=environment(), capture_output=True, text=True,
        timeout=120, check=False)  # fmt: skip
    assert failed.returncode
    assert "has files but no settings.json" in failed.stderr


def test_a_full_disk_is_reported_and_finished_batches_are_intact(folder, tmp_path):
    script = f"""
import resource, sys
import torchvision  # before the limit: with torch 2.6 the import itself writes a temporary file
from captum_ext.cli import main
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # writes beyond it fail, as on a full disk
sys.exit(main({command(tmp_path / "r", folder, "--batch-size", "3")[3:]}))
"""
    run = [sys.executable, "-c", script]
    assert subprocess.run([*run, "0"], cwd=ROOT, env=environment(), check=False).returncode == 0
    files = sorted((tmp_path / "r").glob("*/batch-*.parquet"))
    before = table(tmp_path / "r")
    files[-1].unlink()
    full = subprocess.run([*run, "2000"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert full.returncode == 2
    assert "File too large" in full.stderr
    assert "What was finished before is intact" in full.stderr
    assert "Traceback" not in full.stderr
    assert sorted((tmp_path / "r").glob("*/batch-*")) == files[:-1]
    assert not list((tmp_path / "r").rglob(".*"))
    assert subprocess.run([*run, "0"], cwd=ROOT, env=environment(), check=False).returncode == 0
    pd.testing.assert_frame_equal(table(tmp_path / "r"), before, check_exact=True)


def test_mistakes_on_the_command_line_are_one_line(folder, tmp_path, capsys):
    base = ["evaluate", str(tmp_path / "r"), "--images", str(folder), "--models", "tests.evaluation.tiny:load"]
    for options, message in {
        ("--methods", "lime"): "--methods: expected some of ig",
        ("--steps", "0"): "--steps 0: expected an integer",
        ("--steps", "3,4", "--steps-protocol", "reference"): "must divide 4",
        ("--labels", "none.csv"): "none.csv: can't be read",
        ("--patterns", "vgg16=x"): "--patterns vgg16=x: expected MODEL=FILE with one of tests.evaluation.tiny:load",
        ("--methods", "pgig"): "need patterns",
        ("--metrics", "accuracy"): "--metrics: expected some of insertion",
        ("--steps-protocol", "other"): "--steps-protocol: expected some of corrected, reference",
        ("--internal-batch-size", "0"): "--internal-batch-size 0: expected an integer from 1",
        ("--seed", "x"): "--seed x: expected an integer from 0",
        ("--device", "tpu9"): "--device tpu9",
    }.items():
        assert main([*base, *options]) == 2
        assert message in capsys.readouterr().err
    blocked = tmp_path / "file"
    blocked.write_text("")
    base[1] = str(blocked / "r")
    assert main([*base, "--methods", "random"]) == 2
    assert "can't be written (Not a directory)" in capsys.readouterr().err
