"""A round: things happen, everything is looked at meanwhile, and the judge speaks.

Owns: the order of a round, and when it is over. Must not know: what faults there are.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas.positions import Positions
from tests.chaos.actions import Story
from tests.chaos.judge import Fault, Judge
from tests.chaos.looks import HttpView, TablesView, View, Watcher
from tests.chaos.story import SESSION_SECONDS
from tests.chaos.tape import tape_of
from tests.chaos.teller import Teller
from tests.chaos.world import Ground, World
from tests.e2e.harness import until
from tests.kafka.broker import wipe
from tests.kafka.harness import fleet

Lag = dict[tuple[str, int], tuple[int, int]]
"""Of each (topic, partition) that is not at its end: what is applied, and the end."""

TOTALS: "Counter[str]" = Counter()
"""What all rounds of this run did and saw; printed at its end."""

_SETTLE_SECONDS: Final = 45.0
_PAUSE_SECONDS: Final = 0.2
_MAX_FAULTS: Final = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a round went."""

    name: str
    faults: tuple[Fault, ...]
    counts: Mapping[str, int]

    def __str__(self) -> str:
        kinds = Counter(fault.kind for fault in self.faults)
        head = f"{self.name}: {dict(kinds) or 'no fault'}; {dict(self.counts)}"
        return "\n".join((head, *map(str, self.faults[:_MAX_FAULTS])))


def play(story: Story, ground: Ground, folder: Path) -> Verdict:
    """Play a story on a broker that was used before."""
    with scene(
        f"STOREPULSE_CHAOS_SEED={story.seed}", ground, folder, story.partitions, story.workers
    ) as ours:
        for action in story.actions:
            ours.world.perform(action)
        return ours.judged()


@dataclass(slots=True)
class Scene:
    """A world that is being looked at."""

    name: str
    partitions: int
    world: World
    watcher: Watcher
    _late: list[Fault] = field(default_factory=list)

    def owner(self, partition: int = 0) -> int:
        """The worker that applies what comes in a partition. Something must have been sent to it just now."""
        began, found = len(self.watcher.looks), list[int]()

        def is_seen() -> bool:
            end = max(0, *(each for at, each in self.world.teller.confirmed().items() if at[1] == partition))
            for look in self.watcher.looks[began:]:
                reached = max((each for at, each in look.positions.items() if at[1] == partition), default=0)
                if look.view.startswith("worker") and reached >= end > 0:
                    found.append(int(look.view.split()[1]))
            return bool(found)

        assert self.world.teller.drain(_SETTLE_SECONDS)
        until(f"some worker applies partition {partition}", is_seen)
        return found[-1]

    def wait_until_applied(self) -> None:
        """Wait until all that was sent so far can be read everywhere; it is a fault if that takes too long."""
        assert self.world.teller.drain(_SETTLE_SECONDS)
        self._wait_for(self._lacking_since(len(self.watcher.looks)), "on the way")

    def judged(self) -> Verdict:
        """Let everything come to rest, compare every view, lose every table but the replica's, compare again."""
        self.world.settle()
        self._wait_for(self._lacking_since(len(self.watcher.looks)), "in the end")
        self._look_at_a_new_replica()
        self.world.rebuild()
        self._wait_for(self._lacking_since(len(self.watcher.looks)), "after all tables were wiped")
        judge = Judge(tape_of(self.world.ground.broker.bootstrap, self.partitions), self.partitions)
        looks = list(self.watcher.looks)
        last = {look.view: look.text for look in looks if look.is_of_all}
        ended = [Fault("odd end", text) for text in self.world.odd_ends]
        faults = (*self._late, *ended, *judge.of_the_end(last), *judge.of_looks(looks))
        counts = Counter(self.world.counts)
        counts |= Counter(looks=len(looks), refused=self.watcher.refused, records=len(judge.tape.records))
        counts["taken over again"] = self.world.said_by_workers("a partition is taken over again")
        TOTALS.update(counts)
        TOTALS.update({"rounds": 1, "faults": len(faults)})
        return Verdict(self.name, faults, counts)

    def _ends(self) -> Positions:
        return tape_of(self.world.ground.broker.bootstrap, self.partitions).ends

    def _lacking_since(self, began: int) -> Callable[[], dict[str, Lag]]:
        """What the replica, the API and, of each partition, the best worker lack by the looks from one on."""

        def lacking() -> dict[str, Lag]:
            ends = self._ends()
            seen = {look.view: look.positions for look in self.watcher.looks[began:]}
            workers = [positions for view, positions in seen.items() if view.startswith("worker")]
            best = {at: max((each.get(at, 0) for each in workers), default=0) for at in ends}
            found = {"workers": best, **{view: seen.get(view, {}) for view in ("old replica", "api")}}
            return {view: short for view, each in found.items() if (short := _short(each, ends))}

        return lacking

    def _look_at_a_new_replica(self) -> None:
        fleet_ = self.world.fleet
        view = TablesView(
            "new replica", fleet_.folder / "new", fleet_.folder / "look-new", self.partitions, is_of_all=True
        )
        replica = fleet_.run("replica", state="new")

        def lacking() -> dict[str, Lag]:
            look = self.watcher.look_at(view)
            short = _short({} if look is None else look.positions, self._ends())
            return {view.name: short} if short else {}

        self._wait_for(lacking, "in the end")
        view.close()
        replica.stop()

    def _wait_for(self, lacking: Callable[[], dict[str, Lag]], when: str) -> None:
        """Wait until nothing lacks twice in a row: what is sent on meanwhile is more to wait for."""
        patience_s = _SETTLE_SECONDS / 5 if self._late else _SETTLE_SECONDS
        deadline, fine = time.monotonic() + patience_s, 0
        while fine < 2:
            still = lacking()
            fine = 0 if still else fine + 1
            if time.monotonic() > deadline:
                self._late.append(Fault("stuck", f"{when}, after {patience_s:g} s, (applied, end): {still}"))
                return
            for worker in self.world.workers:
                self.world.keep_alive(worker)
            time.sleep(_PAUSE_SECONDS)


@contextmanager
def scene(name: str, ground: Ground, folder: Path, partitions: int, workers: int) -> Iterator[Scene]:
    """Begin a world on a broker that was used before, and look at it until the block ends."""
    wipe(ground.broker.bootstrap)
    watcher = Watcher(time.monotonic())
    with (
        fleet(ground.url, folder, session_seconds=SESSION_SECONDS, partitions=partitions) as ours,
        Teller(ground.broker.bootstrap) as teller,
    ):
        world = World(ground, ours, teller)
        world.begin(workers)
        api = HttpView("api", world.start_api(), teller.confirmed)
        names = [(f"worker {each}", world.state_of(each), False) for each in range(workers)]
        tables: list[View] = [
            TablesView(view, state, folder / f"look-{state.name}", partitions, is_of_all)
            for view, state, is_of_all in (*names, ("old replica", world.host, True))
        ]
        try:
            with watcher.watching(tables, [api]):
                yield Scene(name, partitions, world, watcher)
        finally:
            ground.network.open_all()


def _short(found: Positions, ends: Positions) -> Lag:
    return {at: (found.get(at, 0), end) for at, end in ends.items() if found.get(at, 0) < end}
