"""A user's mistake names what was expected, what came, and what to write instead."""

import numpy as np
import pytest
import torch
from torch import nn

from captum_ext.attr import IDGI, BlurIG, GuidedIG, IntegratedGradients, PathAttribution
from captum_ext.paths import BlurPath, GuidedPath
from captum_ext.quadratures import ImportantDirection, WeightedSum, idgi

ONE = torch.ones(1, 3, 6, 5, dtype=torch.float64)
NAN = torch.full_like(ONE, float("nan"))


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ([1.0, 2.0], TypeError, r"got list.*as_tensor"),
        ([ONE], TypeError, r"got list.*tuple\(x\)"),
        (np.ones((1, 3)), TypeError, "got ndarray"),
        ((), ValueError, "at least one tensor"),
        ((ONE, 3), TypeError, "got tuple"),
        (torch.tensor(1.0), ValueError, r"unsqueeze\(0\)"),
        ((ONE, ONE.repeat(2, 1, 1, 1)), ValueError, r"\[1, 2\]"),
        (ONE.to(torch.complex64), TypeError, "view_as_real"),
        (torch.cat([ONE, NAN]), ValueError, r"inputs: tensor 0 has a NaN or infinity in examples \[1\]"),
        (ONE / 0, ValueError, "NaN or infinity"),
        (ONE.to_sparse(), TypeError, r"dense tensor, got a torch.sparse_coo one.*to_dense\(\)"),
        (torch.zeros(1, 3, 6, 5, device="meta"), TypeError, "got a meta one"),
        (ONE.to(torch.float8_e4m3fn), TypeError, r"at least half precision.*bfloat16"),
    ],
)
def test_inputs(net, inputs, error, message):
    with pytest.raises(error, match=message):
        IntegratedGradients(net).attribute(inputs, target=0)


@pytest.mark.parametrize(
    ("baselines", "error", "message"),
    [
        ("black", TypeError, "got str"),
        (np.zeros((1, 3, 6, 5)), TypeError, "got ndarray"),
        ((0, 0), ValueError, "expected one for each of 1 inputs, got 2"),
        (torch.zeros(3, 6, 5), ValueError, r"\(1, 3, 6, 5\), got \(3, 6, 5\)"),
        (torch.zeros(2, 3, 6, 5), ValueError, r"got \(2, 3, 6, 5\)"),
        (torch.zeros(1, 3, 6, 4), ValueError, r"got \(1, 3, 6, 4\)"),
        (float("nan"), ValueError, "baselines: tensor 0 has a NaN"),
        (10**400, ValueError, "finite number, got one of 401 digits"),
        (ONE.to(torch.complex64), TypeError, "baselines: expected real numbers"),
        (ONE.to_sparse(), TypeError, "baselines: expected an ordinary dense tensor"),
        (torch.zeros(1, 3, 6, 5, device="meta"), ValueError, r"baselines.to\(inputs.device\)"),
    ],
)
def test_baselines(net, baselines, error, message):
    with pytest.raises(error, match=message):
        IntegratedGradients(net).attribute(ONE, baselines, target=0)


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (None, ValueError, r"one value for each of \d+ rows.*Name the output"),
        (4, ValueError, r"target 4 is out of range for a model with 4 outputs \(classes 0 to 3\)"),
        ((0, 0), ValueError, "picks no entries"),
        ([0, 1], ValueError, "a list of 2"),
        ([4], ValueError, r"target 4 is out of range for a model with 4 outputs"),
        (torch.tensor([0, 1]), ValueError, r"shape \(1,\); got shape \(2,\)"),
        (torch.tensor([[0], [1]]), ValueError, r"got shape \(2, 1\)"),
        (torch.tensor([0.0]), TypeError, r"target.long\(\)"),
        (torch.tensor([True]), TypeError, "integer indices"),
        ("espresso", TypeError, "got str"),
        (np.array([0]), TypeError, r"tolist\(\)"),
        (True, TypeError, "got bool"),
        ([True], TypeError, r"list of ints or of tuples of ints, got \[True\]"),
        ([0.5], TypeError, r"got \[0.5\]"),
        (1.0, TypeError, "got float"),
    ],
)
@pytest.mark.parametrize("method", [IntegratedGradients, IDGI, GuidedIG])
def test_target(net, method, target, error, message):
    with pytest.raises(error, match=message):
        method(net).attribute(ONE, target=target)


@pytest.mark.parametrize("target", [[0, 4, 1], [0, -1, 1], torch.tensor([0, 4, 1])])
def test_class_indices_are_checked_before_they_are_gathered(net, images, target):
    with pytest.raises(ValueError, match=r"target (4|-1) is out of range .*classes 0 to 3"):
        IntegratedGradients(net).attribute(images, target=target)


def test_numpy_integers_are_targets(net, images):
    expected = IntegratedGradients(net).attribute(images, target=2)
    assert torch.equal(IntegratedGradients(net).attribute(images, target=np.int64(2)), expected)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("n_steps", 0, ValueError),
        ("n_steps", -3, ValueError),
        ("n_steps", 2.0, TypeError),
        ("internal_batch_size", 0, ValueError),
        ("internal_batch_size", 1.5, TypeError),
        ("internal_batch_size", "16", TypeError),
    ],
)
def test_counts(net, name, value, error):
    with pytest.raises(error, match=f"{name}: expected a positive integer, got"):
        IntegratedGradients(net).attribute(ONE, target=0, **{name: value})


