"""The processes of a run: one, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as dist

from captum_ext._utils.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """This process among all.

    Attributes:
        rank: Its number.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    def first_says(self, make: Callable[[], T]) -> T:
        """What the first process makes, in all of them; its mistakes too.

        Raises:
            UserError: If it was raised there.
        """
        said: list[Any] = [None, None]
        if self.rank == 0:
            try:
                said[0] = make()
            except UserError as error:
                said[1] = str(error)
        if self.count > 1:
            dist.broadcast_object_list(said)
        if said[1] is not None:
            raise UserError(said[1])
        result: T = said[0]
        return result

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def workers() -> Iterator[Workers]:
    """The processes that torchrun started, joined by gloo: what they exchange is small and not on a GPU."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not dist.is_initialized():
        yield Workers()
        return
    if dist.is_initialized():  # by the program that calls us
        yield Workers(dist.get_rank(), dist.get_world_size())
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise UserError(
            f"WORLD_SIZE is set, and {', '.join(missing)} not: start the processes with torchrun, or unset it"
        )
    dist.init_process_group("gloo", timeout=timedelta(days=30))  # the others' shares may take longer than ours
    try:
        yield Workers(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
