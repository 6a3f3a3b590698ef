"""Buffers of every kind are as before, however the forward pass changes them, and no result is lost over them."""

import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from captum_ext._utils import buffers
from captum_ext._utils.buffers import BufferSnapshot, preserve_buffers
from captum_ext.attr import IDGI, IntegratedGradients

X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
LARGE = 50_000  # floats, above the size up to which buffers are copied at once


class Model(nn.Module):
    """A linear layer beside a buffer, which ``change`` does something to in each forward pass."""

    def __init__(self, buffer, change=lambda model: None):
        super().__init__()
        self.layer = nn.Linear(8, 2)
        self.register_buffer("buffer", buffer)
        self.change = change

    def forward(self, x):
        self.change(self)
        return self.layer(x)


def add_one(model):
    model.buffer.add_(1)


def add_one_to_data(model):  # does not raise the version counter
    model.buffer.data.add_(1)


def replace_data(model):
    model.buffer.data = model.buffer.data + 1


def assign(model):
    model.buffer = torch.ones(3) if model.buffer is None else model.buffer + 1


def grow(model):
    with torch.no_grad():
        model.buffer.resize_(len(model.buffer) + 1)


def write_by_numpy(model):
    model.buffer.numpy()[...] = 3


def square():
    return torch.eye(4) + torch.ones(4, 4).tril()


def nested(layout=torch.strided):
    return torch.nested.nested_tensor([torch.ones(2), torch.full((3,), 2.0)], layout=layout)


def same(one, other):
    """Equal bit by bit, with the same shape and layout."""
    if one is None or other is None:
        return one is other
    if one.is_nested:
        return all(same(part, like) for part, like in zip(one.unbind(), other.unbind(), strict=True))
    if one.layout in (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc, torch.sparse_coo):
        one, other = one.to_dense(), other.to_dense()
    alike = (one.shape, one.dtype, one.layout, one.stride()) == (other.shape, other.dtype, other.layout, other.stride())
    return alike and (one.is_meta or one.is_quantized or torch.equal(one.nan_to_num(7), other.nan_to_num(7)))


CASES = {
    "sparse COO, read": (lambda: square().to_sparse(), None),
    "sparse COO, scaled": (lambda: square().to_sparse(), lambda model: model.buffer.mul_(2)),
    "sparse COO, values written": (lambda: square().to_sparse(), lambda model: model.buffer._values().mul_(2)),
    "sparse COO, entries added": (lambda: torch.eye(4).to_sparse(), lambda m: m.buffer.add_(square().to_sparse())),
    "sparse CSR, read": (lambda: square().to_sparse_csr(), None),
    "sparse CSR, scaled": (lambda: square().to_sparse_csr(), lambda model: model.buffer.mul_(2)),
    "sparse CSC, scaled": (lambda: square().to_sparse_csc(), lambda model: model.buffer.mul_(2)),
    "sparse BSR, scaled": (lambda: square().to_sparse_bsr(2), lambda model: model.buffer.mul_(2)),
    "meta": (lambda: torch.ones(3, device="meta"), None),
    "meta, replaced": (lambda: torch.ones(3, device="meta"), assign),
    "nested": (nested, None),
    "nested, scaled": (nested, lambda model: model.buffer.mul_(2)),
    "nested, jagged": (lambda: nested(torch.jagged), None),
    "expanded NaN": (lambda: torch.tensor([float("nan")]).expand(5), None),
    "expanded, large": (lambda: torch.tensor([1.0]).expand(10**9), None),
    "NaN": (lambda: torch.tensor([float("nan"), 1.0]), add_one),
    "resized": (lambda: torch.ones(3), grow),
    "resized, large": (lambda: torch.ones(LARGE), grow),
    "None, assigned": (lambda: None, assign),
    "counter": (lambda: torch.zeros(()), add_one),
    "written through .data": (lambda: torch.ones(3), add_one_to_data),
    "given other data": (lambda: torch.ones(3), replace_data),
    "assigned": (lambda: torch.ones(3), assign),
    "integers": (lambda: torch.arange(5), add_one),
    "half precision": (lambda: torch.ones(5, dtype=torch.bfloat16), add_one),
    "flags": (lambda: torch.ones(3, dtype=torch.bool), lambda model: model.buffer.zero_()),
    "complex, conjugated": (lambda: torch.full((3,), 1 + 2j).conj(), add_one),
    "empty": (lambda: torch.zeros(0, 3), None),
    "large": (lambda: torch.ones(LARGE), add_one),
    "large, written through .data": (lambda: torch.ones(LARGE), add_one_to_data),
    "large, given other data": (lambda: torch.ones(LARGE), replace_data),
    "large, written by NumPy": (lambda: torch.ones(LARGE), write_by_numpy),
    "large, with NumPy's memory": (lambda: torch.from_numpy(np.ones(LARGE, np.float32)), add_one),
    "large, not contiguous": (lambda: torch.ones(300, 300).t()[::2], add_one),
    "quantized": (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8), None),
    "memory given back": (lambda: torch.ones(3), lambda model: model.buffer.untyped_storage().resize_(0)),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:Sparse", "ignore:torch.quantize")
@pytest.mark.parametrize("method", [IntegratedGradients, IDGI])
@pytest.mark.parametrize("case", CASES)
def test_buffers_of_every_kind_are_as_before(case, method):
    make, change = CASES[case]
    buffer, expected = make(), make()
    model = Model(buffer, change or (lambda model: None)).eval()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*buffer.*")
        attributions = method(model).attribute(X, target=0, n_steps=3)
    assert torch.equal(attributions, method(model.layer).attribute(X, target=0, n_steps=3))
    assert model.buffer is buffer
    assert list(model._buffers) == ["buffer"]
    assert same(model.buffer, expected)


