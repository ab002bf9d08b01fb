"""The state folder that revision dd7560e left: log, tables, and the report that it made of them.

13 stores with 20 days of polls on 3 partitions; one flaps, so that a day of it is compacted, and the first days of
all the others are dropped. Owns: unpacking it. Must not know: what any test expects.
"""

import tarfile
from pathlib import Path
from typing import Final

from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.records import Record

_FOLDER: Final = Path(__file__).parent / "fixtures" / "dd7560e"
REPORT: Final = (_FOLDER / "report.csv").read_text()
PARTITIONS: Final = 3


def unpack(folder: Path) -> Path:
    """A copy of the state folder, in `folder`."""
    with tarfile.open(_FOLDER / "state.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return folder / "state"


def records(state: Path) -> list[Record]:
    """All records in the log of a state folder, topic by topic."""
    with EmbeddedLog(state / "log.db") as log:
        return [
            record
            for topic, partition in sorted(log.end_offsets())
            for record in log.read(topic, partition, 0, 1_000_000, 1 << 30)
        ]
