"""The table that AutoML learns from: one column per feature, and the label in words.

Parquet, because it says of every column that it holds 32-bit floats. AutoML guesses the types of
text files, and a feature that happens to be whole in its first rows would become an integer.
"""

from __future__ import annotations

import hashlib
from io import BytesIO

import numpy as np

from shared.errors import InvalidInput
from shared.intelligence.card import CLASSES
from shared.intelligence.features import FEATURE_SET, NAMES
from training.dataset import Dataset, Places

#: Column that is to be predicted.
LABEL = "label"
#: Name of the file of a table, beside the description that has no other name than this.
FILE, DESCRIPTION_FILE = "table.parquet", "MLTable"
#: What tells Azure how to read the table.
DESCRIPTION = f"""\
$schema: https://azuremlschemas.azureedge.net/latest/MLTable.schema.json
type: mltable
paths:
  - file: ./{FILE}
transformations:
  - read_parquet:
      include_path_column: false
""".encode()

if LABEL in NAMES or list(CLASSES) != sorted(CLASSES):
    # AutoML numbers classes in the order of the alphabet; convert.py relies on it being ours.
    raise AssertionError("the label needs a name of its own, and classes in alphabetical order")


def content(data: Dataset, rows: Places) -> bytes:
    """Parquet of some rows.

    Raises
    ------
    InvalidInput
        When a feature is not finite: AutoML would fill it in by itself.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = data.tabular(rows)
    if not np.isfinite(features).all():
        raise InvalidInput("a feature is not finite")
    columns = {name: pa.array(features[:, place]) for place, name in enumerate(NAMES)}
    columns[LABEL] = pa.array([CLASSES[label] for label in data.label[rows]])
    out = BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd")
    return out.getvalue()


def digest(data: Dataset, *parts: Places) -> str:
    """SHA-256 of what tables hold, whichever version of a library writes them."""
    found = hashlib.sha256(f"{FEATURE_SET} {' '.join(NAMES)}".encode())
    for rows in parts:
        found.update(len(rows).to_bytes(8, "little"))
        found.update(np.ascontiguousarray(data.tabular(rows), dtype="<f4").tobytes())
        found.update(np.ascontiguousarray(data.label[rows], dtype="i1").tobytes())
    return found.hexdigest()
