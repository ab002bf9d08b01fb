"""closures.csv: spans of time that are cut out of the open time.

Owns: how the columns of that file become closures. Must not know: lines and quotes, nor weekly hours.
"""

from pathlib import Path
from typing import Final

import polars as pl

from schemas.opening_hours import Closure, parse_closure
from schemas.values import StoreId, parse_store_id
from scripts.csv_input.rejects import RejectSink
from scripts.csv_input.table import Layout, iter_rows, never_sure

_SCHEMA: Final = {"store_id": pl.String, "from_us": pl.Int64, "to_us": pl.Int64, "reason": pl.String}


def read_closures(path: Path, sink: RejectSink) -> dict[StoreId, set[Closure]]:
    """The closures in `path`, by store (special_days.EVERY_STORE: of all).

    Bad lines go to `sink` as they are met; what it raises ends the reading. Raises a CsvInputError where the file
    as a whole is at fault.
    """
    found: dict[StoreId, set[Closure]] = {}
    for frame in iter_rows(path, _LAYOUT, sink):
        for store_id, from_us, to_us, reason in frame.iter_rows():
            found.setdefault(store_id, set()).add(Closure(from_us, to_us, reason))
    return found


def _parse(store_id: str, from_utc: str, to_utc: str, reason: str) -> tuple[StoreId, int, int, str]:
    store, closure = parse_store_id(store_id), parse_closure(from_utc, to_utc, reason.strip())
    return store, closure.from_us, closure.to_us, closure.reason


_LAYOUT: Final = Layout(
    (("store_id",), ("from_utc",), ("to_utc",)), _SCHEMA, never_sure(_SCHEMA), _parse, (("reason",),)
)
