"""``captum-ext explain``: the maps of several methods over images."""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from captum_ext._utils.errors import UserError
from captum_ext._utils.text import did_you_mean, printable
from captum_ext.attr import IntegratedGradients
from captum_ext.cli import models
from captum_ext.cli.command import Command
from captum_ext.cli.console import print_error, print_line
from captum_ext.cli.errors import CommandError, command_errors
from captum_ext.cli.explain_images import ImageFile
from captum_ext.cli.explain_methods import compute_map, list_methods, parse_methods, steps_of, title
from captum_ext.cli.explain_options import add_explain_options, make_outputs, parse_images, parse_steps
from captum_ext.cli.explain_text import explain_text
from captum_ext.cli.optimized import optimize
from captum_ext.cli.options import parse_count, parse_device
from captum_ext.cli.pattern_files import fold_for_patterns, load_patterns
from captum_ext.cli.targets import parse_targets
from captum_ext.evaluation.inputs import ImageBatch, LogitModel, ProbabilityModel
from captum_ext.patterns import Patterns
from captum_ext.vision.classifier import Classifier
from captum_ext.vision.pictures import coffee, read
from captum_ext.vision.probe import ClassifiedImage, probe
from captum_ext.vision.starts import STARTS

if TYPE_CHECKING:
    from PIL.Image import Image

    from captum_ext.cli.explanation import AttributionMap, ImageExplanation

_MAX_CLASSES = 100


