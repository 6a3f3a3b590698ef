"""The number format that diagnostics report."""

import pytest
import torch

from captum_ext._utils import devices
from captum_ext.attr import IntegratedGradients
from tests.helpers import small_images, small_network


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_diagnostics_name_the_inputs_format(dtype):
    model = small_network().to(dtype)
    _, diagnostics = IntegratedGradients(model).attribute(
        small_images().to(dtype), target=1, n_steps=2, return_diagnostics=True
    )
    assert diagnostics.number_format == str(dtype).removeprefix("torch.")


def test_diagnostics_name_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        _, diagnostics = IntegratedGradients(small_network()).attribute(
            small_images(), target=1, n_steps=2, return_diagnostics=True
        )
    assert diagnostics.number_format == "bfloat16 (autocast)"


def test_tf32_is_off_inside_and_restored():
    matmul, before = torch.backends.cuda.matmul, torch.backends.cuda.matmul.allow_tf32
    try:
        for allowed in (True, False):
            matmul.allow_tf32 = allowed
            assert devices.allows_tf32()["products"] == allowed
            with devices.full_precision(torch.device("cuda")):
                assert devices.allows_tf32() == {"convolutions": False, "products": False}
            assert matmul.allow_tf32 == allowed
    finally:
        matmul.allow_tf32 = before
