"""The evaluation of one model, batch by batch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from captum_ext._utils.buffers import preserve_buffers
from captum_ext._utils.errors import UserError
from captum_ext._utils.optional import optional
from captum_ext._utils.random import as_seed
from captum_ext._utils.worker_processes import available_cores
from captum_ext.evaluation.batch_maps import MethodMaps, compute_maps
from captum_ext.evaluation.config import EvaluationConfig
from captum_ext.evaluation.example_maps import ExampleRecorder
from captum_ext.evaluation.images import LabeledImage
from captum_ext.evaluation.inputs import ImageBatch, ProbabilityModel
from captum_ext.evaluation.metric import CHANCE, MapSet, MetricContext, Patches, Scores
from captum_ext.evaluation.metric_registry import METRICS, parse_metric
from captum_ext.evaluation.mosaic_batch import GRID, Companions, mosaic_batch, with_mosaic_references
from captum_ext.evaluation.object_masks import object_masks
from captum_ext.evaluation.store import EXPLAINED, MISCLASSIFIED, UNREADABLE, ResultRow
from captum_ext.metrics import model_randomization
from captum_ext.vision.classifier import Transform
from captum_ext.vision.loading import PictureBatches, ReadPicture
from captum_ext.vision.picture_files import jpeg_copy
from captum_ext.vision.probe import black_and_white, transformed
from captum_ext.vision.starts import STARTS

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_SIZES = 16  # of pictures, whose black and white are kept
_JPEG_QUALITY = 75  # as in the study of metrics.stability_error


class _ImageInputs(NamedTuple):
    image: LabeledImage
    picture: Image | None  # if a metric needs it
    tensors: tuple[Tensor, Tensor, Tensor]  # the image, black and white as the model receives them, (1, C, H, W)


@dataclass(frozen=True)
class ModelEvaluator:
    """Evaluates one model.

    Args:
        model: The model.
        transform: From a PIL image to the model's input (C, H, W).
        config: Methods, metrics and all other settings.
        device: The model's device.
        companions: The other cells of mosaics, if a metric needs them.
    """

    model: ProbabilityModel
    transform: Transform
    config: EvaluationConfig
    device: torch.device
    companions: Companions | None = None
    _ends: dict[tuple[int, int], tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    @property
    def n_encoders(self) -> int:
        """The number of processes that encode pictures.

        One per core for a model on a GPU; none on a CPU, where the model needs all cores. Only for information curves
        with file sizes.
        """
        measures_files = any(
            name == "information" and "ms-ssim" not in variant
            for text in self.config.metrics
            for name, variant in parse_metric(text)
        )
        return available_cores() if measures_files and self.device.type != "cpu" else 0

    def picture_batches(self, batches: Sequence[Sequence[LabeledImage]]) -> PictureBatches:
        """The inputs of batches of images, which :meth:`rows` takes."""
        needs = {METRICS[name].needs for text in self.config.metrics for name, _ in parse_metric(text)}
        files = [[(image.name, str(image.path)) for image in images] for images in batches]
        return PictureBatches(files, self.transform, bool(needs & {"compressed_maps", "masks"}))

    def rows(
        self,
        images: Sequence[LabeledImage],
        advance: Callable[[int], object],
        pictures: Sequence[ReadPicture | UserError] | None = None,
        examples: ExampleRecorder | None = None,
    ) -> list[ResultRow]:
        """All results of these images.

        Args:
            images: The images.
            advance: Is called with the number of maps after each method.
            pictures: The images' inputs, if they were read before.
            examples: Receives the maps.

        Raises:
            UserError: If the model or the transform can't be used. Images that can't be read get a row that says so.
        """
        rows, image_inputs = self._inputs(images, pictures or self.picture_batches([images])[0])
        image_inputs, scores = self._classify(rows, image_inputs)
        if not image_inputs:
            return rows
        inputs, black, white = (torch.cat(part) for part in zip(*(each.tensors for each in image_inputs), strict=True))
        best = scores.argmax(1)
        labels = [each.image.label for each in image_inputs]
        target = torch.tensor(labels, device=self.device) if self.config.target == "label" else best
        correct = target == best
        is_correct = correct.tolist()
        target_scores = scores.gather(1, target.unsqueeze(1)).squeeze(1).tolist()
        for each, keep, score in zip(image_inputs, is_correct, target_scores, strict=True):
            rows.append(ResultRow(each.image.name, "", 0, "image", EXPLAINED if keep else MISCLASSIFIED, score))
        if any(is_correct):
            image_inputs = [each for each, keep in zip(image_inputs, is_correct, strict=True) if keep]
            inputs, black, white, target = (tensor[correct] for tensor in (inputs, black, white, target))
            probabilities = scores[correct]
            recorder = examples or ExampleRecorder(0)
            for method_rows in self._method_rows(image_inputs, inputs, black, white, target, probabilities, recorder):
                rows += method_rows
                advance(len(image_inputs))
        return rows

    def _inputs(
        self, images: Sequence[LabeledImage], pictures: Sequence[ReadPicture | UserError]
    ) -> tuple[list[ResultRow], list[_ImageInputs]]:
        """The inputs on the device, and a row for each image that can't be read or transformed."""
        rows: list[ResultRow] = []
        image_inputs: list[_ImageInputs] = []
        for image, result in zip(images, pictures, strict=True):
            try:
                if isinstance(result, UserError):
                    raise result
                tensor = result.tensor.to(self.device, non_blocking=result.tensor.is_pinned())
                width, height = result.size  # a list, once torch has pinned the batch
                tensors = (tensor, *self._ends_of_size(image.name, (width, height)))
            except UserError as error:
                reason = str(error).replace(str(image.path), image.name)
                rows.append(ResultRow(image.name, "", 0, "image", UNREADABLE, math.nan, note=reason))
                continue
            if image_inputs and tensors[0].shape != image_inputs[0].tensors[0].shape:
                shapes = [tuple(each[0].shape[1:]) for each in (tensors, image_inputs[0].tensors)]
                raise UserError(
                    f"{image.name}: the transform returns images of different shapes, {shapes[0]} here and {shapes[1]} "
                    "before; add a resize and a crop"
                )
            image_inputs.append(_ImageInputs(image, result.picture, tensors))
        return rows, image_inputs

    def _ends_of_size(self, name: str, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Black and white pictures of a size, as the model receives them."""
        if size not in self._ends:
            if len(self._ends) == _MAX_SIZES:
                self._ends.clear()
            picture = optional("PIL.Image", "evaluation").new("RGB", size)
            self._ends[size] = black_and_white(name, picture, self.transform, self.device)
        return self._ends[size]

    def _classify(self, rows: list[ResultRow], images: list[_ImageInputs]) -> tuple[list[_ImageInputs], Tensor]:
        """The images with finite logits, and their probabilities; adds a row for each of the others."""
        if not images:
            return images, torch.empty(0)
        inputs = torch.cat([each.tensors[0] for each in images]).contiguous(memory_format=torch.channels_last)
        step = self.config.internal_batch_size or len(inputs)
        with torch.no_grad(), preserve_buffers(self.model.model.modules()):
            logits = torch.cat([self.model.model(chunk) for chunk in inputs.split(step)])
        finite = torch.isfinite(logits).all(1)
        for each, is_finite in zip(images, finite.tolist(), strict=True):
            if not is_finite:
                note = "the model returns NaN or infinite logits"
                rows.append(ResultRow(each.image.name, "", 0, "image", UNREADABLE, math.nan, note=note))
        with_logits = [each for each, is_finite in zip(images, finite.tolist(), strict=True) if is_finite]
        return with_logits, logits[finite].softmax(1)

    def _method_rows(
        self,
        images: list[_ImageInputs],
        inputs: Tensor,
        black: Tensor,
        white: Tensor,
        target: Tensor,
        probabilities: Tensor,
        examples: ExampleRecorder,
    ) -> Iterator[list[ResultRow]]:
        """The rows of each method and step count; before the first ones, those of a constant map."""
        metrics = [pair for text in self.config.metrics for pair in parse_metric(text)]
        needs = {METRICS[name].needs for name, _ in metrics}
        names = tuple(each.image.name for each in images)
        start = STARTS[self.config.baseline]
        baselines = [start(x[None], b[None], w[None]) for x, b, w in zip(inputs, black, white, strict=True)]
        channels_last = inputs.contiguous(memory_format=torch.channels_last)
        batch = ImageBatch(names, channels_last, torch.cat(baselines), target)
        context = MetricContext(
            self.model.probability,
            batch,
            black,
            _recover_pixels(names, inputs, black, white) if "pixels" in needs else None,
            partial(_as_model_input, black[:1], white[:1]),
            self.config.internal_batch_size,
            as_seed(self.config.generator),
            Patches(self.config.patch_size, self.config.n_patches, self.config.patches_per_point),
        )
        if "masks" in needs:
            files, pictures = [each.image for each in images], _pictures(images)
            context = replace(context, masks=object_masks(files, pictures, black, white, self.transform))
        if "mosaic_maps" in needs:
            assert self.companions is not None, "found if a metric needs them"
            ends = [end[:1].tile(1, 1, GRID, GRID) for end in (black, white)]
            confidence = probabilities.gather(1, target.unsqueeze(1)).squeeze(1)
            seed = as_seed(self.config.generator)
            mosaics = mosaic_batch(batch, confidence, self.companions, lambda mosaic: start(mosaic, *ends), seed)
            context = replace(context, mosaics=mosaics)
        chance_rows = list(_chance_rows(names, context, inputs[:, :1], metrics))
        comparisons: dict[str, Iterator[MethodMaps]] = {}
        if "compressed_maps" in needs:
            comparisons["compressed_maps"] = self._batch_maps(batch._replace(inputs=self._compress(images)))
        if "rival_maps" in needs:
            rival = probabilities.scatter(1, target.unsqueeze(1), -1).argmax(1)
            comparisons["rival_maps"] = self._batch_maps(batch._replace(target=rival))
        mosaic_maps: Iterator[MethodMaps] | None = None
        if context.mosaics is not None and context.mosaics.batch is not None:
            mosaic_maps = self._batch_maps(context.mosaics.batch, self._mosaic_model)
        examples.add_images(batch, black, white)
        for result in self._batch_maps(batch):
            examples.add_maps(result)
            others = {name: next(results).maps for name, results in comparisons.items()}
            if context.mosaics is not None:
                of_mosaics = None if mosaic_maps is None else next(mosaic_maps).maps
                others["mosaic_maps"] = context.mosaics.all_rows(of_mosaics, result.maps)
            similarity = self._similarity(batch, result) if "similarity" in needs else None
            maps = MapSet(result.maps, completeness_error=result.completeness_error, similarity=similarity, **others)
            yield [*chance_rows, *_score_rows(names, result, context, maps, metrics)]
            chance_rows = []

    def _compress(self, images: list[_ImageInputs]) -> Tensor:
        """The inputs made from the pictures after JPEG compression."""
        pictures = [jpeg_copy(picture, _JPEG_QUALITY).convert("RGB") for picture in _pictures(images)]
        inputs = [
            transformed(each.image.name, partial(self.transform, picture))
            for each, picture in zip(images, pictures, strict=True)
        ]
        return torch.cat(inputs).to(self.device).contiguous(memory_format=torch.channels_last)

    def _batch_maps(self, batch: ImageBatch, model: ProbabilityModel | None = None) -> Iterator[MethodMaps]:
        truncated = self.config.steps_protocol == "reference"
        return compute_maps(model or self.model, batch, self.config.methods, self.config.steps, truncated)

    @cached_property
    def _mosaic_model(self) -> ProbabilityModel:
        return with_mosaic_references(self.model)

    def _similarity(self, batch: ImageBatch, result: MethodMaps) -> Tensor:
        """The rank correlation with the maps of randomized models. Patterns are not fitted again."""

        def attribute(module: nn.Module) -> Tensor:
            model = replace(self.model, model=module, folded_model=None)
            return next(compute_maps(model, batch, [result.method], [result.steps or 1])).maps

        uses_patterns = result.method in self.config.pattern_methods
        model = self.model.with_folded_model if uses_patterns else self.model
        with warnings.catch_warnings():  # the weights differ from those of the patterns on purpose
            warnings.filterwarnings("ignore", "The weights of .* changed", UserWarning)
            return model_randomization(attribute, model.model, generator=self.config.generator).similarity


def _pictures(images: list[_ImageInputs]) -> list[Image]:
    return [each.picture for each in images if each.picture is not None]  # all, if a metric needs them


def _score_rows(
    names: Sequence[str],
    result: MethodMaps,
    context: MetricContext,
    maps: MapSet,
    metrics: list[tuple[str, str]],
) -> Iterator[ResultRow]:
    maps, nonfinite = maps.zero_nonfinite()
    for metric, variant in metrics:
        for scores in _compute_scores(metric, context, maps, variant):
            yield from _metric_rows(names, result, scores, nonfinite)


def _chance_rows(
    names: Sequence[str], context: MetricContext, like: Tensor, metrics: list[tuple[str, str]]
) -> Iterator[ResultRow]:
    """The scores of a constant map, in metrics in which it has those that a random order has on average."""
    constant = torch.zeros_like(like)
    mosaics = None if context.mosaics is None else context.mosaics.all_rows(None, constant)
    maps = MapSet(constant, mosaic_maps=mosaics)
    measured = [pair for pair in metrics if METRICS[pair[0]].has_chance]
    yield from _score_rows(names, MethodMaps(CHANCE, 0, constant, None), context, maps, measured)


def _compute_scores(metric: str, context: MetricContext, maps: MapSet, variant: str) -> list[Scores]:
    try:
        return list(METRICS[metric].compute(context, maps, variant))
    except ValueError as error:  # the metric does not suit the images or the model
        raise UserError(f"{metric}: {error}") from error


def _metric_rows(
    names: Sequence[str], result: MethodMaps, scores: Scores, nonfinite: Sequence[bool]
) -> Iterator[ResultRow]:
    values = scores.values.tolist()  # one copy from the device
    curves = [None] * len(names) if scores.curves is None else scores.curves.tolist()
    for index, name in enumerate(names):
        note = "the map has a NaN or infinity" if nonfinite[index] else scores.notes.get(index)
        value, curve = (values[index], curves[index]) if note is None else (math.nan, None)
        yield ResultRow(name, result.method, result.steps, scores.name, scores.variant, value, curve, note)


def _recover_pixels(names: Sequence[str], inputs: Tensor, black: Tensor, white: Tensor) -> Tensor:
    """The pixels that the transform scaled to these inputs.

    Raises:
        UserError: If the inputs are not between the model's black and white, or these differ from image to image.
    """
    pixels = ((inputs - black) / (white - black) * 255).round().clamp(0, 255)
    restored = _as_model_input(black[:1], white[:1], pixels)
    # Half a level for rounding, and half a level for transforms that interpolate floating point values.
    differs = ((restored - inputs).abs() > (white - black).abs() / 255).flatten(1).any(1)
    differs |= ~torch.isfinite(restored).flatten(1).all(1)
    if bool(differs.any()):
        raise UserError(
            f"information: {names[int(differs.nonzero()[0])]}: the transform is not a fixed scaling of pixels between "
            "black and white, so information curves, which need pixels, can't be computed. Leave the metric out"
        )
    return pixels.to(torch.uint8)


def _as_model_input(black: Tensor, white: Tensor, pixels: Tensor) -> Tensor:
    return (black + pixels / 255 * (white - black)).contiguous(memory_format=torch.channels_last)
