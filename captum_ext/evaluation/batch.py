"""One batch: files read, classified, explained and judged; rows of results."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from captum_ext import baselines
from captum_ext._utils.buffers import preserve_buffers
from captum_ext._utils.errors import UserError
from captum_ext.evaluation.images import LabelledImage
from captum_ext.evaluation.measures import Maps, Measure, Patches, Scene, Score, name_of, parse
from captum_ext.evaluation.methods import Answer, explain
from captum_ext.evaluation.settings import Settings
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED, UNREADABLE, Row
from captum_ext.evaluation.subject import Question, Subject
from captum_ext.metrics import model_randomization
from captum_ext.vision.classifier import Transform
from captum_ext.vision.pictures import read
from captum_ext.vision.probe import transformed
from captum_ext.vision.starts import STARTS

if TYPE_CHECKING:
    from PIL.Image import Image

_JPEG_QUALITY = 75  # the study's


class _Read(NamedTuple):
    image: LabelledImage
    picture: Image
    tensors: tuple[Tensor, Tensor, Tensor]  # the image, black and white as the model gets them, (1, C, H, W)


@dataclass(frozen=True)
class Evaluation:
    """What is done with each batch.

    Args:
        subject: The model.
        transform: From a PIL image to the model's input (C, H, W).
        settings: Methods, measures and the rest.
        device: Where the model is.
    """

    subject: Subject
    transform: Transform
    settings: Settings
    device: torch.device

    def rows(self, images: Sequence[LabelledImage], advance: Callable[[int], object]) -> list[Row]:
        """All results of these images; ``advance`` is told of maps as they are judged.

        Raises:
            UserError: If the model or the transform can't be used; images that can't be read have a row that says so.
        """
        rows, files = self._read(images)
        files, scores = self._classified(rows, files)
        if not files:
            return rows
        inputs, black, white = (torch.cat(tensors) for tensors in zip(*(file.tensors for file in files), strict=True))
        best = scores.argmax(1)
        labels = [file.image.label for file in files]
        by_label = self.settings.target == "label"
        target = torch.tensor([label if by_label and label is not None else -1 for label in labels], device=self.device)
        target = target if by_label else best
        kept = target == best
        for index, file in enumerate(files):
            status = EXPLAINED if kept[index] else MISCLASSIFIED
            rows.append(Row(file.image.name, "", 0, "image", status, float(scores[index, target[index]])))
        if kept.any():
            pictures = [file.picture for file, keep in zip(files, kept.tolist(), strict=True) if keep]
            names = [file.image.name for file, keep in zip(files, kept.tolist(), strict=True) if keep]
            rival = scores[kept].scatter(1, target[kept].unsqueeze(1), -1).argmax(1)
            for judged in self._judged(names, pictures, inputs[kept], black[kept], white[kept], target[kept], rival):
                rows += judged
                advance(len(names))
        return rows

    def _read(self, images: Sequence[LabelledImage]) -> tuple[list[Row], list[_Read]]:
        rows: list[Row] = []
        files: list[_Read] = []
        for image in images:
            try:
                picture = read(str(image.path))
                tensors = self._as_inputs(image.name, picture)
            except UserError as error:
                reason = str(error).replace(str(image.path), image.name)
                rows.append(Row(image.name, "", 0, "image", UNREADABLE, math.nan, note=reason))
                continue
            if files and tensors[0].shape != files[0].tensors[0].shape:
                raise UserError(
                    f"{image.name}: the transform gives images of different shapes, {tuple(tensors[0].shape[1:])} here "
                    f"and {tuple(files[0].tensors[0].shape[1:])} before; let it resize and crop"
                )
            files.append(_Read(image, picture, tensors))
        return rows, files

    def _classified(self, rows: list[Row], files: list[_Read]) -> tuple[list[_Read], Tensor]:
        """The images that the model has finite logits for, and their probabilities; a row for each other one."""
        if not files:
            return files, torch.empty(0)
        inputs = torch.cat([file.tensors[0] for file in files]).contiguous(memory_format=torch.channels_last)
        step = self.settings.rows or len(inputs)
        with torch.no_grad(), preserve_buffers(self.subject.model.modules()):
            logits = torch.cat([self.subject.model(inputs[at : at + step]) for at in range(0, len(inputs), step)])
        finite = torch.isfinite(logits).all(1)
        for file, fine in zip(files, finite.tolist(), strict=True):
            if not fine:
                note = "the model gives NaN or infinite logits"
                rows.append(Row(file.image.name, "", 0, "image", UNREADABLE, math.nan, note=note))
        kept = [file for file, fine in zip(files, finite.tolist(), strict=True) if fine]
        return kept, logits[finite].softmax(1)

    def _as_inputs(self, name: str, picture: Image) -> tuple[Tensor, Tensor, Tensor]:
        image, black, white = (
            transformed(name, make).to(self.device)
            for make in (
                lambda: self.transform(picture),
                lambda: baselines.black(picture, self.transform)[0],
                lambda: baselines.white(picture, self.transform)[0],
            )
        )
        return image, black, white

    def _judged(
        self,
        names: list[str],
        pictures: list[Image],
        inputs: Tensor,
        black: Tensor,
        white: Tensor,
        target: Tensor,
        rival: Tensor,
    ) -> Iterator[list[Row]]:
        measures = [pair for text in self.settings.measures for pair in parse(text)]
        needs = {measure.needs for measure, _ in measures}
        start = torch.cat(
            [
                STARTS[self.settings.baseline](x[None], b[None], w[None])
                for x, b, w in zip(inputs, black, white, strict=True)
            ]
        )
        question = Question(tuple(names), inputs.contiguous(memory_format=torch.channels_last), start, target)
        scene = Scene(
            self.subject.probability,
            question,
            black,
            _pixels(names, inputs, black, white) if "pixels" in needs else None,
            partial(_as_model_input, black[:1], white[:1]),
            self.settings.rows,
            self.settings.seed,
            Patches(self.settings.patch_size, self.settings.n_patches, self.settings.patches_per_point),
        )
        others: dict[str, Iterator[Answer]] = {}
        if "compressed" in needs:
            others["compressed"] = self._explain(question._replace(inputs=self._once_compressed(names, pictures)))
        if "rival" in needs:
            others["rival"] = self._explain(question._replace(target=rival))
        for answer in self._explain(question):
            beside = {name: next(answers).maps for name, answers in others.items()}
            similarity = self._similarity(question, answer) if "similarity" in needs else None
            maps = Maps(answer.maps, incompleteness=answer.incompleteness, similarity=similarity, **beside)
            yield list(self._scored(names, answer, scene, maps, measures))

    def _once_compressed(self, names: list[str], pictures: list[Image]) -> Tensor:
        inputs = [
            transformed(name, partial(self.transform, _compressed(picture)))
            for name, picture in zip(names, pictures, strict=True)
        ]
        return torch.cat(inputs).to(self.device).contiguous(memory_format=torch.channels_last)

    def _explain(self, question: Question) -> Iterator[Answer]:
        truncated = self.settings.steps_protocol == "reference"
        return explain(self.subject, question, self.settings.methods, self.settings.steps, truncated)

    def _similarity(self, question: Question, answer: Answer) -> Tensor:
        """With the maps of ever more randomised models. Patterns stay as they were fitted."""

        def attribute(model: nn.Module) -> Tensor:
            subject = replace(self.subject, model=model, folded=None)
            return next(explain(subject, question, [answer.method], [answer.steps or 1])).maps

        uses_patterns = answer.method in self.settings.of_pattern_methods()
        model = self.subject.patterned.model if uses_patterns else self.subject.model
        with warnings.catch_warnings():  # that the weights are not those of the patterns is the point
            warnings.filterwarnings("ignore", "The weights of .* changed", UserWarning)
            return model_randomization(attribute, model, generator_seed=self.settings.seed).similarity

    def _scored(
        self, names: list[str], answer: Answer, scene: Scene, maps: Maps, measures: list[tuple[Measure, str]]
    ) -> Iterator[Row]:
        maps, broken = maps.made_finite()
        for measure, variant in measures:
            for score in _judged_by(measure, scene, maps, variant):
                for index, name in enumerate(names):
                    yield _row(name, answer, score, index, broken[index])


def _judged_by(measure: Measure, scene: Scene, maps: Maps, variant: str) -> list[Score]:
    try:
        return list(measure.judge(scene, maps, variant))
    except ValueError as error:  # of images or a model that it can't be measured on
        raise UserError(f"{name_of(measure)}: {error}") from error


def _row(name: str, answer: Answer, score: Score, index: int, broken: bool) -> Row:
    value, note = float(score.values[index]), score.notes.get(index)
    if broken:
        value, note = math.nan, "the map has a NaN or infinity"
    curve = None if score.curves is None or note is not None else score.curves[index].tolist()
    return Row(name, answer.method, answer.steps, score.name, score.variant, value, curve, note)


def _compressed(picture: Image) -> Image:
    from PIL import Image

    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return Image.open(buffer).convert("RGB")


def _pixels(names: list[str], inputs: Tensor, black: Tensor, white: Tensor) -> Tensor:
    """The inputs as the pixels that they came from.

    Raises:
        UserError: If they are not between the model's black and white, or these differ from image to image.
    """
    pixels = ((inputs - black) / (white - black) * 255).round().clamp(0, 255)
    again = _as_model_input(black[:1], white[:1], pixels)
    # Half a step of rounding, and half a step for transforms that interpolate after they left whole numbers.
    off = ((again - inputs).abs() > (white - black).abs() / 255).flatten(1).any(1) | ~torch.isfinite(again).flatten(
        1
    ).all(1)
    if bool(off.any()):
        raise UserError(
            f"information: {names[int(off.nonzero()[0])]}: the transform is no fixed scaling of pixels between black "
            "and white, so information curves, which need pixels, can't be made. Leave the measure out"
        )
    return pixels.to(torch.uint8)


def _as_model_input(black: Tensor, white: Tensor, pixels: Tensor) -> Tensor:
    return (black + pixels / 255 * (white - black)).contiguous(memory_format=torch.channels_last)
