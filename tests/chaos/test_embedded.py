"""The same on the embedded log: a worker that is killed at any moment, and tables that are lost."""

import time
from pathlib import Path
from typing import Final

import pytest

from schemas.positions import Positions
from schemas.settings import Settings
from schemas.topics import DEAD_LETTERS
from stream.brokers.embedded.log import EmbeddedLog
from stream.brokers.records import NewRecord, Record
from tests.chaos.actions import Action, Verb
from tests.chaos.judge import Judge
from tests.chaos.looks import TablesView, Watcher
from tests.chaos.meaning import TOPICS
from tests.chaos.story import embedded_story
from tests.chaos.tape import Tape, tape_from
from tests.e2e.harness import until, wipe_tables
from tests.kafka.harness import fleet

_SEEDS: Final = [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 20))]
_MOST: Final = 1 << 30


class Log:
    """What was written to the embedded log, kept also where the log itself compacts it away."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        self._log = EmbeddedLog(settings.log_path)
        self._partitions = partitions
        self._seen: dict[tuple[str, int], list[Record]] = {}

    def tell(self, action: Action) -> None:
        """Append the records of an action."""
        now_ms = time.time_ns() // 1_000_000
        self._log.append(
            NewRecord(note.topic, note.partition, note.key, note.value, now_ms + note.skew_ms)
            for note in action.notes
        )

    def tape(self) -> Tape:
        """All records up to now."""
        for topic in (*TOPICS, DEAD_LETTERS):
            for partition in range(self._partitions):
                seen = self._seen.setdefault((topic, partition), [])
                seen += self._log.read(topic, partition, seen[-1].offset + 1 if seen else 0, _MOST, _MOST)
        return tape_from([record for records in self._seen.values() for record in records])

    def close(self) -> None:
        """Close the log."""
        self._log.close()


@pytest.mark.long
@pytest.mark.parametrize("seed", _SEEDS)
def test_kills_and_lost_tables_change_no_report_on_the_embedded_log(seed: int, tmp_path: Path) -> None:
    story, state = embedded_story(seed), tmp_path / "state"
    watcher = Watcher(time.monotonic())
    view = TablesView("tables", state, tmp_path / "look", story.partitions, is_of_all=True)
    with fleet(f"embedded://{state / 'log.db'}", tmp_path, partitions=story.partitions) as ours:
        ours.done(ours.run("topics", state="state"))
        log = Log(Settings(state=state), story.partitions)
        worker = ours.worker("state")
        with watcher.watching([view]):
            for action in story.actions:
                match action.verb:
                    case Verb.SEND:
                        log.tell(action)
                    case Verb.WAIT:
                        time.sleep(action.seconds)
                    case Verb.KILL:
                        worker.kill()
                    case Verb.WIPE:
                        wipe_tables(state)
                    case _:
                        worker = ours.worker("state")
                log.tape()
            until("all is applied", lambda: reached(watcher, log.tape().ends))
        judge = Judge(log.tape(), story.partitions)
        log.close()
    faults = [*judge.of_the_end({"tables": watcher.looks[-1].text}), *judge.of_looks(watcher.looks)]
    print(story, f"{len(watcher.looks)} looks, {watcher.refused} refused", *faults[:8], sep="\n")
    assert not faults


def reached(watcher: Watcher, ends: Positions) -> bool:
    """Whether the last look has all of it."""
    positions = watcher.looks[-1].positions if watcher.looks else {}
    return all(positions.get(at, 0) >= end for at, end in ends.items())