def test_additional_arguments(pair_net, pairs):
    with pytest.raises(ValueError, match=r"additional_forward_args\[1\]: expected one row for each of 3"):
        IntegratedGradients(pair_net).attribute(pairs, target=0, additional_forward_args=(torch.ones(3), torch.ones(2)))


def test_initial_states_of_recurrent_networks():
    """(layers, B, H): the message's advice works, and passes of exactly the examples need none."""
    lstm = nn.LSTM(4, 6, num_layers=2, batch_first=True).double()
    x, h, c = torch.randn(5, 7, 4).double(), torch.randn(2, 5, 6).double(), torch.randn(2, 5, 6).double()

    def model(x, h, c):
        return lstm(x, (h, c))[0][:, -1]

    def examples_first(x, h, c):
        return model(x, h.transpose(0, 1).contiguous(), c.transpose(0, 1).contiguous())

    arguments = {"target": 1, "n_steps": 6}
    expected = torch.cat(
        [
            IntegratedGradients(lambda x, k=k: model(x, *(s[:, [k]].repeat(1, len(x), 1) for s in (h, c)))).attribute(
                x[k : k + 1], **arguments
            )
            for k in range(5)
        ]
    )
    turned = IntegratedGradients(examples_first).attribute(
        x, additional_forward_args=(h.transpose(0, 1), c.transpose(0, 1)), internal_batch_size=3, **arguments
    )
    torch.testing.assert_close(turned, expected)
    as_they_are = IntegratedGradients(model).attribute(
        x, additional_forward_args=(h, c), internal_batch_size=5, **arguments
    )
    torch.testing.assert_close(as_they_are, expected)
    with pytest.raises(ValueError, match=r"got shape \(2, 5, 6\).*put them first: give state.transpose\(0, 1\)"):
        IntegratedGradients(model).attribute(x, additional_forward_args=(h, c), **arguments)


def test_quantized_models_have_no_gradient():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    model = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8)
    for method in (IntegratedGradients, IDGI):
        with pytest.raises(ValueError, match="has no gradient"):
            method(model).attribute(torch.rand(3, 4), target=1)


@pytest.mark.parametrize(
    ("forward", "error", "message"),
    [
        (lambda x: x.sum(), ValueError, r"got shape \(\).*sums over its rows"),
        (
            lambda x: x.sum((1, 2, 3))[:1],
            ValueError,
            r"expected one row of output for each of \d+ rows.*got shape \(1,\)",
        ),
        (lambda x: torch.view_as_complex(x[:, :2, 0, 0].contiguous()), TypeError, "expected real outputs"),
        (lambda x: {"logits": x}, TypeError, r"got dict with the keys logits.*lambda x: model\(x\)\['logits'\]"),
        (lambda x: x.detach().sum((1, 2, 3)), ValueError, r"detach\(\)"),
        (lambda x: x.flatten(1).argmax(1), ValueError, r"argmax\(\)"),
    ],
)
@pytest.mark.parametrize("method", [IntegratedGradients, IDGI, BlurIG])
def test_forward_functions_without_a_gradient(method, forward, error, message):
    with pytest.raises(error, match=message):
        method(forward).attribute(torch.cat([ONE, ONE]))


def test_multiply_by_inputs_false_is_for_the_straight_weighted_sum(net, images):
    for path in (BlurPath(), GuidedPath()):
        with pytest.raises(ValueError, match=f"{type(path).__name__} moves every feature at its own pace"):
            PathAttribution(net, path=path, multiply_by_inputs=False)
    with pytest.raises(ValueError, match="ImportantDirection has none"):
        PathAttribution(net, quadrature=ImportantDirection(), multiply_by_inputs=False)
    local = PathAttribution(net, multiply_by_inputs=False)
    with pytest.raises(ValueError, match="ImportantDirection has none"):
        local.attribute_each([WeightedSum("riemann_left"), ImportantDirection()], images, target=0)
    (left,) = local.attribute_each([WeightedSum("riemann_left")], images, target=0)
    assert torch.equal(left, local.attribute(images, target=0, method="riemann_left"))


@pytest.mark.parametrize(
    ("gradients", "values", "message"),
    [
        (torch.ones(3, 2), torch.ones(4), r"shape \(4,\) followed by the features, got \(3, 2\)"),
        (torch.ones(1, 2), torch.ones(1), "N >= 2 points"),
        (torch.ones(3, 2, 2), torch.ones(3, 2, 2), r"got \(3, 2, 2\)"),
        ((torch.ones(3, 2), torch.ones(2, 2)), torch.ones(3), "followed by the features"),
    ],
)
def test_idgi_of_stored_gradients(gradients, values, message):
    with pytest.raises(ValueError, match=message):
        idgi(gradients, values)


def test_idgi_of_stored_gradients_by_the_middle_rule_wants_whole_steps():
    with pytest.raises(ValueError, match="odd number of points, got 4"):
        idgi(torch.ones(4, 2), torch.ones(4), "riemann_middle")


def test_attribute_future_is_not_there(net):
    with pytest.raises(NotImplementedError, match="IDGI"):
        IDGI(net).attribute_future()


def test_names_read_well(net):
    names = [m(net).get_name() for m in (IntegratedGradients, IDGI, BlurIG, GuidedIG, PathAttribution)]
    assert names == ["Integrated Gradients", "IDGI", "Blur IG", "Guided IG", "Path Attribution"]
    assert IDGI(net).multiplies_by_inputs
    assert not IntegratedGradients(net, False).multiplies_by_inputs
