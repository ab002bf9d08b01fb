"""The tables of a state folder, partition by partition, as whoever writes them left them at a moment.

Owns: which of them are whole, how far they reach, and the report that their rows give. The query API answers for
all partitions or not at all; a worker has some partitions, and what is left of others that it lost some time ago.
Must not know: what the report should be.
"""

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np
import rocksdict

from query_api.snapshots.secondaries import Secondaries
from schemas.arrays import NO_INTS, Int64s
from schemas.positions import Positions
from schemas.rows.day_blocks import day_block_key, decode_day_blocks
from schemas.rows.local import WHOLE_KEY
from schemas.rows.positions import decode_positions
from schemas.rows.summaries import FIRST_SUMMARY, SUMMARIES_END, SUMMARY_PREFIX, decode_summaries
from schemas.settings import Settings
from schemas.table_scans import rows_of
from schemas.values import StoreId
from stream.core.cells import CELLS, COLUMNS, UNITS_US, hundredths
from stream.core.totals import totals
from stream.core.windows import windows

_CACHE_BYTES: Final = 8 << 20


class Tables:
    """Follows the tables under `state`; what RocksDB needs for that stands in `scratch`."""

    def __init__(self, state: Path, scratch: Path) -> None:
        self._scratch = scratch
        cache = rocksdict.Cache(_CACHE_BYTES)
        self._secondaries = Secondaries(Settings(state=state).tables_dir, scratch, count(), cache)

    def catch_up(self) -> dict[int, "WholeTable"]:
        """The tables that are whole now, by partition. Raises query_api.errors.StateUnreadable."""
        self._secondaries.catch_up()
        tables = {partition: WholeTable(table) for partition, table in self._secondaries.tables().items()}
        return {partition: table for partition, table in tables.items() if table.value(WHOLE_KEY) is not None}

    def close(self) -> None:
        """Let go of all."""
        self._secondaries.close_all()
        shutil.rmtree(self._scratch, ignore_errors=True)


class WholeTable:
    """One table, unchanged until its tables catch up again."""

    def __init__(self, table: rocksdict.Rdict) -> None:
        self._table = table

    def value(self, key: bytes) -> bytes | None:
        """One row. By a scan: see query_api.snapshots.scans."""
        return next((value for _, value in self._scan(key, key + b"\0")), None)

    def applied(self, partition: int) -> Positions:
        """How far each source topic is applied."""
        return {(topic, partition): offset for topic, offset in decode_positions(self.value).items()}

    def rows(self, as_of_us: int) -> dict[str, str]:
        """The rows of the report, by store."""
        summaries = list(self._scan(FIRST_SUMMARY, SUMMARIES_END))
        ids = [StoreId(key.removeprefix(SUMMARY_PREFIX).decode()) for key, _ in summaries]
        if not ids:
            return {}

        def load_day(store: int, day: int) -> Int64s:
            day_block = self.value(day_block_key(ids[store], day))
            return NO_INTS if day_block is None else decode_day_blocks([day], [day_block])[0]

        every = totals(decode_summaries([value for _, value in summaries]), windows(as_of_us), load_day)
        texts = np.array(CELLS, object)
        cells = [
            texts[hundredths(spent_us, unit_us)].tolist()
            for total, unit_us in zip(every, UNITS_US, strict=True)
            for spent_us in (total.up_us, total.down_us)
        ]
        return {store: ",".join(row) for store, *row in zip(ids, ids, *cells, strict=True)}

    def _scan(self, from_key: bytes, to_key: bytes) -> Iterator[tuple[bytes, bytes]]:
        options = rocksdict.ReadOptions()
        options.set_iterate_upper_bound(to_key)
        yield from rows_of(self._table, from_key, options)


def report_text(rows: dict[str, str]) -> str:
    """The report of some rows."""
    return "".join(f"{row}\n" for row in (",".join(COLUMNS), *(rows[store] for store in sorted(rows))))
