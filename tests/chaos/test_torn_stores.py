"""No reader sees half of a flush, however large it is."""

from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.chaos.actions import Action, Note, Verb
from tests.chaos.meaning import POLLS
from tests.chaos.rounds import scene
from tests.chaos.sending import AS_OF_US
from tests.chaos.world import Ground

pytestmark = pytest.mark.long

_POLLS: Final = 600_000
"""A poll a second for a week: more rows than one record batch holds."""
_RECORDS: Final = 3


def test_a_report_through_a_replica_never_shows_half_of_a_record(
    chaos_ground: Ground, tmp_path: Path
) -> None:
    chance = Random(0)
    with scene("torn store", chaos_ground, tmp_path, partitions=1, workers=1) as ours:
        for _ in range(_RECORDS):
            ours.world.perform(Action(Verb.SEND, notes=(many_polls(chance),)))
            ours.wait_until_applied()
        verdict = ours.judged()
    print(verdict)
    assert not [fault for fault in verdict.faults if fault.kind != "not current"]


def many_polls(chance: Random) -> Note:
    """Every second of a week, each active or not."""
    times = ",".join(str(AS_OF_US - 1_000_000 * second) for second in range(_POLLS, 0, -1))
    letters = "".join(chance.choices("AI", (9, 1), k=_POLLS))
    value = f'{{"store_id":"100","timestamps_us":[{times}],"statuses":"{letters}"}}'
    return Note(POLLS, 0, b"100", value.encode())
