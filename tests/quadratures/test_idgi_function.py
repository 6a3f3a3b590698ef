"""The published interface: a function of stored gradients and values."""

import numpy as np
import pytest
import torch

from captum_ext.attr import IDGI
from captum_ext.quadratures import ImportantDirection, idgi
from tests.references import naive


def test_equals_the_published_function():
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(9, 3, 4, dtype=torch.float64, generator=generator)
    gradients[4] = 0
    values = torch.randn(9, dtype=torch.float64, generator=generator)
    expected = naive.idgi(gradients.numpy(), values.numpy())
    assert np.abs(idgi(gradients, values).numpy() - expected).max() <= 1e-14
    batched = idgi(gradients.unsqueeze(1).repeat(1, 2, 1, 1), values.unsqueeze(1).repeat(1, 2))
    assert np.abs(batched.numpy() - expected).max() <= 1e-14


def test_tuples_share_one_norm():
    gradients = torch.randn(5, 7, dtype=torch.float64)
    values = torch.randn(5, dtype=torch.float64)
    parts = idgi((gradients[:, :3], gradients[:, 3:]), values)
    torch.testing.assert_close(torch.cat(parts), idgi(gradients, values))


@pytest.mark.parametrize("rule", ImportantDirection.methods)
def test_equals_the_class(net, images, rule):
    n_steps = 8
    points = n_steps * (2 if rule == "riemann_middle" else 1)
    stored_gradients, stored_values = [], []
    for k in range(points + 1):
        point = (images * (k / points)).requires_grad_()
        value = net(point)[:, 1]
        (gradient,) = torch.autograd.grad(value.sum(), point)
        stored_gradients.append(gradient)
        stored_values.append(value.detach())
    function = idgi(torch.stack(stored_gradients), torch.stack(stored_values), rule)
    method = IDGI(net).attribute(images, target=1, n_steps=n_steps, method=rule, internal_batch_size=7)
    torch.testing.assert_close(method, function, atol=1e-13, rtol=0)


def test_half_precision_is_summed_in_float32():
    gradients = torch.full((3, 2), 1e-4, dtype=torch.float16)  # its square is 0 in float16
    result = idgi(gradients, torch.tensor([0, 1, 2], dtype=torch.float16))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, torch.ones(2))
