"""From the folders of the runs to one small file each, which can be committed: ``python -m evidence.condense``.

A file has the columns of :class:`captum_ext.evaluation.Row` and ``model``; curves are rounded to four decimals, and the
run's settings are beside it. Whatever there is of a run is kept, finished or not.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from captum_ext.evaluation import Results
from evidence.stored import RESULTS

RUNS = Path(__file__).parent / "runs"
_TYPES = {"steps": pa.int32(), "value": pa.float64(), "curve": pa.list_(pa.float32())}


def condense(run: Path, results: Path) -> list[Path]:
    """Write the rows and settings of the folder of a run to two files.

    Raises:
        captum_ext.evaluation.ResultsError: If there are no results yet, or they can't be read.
    """
    folder = Results(run)
    frame = folder.read()
    frame["curve"] = [None if curve is None else np.round(curve.astype(np.float32), 4) for curve in frame["curve"]]
    # Sorted, equal values lie together: half the size.
    frame = frame.sort_values(["model", "score", "variant", "method", "steps", "image"], kind="stable")
    schema = pa.schema([(name, _TYPES.get(name, pa.string())) for name in frame.columns])
    results.mkdir(parents=True, exist_ok=True)
    rows, settings = results / f"{run.name}.parquet", results / f"{run.name}.settings.json"
    table = pa.Table.from_pandas(frame, schema, preserve_index=False)
    pyarrow.parquet.write_table(table, rows, compression="zstd", compression_level=19)
    settings.write_text(json.dumps(folder.settings(), indent=1, sort_keys=True) + "\n")
    return [rows, settings]


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
        print(*condense(options.runs / name, options.results))


if __name__ == "__main__":
    main()