class ExplainCommand(Command):
    """``captum-ext explain``."""

    name = "explain"
    summary = "draw the attribution maps of several methods over images"
    description = (
        "Explain the softmax probability of a class with path methods. Writes one PNG with each image and each "
        "method's map over it, or a folder with one PNG per image and a page, index.html, that shows them all. Without "
        "arguments: EfficientNet-Lite0 on scikit-image's photograph of a cup of coffee."
    )
    epilog = (
        "Blur IG starts from the blurred image and takes no baseline. A model given as module:function must return "
        "(model, transform): logits of shape (1, classes), and a function from a PIL image to a tensor (C, H, W). "
        "With --text it returns (model, tokenizer) as transformers has them: a classifier, or a language model whose "
        "next or masked token is explained. Then --methods has some of ig,idgi,guided-ig,dig,sig; --target is a label "
        "or a token; --baseline is a token (default: the mask or padding token); --output ends with .html or .png."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""
        add_explain_options(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        """Explain the images and write the files.

        Raises:
            CommandError: If an argument can't be used.
        """
        if arguments.list_models or arguments.list_methods:
            for line in models.known_models() if arguments.list_models else list_methods():
                print_line(line)
            return
        if arguments.text is not None:
            explain_text(arguments)
            return
        methods = parse_methods(arguments.methods, arguments.patterns, arguments.layer is not None)
        steps = parse_steps(arguments.steps)
        top_k = parse_count("--top-k", arguments.top_k, _MAX_CLASSES)
        if arguments.target is not None and top_k > 1:
            raise CommandError("--top-k: the most probable classes are explained; leave out --target")
        if arguments.baseline not in STARTS:
            raise CommandError(f"--baseline {arguments.baseline}: expected one of {', '.join(STARTS)}")
        images, output = parse_images(arguments, top_k)
        outputs = make_outputs(arguments, images, output, methods, steps)
        device = parse_device(arguments.device)
        classifier = models.load(arguments.model, arguments.weights)
        classifier.model.to(device)
        explainer = _Explainer(arguments, classifier, methods, steps, top_k, device)
        lines: list[dict[str, Any]] = []
        n_explained = 0
        for index, image in enumerate(images):
            picture = _read_picture(image)
            if picture is None:
                continue
            if len(images) > 1 and sys.stderr.isatty():
                print_error(f"{index + 1} of {len(images)}: {image.name}")
            explanations = explainer.explain(image.name, picture)
            n_explained += 1
            lines += [_print_numbers(explanation) for explanation in explanations]
            for each in outputs:
                each.add(explanations)
        if not n_explained:
            raise CommandError(f"none of {len(images)} images can be read")
        files = [each.finish() for each in outputs]
        if arguments.format == "json":
            settings = {"model": arguments.model, "steps": steps, "baseline": arguments.baseline}
            print_line(json.dumps({**settings, "images": lines, "files": [str(file) for file in files]}))
            return
        for file in files:
            print_line(f"wrote {file}")


def _read_picture(image: ImageFile) -> Image | None:
    """The picture; ``None``, after a message, if it can't be read and the user named its folder only."""
    if image.path is None:
        return coffee()
    try:
        return read(image.path)
    except UserError as error:
        if image.is_named:
            raise
        print_error(f"skipped: {error}")
        return None


def _print_numbers(explanation: ImageExplanation) -> dict[str, Any]:
    return {
        "image": explanation.name,
        "class_index": explanation.target,
        "class": explanation.category,
        "probability": explanation.probability,
        "maps": [each.as_numbers() for each in explanation.maps],
    }


@dataclass
class _Explainer:
    """Explains one image after the other with the same model."""

    arguments: argparse.Namespace
    classifier: Classifier
    methods: list[str]
    steps: int | str
    top_k: int
    device: torch.device
    _model: ProbabilityModel | None = None
    _layer: nn.Module | None = None

    def explain(self, name: str, picture: Image) -> list[ImageExplanation]:
        """The explanations of one image, one for each class."""
        from captum_ext.cli.explanation import ImageExplanation

        inputs = probe(name, picture, self.classifier, self.device)
        targets = parse_targets(self.arguments.target, self.top_k, inputs.scores, self.classifier)
        if self._model is None:
            self._model = self._prepare(name, inputs, targets[0])
        explanations = []
        for target in targets:
            maps = self._maps(name, self._model, inputs, target)
            category, probability = self.classifier.category(target), inputs.scores[target].item()
            explanations.append(ImageExplanation(name, category, target, probability, inputs.pixels(), maps))
        return explanations

    def _prepare(self, name: str, inputs: ClassifiedImage, target: int) -> ProbabilityModel:
        """The function to explain, after the first passes of the process, which take longer than others."""
        arguments = self.arguments
        patterns: Patterns | None = None
        folded_model = None
        if arguments.patterns is not None:
            patterns = load_patterns(arguments.patterns, self.device)
            folded_model = fold_for_patterns(self.classifier.model, patterns, arguments.patterns, inputs.image)
        elif arguments.layer is not None:
            self._layer = _find_layer(arguments.layer, self.classifier.model)
        elif not arguments.exact:
            self.classifier = optimize(arguments.model, self.classifier, inputs.image)
        with command_errors(name):
            n_steps = 16 if self.steps == "auto" else min(int(self.steps), 16)
            IntegratedGradients(self.classifier.model).attribute(inputs.image, target=target, n_steps=n_steps)
        kind = LogitModel if arguments.logit else ProbabilityModel
        model = kind(self.classifier.model, inputs.image[:0], None, 0, patterns, folded_model)
        return replace(model, show_progress=sys.stderr.isatty())

    def _maps(self, name: str, model: ProbabilityModel, inputs: ClassifiedImage, target: int) -> list[AttributionMap]:
        from captum_ext.cli.explanation import AttributionMap

        baseline = STARTS[self.arguments.baseline](inputs.image, inputs.black, inputs.white)
        image = ImageBatch((name,), inputs.image, baseline, torch.tensor([target], device=self.device))
        subject = f"{name}: {self.classifier.category(target)}" if self.top_k > 1 else name
        maps = []
        for method in self.methods:
            start = time.perf_counter()
            with warnings.catch_warnings(record=True) as caught, command_errors(f"{name}: {title(method)}"):
                warnings.simplefilter("always")
                result = compute_map(method, model, image, self.steps, self._layer)
            for warning in caught:
                print_error(f"warning: {subject}: {title(method)}: {' '.join(str(warning.message).split())}")
            seconds = time.perf_counter() - start
            maps.append(AttributionMap(method, result, seconds, steps_of(method, self.steps)))
            if self.arguments.format == "text":
                print_line(f"{subject}: {title(method)}: {maps[-1].caption}")
        errors = [each.warning for each in maps if each.warning is not None]
        if errors:
            advice = ": methods that can't choose their steps took 50" if self.steps == "auto" else ", or --steps auto"
            print_error(f"warning: {subject}: large errors ({', '.join(errors)}). Give more --steps{advice}")
        return maps


def _find_layer(name: str, model: nn.Module) -> nn.Module:
    layers: dict[str, nn.Module] = dict(model.named_modules())
    if not name or name not in layers:
        names = [layer for layer in layers if layer]
        hint = did_you_mean(printable(name), names) or f" Its layers: {', '.join(names[:20])}."
        raise CommandError(f"--layer {name}: the model has no layer of this name.{hint}")
    return layers[name]
