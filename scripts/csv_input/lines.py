"""A block as lines, and one line as fields.

Owns: what makes a line a line: UTF-8, not too long, quotes as in RFC 4180 except that no field spans lines.
Must not know: which columns there are.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from schemas.values import Rejected, RejectReason
from scripts.csv_input.blocks import LONGEST_LINE

_MAX_COLUMNS: Final = 1 << 7
"""Lines of more fields are split one by one: a column costs no less for a line of one letter."""

_CELLS: Final = 1 << 21
"""Fields split at a time, 16 bytes each before anything is in them."""

_REPLACED: Final = "\ufffd"
_FIELD: Final = re.compile(r'(?:"((?:[^"]++|"")*+)"|([^",]*))(,|\Z)')
_SIMPLE_QUOTES: Final = r'^(?:"[^",]*"|[^",]*)(?:,(?:"[^",]*"|[^",]*))*$'


class Block:
    """The lines of one block: `texts` holds them in order, without their line ends.

    In a text, bytes that are no UTF-8 are replaced; `original` tells such a text from one that stood so.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._is_utf8 = _is_utf8(data)
        readable = data if self._is_utf8 else data.decode(errors="replace").encode()
        self.texts = pl.read_lines(readable, name="text")["text"].slice(1)  # past the block's own line end

    def fields(self, width: int, places: Mapping[str, int]) -> pl.DataFrame:
        """The fields at `places` of lines of `width` fields, as columns of these names.

        `is_plain` is true where `split` would give just these.
        """
        text = pl.col("text")
        lines = self.texts.to_frame("text").select(text, bare=self._without_simple_quotes(text))
        if width > _MAX_COLUMNS:
            nothing = [pl.lit(None, pl.String).alias(name) for name in places]
            return lines.select(*nothing, is_plain=pl.repeat(False, pl.len()))
        step = _CELLS // width
        starts = range(0, max(1, lines.height), step)
        return pl.concat([self._fields(lines.slice(start, step), width, places) for start in starts])

    def _fields(self, lines: pl.DataFrame, width: int, places: Mapping[str, int]) -> pl.DataFrame:
        fields = lines.select(pl.col("bare").str.split_exact(",", width - 1).alias("fields")).unnest("fields")
        taken = pl.sum_horizontal(pl.all().str.len_bytes(), ignore_nulls=False) + (width - 1)
        is_whole = fields.select(taken).to_series() == lines["bare"].str.len_bytes()
        tests = [pl.col("text").str.len_bytes() <= LONGEST_LINE]
        tests += [~pl.col("bare").str.contains(sign, literal=True) for sign in self._odd_signs()]
        is_even = lines.select(pl.all_horizontal(tests)).to_series()
        named = fields.select(pl.col(f"field_{at}").alias(name) for name, at in places.items())
        return named.with_columns(is_plain=is_whole.fill_null(False) & is_even)

    def original(self, nth: int, text: str) -> str:
        """`text`, which is `texts[nth]`. Raises Rejected(BROKEN_LINE) where that line is not UTF-8."""
        if self._is_utf8 or _REPLACED not in text or _is_utf8(raw := self._raw(nth)):
            return text
        raise Rejected(RejectReason.BROKEN_LINE, raw.decode(errors="backslashreplace"))

    def _without_simple_quotes(self, text: pl.Expr) -> pl.Expr:
        """Quotes round a whole field without comma or quote can go: many exporters quote every field."""
        if b'"' not in self._data:
            return text
        bare = text.str.replace_all('"', "", literal=True)
        return pl.when(text.str.contains(_SIMPLE_QUOTES)).then(bare).otherwise(text)

    def _odd_signs(self) -> list[str]:
        signs = [sign for sign in '"\r' if sign.encode() in self._data]
        return signs if self._is_utf8 else [*signs, _REPLACED]

    def _raw(self, nth: int) -> bytes:
        start, *end = self._line_ends[nth : nth + 2]
        return self._data[start + 1 : end[0] if end else None].removesuffix(b"\r")

    @cached_property
    def _line_ends(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        return np.flatnonzero(np.frombuffer(self._data, np.uint8) == ord("\n"))


def split(text: str) -> list[str]:
    """The fields of one line. Raises Rejected(BROKEN_LINE)."""
    if "\r" in text or len(text.encode()) > LONGEST_LINE:
        raise Rejected(RejectReason.BROKEN_LINE, text)
    if '"' not in text:
        return text.split(",")
    fields, at, more = [], 0, ","
    while more:
        match = _FIELD.match(text, at)
        if match is None:
            raise Rejected(RejectReason.BROKEN_LINE, text)
        quoted, plain, more = match.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        at = match.end()
    return fields


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
