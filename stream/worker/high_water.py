"""How far the polls of a partition reach, kept in step with its summaries.

Owns: when the stored high-water mark must change, and when it can only be counted again. Must not know: where it is
stored, who counts.

Polls only raise the mark. Forgetting may lower it, and by how much only a count of all other stores tells; but only
where what was forgotten reached as far as the mark does.
"""

from dataclasses import dataclass, field

from schemas.summaries import HighWater


@dataclass(slots=True)
class HighWaterKeeper:
    """The mark of one partition during one flush; `stored` is what its table says."""

    stored: HighWater
    reached: HighWater = field(default_factory=HighWater)
    must_count: bool = False
    """Whether the mark of all stores that are not in the flush must be counted."""

    def add(self, reached: HighWater, forgotten: HighWater) -> None:
        """Some stores of the flush reach so far now, and what was forgotten of them reached so far."""
        self.reached |= reached
        self.must_count = self.must_count or forgotten.bounds(self.stored)

    def after(self, others: HighWater | None) -> HighWater | None:
        """The mark to be stored, None where it is; `others` is the count of all other stores, if it was made."""
        mark = (self.stored if others is None else others) | self.reached
        return None if others is None and mark == self.stored else mark
