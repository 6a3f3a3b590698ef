"""The options of ``captum-ext evaluate``: their defaults, the presets, and the configuration that they give."""

from __future__ import annotations

import argparse
from typing import Any

from captum_ext._utils.text import did_you_mean
from captum_ext.cli import models
from captum_ext.cli.errors import CommandError
from captum_ext.cli.optimized import add_exact_option
from captum_ext.cli.options import add_device_options, parse_count
from captum_ext.evaluation import EvaluationConfig
from captum_ext.evaluation.config import COUNTS

MAX_COUNT = 1_000_000
_PATHS = "ig,idgi,guided-ig,guided-ig+idgi,blur-ig,blur-ig+idgi"
_DEFAULTS = {
    "models": models.DEFAULT_MODEL,
    "methods": ",".join(EvaluationConfig.methods),
    "metrics": ",".join(EvaluationConfig.metrics),
    "steps": "32",
    "steps_protocol": "corrected",
    "baseline": "black",
    "batch_size": "8",
    "references": "49",
    "smoothgrad_ig_samples": "25",
    "patch_size": "9",
    "n_patches": "100",
    "patches_per_point": "1",
    "seed": "0",
}
# Options in place of the defaults; options on the command line take precedence.
PRESETS = {
    "quick": {
        "methods": "ig,idgi,blur-ig,blur-ig+idgi,random",
        "metrics": "insertion,deletion,completeness",
        "steps": "16",
        "first": "32",
    },
    # Singhi, Kumari: Strengthening Interpretability: An Investigative Study of Integrated Gradient Methods. 2024.
    "study": {
        "methods": _PATHS,
        "metrics": "insertion:signed,information:study:png,information:study:ms-ssim,stability:signed",
        "steps": "8,16,32,64,128",
        "steps_protocol": "reference",
        "target": "label",
        "baseline": "black",
    },
}


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    """Add all arguments. Those that a preset may set have no default, which distinguishes explicit ones."""
    parser.add_argument("output", metavar="RESULTS", help="the folder of results, new or to be resumed")
    parser.add_argument("--images", required=True, metavar="DIR", help="the folder of images")
    parser.add_argument("--labels", metavar="FILE", help="a CSV file: file,class_index (default: DIR/labels.csv)")
    parser.add_argument(
        "--masks",
        metavar="DIR",
        help="masks of the objects, for the metrics of localization: PNG files with the images' names",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="quick (a few minutes on two cores) or study (the protocol of the study of IDGI); other options take "
        "precedence over the preset's",
    )
    parser.add_argument(
        "--models",
        help="comma-separated: efficientnet-lite0, torchvision classifiers, module:function "
        f"(default: {_DEFAULTS['models']})",
    )
    parser.add_argument(
        "--weights", action="append", default=[], metavar="MODEL=FILE", help="a checkpoint; once per model"
    )
    parser.add_argument(
        "--patterns",
        action="append",
        default=[],
        metavar="MODEL=FILE",
        help="a file written with captum-ext fit-patterns; once per model",
    )
    parser.add_argument(
        "--methods", help="comma-separated (default: ig, guided-ig, blur-ig, each with and without +idgi)"
    )
    parser.add_argument(
        "--metrics",
        help="comma-separated, some with a variant: information:study:ms-ssim (default: "
        f"{_DEFAULTS['metrics'].replace(',', ', ')})",
    )
    parser.add_argument(
        "--internal-batch-size", help="maximum number of rows in a forward pass (default: each method's default)"
    )
    for option, text in (
        ("--steps", "comma-separated numbers of steps"),
        ("--steps-protocol", "corrected or reference"),
        ("--baseline", "start of straight and guided paths"),
        ("--batch-size", "images per batch"),
        ("--references", "baselines of Expected Gradients"),
        ("--smoothgrad-ig-samples", "noisy paths of SmoothGrad-IG"),
        ("--patch-size", "side of degradation's patches"),
        ("--n-patches", "patches that degradation replaces"),
        ("--patches-per-point", "patches replaced between two forward passes"),
        ("--seed", "for random masks, noise and maps"),
    ):
        parser.add_argument(option, help=f"{text} (default: {_DEFAULTS[option[2:].replace('-', '_')]})")
    parser.add_argument(
        "--target",
        help="label, which excludes misclassified images, or predicted (default: label if the images have labels)",
    )
    parser.add_argument("--threads", help="threads of each process (default: torch's)")
    parser.add_argument(
        "--readers",
        help="processes that read images ahead of the model, per process (default: 0 on a CPU, up to 4 on a GPU)",
    )
    parser.add_argument("--first", metavar="N", help="only N images, evenly spaced by name")
    parser.add_argument(
        "--examples",
        metavar="N",
        default="4",
        help="images of which the report shows the maps; small pictures of them are stored (default: %(default)s)",
    )
    parser.add_argument("--html", action="store_true", help="write the report's page, as captum-ext report --html does")
    add_exact_option(parser)
    add_device_options(parser)


def resolve_options(arguments: argparse.Namespace) -> dict[str, str]:
    """Set each option that is missing to the preset's value or the default.

    Returns:
        The preset and the options that replace its own, for the results; empty without a preset.

    Raises:
        CommandError: If the preset is unknown.
    """
    name = arguments.preset
    if name is not None and name not in PRESETS:
        raise CommandError(f"--preset {name}: expected {' or '.join(PRESETS)}.{did_you_mean(name, PRESETS)}")
    preset = PRESETS.get(name, {})
    replaced = []
    for option, value in {**_DEFAULTS, **preset}.items():
        explicit = getattr(arguments, option)
        if explicit is None:
            setattr(arguments, option, value)
        elif option in preset and explicit != value:
            replaced.append(f"{_option_name(option)} {explicit} in place of {value}")
    if name is None:
        return {}
    return {"preset": ", with ".join([name, "; ".join(replaced)] if replaced else [name])}


def evaluation_config(arguments: argparse.Namespace) -> EvaluationConfig:
    """The configuration that resolved options give.

    Raises:
        CommandError: If an option can't be used.
    """
    values: dict[str, Any] = {
        "methods": tuple(split_list(arguments.methods)),
        "metrics": tuple(split_list(arguments.metrics)),
        "steps": tuple(parse_count("--steps", number, MAX_COUNT) for number in split_list(arguments.steps)),
        "steps_protocol": arguments.steps_protocol,
        "target": arguments.target or "label",
        "baseline": arguments.baseline,
        "generator": parse_count("--seed", arguments.seed, MAX_COUNT, minimum=0),
    }
    for name in COUNTS:
        values[name] = parse_count(_option_name(name), getattr(arguments, name), MAX_COUNT)
    if arguments.internal_batch_size is not None:
        rows = parse_count("--internal-batch-size", arguments.internal_batch_size, MAX_COUNT)
        values["internal_batch_size"] = rows
    try:
        return EvaluationConfig(**values)
    except ValueError as error:
        field, _, message = str(error).partition(":")
        raise CommandError(f"{_option_name(field)}:{message}") from error


def split_list(text: str) -> list[str]:
    """The parts of a comma-separated list."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _option_name(option: str) -> str:
    return f"--{option.replace('_', '-')}"
