"""The time of protecting the model's buffers in each call, over the time of the model's passes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torchvision.models import resnet50

from benchmarks.common import Size, interleaved
from captum_ext._utils.model_state import preserve_model_state

_TABLE = 100_000_000  # float32 values, 400 MB


def guard(size: Size) -> Iterator[dict[str, Any]]:
    """The shortest useful call: one photograph, one pass of ``size.few_steps`` rows."""
    torch.manual_seed(0)
    plain, with_table = resnet50().eval(), resnet50().eval()
    with_table.register_buffer("table", torch.zeros(_TABLE))
    with_table.register_forward_hook(lambda model, inputs, output: output + model.table[: output.shape[1]])
    for name, model in (("ResNet-50", plain), ("ResNet-50 with 400 MB of buffers", with_table)):
        yield compare(name, model, torch.rand(size.few_steps, 3, 224, 224), size)


def compare(name: str, model: nn.Module, images: torch.Tensor, size: Size) -> dict[str, Any]:
    pass_seconds: list[float] = []

    def guarded() -> None:
        with preserve_model_state(model):
            pass_seconds.append(_passes(model, images))

    times = interleaved({"guarded": guarded, "bare": lambda: _passes(model, images)}, size.axis_seconds, size)
    print(f"  {name}: {len(pass_seconds)} rounds", flush=True)
    return {
        "comparison": "guard",
        "network": name,
        "images": len(images),
        "seconds": times,
        "inside gradients": {"guarded": [round(seconds, 6) for seconds in pass_seconds]},
    }


def _passes(model: nn.Module, images: torch.Tensor) -> float:
    started = time.perf_counter()
    with torch.enable_grad():
        inputs = images.detach().requires_grad_()
        torch.autograd.grad(model(inputs)[:, 0].sum(), inputs)
    return time.perf_counter() - started
