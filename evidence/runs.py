"""The evaluations behind the page: ``python -m evidence.runs NAME --images FOLDER``; stopped, they can be gone on with.

Each writes a folder of results below ``evidence/runs``. Under ``torchrun --nproc-per-node 2 -m evidence.runs ...`` the
batches are shared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from captum_ext.cli.models import efficientnet_lite
from captum_ext.evaluation import Settings, evaluate
from evidence import photographs

FOLDER = Path(__file__).parent / "runs"

_PATHS = ("ig", "idgi", "guided-ig", "guided-ig+idgi", "blur-ig", "blur-ig+idgi")
_AHEAD = ("ig", "idgi", "blur-ig", "blur-ig+idgi")  # several numbers of steps cost one walk
_TABLES = (
    "insertion",
    "information:study:png",
    "information:study:png:absolute",
    "information:study:ms-ssim",
)
_STUDY = {
    "study-lite0": Settings((*_PATHS, "random"), _TABLES, (128,)),
    "study-lite1": Settings((*_PATHS, "random"), ("insertion",), (16,)),
    "study-lite2": Settings((*_PATHS, "random"), ("insertion",), (16,)),
    "stability-lite0": Settings(_PATHS, ("stability", "class-sensitivity"), (16,)),
    "steps-lite0": Settings(_AHEAD, ("insertion",), (8, 16, 32, 64)),  # 128 are among the study's
    "truncated-lite0": Settings(("ig", "idgi"), ("insertion",), (8, 16, 32, 64), steps_protocol="reference"),
}


def study(name: str, folder: str, count: int) -> None:
    """Run one of seed 004's evaluations, of an EfficientNet-Lite."""
    model = "efficientnet-" + name.rpartition("-")[2]
    classifier = efficientnet_lite(model, None)
    classifier.model.eval()
    images = photographs.explained(folder)[:count]
    evaluate({model: (classifier.model, classifier.transform)}, images, FOLDER / name, _STUDY[name], show_progress=True)


def main() -> None:
    """Run what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=_STUDY)
    parser.add_argument("--images", required=True, help="the folder of photographs, with labels.csv")
    parser.add_argument("--count", type=int, default=64, help="how many photographs, at most 64")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    study(given.name, given.images, given.count)


if __name__ == "__main__":
    main()
