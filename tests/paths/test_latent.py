"""Paths in latent space: limits that equal the inner path, linear coders in closed form, naive replicas, and faults."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from captum_ext.attr import (
    EIG,
    IDGI,
    MAGIG,
    GuidedIG,
    IntegratedGradients,
    LayerPathAttribution,
    PathAttribution,
)
from captum_ext.paths import BlurPath, GuidedPath, LatentPath, SearchedPath, StraightPath, fit_pca
from captum_ext.quadratures import ImportantDirection, WeightedSum
from tests.helpers import close

RULES = ("riemann_left", "riemann_right", "riemann_trapezoid")
INNER = {"straight": StraightPath(), "guided": GuidedPath(0.3, 0.4), "guided, no limit": GuidedPath(0.1, 1.0)}


def handed_on(*tensors):
    return tensors if len(tensors) > 1 else tensors[0]


@pytest.fixture
def starts(images):
    return torch.rand(3, 3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(8))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
@pytest.mark.parametrize("cap", [None, 2])
def test_an_identity_coder_equals_the_inner_path_bit_for_bit(inner, dtype, cap, net, images, starts):
    net, images, starts = net.to(dtype), images.to(dtype), starts.to(dtype)
    rules = [WeightedSum(rule) for rule in RULES] + [ImportantDirection()]
    for quadrature in rules if not inner.look_ahead else [*rules, WeightedSum()]:
        latent = PathAttribution(net, LatentPath(handed_on, handed_on, inner), quadrature)
        plain = PathAttribution(net, inner, quadrature)
        given = (images, starts, [0, 1, 2], None, 7, None, cap)
        for got, expected in zip(
            latent.attribute(*given, return_convergence_delta=True),
            plain.attribute(*given, return_convergence_delta=True),
            strict=True,
        ):
            assert torch.equal(got, expected)


def test_the_named_classes_are_these_parts(net, images, starts):
    eig = EIG(net, handed_on, handed_on).attribute(images, starts, 1, n_steps=5)
    assert torch.equal(eig, IntegratedGradients(net).attribute(images, starts, 1, n_steps=5))
    magig = MAGIG(net, handed_on, handed_on).attribute(images, starts, 1, n_steps=5)
    assert torch.equal(magig, GuidedIG(net, 0.1, 1.0).attribute(images, starts, 1, n_steps=5))
    assert (EIG.get_name(), MAGIG.get_name()) == ("EIG", "MAGIG")


def test_a_coder_of_one_input_leaves_the_other_alone(pair_net, pairs):
    """A coder that is invertible, and so changes no point, of the first input; the second is handed on."""
    for inner in INNER.values():
        path = LatentPath(lambda x, y: (2 * x, y), lambda z, y: (z / 2, y), inner)
        got = PathAttribution(pair_net, path).attribute(pairs, None, 1, n_steps=6)
        if inner.look_ahead:
            expected = PathAttribution(pair_net, inner).attribute(pairs, None, 1, n_steps=6)
            close(got[0], expected[0])
            assert torch.equal(got[1], expected[1])
        else:  # twice the latent has half of the gradient and twice the way: other coordinates move first
            assert got[0].isfinite().all()


@pytest.fixture
def frame():
    """The orthonormal components (4, 90) of a linear coder."""
    generator = torch.Generator().manual_seed(4)
    return torch.linalg.qr(torch.randn(90, 4, dtype=torch.float64, generator=generator)).Q.T


def coder(frame):
    return lambda x: x.flatten(1) @ frame.T, lambda z: (z @ frame).reshape(-1, 3, 6, 5)


def test_a_linear_coder_and_a_linear_function_are_exact(frame, images, starts):
    weight = torch.arange(90, dtype=torch.float64).reshape(3, 6, 5)
    for inner in INNER.values():
        for rule in RULES:
            method = PathAttribution(lambda x: (x * weight).sum((1, 2, 3)), LatentPath(*coder(frame), inner))
            got = method.attribute(images, starts, n_steps=3, method=rule)
            close(got, weight * (images - starts), 1e-10)


def test_a_linear_coder_and_a_quadratic_function_in_closed_form(frame, images, starts):
    """F = |x|^2 / 2, whose gradient is the point: the trapezoid rule is exact between the jumps, and one step at each.

    With Px the projection on the coder's space, the first step leads from x' to P(x' + (x - x')/n).
    """
    n = 5

    def project(x):
        return (x.flatten(1) @ frame.T @ frame).reshape(x.shape)

    first, last = (project(starts + (images - starts) * k / n) for k in (1, n - 1))
    expected = (first - starts) * (first + starts) / 2 + (last**2 - first**2) / 2 + (images**2 - last**2) / 2
    got, delta = EIG(lambda x: x.square().sum((1, 2, 3)) / 2, *coder(frame)).attribute(
        images, starts, n_steps=n, method="riemann_trapezoid", return_convergence_delta=True
    )
    close(got, expected)
    close(delta, torch.zeros(3, dtype=torch.float64), 1e-11)


def nonlinear_coder():
    torch.manual_seed(3)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(90, 6), nn.Tanh()).double()
    decoder = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 90), nn.Unflatten(1, (3, 6, 5))).double()
    return encoder, decoder


@pytest.mark.parametrize("rule", ["riemann_left", "riemann_trapezoid", "gausslegendre"])
@pytest.mark.parametrize("cap", [None, 2, 4])
def test_the_straight_line_through_a_nonlinear_decoder_is_a_loops(rule, cap, net, images, starts):
    encoder, decoder = nonlinear_coder()
    got, delta = EIG(net, encoder, decoder).attribute(
        images, starts, [0, 1, 2], n_steps=6, method=rule, internal_batch_size=cap, return_convergence_delta=True
    )
    grid = WeightedSum(rule).grid(6)
    share = {"riemann_left": (0, 1), "riemann_trapezoid": (0.5, 0.5), "gausslegendre": (1, 1)}[rule]
    with torch.no_grad():
        z, z0 = encoder(images), encoder(starts)

        def at(alpha):
            return starts if alpha == 0 else images if alpha == 1 else decoder(z0 + alpha * (z - z0))

        total = torch.zeros_like(images)
        for lower, node, upper in zip(grid.lower, grid.nodes, grid.upper, strict=True):
            point = at(node).requires_grad_()
            with torch.enable_grad():
                (gradient,) = torch.autograd.grad(net(point)[range(3), [0, 1, 2]].sum(), point)
            point = point.detach()
            total += gradient * (share[0] * (point - at(lower)) + share[1] * (at(upper) - point))
            starts.requires_grad_(False), images.requires_grad_(False)
        rows = torch.arange(3)
        close(got, total)
        close(delta, total.sum((1, 2, 3)) - (net(images) - net(starts))[rows, rows])


@pytest.mark.parametrize("cap", [None, 1])
def test_guided_in_latent_space_is_guided_ig_of_f_after_the_decoder(cap, net, images, starts):
    """The latents walk as those of Guided IG on F(decode(z)), but for the ends, whose F is the input's own.

    A decoder that reaches the ends exactly (an affine bijection) removes that difference.
    """
    torch.manual_seed(2)
    mix = torch.linalg.qr(torch.randn(90, 90, dtype=torch.float64)).Q * 1.5
    encode = lambda x: x.flatten(1) @ mix  # noqa: E731
    decode = lambda z: (z @ torch.linalg.inv(mix)).reshape(-1, 3, 6, 5)  # noqa: E731
    visited, latents = [], []

    def of_latents(z):
        latents.append(z.detach().clone())
        return net(decode(z))

    def of_inputs(x):
        visited.append(x.detach().clone())
        return net(x)

    GuidedIG(of_latents, 0.1, 1.0).attribute(encode(images), encode(starts), 1, n_steps=8, internal_batch_size=cap)
    method = MAGIG(of_inputs, encode, decode)
    got = method.attribute(images, starts, 1, n_steps=8, internal_batch_size=cap)
    points = [decode(z) for z in latents]
    close(torch.cat(visited), torch.cat(points), 1e-9)
    if cap is None:
        total, at = torch.zeros_like(images), [*points, images]
        for here, ahead in pairwise(at):
            leaf = here.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(net(leaf)[:, 1].sum(), leaf)
            total += gradient * (ahead - here)
        close(got, total, 1e-9)


def test_no_pass_of_model_or_coder_has_more_rows_than_allowed(net, images, starts):
    encoder, decoder = nonlinear_coder()
    rows = []
    for module in (encoder, decoder, net):
        module.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    for method in (EIG(net, encoder, decoder), MAGIG(net, encoder, decoder)):
        method.attribute(images, starts, 1, n_steps=5, internal_batch_size=2, return_convergence_delta=True)
    assert max(rows) == 2


def test_idgi_is_complete_and_the_delta_of_ig_shows_the_jumps(net, images, starts):
    path = LatentPath(*nonlinear_coder())
    _, delta = IDGI(net, path).attribute(images, starts, 1, n_steps=9, return_convergence_delta=True)
    close(delta, torch.zeros(3, dtype=torch.float64), 1e-10)
    deltas = [
        PathAttribution(net, path).attribute(images, starts, 1, n_steps=n, return_convergence_delta=True)[1]
        for n in (50, 400)
    ]
    assert (deltas[1].abs() > 1e-3).any()
    close(deltas[0], deltas[1], 1e-2)


def test_adaptive_steps_say_that_the_path_jumps(net, images):
    with pytest.warns(RuntimeWarning, match="tol=0.001"):
        EIG(net, *nonlinear_coder()).attribute(images, target=1, n_steps="auto", tol=1e-3, max_steps=64)


def test_at_a_layer_the_coder_is_of_its_activation(net, images):
    got = LayerPathAttribution(net, net.conv, path=LatentPath(handed_on, handed_on)).attribute(images, target=1)
    expected = LayerPathAttribution(net, net.conv).attribute(images, target=1)
    assert torch.equal(got, expected)


def test_attributions_can_be_differentiated_through_the_coder(net, images):
    weight = next(net.parameters())
    (got,) = torch.autograd.grad(
        EIG(net, *nonlinear_coder()).attribute(images, target=1, n_steps=4, create_graph=True).square().sum(), weight
    )
    assert got.abs().max() > 0
    with pytest.raises(ValueError, match="known in advance"):
        MAGIG(net, *nonlinear_coder()).attribute(images, target=1, create_graph=True)


def test_nothing_of_the_users_is_changed(net, images, starts):
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3).double()

        def forward(self, x):
            return self.norm(x).mul_(2)

    encoder, decoder = InPlace(), InPlace()
    kept = images.clone(), starts.clone(), decoder.norm.running_mean.clone()
    with pytest.warns(UserWarning, match="training mode.*BatchNorm2d"):
        EIG(net, encoder, decoder).attribute(images, starts, 1, n_steps=4)
    with pytest.warns(UserWarning, match="training mode.*BatchNorm2d"):
        MAGIG(net, encoder, decoder).attribute(images, starts, 1, n_steps=4)
    assert torch.equal(images, kept[0])
    assert torch.equal(starts, kept[1])
    assert torch.equal(decoder.norm.running_mean, kept[2])
    assert all(parameter.grad is None for parameter in decoder.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_reach_the_coder_in_float32(dtype):
    seen = []

    def encode(x):
        seen.append(x.dtype)
        return x * 1

    for method in (EIG, MAGIG):
        got = method(lambda x: x.sum(1), encode, lambda z: z * 1).attribute(torch.ones(2, 3, dtype=dtype), n_steps=4)
        assert got.dtype == torch.float32
    assert set(seen) == {torch.float32}


def test_no_examples(net):
    for method in (EIG, MAGIG):
        assert method(net, handed_on, handed_on).attribute(torch.zeros(0, 3, 6, 5).double(), target=1).shape[0] == 0


X = torch.rand(2, 4)


def total(x):
    return x.square().sum(1)


class Own(SearchedPath):
    def search(self, inputs, start, n_steps, evaluator):
        yield start


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: EIG(total, None, handed_on), TypeError, "encode: expected a function or a module, got None"),
        (lambda: EIG(total, nn.Linear, handed_on), TypeError, "encode: expected a function"),
        (lambda: EIG(total, True, handed_on), TypeError, "multiply_by_inputs=True"),
        (lambda: LatentPath(handed_on, handed_on, 3), TypeError, "inner: expected a path such as"),
        (lambda: LatentPath(handed_on, handed_on, BlurPath()), ValueError, "BlurPath has its own start or end"),
        (lambda: LatentPath(handed_on, handed_on, Own()), ValueError, "Own has its own start or end"),
        (lambda: EIG(total, handed_on, lambda z: z[:, :3] * 1).attribute(X), ValueError, r"\(1, 4\)\], got \[\(1, 3\)"),
        (lambda: MAGIG(total, handed_on, lambda z: None).attribute(X), TypeError, "decode: .*NoneType"),
        (lambda: EIG(total, lambda x: x[:1], handed_on).attribute(X), ValueError, "one latent for each of 2 examples"),
        (lambda: EIG(total, lambda x: x.long(), handed_on).attribute(X), TypeError, "floating point.*int64"),
        (lambda: MAGIG(total, lambda x: x * 1, lambda z: z.detach() * 1).attribute(X), ValueError, r"detach\(\)"),
        (
            lambda: PathAttribution(total, LatentPath(handed_on, handed_on), multiply_by_inputs=False),
            ValueError,
            "multiply_by_inputs=True",
        ),
        (lambda: MAGIG(total, handed_on, handed_on).attribute(X, method="gausslegendre"), ValueError, "GuidedPath"),
        (lambda: MAGIG(total, handed_on, handed_on).attribute(X, n_steps="auto"), ValueError, "finds each point"),
        (lambda: EIG(total, handed_on, handed_on, multiply_by_inputs=False), ValueError, "multiply_by_inputs=True"),
    ],
)
def test_mistakes(run, error, message):
    with pytest.raises(error, match=message):
        run()


def test_a_decoder_that_is_not_finite_is_reported(net, images):
    with pytest.warns(RuntimeWarning, match="not finite"):
        EIG(net, lambda x: x * 1, lambda z: z / 0).attribute(images, target=1, n_steps=3)


def test_the_pca_coder_explains_images_of_its_kind(net):
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(5, 90, dtype=torch.float64, generator=generator)
    data = (torch.randn(60, 5, dtype=torch.float64, generator=generator) @ factors + 3).reshape(60, 3, 6, 5)
    pca = fit_pca(data, 5)
    close(pca.decode(pca.encode(data)), data, 1e-10)  # the coder loses nothing, so the path is the straight line
    got = EIG(net, pca.encode, pca.decode).attribute(data[:3], data[3:6], 1, n_steps=5)
    close(got, IntegratedGradients(net).attribute(data[:3], data[3:6], 1, n_steps=5), 1e-9)
