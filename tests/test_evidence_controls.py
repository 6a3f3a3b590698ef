"""The studies of controls and number formats on functions whose answer is known."""

import numpy as np
import torch
from torch import nn

from captum_ext.evaluation.inputs import ImageBatch
from evidence.claims.formats import METHODS
from studies import controls, number_formats


def test_a_search_finds_the_order_of_an_additive_score():
    weights = torch.randn(36, generator=torch.Generator().manual_seed(0))
    tiles = weights.reshape(1, 1, 6, 6).repeat_interleave(2, 2).repeat_interleave(2, 3)
    start, end = torch.zeros(3, 12, 12), torch.ones(3, 12, 12)
    found = controls.searched(lambda x: (x * tiles).sum((1, 2, 3)), start, end, rounds=5, side=2)
    ranks = found[0, ::2, ::2].flatten()
    assert torch.equal(found[0], found[2])
    order = weights.argsort(descending=True)
    groups = [{float(rank) for rank in ranks[part]} for part in order[:20].split(4)]
    assert groups == [{6.0}, {5.0}, {4.0}, {3.0}, {2.0}]
    rest = ranks[order[20:]]
    assert bool((rest.diff() < 0).all())
    assert (float(rest[0]), float(rest[-1])) == (1, 0)


def test_shuffled_pixels_keep_their_channels_and_differ_per_image():
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    maps[1] = maps[0]
    one, other = controls.shuffled(maps, torch.Generator().manual_seed(0)).flatten(2)
    for moved in (one, other):
        assert {tuple(pixel) for pixel in moved.T.tolist()} == {tuple(p) for p in maps[0].flatten(1).T.tolist()}
    assert not torch.equal(one, other)
    assert not torch.equal(one, maps[0].flatten(1))


def test_tf32_has_ten_bits_of_mantissa():
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 10.0 ** torch.arange(-5, 5).repeat(100)
    mantissa, exponent = np.frexp(x.double().numpy())
    expected = np.ldexp(np.rint(mantissa * 2**11), exponent - 11)  # frexp's mantissa is in [0.5, 1)
    np.testing.assert_array_equal(number_formats.as_tf32(x).double().numpy(), expected)


def test_factors_are_rounded_forward_and_backward():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(2, 3, 3), torch.randn(1, 2, 6, 6, requires_grad=True)
    with number_formats.TensorFloat32():
        output = layer(x)
        output.backward(upstream := torch.randn_like(output))
    rounded = [number_formats.as_tf32(tensor.detach()) for tensor in (x, layer.weight, upstream)]
    own = rounded[0].clone().requires_grad_()
    expected = nn.functional.conv2d(own, rounded[1], layer.bias)
    expected.backward(rounded[2])
    assert torch.equal(output, expected)
    assert torch.equal(x.grad, own.grad)
    linear, y = nn.Linear(4, 2), torch.randn(3, 4)
    with number_formats.TensorFloat32():
        output = linear(y)
    factors = (number_formats.as_tf32(tensor.detach()) for tensor in (y, linear.weight))
    assert torch.allclose(output, nn.functional.linear(*factors, linear.bias), atol=1e-7)


def test_rows_of_every_format_and_the_controls():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    x = torch.rand(2, 3, 16, 16)
    batch = ImageBatch(("a", "b"), x, torch.zeros_like(x), torch.tensor([0, 1]))
    rows = list(number_formats.compare(model, batch, steps=4))
    formats = [*number_formats.FORMATS, "shuffled"]
    assert len(rows) == 2 * len(METHODS) * len(formats)
    by_key = {(row["image"], row["method"], row["format"]): row for row in rows}
    for image in ("a", "b"):
        for method in METHODS:
            before, again = by_key[image, method, "float32"], by_key[image, method, "float32 again"]
            assert {**again, "format": "float32"} == before
            assert before["rank signed"] == before["rank absolute"] == 1
        assert by_key[image, "ig", "bfloat16"]["rank signed"] < 1
        assert by_key[image, "ig", "shuffled"]["rank signed"] < 0.5
