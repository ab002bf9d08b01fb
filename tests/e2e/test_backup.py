"""Backups under load: each opens, and is exact as of the positions that it names (rule 7.6).

The judge is the oracle on the records of the copy's own log: those before the positions named are what the copy's
tables must show as they lie, all of them what they must show once a worker has opened the copy.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas.events.hours import encode_hours
from schemas.events.polls import encode_poll
from schemas.events.zones import encode_zone
from schemas.opening_hours import plain_hours, week_of
from schemas.positions import Positions
from schemas.settings import Settings
from schemas.topics import HOURS, POLLS, ZONES
from schemas.values import StoreId, format_timestamp
from stream.brokers.opening import open_sink
from tests.builders import rows
from tests.e2e.harness import applied, report_of, running, sample_data, storepulse, until, wait_until_applied
from tests.e2e.log_oracle import ends, oracle_of
from tests.e2e.test_up import service

pytestmark = pytest.mark.long

STORES = [StoreId(f"s{number:03}") for number in range(40)]
DAY_S = 24 * 3600


@contextmanager
def load(state: Path, seed: int) -> Iterator[None]:
    """A producer that sends until the block ends; now and then it forgets a store, or changes its hours or zone."""
    random_, enough = random.Random(seed), threading.Event()
    failures: list[Exception] = []

    def send_until_enough() -> None:
        try:
            with open_sink(Settings(state=state)) as sink:
                while not enough.wait(0.02):
                    for _ in range(random_.randint(1, 60)):
                        store, now_us = random_.choice(STORES), time.time_ns() // 1000
                        at = format_timestamp(now_us - random_.randrange(9 * DAY_S * 1_000_000))
                        sink.send(
                            POLLS, store, encode_poll(store, random_.choice(("active", "inactive")), at)
                        )
                    store = random_.choice(STORES)
                    match random_.randrange(30):
                        case 0:
                            sink.send(POLLS, store, None)
                        case 1:
                            sink.send(
                                HOURS,
                                store,
                                encode_hours(store, plain_hours(week_of(rows(random_week(random_))))),
                            )
                        case 2:
                            sink.send(ZONES, store, encode_zone(store, "Asia/Tokyo"))
                    sink.flush()
        except Exception as error:
            failures.append(error)

    producer = threading.Thread(target=send_until_enough)
    producer.start()
    try:
        yield
    finally:
        enough.set()
        producer.join()
    assert not failures


def random_week(random_: random.Random) -> str:
    return f"Mon-Sun {random_.randrange(0, 12):02}:00-{random_.randrange(13, 24):02}:30"


def named(copy: Path) -> Positions:
    """The positions that a copy says it is exact as of."""
    listed = json.loads((copy / "backup.json").read_text())["positions"]
    return {(topic, int(number)): at for topic, each in listed.items() for number, at in each.items()}


@pytest.mark.parametrize("partitions", [1, 3])
def test_five_backups_under_load_are_each_exact_as_of_what_they_name(
    partitions: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREPULSE_PARTITIONS", str(partitions))
    state, copies = tmp_path / "state", [tmp_path / f"copy-{nth}" for nth in range(5)]
    with running("worker", state=state), load(state, seed=partitions):
        until(
            "every partition has applied polls",
            lambda: Counter(tp[0] for tp in applied(state))[POLLS] == partitions,
        )
        for copy in copies:
            ran = storepulse("backup", copy, state=state)
            assert ran.returncode == 0, ran.stderr
    polls_named = [sum(at for tp, at in named(copy).items() if tp[0] == POLLS) for copy in copies]
    assert polls_named == sorted(set(polls_named)), "polls were applied between any two backups"
    for copy in copies:
        assert report_of(copy, tmp_path / "r.csv") == oracle_of(copy / "log.db", named(copy))
        with running("worker", state=copy):
            wait_until_applied(copy, ends(copy / "log.db"))
            assert report_of(copy, tmp_path / "r.csv") == oracle_of(copy / "log.db")


KEPT = {"worker", "log.db", "reports"}
MADE_AGAIN = {
    "log.db-shm",
    "log.db-turn",
    "log.db-wal",
    "rejects.csv",
    "replaying.json",
    "secondary",
    "up.out",  # the harness's
    "worker.lock",
}


def test_all_that_lies_in_a_state_folder_is_copied_or_known_to_be_made_again(tmp_path: Path) -> None:
    """Whoever adds something to a state folder says here, and in scripts.operations.backup, which of both it is."""
    state, data = tmp_path / "state", sample_data(tmp_path / "data", stores=5)
    with service(state, "--data", data) as up:
        up.wait_until_ready()
        report_id = up.json("/trigger_report", "-X", "POST")["report_id"]
        up.download(f"/get_report/{report_id}", tmp_path / "r.csv")
        found = {path.name for path in state.iterdir()}
    assert found >= KEPT
    assert found <= KEPT | MADE_AGAIN
    assert [path.name for path in (state / "worker").iterdir()] == ["v1"]
    assert [path.name for path in (state / "worker" / "v1").iterdir()] == ["tables"]
