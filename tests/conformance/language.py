"""A language model and a tokenizer with the interface that Captum's LLM methods want."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

WORDS = ["<s>", "the", "cat", "sat", "on", "a", "mat", "dog", "ran", "home"]


class Tokenizer:
    """Words separated by spaces."""

    def encode(self, text, add_special_tokens=True, return_tensors=None):
        ids = [WORDS.index(word) for word in text.split()]
        ids = [0, *ids] if add_special_tokens else ids
        return torch.tensor([ids]) if return_tensors else ids

    def decode(self, ids):
        return " ".join(WORDS[int(k)] for k in torch.as_tensor(ids).reshape(-1))

    def convert_ids_to_tokens(self, ids):
        return WORDS[ids] if isinstance(ids, int) else [WORDS[k] for k in ids]

    def convert_tokens_to_ids(self, tokens):
        return WORDS.index(tokens) if isinstance(tokens, str) else [WORDS.index(token) for token in tokens]

    def __call__(self, text, return_offsets_mapping=False, add_special_tokens=True):
        offsets, at = [(0, 0)] if add_special_tokens else [], 0
        for word in text.split():
            offsets.append((at, at + len(word)))
            at += len(word) + 1
        return {"input_ids": self.encode(text, add_special_tokens), "offset_mapping": offsets}


class Output(NamedTuple):
    logits: Tensor


class LanguageModel(nn.Module):
    """Token ids (B, L) to logits (B, L, words), smooth, float64."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), 6)
        self.mix = nn.GRU(6, 8, batch_first=True)
        self.last = nn.Linear(8, len(WORDS))
        self.double()

    @property
    def device(self):
        return self.last.weight.device

    def from_embedding(self, embedded):
        return self.last(self.mix(embedded)[0])

    def forward(self, input_ids, attention_mask=None):
        return Output(self.from_embedding(self.embedding(input_ids)))

    def generate(self, input_ids, max_new_tokens=3, **settings):
        for _ in range(max_new_tokens):
            following = self(input_ids).logits[:, -1:].argmax(2)
            input_ids = torch.cat([input_ids, following], 1)
        return input_ids
