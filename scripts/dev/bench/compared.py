"""A row of a comparison: what was measured of two revisions by turns, and how much worse one of them is.

Owns: ratios pair by pair, the bound on them, and how a row is printed and kept. Must not know: how anything is
measured.

    theirs   t₁      t₂      t₃            one after the other, so that the two of a pair had the same machine;
    ours        o₁      o₂      o₃         the ratio is the median of o₁/t₁, o₂/t₂, o₃/t₃
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from scripts.dev.bench.rows import MORE_IS_BETTER, Unit, spread

BOUND: Final = 1.10
"""Ours may be so many times worse than theirs."""


@dataclass(frozen=True, slots=True)
class Compared:
    """As many values of ours as of theirs, in `unit`; those at one place were measured as a pair."""

    what: str
    unit: Unit
    ours: Sequence[float]
    theirs: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """How many times worse ours is, pair by pair: below 1 where it is better."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [theirs / ours if self.unit in MORE_IS_BETTER else ours / theirs for ours, theirs in pairs]

    @property
    def met(self) -> bool:
        """Whether the median of the ratios is within the bound."""
        return median(self.ratios) <= BOUND

    def kept(self) -> dict[str, Any]:
        """The row as it goes into a file."""
        return {
            "what": self.what,
            "unit": self.unit,
            "ours": list(self.ours),
            "theirs": list(self.theirs),
            "ratios": self.ratios,
            "ratio": median(self.ratios),
            "bound": BOUND,
            "met": self.met,
        }

    def cells(self) -> tuple[str, ...]:
        """The row as it is printed, below `columns`."""
        return (
            self.what,
            spread(self.ours, self.unit),
            spread(self.theirs, self.unit),
            spread(self.ratios, "×"),
            f"≤ {BOUND:.2f}×",
            "yes" if self.met else "no",
        )


def columns(ours: str, theirs: str) -> tuple[str, ...]:
    """The heads, with the names of the revisions."""
    return ("what", ours, theirs, "worse by, pair by pair", "bound", "met")
