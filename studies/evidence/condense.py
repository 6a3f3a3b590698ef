"""From the folders of the runs to one small file each, which can be committed: ``python -m evidence.condense``.

A file has the columns of :class:`captum_ext.evaluation.store.Row` and ``model``; curves are rounded to four decimals,
and beside it are the run's settings. Finished or not, what there is of a run is kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from captum_ext._optional import optional
from captum_ext.evaluation import Results
from captum_ext.evaluation.store import ResultsError

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
RUNS, RESULTS = HERE / "runs", HERE / "results"
_DECIMALS = 4


def condense(run: Path, results: Path) -> list[Path]:
    """Write a run's rows and settings to two files.

    Args:
        run: The folder that ``evaluate`` wrote.
        results: Where to.

    Returns:
        The files.

    Raises:
        captum_ext.evaluation.store.ResultsError: If there are no results yet, or they can't be read.
    """
    pa, parquet = optional("pyarrow", "evaluation"), optional("pyarrow.parquet", "evaluation")
    folder = Results(run)
    frame = folder.read()
    frame["curve"] = frame["curve"].map(_rounded)
    # Sorted, equal values lie together: half the size.
    frame = frame.sort_values(["model", "score", "variant", "method", "steps", "image"], kind="stable")
    table = pa.Table.from_pandas(frame, _schema(pa, frame), preserve_index=False)
    results.mkdir(parents=True, exist_ok=True)
    rows, settings = results / f"{run.name}.parquet", results / f"{run.name}.settings.json"
    parquet.write_table(table, rows, compression="zstd", compression_level=19)
    settings.write_text(json.dumps(folder.settings(), indent=1, sort_keys=True) + "\n")
    return [rows, settings]


def _rounded(curve: np.ndarray | None) -> np.ndarray | None:
    return None if curve is None else np.round(np.asarray(curve, np.float32), _DECIMALS)


def _schema(pa: object, frame: pd.DataFrame) -> object:
    kinds = {"steps": pa.int32(), "value": pa.float64(), "curve": pa.list_(pa.float32())}  # type: ignore[attr-defined]
    return pa.schema([(name, kinds.get(name, pa.string())) for name in frame.columns])  # type: ignore[attr-defined]


def main() -> None:
    """Condense the runs named, or all."""
    parser = argparse.ArgumentParser(prog="evidence.condense", description=__doc__)
    parser.add_argument("names", nargs="*", help="of folders in studies/evidence/runs (default: all)")
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    names = options.names or sorted(folder.name for folder in options.runs.glob("*/"))
    if not names:
        parser.error(f"no runs in {options.runs}; python -m evidence.runs makes them")
    for name in names:
        try:
            files = condense(options.runs / name, options.results)
        except ResultsError as error:
            print(f"{name}: left out: {error}")
            continue
        print(f"{name}: {', '.join(f'{file.name} ({file.stat().st_size / 1e6:.2f} MB)' for file in files)}")


if __name__ == "__main__":
    main()
