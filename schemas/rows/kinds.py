"""The table of all kinds of rows: what may stand in the table `stores` and in its changelog.

Owns: telling the kinds apart, and what is wrong with a row. Must not know: what a row means, beyond its module.

A new kind is a module of its own and a line here. Its keys begin with `S NUL` and a letter, and its values with a
version from 3 on: so each single row of it is, to revision dd7560e, a summary of a newer version, which it refuses
in words whatever its settings; it never takes one for malformed, and never leaves one out.

Every kind, of any version, begins with a capital letter. What begins otherwise no version has written: it is
malformed. What begins with one and is of no kind here is written by a newer version.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schemas.compatibility import UnknownRow, refuse_newer
from schemas.rows import day_blocks, facts, high_water, losses, positions, stamps, summaries, table_format


class MalformedRow(ValueError):
    """A row that no version of storepulse wrote. Carries its key and what is wrong with it."""

    def __init__(self, key: bytes | None, fault: str) -> None:
        super().__init__(f"row {key!r}: {fault}")
        self.key = key
        self.fault = fault


@dataclass(frozen=True, slots=True)
class RowKind:
    """A kind of row.

    `key` is all of its key, or what its keys start with where each store or topic has one. `version` is the newest
    that we read, None where values carry none. `fault_in` says what is wrong with a value of a version that we
    know.
    """

    name: str
    key: bytes
    is_prefix: bool = False
    version: int | None = None
    fault_in: Callable[[bytes], str | None] = lambda _: None


KINDS: Final = (
    RowKind("summary", summaries.SUMMARY_PREFIX, True, summaries.SUMMARY_VERSION, summaries.fault_in),
    RowKind(
        "day block", day_blocks.DAY_BLOCK_PREFIX, True, day_blocks.DAY_BLOCK_VERSION, day_blocks.fault_in
    ),
    RowKind("stamps", stamps.STAMPS_PREFIX, True, stamps.STAMPS_VERSION, stamps.fault_in),
    RowKind("losses", losses.LOSS_PREFIX, True),
    RowKind("positions of format 1", positions.APPLIED_PREFIX, True),
    RowKind("table", table_format.FORMAT_KEY, version=table_format.TABLE_FORMAT),
    RowKind("positions", positions.POSITIONS_KEY),
    RowKind("high-water mark", high_water.HIGH_WATER_KEY),
    RowKind("zone database", facts.ZONE_DATABASE_KEY),
    RowKind("partitions", facts.PARTITIONS_KEY),
    RowKind("topics", facts.TOPICS_KEY),
    RowKind("sweep", facts.SWEPT_KEY),
)

_EXACT: Final = {kind.key: kind for kind in KINDS if not kind.is_prefix}
_PREFIXED: Final = tuple(kind for kind in KINDS if kind.is_prefix)
_NEWER_SUMMARIES: Final = b"S\0"
"""Keys of kinds that come after format 3 begin so, and no summary's does."""


def kind_of(key: bytes) -> RowKind | None:
    """The kind of the row under `key`; None where we know none."""
    if key in _EXACT:
        return _EXACT[key]
    if key.startswith(_NEWER_SUMMARIES):
        return None
    return next((kind for kind in _PREFIXED if key.startswith(kind.key)), None)


def check_row(key: bytes | None, value: bytes | None) -> None:
    """Raise MalformedRow or NewerState for a row that is not one of ours; cheap, so not every flaw is seen."""
    if not key or not b"A" <= key[:1] <= b"Z":
        raise MalformedRow(key, "no such key")
    kind = kind_of(key)
    if kind is None:
        raise UnknownRow(key)
    if value is None:
        return
    if not value:
        raise MalformedRow(key, "empty value")
    if kind.version is not None:
        refuse_newer(kind.name, value[0], kind.version)
    if fault := kind.fault_in(value):
        raise MalformedRow(key, fault)
