"""compare: any kind of input, the numbers of the metrics by hand, and what does not fit."""

import captum.attr
import numpy as np
import pytest
import torch

from captum_ext import metrics
from captum_ext.attr import IDGI, BlurIG, IntegratedGradients
from captum_ext.evaluation import compare

SHAPES = {"table": (12, 6), "sequence": (12, 2, 10), "images": (12, 3, 9, 9)}


def network(shape):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        size = int(np.prod(shape[1:]))
        net = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(size, 16), torch.nn.Softplus(), torch.nn.Linear(16, 3)
        ).eval()
        return (lambda x: net(x).softmax(1)), torch.randn(shape)


@pytest.mark.parametrize("kind", SHAPES)
def test_scores_are_those_of_the_metrics_by_hand(kind):
    f, x = network(SHAPES[kind])
    target = f(x).argmax(1)
    own = {"ig": {"n_steps": 7, "method": "riemann_trapezoid"}}
    methods = {"ig": IntegratedGradients(f), "captums": captum.attr.IntegratedGradients(f)}
    result = compare(methods, f, x, target, baselines=0.5, arguments=own)
    maps = methods["ig"].attribute(x, 0.5, target, **own["ig"])
    values = result.examples.set_index(["method", "score"]).value
    area = metrics.insertion(f, x, maps, target, 0.5, ranking="absolute").area
    np.testing.assert_allclose(values["ig", "insertion (absolute)"], area, rtol=1e-6)
    delta = maps.flatten(1).sum(1) - (f(x) - f(torch.full_like(x, 0.5))).gather(1, target[:, None])[:, 0]
    change = maps.flatten(1).sum(1) - delta
    np.testing.assert_allclose(values["ig", "completeness"], (delta / change).abs().detach(), rtol=1e-3, atol=1e-5)
    row = result.frame.set_index(["method", "score"]).loc[("ig", "insertion (absolute)")]
    assert row.value == pytest.approx(area.mean().item(), rel=1e-6)
    assert row.low < row.value < row.high
    assert (row.n, row.better) == (12, "higher")
    by_hand = metrics.deletion(f, x, methods["captums"].attribute(x, 0.5, target), target, 0.5).area
    np.testing.assert_allclose(values["captums", "deletion (signed)"], by_hand, rtol=1e-5)
    assert len(result.frame) == 2 * 5


def test_differences_are_paired():
    f, x = network(SHAPES["table"])
    result = compare({"a": IntegratedGradients(f), "b": IDGI(f)}, f, x, 0, metrics=["insertion:signed", "diffid"])
    a, b = (result.examples[result.examples.method == name].set_index(["score", "example"]).value for name in "ab")
    difference = result.difference("diffid (signed)", "a", "b")
    assert difference.value == pytest.approx((a - b)["diffid (signed)"].mean())
    with pytest.raises(ValueError, match="expected a score and two methods"):
        result.difference("diffid (signed)", "a", "c")
    assert repr(result) == repr(result.frame)
    assert len(result.plot().axes) == 2


def test_images_have_further_metrics():
    f, x = network(SHAPES["images"])
    result = compare({"blur": BlurIG(f, max_sigma=2.0)}, f, x, 0, metrics=["road", "degradation", "completeness"])
    assert set(result.frame.score) == {"road (signed)", "degradation (signed)", "completeness"}
    assert result.frame.set_index("score").value["completeness"] < 0.05  # from the blurred image, not from 0


def test_wrappers_get_what_the_method_inside_takes():
    f, x = network(SHAPES["table"])
    methods = {
        "tunnel": captum.attr.NoiseTunnel(captum.attr.IntegratedGradients(f)),
        "saliency": captum.attr.NoiseTunnel(captum.attr.Saliency(f)),
    }
    own = {name: {"nt_samples": 2, "stdevs": 0.0} for name in methods}
    result = compare(methods, f, x, 0, metrics=["insertion:signed"], baselines=0.5, arguments=own)
    ig = compare({"ig": captum.attr.IntegratedGradients(f)}, f, x, 0, metrics=["insertion:signed"], baselines=0.5)
    assert result.frame.value[0] == pytest.approx(ig.frame.value[0], rel=1e-5)
    with pytest.raises(TypeError, match="n_step"):
        compare({"ig": IntegratedGradients(f)}, f, x, 0, arguments={"ig": {"n_step": 3}})


def test_functions_of_the_users():
    f, x = network(SHAPES["table"])

    def largest(forward_func, inputs, attributions, target):
        assert forward_func is f
        return attributions.abs().amax(1)

    result = compare({"ig": IntegratedGradients(f)}, f, x, 1, metrics={"largest": largest})
    own = IntegratedGradients(f).attribute(x, 0, 1).abs().amax(1)
    assert result.frame.value.tolist() == [pytest.approx(own.mean().item(), rel=1e-5)]
    with pytest.raises(ValueError, match=r"'whole' to return one value per example, \(12,\), got shape \(\)"):
        compare({"ig": IntegratedGradients(f)}, f, x, 1, metrics={"whole": lambda *arguments: 1.0})


def test_a_map_with_nan_is_left_out_of_all_scores():
    f, x = network(SHAPES["table"])

    class Broken(IntegratedGradients):
        def attribute(self, *arguments, **keywords):
            maps, delta = super().attribute(*arguments, **keywords)
            maps[3, 1] = torch.nan
            return maps, delta

    with pytest.warns(RuntimeWarning, match=r"broken: NaN or infinity in the maps of examples \[3\]"):
        result = compare({"broken": Broken(f), "ig": IntegratedGradients(f)}, f, x, 1)
    assert set(result.frame[result.frame.method == "broken"].n) == {11}
    assert set(result.frame[result.frame.method == "ig"].n) == {12}
    assert result.difference("insertion (signed)", "broken", "ig").value == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["road"]}, r"expected some of insertion, deletion, diffid, completeness for inputs of shape"),
        ({"metrics": ["insertoin"]}, "Did you mean insertion"),
        ({"metrics": "insertion"}, r"Write \['insertion'\]"),
        ({"methods": {"ig": IntegratedGradients}}, "got the class IntegratedGradients"),
        ({"methods": {}}, "expected attribution objects by name"),
        ({"inputs": torch.rand(4)}, r"expected \(B, F\)"),
        ({"inputs": (torch.rand(4, 2),)}, "expected one tensor, got tuple"),
        ({"arguments": {"idgi": {}}}, "expected names of methods"),
    ],
)
def test_mistakes(change, message):
    f, x = network(SHAPES["table"])
    arguments = {"methods": {"ig": IntegratedGradients(f)}, "forward_func": f, "inputs": x, "target": 0, **change}
    with pytest.raises((TypeError, ValueError), match=message):
        compare(**arguments)