@pytest.mark.parametrize("case", ["counter", "large", "sparse COO, scaled", "None, assigned", "resized"])
def test_buffers_are_as_before_after_an_exception(case):
    make, change = CASES[case]
    buffer = make()

    def change_and_fail(model):
        change(model)
        raise KeyboardInterrupt

    model = Model(buffer, change_and_fail).eval()
    with pytest.raises(KeyboardInterrupt):
        IntegratedGradients(model).attribute(X, target=0, n_steps=3)
    assert model.buffer is buffer
    assert same(buffer, make())


def test_the_buffers_of_a_graph_network():
    """An adjacency matrix as a sparse buffer."""

    class Graph(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 2)
            self.register_buffer("adjacency", square().to_sparse())

        def forward(self, x):
            return self.layer(torch.sparse.mm(self.adjacency, x))

    x = torch.randn(4, 8)
    model = Graph()
    method = IntegratedGradients(lambda graphs: torch.stack([model(graph).sum() for graph in graphs]))
    attributions = method.attribute(x.unsqueeze(0), n_steps=3)
    expected = square().sum(0).unsqueeze(1) * model.layer.weight.sum(0) * x
    torch.testing.assert_close(attributions[0], expected)


def test_uninitialized_buffers():
    model = nn.Sequential(nn.LazyBatchNorm1d(), nn.Linear(8, 2)).eval()
    attributions = IntegratedGradients(model).attribute(X, target=0, n_steps=3)
    torch.testing.assert_close(attributions, X * model[1].weight[0].detach(), rtol=1e-4, atol=1e-4)
    assert torch.equal(model[0].running_mean, torch.zeros(8))


def test_buffers_that_the_forward_pass_registers_are_removed_with_the_flag_that_says_so():
    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 2)
            self.register_buffer("scale", None)
            self.ready, self.calls = False, []

        def forward(self, x):
            if not self.ready:
                self.register_buffer("shift", torch.ones(2), persistent=False)
                self.scale = torch.full((2,), 2.0)
                self.ready, self.width = True, 2
            self.calls.append(len(x))
            return self.layer(x) * self.scale + self.shift

    model = Cached()
    before = model.state_dict().keys()
    IntegratedGradients(model).attribute(X, target=0, n_steps=3)
    assert model.state_dict().keys() == before
    assert list(model._buffers) == ["scale"]
    assert model._non_persistent_buffers_set == set()
    assert not hasattr(model, "width")
    assert model.calls  # other attributes are left alone
    assert torch.equal(model(X), model.layer(X) * 2 + 1)  # still runs


def test_a_scripted_model():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 2)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return self.layer(x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = torch.jit.script(Counting().eval())
    IntegratedGradients(model).attribute(X, target=0, n_steps=3)
    assert model.calls.item() == 0


def test_buffers_that_share_memory():
    whole = torch.zeros(6)
    model = nn.ModuleList([Model(whole), Model(whole[2:4]), Model(whole)])
    with preserve_buffers(model.modules()):
        whole += 1
        model[1].buffer *= 5
    assert torch.equal(whole, torch.zeros(6))
    whole[2] = 3
    assert model[1].buffer[0] == 3  # still the same memory


def test_an_inference_tensor():
    with torch.inference_mode():
        buffer = torch.zeros(3)

    def write(model):
        with torch.inference_mode():
            model.buffer.add_(1)

    model = Model(buffer, write)
    IntegratedGradients(model).attribute(X, target=0, n_steps=3)
    assert torch.equal(buffer, torch.zeros(3))


def test_a_buffer_that_cannot_be_put_back_loses_no_result(monkeypatch):
    def fail(tensor, value, **_):
        raise RuntimeError("no room")

    monkeypatch.setattr(buffers, "_restore_value", fail)
    model = Model(torch.zeros(3), add_one)
    with pytest.warns(UserWarning, match=r"could not be restored \(no room\).*state_dict") as caught:
        attributions = IntegratedGradients(model).attribute(X, target=0, n_steps=3)
    assert [warning.filename for warning in caught] == [__file__]
    assert attributions.shape == X.shape


def test_small_buffers_take_one_copy_per_dtype_and_large_ones_none(monkeypatch):
    blocks = [nn.BatchNorm1d(8) for _ in range(50)]
    model = nn.Sequential(*blocks, Model(torch.zeros(LARGE)))
    joined = []
    monkeypatch.setattr(torch, "cat", lambda tensors, cat=torch.cat: joined.append(len(tensors)) or cat(tensors))
    monkeypatch.setattr(torch.Tensor, "clone", lambda self: pytest.fail("copied"))
    snapshot = BufferSnapshot(model.modules())
    assert sorted(joined) == [50, 100]  # num_batches_tracked; means and variances
    assert torch._C._data_address(snapshot._others[0]._copies[0]) == torch._C._data_address(model[-1].buffer)
    snapshot.restore()
    assert len(joined) == 4


def test_lazy_copies_in_several_threads():
    """Eight threads guard one model with a large buffer that none of them writes."""
    model = Model(torch.ones(LARGE)).eval()
    expected = IntegratedGradients(model).attribute(X, target=0, n_steps=3)
    found = []

    def work():
        for _ in range(25):
            found.append(IntegratedGradients(model).attribute(X, target=0, n_steps=3))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 200
    assert all(torch.equal(each, expected) for each in found)
    assert torch.equal(model.buffer, torch.ones(LARGE))
