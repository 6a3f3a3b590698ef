"""The evidence's experiments on tiny networks, against closed forms."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from captum_ext.attr import PathAttribution
from captum_ext.paths import GuidedPath, StraightPath
from captum_ext.patterns import fit_patterns
from captum_ext.quadratures import ImportantDirection, WeightedSum
from evidence import models
from evidence.experiments import blur_path, common, guided_instability, invariance, randomization, toy, twins
from evidence.mnist import untrained


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)).double().eval()


def normal(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class TestToy:
    def test_maps_are_those_worked_out_by_hand(self):
        (z, x), maps = toy.data(), toy.explained()
        np.random.seed(42)  # as the paper's code has it
        np.testing.assert_array_equal(x[:, 1], np.random.normal(0, 0.3, 400))
        # The gate is open where alpha z < 1, and each factor of the chain is the same wherever it is open.
        alphas = torch.arange(1, 101, dtype=torch.float64) / 100
        is_open = (1 - alphas * (x[:, :1] - x[:, 1:]) > 0).double().mean(1, keepdim=True)
        torch.testing.assert_close(maps["ig"], x * is_open * torch.tensor([[1.0, -1.0]]))
        for mean in ("preactivation", "rectified"):
            weighted = fit_patterns(toy.network(), [x], mean=mean)["0"] * torch.tensor([[-1.0, 1.0]])
            torch.testing.assert_close(maps[f"pgig:{mean}"], x * is_open * weighted)
            y = 1 - (1 - z.unsqueeze(1)).clamp(min=0)
            torch.testing.assert_close(maps[f"patternattribution:{mean}"], y * (z < 1).unsqueeze(1) * weighted)

    def test_file(self, tmp_path):
        toy.main(["--results", str(tmp_path)])
        rows = pd.read_csv(tmp_path / "toy.csv")
        np.testing.assert_allclose(rows["ig:signal"], toy.explained()["ig"][:, 0], rtol=1e-3)
        assert json.loads((tmp_path / "toy.settings.json").read_text())["steps"] == toy.STEPS


class TestTwins:
    def test_all_compute_the_same_by_other_weights(self):
        model, x = untrained().double().eval(), 2 * torch.rand(6, 1, 28, 28, dtype=torch.float64) - 1
        before = [parameter.clone() for parameter in model.parameters()]
        for twin in invariance.mnist_twins(model, x):
            with torch.no_grad():
                torch.testing.assert_close(twin.model(x), model(x), atol=1e-12, rtol=1e-12)
            after = list(twin.model.parameters())
            assert len(after) != len(before) or not all(map(torch.equal, after, before)), twin.difference
        assert all(map(torch.equal, model.parameters(), before))
        toys = list(invariance.toy_twins(toy.network()))
        for twin in toys:
            torch.testing.assert_close(twin.model(toy.data()[1]), toy.network()(toy.data()[1]))

    @pytest.mark.filterwarnings("ignore:BatchNorm that can't be folded")
    def test_what_is_invariant(self):
        """Rescaling leaves w * a alone, and so do copies that share a unit's way on; a map of two layers' does not."""
        model, x = small(), normal(300, 4) + 0.5
        units = torch.tensor([1, 5, 7])  # which fire
        scene = invariance.Scene([f"x{k}" for k in range(5)], x[:5], 1, x, softmax=True)
        basis = torch.linalg.qr(normal(4, 4, seed=2)).Q
        cases = [
            invariance.Twin("rescaled", twins.rescaled(model, 0, torch.tensor([0.1, 10, 1, 2, 3, 4, 5, 6]))),
            invariance.Twin("split", twins.split(model, 0, units)),
            invariance.Twin("identity after", twins.with_identity(model, 2, 8)),
            invariance.Twin("factorised", twins.factorised(model, 0, basis)),
            invariance.Twin("identity before", twins.with_identity(model, 1, 8)),
            invariance.Twin("shift", twins.normalised(model, 2, torch.ones(8), torch.ones(8))),
        ]
        rows = list(invariance.compared("small", model, iter(cases), scene))
        largest = {(r["twin"], r["method"]): 0.0 for r in rows}
        for row in rows:
            key = row["twin"], row["method"]
            largest[key] = max(largest[key], row["relative_l2"])
        for twin in ("rescaled", "split", "identity after"):
            assert max(largest[twin, method] for method in ("ig", "patternattribution", "pgig")) < 1e-12, twin
        for twin in ("factorised", "identity before", "shift"):
            assert largest[twin, "ig"] < 1e-12
            assert min(largest[twin, method] for method in ("patternattribution", "pgig")) > 1e-3, twin
        assert largest["rescaled", "patternnet"] < 1e-12
        assert largest["split", "patternnet"] > 1e-3

    def test_patternnet_counts_a_unit_twice_that_is_split(self):
        model, x = small(), normal(300, 4)
        scene = invariance.Scene(["a", "b"], x[:2], 0, x, softmax=False)
        whole = [invariance.Twin("split", twins.split(model, 0, torch.arange(8)))]
        rows = list(invariance.compared("small", model, iter(whole), scene))
        assert [row["relative_l2"] for row in rows if row["method"] == "patternnet"] == pytest.approx([1, 1])

    def test_a_shift_moves_the_positive_pattern(self):
        """a = n / w.n with n = E+[x y] - E+[x] E[y]; at x - m it is n - m (E+[y] - E[y]), over the same with w."""
        model, x, m = nn.Sequential(nn.Linear(4, 1), nn.ReLU()).double(), normal(500, 4), torch.arange(4.0).double()
        twin = twins.normalised(model, 0, m, torch.ones(4))
        w, b = model[0].weight.detach()[0], model[0].bias.detach()
        y = x @ w + b
        fires = y > 0
        n = (x[fires] * y[fires, None]).mean(0) - x[fires].mean(0) * y.mean() - m * (y[fires].mean() - y.mean())
        with pytest.warns(UserWarning, match="can't be folded"):
            torch.testing.assert_close(fit_patterns(twin, [x])["1"][0], n / (w @ n))


class TestRandomization:
    def test_shuffled_keeps_the_entries(self):
        model = small()
        for only_last in (True, False):
            other = randomization.shuffled(model, only_last)
            same = [torch.equal(model[at].weight, other[at].weight) for at in (0, 2, 4)]
            assert same == [only_last, only_last, False]
            for a, b in zip(model.parameters(), other.parameters(), strict=True):
                assert torch.equal(a.flatten().sort().values, b.flatten().sort().values)

    def test_patterns_kept_and_anew(self):
        model, x = small(), normal(200, 4)
        patterns = fit_patterns(model, [x])
        fits = randomization.fits_of(patterns, [x])
        other = randomization.shuffled(model, only_last=False)
        expected = fit_patterns(other, [x])
        for name, pattern in patterns.items():
            assert torch.equal(fits["kept"](other)[name], pattern)
            assert torch.equal(fits["anew"](model)[name], pattern)
            assert torch.equal(fits["anew"](other)[name], expected[name])
        assert not torch.equal(expected["0"], patterns["0"])

    def test_both_rankings_of_each_methods_cascade(self):
        torch.manual_seed(0)
        model, x = small().float(), torch.randn(3, 4)
        fits = randomization.fits_of(fit_patterns(model, [torch.randn(99, 4)]), [torch.randn(99, 4)])
        target = torch.tensor([0, 1, 2])
        found = randomization.methods(x, torch.zeros_like(x), target, 4, fits)
        assert list(found) == [
            *("gradient:", "ig:", "idgi:", "guided-backprop:"),
            *("patternattribution:kept", "pgig:kept", "patternattribution:anew", "pgig:anew"),
        ]
        for name, explain in found.items():
            pair = randomization.both(explain, lambda e, ranking: randomization.model_randomization(e, model, ranking))
            rows = randomization.rows_of("small", name, ["a", "b", "c"], pair)
            assert [(row["layer"], row["image"]) for row in rows[:4]] == [
                ("4", "a"),
                ("4", "b"),
                ("4", "c"),
                ("2", "a"),
            ]
            for row in rows:  # of one value a position, where magnitudes rank otherwise than values
                assert -1 <= row["absolute"] <= 1
                assert -1 <= row["signed"] <= 1
            direct = randomization.model_randomization(explain, model, "signed")
            np.testing.assert_allclose([r["signed"] for r in rows], direct.similarity.flatten(), atol=5.1e-4)


class TestGuidedInstability:
    def test_noise_is_relative_and_normal(self):
        (ones, zeros) = guided_instability.noisy((2 * torch.ones(10**4), torch.zeros(3)), 0.1, torch.Generator())
        assert ones.mean().item() == pytest.approx(2, abs=0.01)
        assert ones.std().item() == pytest.approx(0.2, rel=0.05)
        assert not zeros.any()

    @pytest.mark.parametrize("path", [StraightPath(), GuidedPath()])
    def test_gradients_with_noise_move_the_map(self, path):
        model, x = small(), normal(2, 4)
        for rule in (WeightedSum("riemann_left"), ImportantDirection()):
            method = PathAttribution(lambda z: model(z).softmax(1), path, rule)
            clean = method.attribute(x, target=0, n_steps=5)
            guided_instability.add_noise(method, 0.1)
            assert 0.001 < common.relative_l2(clean, method.attribute(x, target=0, n_steps=5)).max() < 2

    def test_a_linear_function_moves_by_the_noise_only(self):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2), nn.LogSoftmax(1))
        x = torch.rand(2, 3, 8, 8)
        rows = guided_instability.compare(model, ["a", "b"], x, torch.zeros_like(x), torch.tensor([0, 1]), steps=4)
        methods = [*guided_instability.STRAIGHT, *guided_instability.GUIDED]
        assert {row["method"] for row in rows} == set(methods)
        assert len(rows) == 2 * len(methods) * (len(guided_instability.NOISES) + 3)
        for row in rows:
            kind, _, size = row["change"].partition(" ")
            if row["change"] == "repeated":
                assert row["relative_l2"] == 0
            elif kind == "noise" and row["method"] not in guided_instability.GUIDED:
                # IG averages the noise of its points, IDGI squares the gradient.
                assert 0.2 * float(size) < row["relative_l2"] < 3 * float(size)


class TestBlurPath:
    def test_shares_of_a_path_by_hand(self):
        path = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0], [3.0, 9.0]]).reshape(4, 1, 2)
        values = torch.tensor([0.0, 2.0, 1.0, 4.0]).reshape(4, 1)
        found = blur_path.shares(path, values, parts=3)
        expected = torch.tensor([[1 / 2, 1 / 3, 1 / 2], [0, 1 / 6, -1 / 4], [1 / 2, 1 / 2, 3 / 4]])
        torch.testing.assert_close(found[:, 0].float(), expected)

    def test_paths_go_from_start_to_image(self):
        x, black = torch.rand(2, 3, 12, 12), torch.zeros(1, 3, 12, 12)
        found = blur_path.points(x, black, steps=10)
        assert list(found) == ["straight", blur_path.JUMP, *blur_path.BLURS]
        assert torch.equal(found[blur_path.JUMP][9], black.expand_as(x))
        for path in found.values():
            torch.testing.assert_close(path[-1], x)
        torch.testing.assert_close(found["straight"][0], black.expand_as(x))
        assert found["blur, reflected border"][0].std() < 0.1 < x.std()
        shares = blur_path.shares(found["straight"], found["straight"].mean((2, 3, 4)))
        torch.testing.assert_close(shares, torch.full_like(shares, 0.1), atol=1e-5, rtol=0)

    def test_values_are_the_targets_probabilities(self):
        model, path, target = small(), normal(3, 2, 4), torch.tensor([2, 0])
        expected = [[model(x).softmax(1)[k, t].item() for k, t in enumerate([2, 0])] for x in path]
        np.testing.assert_allclose(blur_path.values(model, path, target), expected)


def test_common(tmp_path):
    assert models.spread(list("abcdef"), 3) == ["a", "c", "e"]
    with pytest.raises(ValueError, match="count"):
        models.spread([1], 2)
    maps, others = torch.tensor([[3.0, 4.0, 0.0]]), torch.tensor([[0.0, 4.0, 4.0]])
    (row,) = common.comparison(["a"], maps, others, method="m")
    assert row == {"image": "a", "method": "m", "relative_l2": 1.0, "spearman": -0.0} | {"spearman": row["spearman"]}
    assert row["spearman"] == pytest.approx(np.corrcoef([2, 3, 1], [1, 2.5, 2.5])[0, 1], abs=1e-4)
    common.write(tmp_path, "x", [row], {"steps": 3})
    assert pd.read_csv(tmp_path / "x.csv").to_dict("records") == [row]
    assert json.loads((tmp_path / "x.settings.json").read_text())["rows"] == 1
