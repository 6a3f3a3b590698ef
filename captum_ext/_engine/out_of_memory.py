"""Passes that do not fit in the device's memory are halved, by points and then by examples."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from captum_ext._utils.devices import is_out_of_memory
from captum_ext._utils.warnings import warn

_Result = TypeVar("_Result")


class RowLimit:
    """The most rows of a pass that fit in memory; shared by all passes of a call. ``None`` until one did not fit."""

    def __init__(self) -> None:
        self.rows: int | None = None
        self.has_sliced = False  # whether an argument was sliced because its examples do not fit together
        self._warned = False

    def run(self, rows: int, run: Callable[[int | None], _Result]) -> _Result:
        """Return the result of ``run(limit)``, with a smaller limit of rows each time that memory runs out.

        Args:
            rows: The rows of the whole pass.
            run: Computes it in passes of at most ``limit`` rows; ``None`` for one pass.

        Raises:
            RuntimeError: If one row does not fit.

        Warns:
            RuntimeWarning: If the pass was split, once per call.
        """
        limit = self.rows
        while True:
            try:
                result = run(limit)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                message = str(error)
            else:
                break
            # Outside the handler, because its traceback holds the activations.
            tried = min(rows, limit or rows)
            if tried <= 1:
                raise RuntimeError(
                    f"A pass with a single row does not fit in memory. Free memory, or explain a smaller input or "
                    f"model. The device's message: {message}"
                )
            limit = self.rows = tried // 2
            _release_memory()
        if limit is not None and rows > limit and not self._warned:
            self._warned = True
            warn(
                f"A pass of {rows} rows did not fit in memory and was split into passes of at most {limit} rows. Pass "
                f"internal_batch_size={limit} to avoid the failed passes.",
                RuntimeWarning,
            )
        return result


def _release_memory() -> None:
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
