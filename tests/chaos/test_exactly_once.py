"""Dead letters and strays are told once, and what was forwarded late overrules nothing (rules 3, 7.1)."""

from pathlib import Path
from random import Random

import pytest

from tests.chaos.actions import Action, Verb
from tests.chaos.rounds import scene
from tests.chaos.sending import Sending
from tests.chaos.story import STORES
from tests.chaos.world import Ground

pytestmark = pytest.mark.long

_PARTITIONS = 3
_WORKERS = (0, 1)
_KILLS = [3, pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(600)])]


@pytest.mark.parametrize("kills", _KILLS)
def test_dead_letters_and_strays_are_told_once_however_often_their_teller_is_killed(
    kills: int, chaos_ground: Ground, tmp_path: Path
) -> None:
    chance = Random(kills)
    sending = Sending(
        chance, STORES, _PARTITIONS, ("single", "bad", "stray", "stray hours or zone", "hours", "zone")
    )
    with scene(f"{kills} kills", chaos_ground, tmp_path, _PARTITIONS, len(_WORKERS)) as ours:
        for _ in range(kills):
            ours.world.perform(Action(Verb.SEND, notes=sending.batch(40)))
            ours.world.perform(Action(Verb.WAIT, seconds=chance.uniform(0.02, 0.3)))
            for verb in (Verb.KILL, Verb.START):
                for worker in _WORKERS:
                    ours.world.perform(Action(verb, worker))
            ours.world.perform(Action(Verb.WAIT, seconds=chance.uniform(1.5, 3.0)))
        verdict = ours.judged()
    print(verdict)
    assert not verdict.faults


@pytest.mark.parametrize("to", [Verb.RESET_EARLIEST, Verb.RESET_LATEST])
def test_a_reset_of_the_group_brings_nothing_back_and_loses_nothing(
    to: Verb, chaos_ground: Ground, tmp_path: Path
) -> None:
    """Strays of weeks, zones and nulls; then what overrules them; polls while nobody runs; the reset."""
    sending = Sending(Random(5), STORES, _PARTITIONS)
    later = Sending(Random(6), STORES, _PARTITIONS, ("hours", "zone", "single"))
    with scene(to.value, chaos_ground, tmp_path, _PARTITIONS, len(_WORKERS)) as ours:
        for notes in (sending.opening(), sending.strays(), later.opening(), later.batch(60)):
            ours.world.perform(Action(Verb.SEND, notes=notes))
        ours.wait_until_applied()
        for worker in _WORKERS:
            ours.world.perform(Action(Verb.STOP, worker))
        ours.world.perform(Action(Verb.SEND, notes=later.batch(20)))
        ours.world.perform(Action(to))
        for worker in _WORKERS:
            ours.world.perform(Action(Verb.START, worker))
        verdict = ours.judged()
    print(verdict)
    assert not verdict.faults


def test_a_stray_poll_that_was_written_before_a_forgetting_stays_forgotten(
    chaos_ground: Ground, tmp_path: Path
) -> None:
    """Its copy arrives while the forgetting is being written. No store has hours, so a poll that stays shows."""
    sending = Sending(Random(0), 4 * STORES, _PARTITIONS, ("stray",))
    with scene("strays and nulls", chaos_ground, tmp_path, _PARTITIONS, len(_WORKERS)) as ours:
        for _ in range(12):
            strays = sending.batch(30)
            ours.world.perform(Action(Verb.SEND, notes=(*strays, *map(sending.forgetting_of, strays))))
            ours.world.perform(Action(Verb.WAIT, seconds=0.3))
        ours.world.perform(Action(Verb.SEND, notes=sending.opening()[-1:]))
        verdict = ours.judged()
    print(verdict)
    assert not verdict.faults
