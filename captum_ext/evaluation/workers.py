"""The processes of a run: one, or those started with torchrun."""

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
_TIMEOUT = timedelta(days=30)  # other processes may take longer than this one


@dataclass(frozen=True)
class Workers:
    """This process and the others.

    Attributes:
        rank: The number of this process.
        count: The number of processes.
        group: The group through which they exchange messages; ``None`` for the default group.
    """

    rank: int = 0
    count: int = 1
    group: Any = None

    def broadcast(self, compute: Callable[[], T]) -> T:
        """Compute a result in the first process and return it in all of them.

        Raises:
            UserError: In the other processes, if the first one raises an error, which is raised there as it is.
        """
        message: list[Any] = [None, None]  # the result, or an error's text
        failure: Exception | None = None
        if self.rank == 0:
            try:
                message[0] = compute()
            except Exception as error:  # or the other processes would wait for it
                failure, message[1] = error, str(error)
        if self.count > 1:
            dist.broadcast_object_list(message, group=self.group)
        if failure is not None:
            raise failure
        if message[1] is not None:
            raise UserError(message[1])
        result: T = message[0]
        return result


@contextmanager
def process_group() -> Iterator[Workers]:
    """The processes started with torchrun, connected through a gloo group, since what they exchange is not on a GPU."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not dist.is_initialized():
        yield Workers()
        return
    if dist.is_initialized():  # by the calling program
        # NCCL would exchange messages through the current GPU, and give up after ten minutes.
        group = dist.new_group(backend="gloo", timeout=_TIMEOUT)
        try:
            yield Workers(dist.get_rank(), dist.get_world_size(), group)
        finally:
            dist.destroy_process_group(group)
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise UserError(
            f"WORLD_SIZE is set, but {', '.join(missing)} not: start the processes with torchrun, or unset it"
        )
    dist.init_process_group("gloo", timeout=_TIMEOUT)
    try:
        yield Workers(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
