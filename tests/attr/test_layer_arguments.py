"""Additional arguments and inputs of layer methods: which rows of them go with which examples, and what has none."""

import warnings

import captum.attr
import pytest
import torch
from torch import nn

from captum_ext.attr import LayerGuidedIG, LayerIDGI, LayerIntegratedGradients
from tests.helpers import close, normal

STEPS = 6
LAYER_METHODS = [LayerIntegratedGradients, LayerIDGI, LayerGuidedIG]


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(4, 4).double()


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# Tensors that happen to be as long as the batch -------------------------------------------------------------------

SHARED = {  # uses of a table (B, 4) that all examples share
    "sum": lambda h, table: h + table.sum(0),
    "mean of squares": lambda h, table: h * (table**2).mean(0),
    "largest": lambda h, table: h * table.amax(0),
    "product": lambda h, table: torch.tanh(h @ table.T).sum(1, keepdim=True) * h,
    "lookup": lambda h, table: h * table[(h.detach() > 0).sum(1).clamp(max=len(table) - 1)],
    "attention": lambda h, table: h + (h @ table.T).softmax(1) @ table,
}
OWN = {  # uses of one row per example
    "product": lambda h, own: h * own,
    "sum": lambda h, own: h + own.sum(1, keepdim=True),
    "attention": lambda h, own: h * (h * own).sum(1, keepdim=True).tanh(),
}


def score(h):
    return torch.stack([h.tanh().sum(1), (h**2).sum(1)], 1)


@pytest.mark.parametrize("cap", [None, 2, 3, 5, 6, 9, 12])
@pytest.mark.parametrize("use", SHARED)
@pytest.mark.parametrize("examples", [1, 2, 5])
@pytest.mark.parametrize("method", LAYER_METHODS)
def test_a_shared_table_with_as_many_rows_as_there_are_examples(layer, method, examples, use, cap):
    x, table = normal(examples, 4), normal(examples, 4, seed=1)
    arguments = {"target": 1, "n_steps": STEPS, "internal_batch_size": cap}
    expected = method(lambda x: score(SHARED[use](layer(x), table)), layer).attribute(x, **arguments)
    explain = method(lambda x, table: score(SHARED[use](layer(x), table)), layer).attribute
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        close(explain(x, additional_forward_args=table, **arguments), expected)
    if cap is None or cap >= examples:
        assert not caught  # the pass with all examples shows what is right
    for warning in caught:
        assert f"additional_forward_args[0] has as many rows as there are examples, {examples}" in str(warning.message)


def test_slices_in_single_rows_are_told_from_a_shared_table(layer):
    x, table = normal(5, 4), normal(5, 4, seed=1)
    explain = LayerIDGI(lambda x, table: score(layer(x) + table.sum(0)), layer).attribute
    with pytest.warns(UserWarning, match=r"additional_forward_args\[0\] has as many rows.*takes it whole"):
        got = explain(x, target=1, n_steps=STEPS, additional_forward_args=table, internal_batch_size=1)
    close(got, explain(x, target=1, n_steps=STEPS, additional_forward_args=table, internal_batch_size=5))


@pytest.mark.parametrize("cap", [None, 1, 2, 3, 5, 9, 12])
@pytest.mark.parametrize("use", OWN)
@pytest.mark.parametrize("examples", [1, 5])
@pytest.mark.parametrize("method", LAYER_METHODS)
def test_one_row_per_example_next_to_a_shared_table(layer, method, examples, use, cap):
    x, own, table = normal(examples, 4), normal(examples, 4, seed=2), normal(examples, 4, seed=1)

    def model(x, own, table):
        return score(OWN[use](layer(x), own) + 0.1 * table.sum(0))

    arguments = {"target": 1, "n_steps": STEPS}
    expected = torch.cat(
        [
            method(lambda x, k=k: model(x, own[[k]].expand(len(x), -1), table), layer).attribute(x[[k]], **arguments)
            for k in range(examples)
        ]
    )
    got = method(lambda x, own: model(x, own, table), layer).attribute(
        x, additional_forward_args=own, internal_batch_size=cap, **arguments
    )
    close(got, expected)
    with warnings.catch_warnings():
        warnings.filterwarnings("default" if cap is None or cap >= examples else "ignore", "additional_forward_args")
        got = method(model, layer).attribute(
            x, additional_forward_args=(own, table), internal_batch_size=cap, **arguments
        )
    close(got, expected)


