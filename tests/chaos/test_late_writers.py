"""A worker that was away for longer than its session writes nothing when it is back (rule 7.2).

One partition, two workers, one store. The owner goes away in the middle of writing; the other takes over and writes
more; the first comes back with what it had in hand.
"""

from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.chaos.actions import Action, Verb
from tests.chaos.rounds import Scene, scene
from tests.chaos.sending import Sending
from tests.chaos.story import SESSION_SECONDS
from tests.chaos.world import Ground

pytestmark = pytest.mark.long

_AWAY: Final = {
    "frozen": (Verb.FREEZE, Verb.WAKE),
    "held up by the network": (Verb.HOLD, Verb.OPEN),
    "cut off": (Verb.CUT, Verb.OPEN),
}
_THEN: Final = ("nothing more comes", "the owner is killed", "it is restarted", "polls go on")
_SUITE: Final = {
    ("frozen", "nothing more comes"),
    ("held up by the network", "the owner is killed"),
    ("cut off", "polls go on"),
}
_CASES: Final = [
    pytest.param(away, then, marks=[] if (away, then) in _SUITE else [pytest.mark.soak])
    for away in _AWAY
    for then in _THEN
]


@pytest.mark.parametrize(("away", "then"), _CASES)
def test_a_worker_that_comes_back_late_changes_nothing(
    away: str, then: str, chaos_ground: Ground, tmp_path: Path
) -> None:
    sending = Sending(Random(0), stores=1, partitions=1, kinds=("single", "late"))
    with scene(f"{away}, then {then}", chaos_ground, tmp_path, partitions=1, workers=2) as ours:
        send(ours, sending, 3)
        first = ours.owner()
        other = 1 - first
        go, come = _AWAY[away]
        send(ours, sending, 20)
        wait(ours, 0.08)  # a moment in the middle of writing
        ours.world.perform(Action(go, first))
        wait(ours, 1.5 * SESSION_SECONDS)
        send(ours, sending, 10)
        assert ours.owner() == other
        ours.world.perform(Action(come, first))
        match then:
            case "the owner is killed":
                wait(ours, 0.5)
                ours.world.perform(Action(Verb.KILL, other))
            case "it is restarted":
                wait(ours, 0.5)
                ours.world.perform(Action(Verb.STOP, first))
                ours.world.perform(Action(Verb.START, first))
            case "polls go on":
                send(ours, sending, 20)
        wait(ours, 2)
        verdict = ours.judged()
    print(verdict)
    assert not verdict.faults


def send(ours: Scene, sending: Sending, batches: int) -> None:
    """Polls of the one store, some a batch."""
    for _ in range(batches):
        ours.world.perform(Action(Verb.SEND, notes=sending.batch(10)))


def wait(ours: Scene, seconds: float) -> None:
    """Let it happen."""
    ours.world.perform(Action(Verb.WAIT, seconds=seconds))
