"""Read and transform pictures, in other processes ahead of the model if that pays."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from captum_ext._utils.errors import UserError
from captum_ext._utils.worker_processes import available_cores
from captum_ext.vision.pictures import read
from captum_ext.vision.probe import transformed

if TYPE_CHECKING:
    from PIL.Image import Image

    from captum_ext.vision.classifier import Transform

_MAX_READERS = 4  # per process: each reads some hundred pictures per second
_BATCHES_AHEAD = 2  # of each reader
# Forked readers start at once, and their transform need not be picklable. Elsewhere: the system's default.
_CONTEXT = "fork" if sys.platform == "linux" else None


class ReadPicture(NamedTuple):
    """A picture as the model receives it.

    Attributes:
        tensor: (1, C, H, W), on the CPU.
        size: The picture's width and height before the transform.
        picture: The picture before the transform, if it was asked for.
    """

    tensor: Tensor
    size: tuple[int, int]
    picture: Image | None


@dataclass(frozen=True)
class PictureBatches(Dataset[list["ReadPicture | UserError"]]):
    """Batches of pictures, each read when it is asked for; an error in place of each that can't be read.

    Args:
        batches: The names, for errors, and the files.
        transform: From a PIL image to the model's input (C, H, W).
        keeps_pictures: Whether to keep the pictures before the transform.
    """

    batches: Sequence[Sequence[tuple[str, str]]]
    transform: Transform
    keeps_pictures: bool

    def __getitem__(self, index: int) -> list[ReadPicture | UserError]:
        """Read a batch."""
        return [self._read(name, file) for name, file in self.batches[index]]

    def __len__(self) -> int:
        """The number of batches."""
        return len(self.batches)

    def _read(self, name: str, file: str) -> ReadPicture | UserError:
        try:
            picture = read(file)
            tensor = transformed(name, partial(self.transform, picture))
        except UserError as error:
            return error
        return ReadPicture(tensor, picture.size, picture if self.keeps_pictures else None)


def default_readers(device: torch.device) -> int:
    """The number of processes that read pictures for a model on a device.

    None for a model on the CPU, which needs all cores, and takes far longer than reading; nor where processes can't be
    forked, since scripts without ``if __name__ == "__main__"`` would run again. Otherwise the cores of this process
    among those of torchrun on the machine, at most four.
    """
    if device.type == "cpu" or sys.platform != "linux":
        return 0
    return min(_MAX_READERS, available_cores())


@contextmanager
def read_ahead(
    batches: PictureBatches, n_readers: int, device: torch.device
) -> Iterator[Iterator[list[ReadPicture | UserError]]]:
    """The batches in order, read ahead by other processes, which end with the context.

    Args:
        batches: The batches.
        n_readers: The number of processes; 0 reads each batch when it is asked for.
        device: The model's device. For CUDA, memory is pinned, so that copies to the device need no wait.
    """
    options: dict[str, Any] = {}
    if n_readers:
        options = {"prefetch_factor": _BATCHES_AHEAD, "multiprocessing_context": _CONTEXT}
    loader = DataLoader(
        batches,
        batch_size=None,
        num_workers=n_readers,
        collate_fn=_unchanged,
        pin_memory=device.type == "cuda" and n_readers > 0,
        **options,
    )
    iterator: Any = iter(loader)
    try:
        yield iterator
    finally:
        if n_readers:
            iterator._shutdown_workers()  # now: a traceback may keep the iterator alive


def _unchanged(batch: list[ReadPicture | UserError]) -> list[ReadPicture | UserError]:
    return batch
