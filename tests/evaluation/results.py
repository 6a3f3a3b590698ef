"""Small results as ``captum-ext evaluate`` writes them, and their rows."""

from __future__ import annotations

import numpy as np
from scipy.integrate import trapezoid

from captum_ext.evaluation.store import ResultRow, Results

SETTINGS = {
    "models": ["net|a/b", "other"],
    "methods": ["ig", "idgi", "blur-ig", "blur-ig+idgi", "pgig", "random"],
    "steps": [8, 32],
    "images": 13,
    "target": "label",
}
STEPS = {"pgig": [25], "random": [0]}
POINTS = {"corrected": 41, "pair": 41, "study": 21}


def own_row(k: int) -> ResultRow:
    if k == 11:
        return ResultRow("images/11.png", "", 0, "image", "misclassified", 0.1)
    if k == 12:
        return ResultRow("images/a_*12*.png", "", 0, "image", "unreadable", np.nan, note="cannot identify | image")
    return ResultRow(f"images/{k}.png", "", 0, "image", "explained", 0.5 + k / 20)


def rows(seed: int = 0) -> list[ResultRow]:
    """Of 13 images, 11 of them explained, of which image 3 has no PAIR curves."""
    random, made = np.random.default_rng(seed), [own_row(k) for k in range(13)]
    for k in range(11):
        image = f"images/{k}.png"
        for method in SETTINGS["methods"]:
            for steps in STEPS.get(method, SETTINGS["steps"]):
                for score in ("insertion", "deletion"):
                    curve = np.sort(random.random(5)).astype(np.float32)
                    area = float(trapezoid(curve, dx=0.25))
                    made.append(ResultRow(image, method, steps, score, "signed", area, curve.tolist()))
                for variant, points in {**POINTS, "pair:ms-ssim": 41}.items():
                    for score in ("sic", "aic"):
                        if variant.startswith("pair") and k == 3:
                            note = f"confidence: the original's score {0.5 + k / 20:.4g} is not at least 0.8"
                            made.append(ResultRow(image, method, steps, score, variant, np.nan, None, note))
                            continue
                        curve = np.sort(random.random(points)).astype(np.float32)
                        area = float(trapezoid(curve, dx=1 / (points - 1)))
                        made.append(ResultRow(image, method, steps, score, variant, area, curve.tolist()))
                for variant in ("signed", "absolute"):
                    made.append(
                        ResultRow(image, method, steps, "stability", variant, float(10 ** random.normal(-6, 1)))
                    )
                made.append(ResultRow(image, method, steps, "stability", "rank", float(random.random())))
                made.append(ResultRow(image, method, steps, "completeness", "relative", float(random.exponential())))
    return made


def few_rows(seed: int = 0) -> list[ResultRow]:
    """Insertion and the images' own rows only: quickly reported."""
    return [row for row in rows(seed) if row.score in ("image", "insertion")]


def write(folder, made: dict[str, list[ResultRow]] | None = None, **settings) -> Results:
    """These rows of each model; by default few of the first and all of the second."""
    results = Results(folder)
    results.create({**SETTINGS, **settings})
    if made is None:
        made = dict(zip(SETTINGS["models"], (few_rows(0), rows(1)), strict=True))
    for model, of in made.items():
        half = len(of) // 2
        for batch, some in enumerate((of[:half], of[half:])):
            results.write(model, batch, some)
    return results
