"""The memory that methods take on a language model, compared with one forward and backward pass of the same rows."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from captum_ext import targets
from captum_ext.attr import DIG, IDGI, GuidedIG, IntegratedGradients, OneAtATime
from captum_ext.paths import vocabulary

transformers = pytest.importorskip("transformers")

MOST = 1.2


class PeakMemory(TorchDispatchMode):
    """The most bytes that tensors made under it hold at one time."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._live = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        before = {tensor.untyped_storage()._cdata for tensor in given}
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage(), before)
        return result

    def _add(self, storage, before):
        if storage._cdata in before:
            return
        # Storages that were freed since; asked for only here, where memory is taken.
        for key, (weak, size) in list(self._live.items()):
            if torch.UntypedStorage._expired(weak):
                torch.UntypedStorage._free_weak_ref(weak)
                self.now -= size
                del self._live[key]
        if storage._cdata not in self._live:
            self._live[storage._cdata] = (storage._weak_ref(), storage.nbytes())
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)


def peak(call):
    with PeakMemory() as memory:
        call()
    return memory.peak


def language_model(tokens, **sizes):
    config = transformers.GPT2Config(n_positions=tokens, bos_token_id=0, eos_token_id=0, **sizes)
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(config).eval().requires_grad_(False)


def compare(model, tokens, n_steps, one_at_a_time, rows=2):
    """Peaks of each method over that of one forward and backward pass of the same rows."""
    ids = torch.randint(0, model.config.vocab_size, (1, tokens), generator=torch.Generator().manual_seed(0))
    embedding = model.get_input_embeddings()
    x = embedding(ids).detach()
    start = embedding(torch.full_like(ids, 7)).detach()
    f = targets.next_token(3).of(model)

    def once():
        leaf = x.expand(rows, -1, -1).clone().requires_grad_()
        torch.autograd.grad(f(leaf).sum(), leaf)

    partly = x.clone()
    partly[:, :one_at_a_time] = start[:, :one_at_a_time]  # the others do not move
    calls = {
        "IG": (IntegratedGradients(f), start),
        "IDGI": (IDGI(f), start),
        "Guided IG": (GuidedIG(f), start),
        "DIG": (DIG(f, embedding, n_words=10, neighbors=100), start),
        "SIG": (OneAtATime(IntegratedGradients(f)), partly),
    }
    whole = peak(once)
    return {
        name: peak(lambda: method.attribute(x, begin, n_steps=n_steps, internal_batch_size=rows)) / whole  # noqa: B023
        for name, (method, begin) in calls.items()
    }


def test_the_peak_counts_what_lives_at_one_time():
    def two_at_a_time():
        for _ in range(5):
            a = torch.ones(1000)  # 4000 bytes
            b = a + 1
            a.add_(1)
            view = b[10:]
            del a, b, view

    assert peak(two_at_a_time) == 8000
    kept = []
    assert peak(lambda: kept.extend(torch.ones(1000) for _ in range(3))) == 12000


@pytest.fixture
def small_searches(monkeypatch):
    """Searches of words in proportion to a small model."""
    monkeypatch.setattr(vocabulary, "_VALUES", 2**15)


def test_memory_on_a_small_language_model(small_searches):
    ratios = compare(language_model(64, n_embd=48, n_layer=4, n_head=4, vocab_size=500), 64, 12, 2)
    assert max(ratios.values()) < MOST, ratios


@pytest.mark.slow
def test_memory_on_gpt2_with_512_tokens():
    """Few steps, since the peak of each pass is the same: the small model holds that."""
    ratios = compare(language_model(512), 512, 2, 1, rows=1)
    assert max(ratios.values()) < MOST, ratios


def test_memory_does_not_grow_with_the_number_of_steps(small_searches):
    model = language_model(32, n_embd=48, n_layer=2, n_head=4, vocab_size=300)
    few, many = (compare(model, 32, n_steps, 1) for n_steps in (4, 24))
    for name in few:
        assert many[name] < few[name] + 0.05, name
