"""Principal components against scikit-learn's, from tensors and batches, and mistakes."""

import numpy as np
import pytest
import torch
from sklearn import decomposition
from torch.utils.data import DataLoader, TensorDataset

from captum_ext.paths import fit_pca


def images(n=40, dtype=torch.float64):
    data = torch.randn(n, 3, 5, 4, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return data * torch.linspace(0.1, 2, 60, dtype=dtype).reshape(3, 5, 4) + 1


@pytest.mark.parametrize("n_images", [12, 200])  # fewer and more than values of an image
def test_it_is_scikit_learns(n_images):
    data = images(n_images)
    pca, peer = fit_pca(data, 6), decomposition.PCA(6, svd_solver="full").fit(data.flatten(1).numpy())
    signs = np.sign((peer.components_ * pca.components.flatten(1).numpy()).sum(1, keepdims=True))
    np.testing.assert_allclose(pca.components.flatten(1), signs * peer.components_, atol=1e-10)
    np.testing.assert_allclose(pca.explained_variance, peer.explained_variance_, rtol=1e-10)
    np.testing.assert_allclose(pca.explained_variance_ratio, peer.explained_variance_ratio_, rtol=1e-10)
    codes = pca.encode(data)
    np.testing.assert_allclose(codes, signs.T * peer.transform(data.flatten(1).numpy()), atol=1e-9)
    decoded = peer.inverse_transform(peer.transform(data.flatten(1).numpy()))
    np.testing.assert_allclose(pca.decode(codes).flatten(1), decoded, atol=1e-9)


def test_batches_give_the_same_as_a_tensor():
    data = images()
    whole = fit_pca(data, 4)
    labels = torch.zeros(40)
    loader = DataLoader(TensorDataset(data, labels), batch_size=7)
    for form in (loader, data.split(9), (batch for batch in data.split(9))):
        parts = fit_pca(form, 4)
        assert torch.equal(parts.components, whole.components)
        assert torch.equal(parts.mean, whole.mean)


def test_components_have_a_sign_and_all_of_them_keep_everything():
    data = images(20)
    pca = fit_pca(data, 19)
    flat = pca.components.flatten(1)
    assert (flat.gather(1, flat.abs().argmax(1, keepdim=True)) > 0).all()
    torch.testing.assert_close(flat @ flat.T, torch.eye(19, dtype=torch.float64), atol=1e-10, rtol=0)
    torch.testing.assert_close(pca.decode(pca.encode(data)), data)
    torch.testing.assert_close(pca.explained_variance_ratio.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert repr(pca) == "PCA(19 components of (3, 5, 4), 100% of the variance)"


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.float32, torch.float32), (torch.float16, torch.float32), (torch.uint8, torch.float32)],
)
def test_dtypes(dtype, expected):
    data = (images(dtype=torch.float32) * 10 + 100).to(dtype)
    pca = fit_pca(data, 3)
    assert pca.components.dtype == pca.mean.dtype == pca.explained_variance.dtype == expected
    x = data[:2].to(torch.float64)
    assert pca.encode(x).dtype == pca.decode(pca.encode(x)).dtype == torch.float64


def test_data_that_require_a_gradient_are_left_alone():
    data = images().requires_grad_()
    pca = fit_pca(data, 3)
    assert not pca.components.requires_grad
    assert data.grad is None
    with torch.inference_mode():
        fit_pca(images(), 3)


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: fit_pca(images(5), 5), ValueError, "at most 4 components of 5 images of 60 values, got 5"),
        (lambda: fit_pca(images(5), 0), ValueError, "n: expected a positive integer"),
        (lambda: fit_pca(images(5), 0.9), TypeError, "n: expected a positive integer"),
        (lambda: fit_pca(TensorDataset(images()), 2), TypeError, "got a Dataset. Write torch.utils.data.DataLoader"),
        (lambda: fit_pca([], 2), ValueError, "got none"),
        (lambda: fit_pca([images(), np.zeros(3)], 2), TypeError, "got ndarray"),
        (lambda: fit_pca([images(), torch.zeros(2, 3)], 2), ValueError, r"one shape, got \[\(3,\), \(3, 5, 4\)\]"),
        (lambda: fit_pca(images() / 0, 2), ValueError, "NaN or infinity"),
        (lambda: fit_pca(torch.ones(4, 3), 2), ValueError, "the same image several times"),
        (lambda: fit_pca(images(), 2).encode(torch.zeros(1, 3, 5, 5)), ValueError, r"\(3, 5, 4\).*\(1, 3, 5, 5\)"),
    ],
)
def test_mistakes(run, error, message):
    with pytest.raises(error, match=message):
        run()
