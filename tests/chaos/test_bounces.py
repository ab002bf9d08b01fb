"""A broker that is away is no end: the same workers go on, with nothing lost and nothing told twice."""

from pathlib import Path
from random import Random

import pytest

from tests.chaos.actions import Action, Verb
from tests.chaos.rounds import scene
from tests.chaos.sending import Sending
from tests.chaos.story import STORES
from tests.chaos.world import Ground

pytestmark = pytest.mark.long

_SECONDS = [
    5,
    *(pytest.param(away, marks=[pytest.mark.soak, pytest.mark.timeout(600)]) for away in (30, 120)),
]


@pytest.mark.parametrize("away_s", _SECONDS)
def test_workers_go_on_when_a_broker_that_was_away_is_back(
    away_s: int, chaos_ground: Ground, tmp_path: Path
) -> None:
    sending = Sending(Random(away_s), STORES, partitions=3)
    with scene(f"{away_s} s without a broker", chaos_ground, tmp_path, partitions=3, workers=2) as ours:
        processes = dict(ours.world.workers)
        ours.world.perform(Action(Verb.SEND, notes=sending.opening()))
        for _ in range(10):
            ours.world.perform(Action(Verb.SEND, notes=sending.batch(30)))
        ours.world.perform(Action(Verb.WAIT, seconds=0.1))  # a moment in the middle of it
        ours.world.perform(Action(Verb.BOUNCE, seconds=away_s))
        ours.world.perform(Action(Verb.SEND, notes=sending.batch(30)))
        ours.wait_until_applied()
        assert ours.world.workers == processes
        assert [process.exit_code for process in processes.values()] == [None, None]
        verdict = ours.judged()
    print(verdict)
    assert not verdict.faults
