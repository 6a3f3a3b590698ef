"""XRAI's time over PAIR's, with PAIR's segments: ``python -m benchmarks.regions``.

Both alternate in one process, so that other processes affect both.
"""

import time

import numpy as np
import saliency.core
import torch
from saliency.core import xrai as pair
from skimage import data
from skimage.transform import resize

from captum_ext.regions import Segmentation, segment, xrai

PICTURES = ("astronaut", "chelsea", "coffee", "rocket")
SIZE = (224, 224)
REPEATS = 5


def timed(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def main():
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    ratios = {"segments": [], "one map": [], "four maps": []}
    times = {"PAIR": [], "here": []}
    difference = 0.0
    for name in PICTURES:
        picture = resize(getattr(data, name)(), SIZE, preserve_range=True)
        theirs, masks = timed(lambda picture=picture: pair._get_segments_felzenszwalb(picture))
        image = torch.tensor(picture).permute(2, 0, 1).unsqueeze(0)
        ours, _ = timed(lambda image=image: segment(image))
        ratios["segments"].append(theirs / ours)
        bases = random.normal(size=(4, *picture.shape))
        maps = torch.tensor(bases).permute(0, 3, 1, 2)
        for _ in range(REPEATS):
            theirs, pair_map = timed(
                lambda p=picture, m=masks, b=bases: saliency.core.XRAI().GetMask(
                    p, None, segments=m, base_attribution=b[0]
                )
            )
            segments = Segmentation.from_masks(torch.from_numpy(np.stack(masks)))
            one, merged = timed(lambda m=maps, s=segments: xrai(m[:1], segments=s))
            segments = Segmentation.from_masks(torch.from_numpy(np.stack(masks)))
            four, _ = timed(lambda m=maps, s=segments: xrai(m, segments=s))
            difference = max(difference, np.abs(merged[0].numpy() - pair_map).max())
            ratios["one map"].append(theirs / one)
            ratios["four maps"].append(4 * theirs / four)
            times["PAIR"].append(theirs)
            times["here"].append(one)
    for name, values in ratios.items():
        print(f"{name}: {np.median(values):.0f} times as fast (median; the least: {min(values):.0f})")
    print(
        {name: f"{np.median(values) * 1000:.1f} ms" for name, values in times.items()}, f"difference {difference:.0e}"
    )


if __name__ == "__main__":
    main()
