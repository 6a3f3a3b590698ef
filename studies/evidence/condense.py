"""From the folder of a run to one small file, which can be committed.

A file has the columns of :class:`captum_ext.evaluation.Row` and ``model``; curves are rounded to four decimals, and the
run's settings are beside it. Whatever there is of a run is kept, finished or not.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from captum_ext.evaluation import Results

_TYPES = {"steps": pa.int32(), "value": pa.float64(), "curve": pa.list_(pa.float32())}


def condense(run: Path, results: Path) -> list[Path]:
    """Write the rows and settings of the folder of a run to two files."""
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