def test_a_pass_that_no_choice_explains_is_named(layer):
    """The output of each example depends on how many there are."""
    model = lambda x, own: score(layer(x) * own * len(x))  # noqa: E731
    with pytest.warns(UserWarning, match=r"changes if a pass holds other rows.*additional_forward_args\[0\]"):
        LayerIDGI(model, layer).attribute(normal(3, 4), target=1, additional_forward_args=normal(3, 4, seed=1))


def test_what_the_user_gave_is_not_written_to(layer):
    def model(x, own, table):
        return score(layer(x) * own.mul_(2) + table.abs_().sum(0))

    x, own, table = normal(3, 4), normal(3, 4, seed=1), normal(3, 4, seed=2)
    kept, kept_table = own.clone(), table.clone()
    for cap in (None, 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            LayerIDGI(model, layer).attribute(
                x, target=1, additional_forward_args=(own, table), internal_batch_size=cap
            )
        assert torch.equal(own, kept)
        assert torch.equal(table, kept_table)


def test_no_more_passes_without_additional_tensors_and_few_with_them(layer):
    calls = []

    def model(x, own=None):
        calls.append(len(x))
        return score(layer(x) if own is None else layer(x) * own)

    explain = LayerIDGI(model, layer).attribute
    explain(normal(3, 4), target=1, n_steps=50)
    assert sum(calls) == 3 + 3 + 3 * 51
    calls.clear()
    explain(normal(3, 4), target=1, n_steps=50, additional_forward_args=normal(3, 4))
    assert sum(calls) == 3 + 3 + 3 * 51 + 2 * 3
    calls.clear()
    explain(normal(6, 4), target=1, n_steps=50, additional_forward_args=normal(6, 4), internal_batch_size=3)
    assert sum(calls) == 6 + 6 + 6 * 51 + 6 + 3


def test_initial_states_of_recurrent_networks():
    lstm = nn.LSTM(4, 6, num_layers=2, batch_first=True).double()

    def model(x, h, c):
        return lstm(x, (h, c))[0][:, -1]

    for examples in (1, 2, 5):
        x, h, c = normal(examples, 7, 4), normal(2, examples, 6, seed=1), normal(2, examples, 6, seed=2)
        method, arguments = LayerIntegratedGradients(model, lstm), {"target": 1, "n_steps": STEPS}
        got = method.attribute(x, additional_forward_args=(h, c), internal_batch_size=examples, **arguments)
        turned = LayerIntegratedGradients(
            lambda x, h, c: model(x, h.transpose(0, 1).contiguous(), c.transpose(0, 1).contiguous()), lstm
        )
        states = (h.transpose(0, 1), c.transpose(0, 1))
        close(turned.attribute(x, additional_forward_args=states, **arguments), got)
        with pytest.raises(ValueError, match=r"fails in passes with other rows.*put them first: give state.transpose"):
            method.attribute(x, additional_forward_args=(h, c), **arguments)


# Inputs that only the model sees ----------------------------------------------------------------------------------


def test_inputs_may_hold_what_the_model_takes(layer):
    x, mask = normal(3, 4), torch.zeros(3, 4).double()
    x[0, 1], mask[1, 2] = float("nan"), -float("inf")

    def model(x, mask):
        return score(layer(x.nan_to_num(0.5)) * mask.exp())

    arguments = {"target": 1, "n_steps": STEPS, "baselines": (0.0, mask)}
    got = LayerIDGI(model, layer).attribute((x, mask), **arguments)
    expected = LayerIDGI(lambda x: model(x, mask), layer).attribute(
        x.nan_to_num(0.5), target=1, n_steps=STEPS, internal_batch_size=3
    )
    close(got, expected)
    with pytest.warns(RuntimeWarning, match=r"examples \[0\] are not finite"):
        LayerIDGI(lambda x: score(layer(x)), layer).attribute(x, target=1, n_steps=STEPS)


class Bags(nn.Module):
    def __init__(self, mode):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = nn.EmbeddingBag(20, 5, mode=mode), nn.Linear(5, 3)
        self.double()

    def forward(self, ids, offsets, scale=None):
        hidden = self.embedding(ids, offsets)
        return torch.tanh(self.head(hidden if scale is None else hidden * scale))


IDS, OFFSETS = torch.arange(9) * 7 % 20, torch.tensor([0, 4, 6])


@pytest.mark.parametrize("cap", [None, 1, 2, 3, 4, 7, 9])
@pytest.mark.parametrize("target", [1, [0, 1, 2]])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_ids_with_offsets(mode, target, cap):
    model = Bags(mode)
    theirs = captum.attr.LayerIntegratedGradients(model, model.embedding)
    ours = LayerIntegratedGradients(model, model.embedding)
    arguments = {"target": target, "n_steps": STEPS, "internal_batch_size": cap}
    expected = theirs.attribute(IDS, additional_forward_args=OFFSETS, target=target, n_steps=STEPS)
    close(ours.attribute(IDS, additional_forward_args=OFFSETS, **arguments), expected, 1e-7)
    starts = {"baselines": (0, OFFSETS)}
    close(ours.attribute((IDS, OFFSETS), **starts, **arguments), expected, 1e-7)
    # A tensor with one row per bag goes with the bags.
    scale = normal(3, 1, seed=3)
    expected = torch.cat(
        [
            captum.attr.LayerIntegratedGradients(
                lambda ids, offsets, k=k: model(ids, offsets, scale[k]), model.embedding
            ).attribute(IDS, additional_forward_args=OFFSETS, target=target, n_steps=STEPS)[[k]]
            for k in range(3)
        ]
    )
    close(ours.attribute(IDS, additional_forward_args=(OFFSETS, scale), **arguments), expected, 1e-7)


def test_bags_of_many_ids_and_idgi():
    model = Bags("sum")
    ids, offsets = torch.arange(3000) % 20, torch.arange(0, 3000, 1500)
    attributions, delta = LayerIDGI(model, model.embedding).attribute(
        ids, target=1, additional_forward_args=offsets, return_convergence_delta=True
    )
    assert attributions.shape == (2, 5)
    close(delta, torch.zeros(2).double(), 1e-8)
    alone = LayerIDGI(model, model.embedding).attribute(ids[:1500], target=1, additional_forward_args=torch.tensor([0]))
    close(attributions[:1], alone)


@pytest.mark.parametrize("cap", [None, 1, 4, 9, 20])
def test_as_many_bags_as_ids(cap):
    model = Bags("sum")
    offsets = torch.tensor([0, 0, 1, 2, 4, 5, 6, 8, 9])
    expected = captum.attr.LayerIntegratedGradients(model, model.embedding).attribute(
        IDS, target=1, additional_forward_args=offsets, n_steps=STEPS
    )
    got = LayerIntegratedGradients(model, model.embedding).attribute(
        IDS, target=1, additional_forward_args=offsets, n_steps=STEPS, internal_batch_size=cap
    )
    close(got, expected, 1e-7)


def test_rows_that_neither_layer_nor_output_has():
    model = Bags("sum")
    with pytest.raises(ValueError, match=r"as many examples in every tensor of the tuple, got \[9, 3\]"):
        LayerIDGI(lambda ids, offsets: model(ids, offsets).sum(0)[None], model.embedding).attribute(
            (IDS, OFFSETS), target=1
        )
    with pytest.raises(ValueError, match="target: expected one index for each of 3 examples, got a list of 9"):
        LayerIDGI(model, model.embedding).attribute(IDS, target=[0] * 9, additional_forward_args=OFFSETS)
