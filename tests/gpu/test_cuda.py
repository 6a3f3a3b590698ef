"""What can't be pretended: real waits, memory, number formats and streams."""

import pytest
import torch

from captum_ext.attr import IDGI, BlurIG, IntegratedGradients
from captum_ext.metrics import insertion
from captum_ext.paths import BlurPath
from tests.conformance.cases import METHODS, each
from tests.helpers import small_images, small_network


@pytest.mark.parametrize("target", [1, [0, 1, 2, 1]], ids=["one", "list"])
@each([case for case in METHODS if not case.chaotic])
def test_same_as_the_cpu(case, target):
    x = small_images().double()
    expected = case.make(small_network().double()).attribute(x, target=target, n_steps=8)
    got = case.make(small_network().double().cuda()).attribute(x.cuda(), target=target, n_steps=8)
    torch.testing.assert_close(got.cpu(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", [IntegratedGradients, IDGI, BlurIG])
def test_no_waits_between_passes(method):
    model, passes, last = small_network().cuda(), [], 8

    def function(x):
        passes.append(len(x))
        torch.cuda.set_sync_debug_mode("error" if len(passes) < last else "default")
        return model(x)

    try:
        method(function).attribute(small_images().cuda(), target=[0, 1, 2, 1], n_steps=last, internal_batch_size=4)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(passes) >= last


def test_memory_does_not_grow_with_the_number_of_steps():
    model, x, peaks = small_network().cuda(), small_images(64).cuda(), []
    for steps in (8, 64):
        torch.cuda.reset_peak_memory_stats()
        IDGI(model).attribute(x, target=1, n_steps=steps, internal_batch_size=64)
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < 1.02 * peaks[0]


def test_out_of_memory():
    model, x = torch.nn.Sequential(torch.nn.Conv2d(3, 256, 3), torch.nn.Flatten(), torch.nn.AdaptiveAvgPool1d(3)), None
    model, x = model.cuda(), torch.rand(4, 3, 224, 224, device="cuda")
    expected = IntegratedGradients(model).attribute(x, target=1, n_steps=16, internal_batch_size=4)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(2e9 / total)
        with pytest.warns(RuntimeWarning, match="did not fit in memory"):
            got = IntegratedGradients(model).attribute(x, target=1, n_steps=16, internal_batch_size=64)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_the_blur_does_not_use_tf32():
    x = torch.rand(2, 3, 64, 64, device="cuda")
    expected = BlurPath().points((x.double(),), (), (0.2, 0.8))[0]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    (got,) = BlurPath().points((x,), (), (0.2, 0.8))
    assert torch.backends.cuda.matmul.allow_tf32
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_formats_are_reported(dtype):
    with torch.autocast("cuda", dtype):
        got, diagnostics = IDGI(small_network().cuda()).attribute(
            small_images().cuda(), target=1, n_steps=4, return_diagnostics=True
        )
    assert got.dtype == torch.float32
    assert diagnostics.number_format == f"{dtype} (autocast)".removeprefix("torch.")


def test_another_stream():
    model, x = small_network().cuda(), small_images().cuda()
    expected = IDGI(model).attribute(x, target=1)
    with torch.cuda.stream(torch.cuda.Stream()):
        got = IDGI(model).attribute(x, target=1)
    torch.cuda.synchronize()
    assert torch.equal(got, expected)


def test_metrics():
    x = small_images()
    expected = insertion(small_network(), x, x, 1, n_points=4).scores
    got = insertion(small_network().cuda(), x.cuda(), x.cuda(), 1, n_points=4).scores
    torch.testing.assert_close(got.cpu(), expected, rtol=1e-4, atol=1e-5)
