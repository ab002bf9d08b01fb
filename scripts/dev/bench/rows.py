"""A row of the table: what was measured, beside what, and what it is held to.

Owns: medians, ratios, whether a target is met, and how a row is printed and kept. Must not know: how anything is
measured.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final, Literal, Protocol

from rich.table import Table

Unit = Literal["s", "ms", "/s", "MB", "KB", "µs", "×", "%"]

MORE_IS_BETTER: Final = frozenset({"/s"})
COLUMNS: Final = ("what", "storepulse", "peer", "peer's", "ratio", "target", "met")


@dataclass(frozen=True, slots=True)
class Target:
    """Bounds: on our own median, and on how many times better than the peer's median ours is."""

    most: float | None = None
    least: float | None = None
    least_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Something measured several times, in `unit`; with a peer, what that took beside it, in the same unit."""

    part: str
    what: str
    unit: Unit
    ours: Sequence[float]
    target: Target = field(default_factory=Target)
    peer: str | None = None
    theirs: Sequence[float] = ()

    @property
    def ratio(self) -> float | None:
        """How many times better ours is: above 1 ahead of the peer, below 1 behind it."""
        if not self.theirs:
            return None
        ours, theirs = median(self.ours), median(self.theirs)
        return ours / theirs if self.unit in MORE_IS_BETTER else theirs / ours

    @property
    def met(self) -> bool | None:
        """Whether every bound holds; None where there is none, or where the peer was not measured."""
        ours, ratio, target = median(self.ours), self.ratio, self.target
        if target.least_ratio is not None and ratio is None:
            return None
        held = [
            *([ours <= target.most] if target.most is not None else []),
            *([ours >= target.least] if target.least is not None else []),
            *([ratio >= target.least_ratio] if target.least_ratio is not None and ratio is not None else []),
        ]
        return all(held) if held else None

    def kept(self) -> dict[str, Any]:
        """The row as it goes into a file."""
        return {
            "part": self.part,
            "what": self.what,
            "unit": self.unit,
            "storepulse": list(self.ours),
            "median": median(self.ours),
            "peer": self.peer,
            "peers": list(self.theirs),
            "ratio": self.ratio,
            "most": self.target.most,
            "least": self.target.least,
            "least_ratio": self.target.least_ratio,
            "met": self.met,
        }

    def cells(self) -> tuple[str, ...]:
        """The row as it is printed."""
        return (
            self.what,
            spread(self.ours, self.unit),
            self.peer or "",
            spread(self.theirs, self.unit) if self.theirs else "",
            "" if self.ratio is None else f"{self.ratio:.2f}×",
            _bounds(self.target, self.unit),
            {True: "yes", False: "no", None: ""}[self.met],
        )


class Printed(Protocol):
    """What a table is made of."""

    def cells(self) -> tuple[str, ...]:
        """As it is printed: one for each column."""

    def kept(self) -> dict[str, Any]:
        """As it goes into a file."""


def table_of(rows: Iterable[Printed], title: str, columns: Sequence[str] = COLUMNS) -> Table:
    """All rows as one table."""
    table = Table(*columns, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row.cells())
    return table


def markdown_of(rows: Iterable[Printed], columns: Sequence[str] = COLUMNS) -> str:
    """All rows as one table in Markdown."""
    lines = (columns, ("---", *["--:"] * (len(columns) - 1)), *(row.cells() for row in rows))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def spread(values: Sequence[float], unit: Unit) -> str:
    """The median, with least and most in brackets where there are several."""
    ends = f" ({_digits(min(values))}–{_digits(max(values))})" if len(values) > 1 else ""
    return _number(median(values), unit) + ends


def _bounds(target: Target, unit: Unit) -> str:
    bounds = (
        ("≤ ", target.most, unit),
        ("≥ ", target.least, unit),
        ("≥ ", target.least_ratio, "×"),
    )
    return ", ".join(f"{sign}{_number(value, of)}" for sign, value, of in bounds if value is not None)


def _number(value: float, unit: str) -> str:
    return f"{_digits(value)}{'' if unit in ('/s', '×') else ' '}{unit}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
