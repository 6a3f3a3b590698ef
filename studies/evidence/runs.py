"""The evaluations behind the page: ``python -m evidence.runs NAME --images FOLDER``.

Each writes a folder of results below ``studies/evidence/runs``, and from it a small file in ``results``. Call it again
to resume an interrupted run; under ``torchrun --nproc-per-node 2`` the processes share the batches.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from captum_ext.cli.models import load
from captum_ext.evaluation import EvaluationConfig, LabeledImage, evaluate, find_images
from captum_ext.patterns import Patterns
from captum_ext.vision.classifier import Transform
from evidence import mnist, models, vgg16
from evidence.claims.degradation import ELEVEN
from evidence.condense import condense
from evidence.stored import RESULTS

FOLDER = Path(__file__).parent / "runs"

_PATHS = ("ig", "idgi", "guided-ig", "guided-ig+idgi", "blur-ig", "blur-ig+idgi")
_AHEAD = ("ig", "idgi", "blur-ig", "blur-ig+idgi")  # several numbers of steps cost one walk
_MORE = ("idgi", "patternnet")
_GREY: dict[str, Any] = {"baseline": "gray", "smoothgrad_ig_samples": 2}
_TABLES = ("insertion", *(f"information:study:{code}" for code in ("png", "png:absolute", "ms-ssim")))


class Job(NamedTuple):
    """What an evaluation is of."""

    name: str
    model: nn.Module
    transform: Transform
    images: list[LabeledImage]
    patterns: Patterns | None = None
    files: object = None  # what keeps images that were made for the run


def _lite(number: int) -> Callable[[str, int], Job]:
    def job(folder: str, count: int) -> Job:
        name = f"efficientnet-lite{number}"
        classifier = load(name, None)
        return Job(name, classifier.model, classifier.transform, models.explained(folder)[:count])

    return job


def _other_photographs(folder: str, count: int) -> Job:
    """Those that :func:`evidence.models.explained` leaves out, if the network classifies them correctly."""
    first, classifier = models.explained(folder), load("efficientnet-lite0", None)
    others = [image for image in find_images(folder) if image not in first]
    return Job("efficientnet-lite0", classifier.model, classifier.transform, others[:count])


def _lite0_with_patterns(folder: str, count: int) -> Job:
    fitted = models.lite0_with_patterns(folder)
    return Job("efficientnet-lite0", fitted.model, fitted.transform, models.explained(folder)[:count], fitted.patterns)


def _vgg16(folder: str, count: int) -> Job:
    candidates, fitting = models.halves(folder)
    fitted = vgg16.vgg16(fitting)
    right = models.correct(fitted.model, vgg16.animal_or_object(candidates), fitted.transform)
    return Job("vgg16", fitted.model, fitted.transform, models.spread(right, count), fitted.patterns)


def _mnist(_: str, count: int) -> Job:
    fitted = mnist.mnist()
    folder = tempfile.TemporaryDirectory()
    mnist.write_digits(folder.name, 2 * count)
    right = models.correct(fitted.model, find_images(folder.name), fitted.transform)
    return Job("mnist", fitted.model, fitted.transform, right[:count], fitted.patterns, folder)


def _degradation(images: int, more: tuple[str, ...], **settings: Any) -> EvaluationConfig:
    """Fig. 3's eleven methods, and more."""
    measures = ("degradation:paper", "degradation:code")
    return EvaluationConfig((*ELEVEN, *more), measures, (25,), references=49, batch_size=images, **settings)


RUNS: dict[str, tuple[Callable[[str, int], Job], EvaluationConfig]] = {
    "study-lite0": (_lite(0), EvaluationConfig((*_PATHS, "random"), _TABLES, (128,))),
    "study-lite1": (_lite(1), EvaluationConfig((*_PATHS, "random"), _TABLES, (128,))),
    "study-lite2": (_lite(2), EvaluationConfig((*_PATHS, "random"), _TABLES[:2], (128,))),
    "stability-lite0": (_lite(0), EvaluationConfig(_PATHS, ("stability", "class-sensitivity"), (16,))),
    # Unresolved primaries; two looks at them count as two tests each.
    "stability-lite0-more": (_other_photographs, EvaluationConfig(_PATHS, ("stability",), (16,))),
    # 128 steps are among the study's.
    "steps-lite0": (_lite(0), EvaluationConfig(_AHEAD, ("insertion:signed",), (8, 16, 32, 64))),
    "truncated-lite0": (
        _lite(0),
        EvaluationConfig(("ig", "idgi"), ("insertion:signed",), (8, 16, 32, 64), steps_protocol="reference"),
    ),
    # Noisy paths of SmoothGrad-IG and looks at the model are fewer than the paper's where a gradient is dear.
    "degradation-lite0": (
        _lite0_with_patterns,
        _degradation(4, _MORE, **_GREY, patch_size=9, n_patches=100, patches_per_point=10),
    ),
    "degradation-vgg16": (_vgg16, _degradation(4, (), **_GREY, patch_size=5, n_patches=80, patches_per_point=16)),
    # Digits are white on black, so that grey, the paper's 0, would be far from none of them.
    "degradation-mnist": (_mnist, _degradation(8, _MORE, baseline="black", patch_size=2, n_patches=33)),
}


def run(name: str, folder: str, count: int) -> None:
    """Do what is missing of a run."""
    make, settings = RUNS[name]
    job = make(folder, count)
    patterns = {} if job.patterns is None else {job.name: job.patterns}
    evaluate({job.name: (job.model, job.transform)}, job.images, FOLDER / name, settings, patterns, show_progress=True)
    condense(FOLDER / name, RESULTS)


def main() -> None:
    """Run what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=RUNS)
    parser.add_argument("--images", required=True, help="the folder of photographs, with labels.csv")
    parser.add_argument("--count", type=int, default=64, help="how many photographs (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    run(given.name, given.images, given.count)


if __name__ == "__main__":
    main()
