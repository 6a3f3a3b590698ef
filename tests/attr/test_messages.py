"""Errors in the user's terms: the batch, the dtype, the shape, the kind of model, the part in the wrong position."""

from types import SimpleNamespace

import pytest
import torch

from captum_ext.attr import IDGI, PGIG, IntegratedGradients, LayerIDGI, LayerPathAttribution, NeuronPathAttribution
from captum_ext.paths import BlurPath
from captum_ext.patterns import fit_patterns, signal_quality
from captum_ext.quadratures import ImportantDirection

X = torch.rand(4, 5)


def linear(*sizes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(*sizes), torch.nn.Softplus())


def explain(model, inputs=X, target=0, **keywords):
    return IntegratedGradients(model).attribute(inputs, target=target, **keywords)


def test_rows_are_those_of_the_users_batch():
    with pytest.raises(ValueError, match=r"The 24 rows are your batch of 4, at 6 points each\."):
        explain(lambda x: x.sum(), target=None, n_steps=6)
    with pytest.raises(ValueError, match=r"The 2 rows are 2 examples of your batch of 4, at 1 point each\."):
        explain(linear(5, 3), target=None, n_steps=6, internal_batch_size=2)


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (linear(5, 3), X.double(), r"expected the model's dtype torch.float32, got torch.float64. Write inputs.to\("),
        (linear(5, 3).double(), X, "expected the model's dtype torch.float64, got torch.float32"),
        (torch.nn.Sequential(torch.nn.Conv1d(1, 2, 2), torch.nn.Flatten()), X.double()[:, None], "model's dtype"),
        (linear(5, 3), X[0], r"each number is an example.*write inputs.unsqueeze\(0\)"),
        (
            torch.nn.Sequential(torch.nn.Embedding(9, 2), torch.nn.Flatten()),
            torch.ones(4, 5, dtype=torch.long),
            r"LayerIntegratedGradients\(model, model.embedding\)",
        ),
        (lambda x: torch.as_tensor(x.numpy()), X, "forward_func: converts tensors to NumPy, as predict_proba does"),
        (
            lambda x: {"loss": x.sum(), "logits": x},
            X,
            r"dict with the keys loss, logits. Choose one, as in lambda x: model\(x\)\['logits'\]",
        ),
        (lambda x: (x, x), X, r"tuple of 2 values. Choose one, as in lambda x: model\(x\)\[0\]"),
    ],
)
def test_what_the_model_can_not_take_or_return(model, inputs, message):
    with pytest.raises((TypeError, ValueError), match=message):
        explain(model, inputs)


def test_other_errors_of_models_stay_as_they_are():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        explain(linear(6, 3))


def test_estimators_of_scikit_learn():
    with pytest.raises(TypeError, match="SimpleNamespace, whose predict_proba has no gradient"):
        IDGI(SimpleNamespace(predict_proba=len))


@pytest.mark.parametrize("name", ["tol", "max_steps"])
def test_settings_of_automatic_steps(name):
    with pytest.raises(
        ValueError, match=f"{name}: has an effect with n_steps='auto' only, got {name}=2 and n_steps=50"
    ):
        explain(linear(5, 3), **{name: 2})
    with pytest.raises(ValueError, match="has an effect with n_steps='auto' only"):
        LayerIDGI(model := linear(5, 3), model[0]).attribute(X, target=0, **{name: 2})
    explain(linear(5, 3), n_steps="auto", **{name: 9})


@pytest.mark.parametrize("baselines", [[0, 1], torch.rand(3, 5)])
def test_several_baselines(baselines):
    with pytest.raises((TypeError, ValueError), match=r"write captum_ext.attr.Expected\(method, baselines\)"):
        explain(linear(5, 3), baselines=baselines)


@pytest.mark.parametrize("method", [LayerPathAttribution, NeuronPathAttribution, LayerIDGI])
@pytest.mark.parametrize(
    ("part", "name"), [(BlurPath(), "path=BlurPath"), (ImportantDirection(), "quadrature=ImportantDirection")]
)
def test_a_part_where_device_ids_stand(method, part, name):
    model = linear(5, 3)
    with pytest.raises(TypeError, match=f"device_ids: expected a list of integers or None.*Write {name}"):
        method(model, model[0], part)
    method(model, model[0], [0])


def test_signal_quality_with_swapped_arguments():
    model = linear(4, 3)
    data = torch.randn(50, 4)
    with pytest.raises(TypeError, match="expected model, patterns, loader in this order, got Sequential, list, Patt"):
        signal_quality(model, [data], fit_patterns(model, [data]))


def test_signal_quality_keeps_what_fits_into_memory(monkeypatch):
    model = linear(4, 3)
    data = torch.randn(6000, 4)
    patterns = fit_patterns(model, [data])
    monkeypatch.setattr("captum_ext.patterns.quality._MEMORY", 3000 * 4 * 4)
    with pytest.warns(UserWarning, match=r"20,000 samples of 1 layers would take 0.0 GB, so 3,000 are kept"):
        fewer = signal_quality(model, patterns, [data])
    assert torch.equal(fewer.rho["0"]["pattern"], signal_quality(model, patterns, [data], 3000).rho["0"]["pattern"])


def test_patterns_of_few_samples(recwarn):
    model = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    with pytest.warns(UserWarning, match=r"patterns of 1 of 2 layers: '0' has 7 samples for 8 weights per unit"):
        fit_patterns(model, [torch.randn(7, 8)])
    recwarn.clear()
    fit_patterns(model, [torch.randn(8, 8)])
    assert not [warning for warning in recwarn if "Too few samples" in str(warning.message)]


def test_folded_patterns_come_with_their_model():
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    model(torch.randn(90, 4))
    x = torch.randn(60, 4)
    patterns = fit_patterns(model.eval(), [x], fold=True)
    torch.testing.assert_close(patterns.folded_model(x), model(x))
    PGIG(patterns.folded_model, patterns).attribute(x, target=1)
    assert patterns.to(dtype=torch.float64).folded_model is patterns.folded_model
    with pytest.raises(ValueError, match=r"Explain patterns.folded_model, or captum_ext.patterns.fold_batch_norm"):
        PGIG(model, patterns).attribute(x, target=1)
    assert fit_patterns(torch.nn.Sequential(torch.nn.Linear(4, 2)), [x], fold=True).folded_model is None


def test_several_baselines_of_one_input_name_expected() -> None:
    method = IDGI(torch.nn.Linear(3, 2))
    for baselines in ((0, 1), [0, 1]):
        with pytest.raises((TypeError, ValueError), match=r"Expected\(method, baselines\)"):
            method.attribute(torch.rand(2, 3), baselines, target=0)


@pytest.mark.parametrize("target", [7, (7,), [0, 1, 7, 2], torch.tensor([0, 1, 7, 2]), [(0,), (1,), (7,), (2,)]])
def test_target_out_of_range_names_the_classes(target) -> None:
    model = linear(5, 3)
    for method in (IDGI(model), LayerIDGI(model, model[0])):
        with pytest.raises(ValueError, match=r"target 7 is out of range for a model with 3 outputs \(classes 0 to 2\)"):
            method.attribute(X, target=target)
