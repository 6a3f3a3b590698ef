"""Presets, defaults and explicit options of ``captum-ext evaluate``; torchvision's networks by name."""

import argparse
import re
from pathlib import Path

import pytest
import torch
from torchvision import models as torchvision_models
from torchvision.models import WeightsEnum

from captum_ext.cli import main
from captum_ext.cli.errors import CommandError
from captum_ext.cli.evaluate_options import PRESETS, add_evaluate_options, evaluation_config, resolve_options
from captum_ext.evaluation import EvaluationConfig, Results
from tests.evaluation.tiny import pictures

TINY = ["--models", "tests.evaluation.tiny:load", "--batch-size", "4"]
STUDY = ("densenet121", "densenet169", "densenet201", "inception_v3", "mobilenet_v2", "resnet50", "resnet101",
         "resnet152", "vgg16", "vgg19")  # fmt: skip


def resolved(*options):
    parser = argparse.ArgumentParser()
    add_evaluate_options(parser)
    arguments = parser.parse_args(["results", "--images", "photographs", *options])
    return resolve_options(arguments), arguments


def test_without_a_preset_the_options_are_those_of_the_configuration():
    notes, arguments = resolved()
    assert notes == {}
    assert evaluation_config(arguments) == EvaluationConfig()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_a_configuration_that_explicit_options_override(name):
    notes, arguments = resolved("--preset", name)
    assert notes == {"preset": name}
    config = evaluation_config(arguments)
    assert config != EvaluationConfig()
    assert config.methods == tuple(PRESETS[name]["methods"].split(","))
    notes, arguments = resolved("--preset", name, "--steps", "4", "--methods", PRESETS[name]["methods"], "--seed", "3")
    steps = PRESETS[name]["steps"]
    assert notes == {"preset": f"{name}, with --steps 4 in place of {steps}"}
    assert evaluation_config(arguments) == EvaluationConfig(
        config.methods, config.metrics, (4,), config.steps_protocol, config.target, config.baseline, generator=3
    )


def test_the_study_has_its_protocol():
    _, arguments = resolved("--preset", "study")
    config = evaluation_config(arguments)
    assert config.steps == (8, 16, 32, 64, 128)
    assert (config.steps_protocol, config.target, config.baseline) == ("reference", "label", "black")


def test_an_unknown_preset_is_named_with_a_near_match():
    with pytest.raises(CommandError, match=r"--preset quik: expected quick or study\. Did you mean quick\?"):
        resolved("--preset", "quik")


def test_a_run_with_a_preset_is_resumed_by_its_resolved_options(tmp_path, capsys):
    folder = pictures(tmp_path / "images", 3)
    run = ["evaluate", str(tmp_path / "r"), "--images", str(folder), *TINY, "--threads", "1"]
    options = ["--preset", "quick", "--steps", "2", "--methods", "ig,random", "--metrics", "insertion:signed"]
    assert main([*run, *options, "--html"]) == 0
    assert f"wrote {tmp_path}/r/report/report.html" in capsys.readouterr().out
    results = Results(tmp_path / "r")
    assert results.settings()["steps"] == [2]
    assert "preset" not in results.settings()
    page = (tmp_path / "r" / "report" / "report.html").read_text()
    assert "quick, with --methods ig,random in place of" in page
    assert "--steps 2 in place of 16" in page
    assert main([*run, *options[2:]]) == 0, "the same options without the preset"
    assert results.notes()["preset"].startswith("quick, with ")
    assert main([*run, *options[:2], *options[4:]]) == 2
    assert "steps was [2], is [16]" in capsys.readouterr().err
    assert main([*run, *options, "--examples", "-1"]) == 2


def test_methods_have_near_matches(tmp_path, capsys):
    folder = pictures(tmp_path / "images", 1)
    run = ["evaluate", str(tmp_path / "r"), "--images", str(folder), *TINY]
    assert main([*run, "--methods", "ig,blur-gi"]) == 2
    assert re.search(r"--methods: expected some of .*Did you mean blur-ig", capsys.readouterr().err)
    assert main([*run[:-4], "--models", "resnet5"]) == 2
    assert re.search(r"--models resnet5: expected .* Did you mean resnet50", capsys.readouterr().err)


@pytest.fixture
def random_weights(monkeypatch):
    """Only the download is replaced: weights of the real architecture, at random."""
    downloaded = []

    def get_state_dict(self, *arguments, **keywords):
        name = type(self).__name__.removesuffix("_Weights").lower()
        downloaded.append(name)
        build = torchvision_models.get_model_builder(name)
        extra = {"init_weights": False} if name == "inception_v3" else {}
        torch.manual_seed(0)
        return build(weights=None, **extra).state_dict()

    monkeypatch.setattr(WeightsEnum, "get_state_dict", get_state_dict)
    return downloaded


def evaluate_networks(names, folder, output):
    options = ["--methods", "gradient,random", "--metrics", "insertion:signed", "--target", "predicted", "--first", "1"]
    command = ["evaluate", str(output), "--images", str(folder), "--models", ",".join(names), *options]
    assert main([*command, "--threads", "1"]) == 0
    frame = Results(output).read()
    assert set(frame.model) == set(names)
    assert frame[frame.score == "insertion"].value.notna().all()


def test_networks_of_torchvision_by_name(tmp_path, random_weights):
    evaluate_networks(["mobilenet_v2", "shufflenet_v2_x0_5"], pictures(tmp_path / "images", 1), tmp_path / "r")
    # Each is loaded for the run's settings, and again when its turn comes.
    assert random_weights == ["mobilenet_v2", "shufflenet_v2_x0_5"] * 2


@pytest.mark.slow
def test_the_ten_networks_of_the_study(tmp_path, random_weights):
    evaluate_networks(STUDY, pictures(tmp_path / "images", 1), tmp_path / "r")
    assert tuple(random_weights) == STUDY * 2


def test_the_documentation_names_the_ten_networks():
    page = (Path(__file__).parent.parent.parent / "docs" / "evaluation.md").read_text()
    assert ",".join(STUDY) in re.sub(r"\\\n\s*", "", page)
