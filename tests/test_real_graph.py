"""PyG's explainer and its models, with this library's methods."""

import captum.attr
import pytest
import torch
from torch import nn
from torch_geometric.explain import CaptumExplainer, Explainer
from torch_geometric.nn import GCNConv, global_mean_pool, to_captum_model

from captum_ext.attr import (
    IDGI,
    GuidedIG,
    IntegratedGradients,
    LayerIDGI,
    LayerIntegratedGradients,
    NeuronIntegratedGradients,
    SharedArgument,
)

STEPS = 12


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = GCNConv(5, 8), GCNConv(8, 3)

    def forward(self, x, edge_index, batch=None):
        hidden = self.last(torch.tanh(self.first(x, edge_index)), edge_index)
        return (hidden if batch is None else global_mean_pool(hidden, batch)).softmax(1)


@pytest.fixture
def graph():
    """Nodes (6, 5) and edges (2, 14), in float64."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.tensor([[0, 1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0, 3]])
    return torch.randn(6, 5, generator=generator).double(), torch.cat([edges, edges.flip(0)], 1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GCN().double().eval()


@pytest.mark.parametrize("masks", [{"node_mask_type": "attributes"}, {"edge_mask_type": "object"}, "both"])
@pytest.mark.parametrize("level", ["node", "graph"])
def test_captum_explainer(model, graph, masks, level):
    masks = {"node_mask_type": "attributes", "edge_mask_type": "object"} if masks == "both" else masks
    config = {"mode": "multiclass_classification", "task_level": level, "return_type": "probs"}
    arguments = {"index": 2} if level == "node" else {"batch": torch.zeros(6, dtype=torch.long)}

    def explain(method):
        algorithm = CaptumExplainer(method, n_steps=STEPS)
        explainer = Explainer(model, algorithm, explanation_type="model", model_config=config, **masks)
        return explainer(*graph, **arguments)

    got, expected = explain(IntegratedGradients), explain(captum.attr.IntegratedGradients)
    for name in ("node_mask", "edge_mask"):
        if name in expected:
            assert (expected[name] != 0).any()
            torch.testing.assert_close(got[name], expected[name], rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", [IntegratedGradients, IDGI, GuidedIG])
def test_other_methods_by_pygs_adapter(model, graph, method):
    """The recipe of docs/inputs.md."""
    x, edge_index = graph
    adapter = to_captum_model(model, mask_type="node", output_idx=2)
    got, delta = method(adapter).attribute(
        x.unsqueeze(0),
        target=1,
        additional_forward_args=edge_index,
        n_steps=STEPS,
        internal_batch_size=1,
        return_convergence_delta=True,
    )

    def bound(x):  # (B, 6, 5), one graph after the other
        return torch.stack([model(one, edge_index)[2] for one in x])

    expected, expected_delta = method(bound).attribute(
        x.unsqueeze(0), target=1, n_steps=STEPS, return_convergence_delta=True
    )
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(delta, expected_delta, rtol=0, atol=1e-12)


def test_layers_and_neurons(model, graph):
    x, edge_index = graph
    adapter = to_captum_model(model, mask_type="node", output_idx=2)
    # Examples are the nodes: a graph's layer has one row per node, and so has the model's output.
    arguments = {"target": 1, "n_steps": STEPS, "internal_batch_size": 6}
    got = LayerIntegratedGradients(model, model.first).attribute(x, additional_forward_args=edge_index, **arguments)
    expected = captum.attr.LayerIntegratedGradients(lambda x: model(x, edge_index), model.first)
    torch.testing.assert_close(got, expected.attribute(x, **arguments), rtol=0, atol=1e-7)
    complete = LayerIDGI(model, model.first).attribute(
        x, additional_forward_args=SharedArgument(edge_index), return_convergence_delta=True, **arguments
    )
    torch.testing.assert_close(complete[1], torch.zeros(6).double(), rtol=0, atol=1e-12)
    neuron = NeuronIntegratedGradients(adapter, model.first).attribute(
        x.unsqueeze(0),
        lambda hidden: hidden[2, 3].unsqueeze(0),
        additional_forward_args=edge_index,
        n_steps=STEPS,
        internal_batch_size=1,
    )
    expected = IntegratedGradients(lambda x: torch.stack([model.first(one, edge_index)[2, 3] for one in x]))
    torch.testing.assert_close(neuron, expected.attribute(x.unsqueeze(0), n_steps=STEPS), rtol=0, atol=1e-12)


def test_passes_of_other_rows_need_unrepeated(model, graph):
    x, edge_index = graph
    adapter = to_captum_model(model, mask_type="node", output_idx=2)
    with pytest.raises(ValueError, match=r"one row for each of 1 examples.*\(2, 14\).*internal_batch_size=1"):
        IntegratedGradients(adapter).attribute(x.unsqueeze(0), target=1, additional_forward_args=edge_index)
