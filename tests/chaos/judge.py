"""Was every report right? The oracle says.

Owns: what a report at some positions must be, and which faults a round has shown. Must not know: processes, or
brokers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from schemas.positions import Positions
from tests.chaos.looks import Look
from tests.chaos.meaning import TOPICS, Known, Meaning, meaning_of_originals, meaning_of_partition
from tests.chaos.sending import AS_OF_US
from tests.chaos.tape import Tape
from tests.oracle import HEADER, oracle_report

_MAX_LINES: Final = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that must not be: its kind, and what was seen."""

    kind: str
    seen: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.seen}"


@dataclass(slots=True)
class Judge:
    """Knows what each report must say, from all that was read back from the broker."""

    tape: Tape
    partitions: int
    _logs: list[Sequence[Any]] = field(init=False)
    _at: dict[tuple[int, ...], dict[str, Known]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._logs = [self.tape.of_partition(partition) for partition in range(self.partitions)]

    def of_looks(self, looks: Iterable[Look]) -> list[Fault]:
        """Reports that went back in time, differ from the oracle at their positions, or lack what they promise."""
        faults: list[Fault] = []
        reached: dict[str, Positions] = {}
        for look in looks:
            before = reached.setdefault(look.view, {})
            back = {at: (before[at], now) for at, now in look.positions.items() if now < before.get(at, 0)}
            if back:
                faults.append(Fault("back in time", f"{look}: (before, now) {back}"))
            gone = sorted(before.keys() - look.positions.keys())
            if gone and look.is_of_all:
                faults.append(Fault("back in time", f"{look}: nothing is said of {gone} any more"))
            before.update(look.positions)
            faults += self._of_look(look)
        return faults

    def _of_look(self, look: Look) -> list[Fault]:
        faults = []
        expected = self.report_at(look.positions)
        if look.text != expected:
            faults.append(Fault("wrong report", f"{look}\n{difference(look.text, expected)}"))
        lacking = {
            at: (look.positions.get(at, 0), end)
            for at, end in (look.known or {}).items()
            if look.positions.get(at, 0) < end
        }
        if lacking:
            faults.append(Fault("not current", f"{look}: (applied, confirmed) {lacking}"))
        return faults

    def report_at(self, positions: Positions) -> str:
        """What the records below these positions make the report, looking back from AS_OF."""
        stores: dict[str, Known] = {}
        for partition in range(self.partitions):
            stores |= self._stores_at(
                partition, tuple(positions.get((topic, partition), 0) for topic in TOPICS)
            )
        return report_of(stores)

    def _stores_at(self, partition: int, below: tuple[int, ...]) -> dict[str, Known]:
        at = (partition, *below)
        if at not in self._at:
            end_of = dict(zip(TOPICS, below, strict=True))
            records = (each for each in self._logs[partition] if each.offset < end_of[each.topic])
            self._at[at] = meaning_of_partition(records, partition, self.partitions).stores
        return self._at[at]

    def final_report(self) -> str:
        """What the report must be in the end, by what producers wrote."""
        return report_of(self._meant().stores)

    def of_the_end(self, texts: dict[str, str]) -> list[Fault]:
        """Views that differ from the oracle in the end; dead letters and copies that are missing or came twice."""
        expected, meant = self.final_report(), self._meant()
        faults = [
            Fault("wrong in the end", f"{view}\n{difference(text, expected)}")
            for view, text in texts.items()
            if text != expected
        ]
        copies = [
            copy
            for partition, log in enumerate(self._logs)
            for copy in meaning_of_partition(log, partition, self.partitions).copies
        ]
        faults += _uneven("copies of strays", copies, meant.strays)
        return faults + _uneven("dead letters", self.tape.letters, meant.letters)

    def _meant(self) -> Meaning:
        return meaning_of_originals(self.tape.records, self.partitions)


def report_of(stores: dict[str, Known]) -> str:
    """The oracle's report of some stores, looking back from AS_OF."""
    rows = (_row(store_id, stores[store_id]) for store_id in sorted(stores))
    return "".join((",".join(HEADER) + "\n", *rows))


@lru_cache(maxsize=100_000)
def _row(store_id: str, known: Known) -> str:
    polls = [(store_id, at_us, status) for at_us, status in known.polls]
    hours = {} if known.hours is None else {store_id: known.hours}
    zones = {} if known.zone is None else {store_id: known.zone}
    return oracle_report(polls, hours, zones, AS_OF_US).split("\n", 1)[1]


def difference(text: str, expected: str) -> str:
    """The first lines in which two reports differ."""
    found, wanted = set(text.splitlines()), set(expected.splitlines())
    lines = [f"  has   {line}" for line in sorted(found - wanted)[:_MAX_LINES]]
    lines += [f"  wants {line}" for line in sorted(wanted - found)[:_MAX_LINES]]
    return "\n".join(lines) or "  other order"


def _uneven(what: str, found: Iterable[Any], wanted: Iterable[Any]) -> list[Fault]:
    """What is there too often or not at all."""
    left, twice = list(wanted), []
    for each in found:
        if each in left:
            left.remove(each)
        else:
            twice.append(each)
    faults = [Fault(what, f"missing {left[:_MAX_LINES]}, {len(left)} in all")] if left else []
    return faults + ([Fault(what, f"too many {twice[:_MAX_LINES]}, {len(twice)} in all")] if twice else [])
