"""Lines → rows of values, the bad lines turned away one by one.

Owns: the header, and the two paths that a line can take. Must not know: what the columns mean.

A line goes down the columnar path where that path can vouch for it: its shape is plain and each of its texts
is of the usual form. Every other line, bad ones and rare forms alike, goes alone down the careful path, which
decides. Both give the same values, so which of them a line took shows in the time only.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

import polars as pl

from schemas.values import Rejected, RejectReason
from scripts.csv_input.blocks import iter_blocks
from scripts.csv_input.errors import BadHeader, EmptyFile
from scripts.csv_input.lines import Block, split
from scripts.csv_input.rejects import LONGEST_TEXT, Reject, RejectSink

USUAL_STORE_ID: Final = r"^[!#-+\--~]{1,256}$"
"""A store id that stands as it is: up to 256 of printable ASCII, no space, quote or comma."""

_CAREFUL_LINES: Final = 1 << 16  # held as Python objects at a time

_WORKERS: Final = min(4, os.cpu_count() or 1)

Value = TypeVar("Value", int, str)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file holds.

    `columns`: the wanted columns, each with every name that it may have. `optional`: likewise, behind them; one
    that is not there reads as empty. `schema`: the columns of the rows. `values`: from a frame of texts (named by
    the first names of `columns`) the columns of `schema`, and `sure`, true where they are exactly what `parse`
    would give. `parse`: from the texts of one line its row, or Rejected.
    """

    columns: Sequence[Sequence[str]]
    schema: Mapping[str, type[pl.DataType]]
    values: Callable[[pl.DataFrame], pl.DataFrame]
    parse: Callable[..., tuple[Any, ...]]
    optional: Sequence[Sequence[str]] = ()


def iter_rows(path: Path, layout: Layout, sink: RejectSink) -> Iterator[pl.DataFrame]:
    """The good rows of `path` in file order, as frames of `layout.schema`; the bad lines go to `sink`.

    Memory is bounded whatever the size of the file, and however much of it is bad. Threads prepare the next
    blocks while the caller works on a frame; `sink` is called in the caller's thread. Raises UnreadableFile,
    CorruptFile, EmptyFile, BadHeader, and what `sink` raises.
    """
    blocks = iter_blocks(path)
    lines, header, rest = _header(blocks)
    if not header:
        raise EmptyFile(path, [names[0] for names in layout.columns])
    table = _Table(path, layout, sink, header)
    for part in _map_ahead(table.part, chain([rest], blocks)):
        yield table.rows(part, lines)
        lines += part.block.texts.len()


def _header(blocks: Iterator[bytes]) -> tuple[int, str, bytes]:
    """The first line that is not blank: its number, its text (empty if none), the rest of its block."""
    number = 0
    for data in blocks:
        text = data.lstrip()
        start = len(data) - len(text)
        number += data.count(b"\n", 1, start)
        if text:
            end = data.find(b"\n", start)
            end = len(data) if end < 0 else end
            return number + 1, data[start:end].rstrip().decode(errors="replace"), data[end:] or b"\n"
    return number, "", b""


def _map_ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map`, with the next `_WORKERS` results in the making."""
    with ThreadPoolExecutor(_WORKERS, "csv-input") as pool:
        coming: deque[Future[Result]] = deque()
        for item in items:
            coming.append(pool.submit(work, item))
            if len(coming) > _WORKERS:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def mapped(texts: pl.Series, parse: Callable[[str], Value], kind: type[pl.DataType]) -> pl.Series:
    """`parse` of each text, null where it refuses. It is asked once for each distinct text."""
    distinct = texts.unique().drop_nulls()
    values = pl.Series([_accepted(text, parse) for text in distinct], dtype=kind)
    return texts.replace_strict(distinct, values, default=None, return_dtype=kind)


def never_sure(schema: Mapping[str, type[pl.DataType]]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """The `values` of a layout whose files are small: each line goes down the careful path."""
    nothing = [pl.lit(None, kind).alias(name) for name, kind in schema.items()]
    return lambda texts: texts.select(*nothing, sure=pl.repeat(False, pl.len()))


def _accepted(text: str, parse: Callable[[str], Value]) -> Value | None:
    try:
        return parse(text)
    except Rejected:
        return None


@dataclass(frozen=True, slots=True)
class _Part:
    """What the columnar path makes of a block: a row for each line, and whether it can vouch for it."""

    block: Block
    rows: pl.DataFrame
    sure: pl.Series


class _Table:
    """One file under its header."""

    def __init__(self, path: Path, layout: Layout, sink: RejectSink, header: str) -> None:
        self._file = path.name
        self._layout = layout
        self._sink = sink
        try:
            names = [name.strip() for name in split(header)]
        except Rejected:
            names = []
        wanted = (*layout.columns, *layout.optional)
        places = {known[0]: [at for at, name in enumerate(names) if name in known] for known in wanted}
        needed = {known[0] for known in layout.columns}
        missing = [name for name, found in places.items() if name in needed and not found]
        repeated = [name for name, found in places.items() if len(found) > 1]
        if missing or repeated:
            raise BadHeader(path, header[:LONGEST_TEXT], missing, repeated)
        self._width = len(names)
        self._places = {name: found[0] for name, found in places.items() if found}
        self._absent = [name for name, found in places.items() if not found]
        self._order = list(places)

    def part(self, data: bytes) -> _Part:
        """The columnar path, for all lines of a block at once."""
        block = Block(data)
        fields = block.fields(self._width, self._places)
        empty = [pl.lit("").alias(name) for name in self._absent]
        values = self._layout.values(fields.drop("is_plain").with_columns(*empty))
        sure = (fields["is_plain"] & values["sure"]).fill_null(False)
        return _Part(block, values.select(*self._layout.schema), sure)

    def rows(self, part: _Part, lines_before: int) -> pl.DataFrame:
        """The rows of `part` in their order, its doubtful lines having gone down the careful path."""
        if part.sure.all():
            return part.rows
        numbered = part.block.texts.to_frame("text").with_row_index("nth")
        is_blank = pl.col("text").str.strip_chars() == ""
        odd = numbered.filter(~part.sure).filter(~is_blank).iter_slices(_CAREFUL_LINES)
        careful = [self._careful(part.block, lines, lines_before) for lines in odd]
        good = part.rows.select(numbered["nth"], *self._layout.schema).filter(part.sure)
        return pl.concat([good, *careful]).sort("nth").drop("nth")

    def _careful(self, block: Block, lines: pl.DataFrame, lines_before: int) -> pl.DataFrame:
        rows = []
        for nth, text in lines.iter_rows():
            if not text.strip():
                continue
            try:
                rows.append((nth, *self._row(block.original(nth, text))))
            except Rejected as bad:
                whole = bad.text if bad.reason is RejectReason.BROKEN_LINE else text
                number = lines_before + nth + 1
                self._sink(Reject(self._file, number, bad.reason, whole[:LONGEST_TEXT]))
        return pl.DataFrame(rows, schema={"nth": lines.schema["nth"], **self._layout.schema}, orient="row")

    def _row(self, text: str) -> tuple[Any, ...]:
        fields = split(text)
        if len(fields) != self._width:
            raise Rejected(RejectReason.BROKEN_LINE, text)
        texts = {name: fields[at] for name, at in self._places.items()}
        return self._layout.parse(*(texts.get(name, "") for name in self._order))
