"""timezones.csv: the zones.

Owns: how the columns of that file become zones. Must not know: lines and quotes, nor what time it is there.
"""

from pathlib import Path
from typing import Final

import polars as pl

from schemas.opening_hours import parse_zone
from schemas.values import StoreId, parse_store_id
from scripts.csv_input.rejects import RejectSink
from scripts.csv_input.table import USUAL_STORE_ID, Layout, iter_rows, mapped

_SCHEMA: Final = {"store_id": pl.String, "zone": pl.String}


def read_zones(path: Path, sink: RejectSink) -> dict[StoreId, str]:
    """The zone of each store in `path`. Where a store stands twice, its last good row in the file counts.

    Bad lines go to `sink` as they are met; what it raises ends the reading. Raises a CsvInputError where the
    file as a whole is at fault.
    """
    zones: dict[StoreId, str] = {}
    for frame in iter_rows(path, _LAYOUT, sink):
        zones.update(frame.iter_rows())
    return zones


def _values(texts: pl.DataFrame) -> pl.DataFrame:
    return texts.select(
        "store_id",
        mapped(texts["timezone_str"], parse_zone, pl.String).alias("zone"),
    ).with_columns(sure=pl.col("store_id").str.contains(USUAL_STORE_ID) & pl.col("zone").is_not_null())


def _parse(store_id: str, zone: str) -> tuple[StoreId, str]:
    return parse_store_id(store_id), parse_zone(zone)


_LAYOUT: Final = Layout((("store_id",), ("timezone_str",)), _SCHEMA, _values, _parse)
