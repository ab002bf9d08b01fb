"""Health says which part fails and how far the readable state trails the log; never how old polls are."""

import asyncio
import time
from typing import Literal

import pytest

from query_api import app
from query_api.health import MAX_TRAILING_S, Health, HealthWatch
from query_api.metrics import FRESH_S, Metrics
from query_api.snapshots.reader import Reader
from schemas.rows.facts import ZONE_DATABASE_KEY
from schemas.rows.losses import Loss
from schemas.settings import Settings
from schemas.topics import HOURS, POLLS, ZONES
from tests.builders import polls
from tests.query_api.service import PATIENCE_S, FakeProbe, fetch, serving, trigger
from tests.query_api.tables import Tables


class BrokenTarget(FakeProbe):
    """Cannot say what `up --data` replays."""

    broken = False

    def replay_target(self) -> dict[tuple[str, int], int] | Literal["pending"] | None:
        if self.broken:
            raise ValueError("no JSON")
        return super().replay_target()


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("path", ["/health", "/api/v1/health"])
async def test_with_all_applied_the_service_is_ready_however_old_the_polls(
    settings: Settings, tables: Tables, path: str
) -> None:
    tables.add(polls("1999-01-01 10:00 active"))
    tables.apply(POLLS, 1)
    async with serving(settings, FakeProbe({(POLLS, 0): 1})) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "ready": True,
        "parts": {"process": "ok", "broker": "ok", "worker": "ok", "state": "ok"},
        "lag": {"records": {POLLS: 0, HOURS: 0, ZONES: 0}, "seconds": 0.0},
        "tables": {"partitions": 1, "whole": 1, "restoring": []},
        "losses": [],
    }


async def test_a_new_service_without_any_record_is_ready(settings: Settings, tables: Tables) -> None:
    async with serving(settings, FakeProbe({(POLLS, 0): 0})) as client:
        assert (await client.get("/health")).status_code == 200


async def test_lag_is_counted_by_topic_over_all_partitions(settings: Settings) -> None:
    tables = Tables(settings, 2)
    tables.apply(POLLS, 10, partition=0)
    tables.apply(POLLS, 20, partition=1)
    tables.apply(ZONES, 5, partition=1)
    ends = {(POLLS, 0): 13, (POLLS, 1): 24, (ZONES, 1): 5, (HOURS, 0): 2}
    async with serving(settings, FakeProbe(ends)) as client:
        answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["lag"]["records"] == {POLLS: 7, HOURS: 2, ZONES: 0}
    tables.close()


async def test_seconds_tell_how_long_the_oldest_record_has_been_waiting(
    settings: Settings, tables: Tables, reader: Reader
) -> None:
    """log   1 at 0 s, 2 at 10 s, 3 at 20 s; applied: 1 at 10 s, 3 at 30 s"""
    probe, clock = FakeProbe({(POLLS, 0): 1}), Clock()
    watch = HealthWatch(reader, probe, clock)
    seconds = [(await watch.look()).trailing_s]
    clock.now_s = 10.0
    probe.ends = {(POLLS, 0): 2}
    tables.apply(POLLS, 1)
    seconds.append((await watch.look()).trailing_s)
    clock.now_s = 20.0
    probe.ends = {(POLLS, 0): 3}
    seconds.append((await watch.look()).trailing_s)
    clock.now_s = 30.0
    tables.apply(POLLS, 3)
    seconds.append((await watch.look()).trailing_s)
    assert seconds == [0.0, 0.0, 10.0, 0.0]


async def test_records_that_keep_coming_and_keep_being_applied_do_not_count_as_trailing(
    settings: Settings, tables: Tables, reader: Reader
) -> None:
    probe, clock = FakeProbe(), Clock()
    watch = HealthWatch(reader, probe, clock)
    for second in range(1, 200):
        clock.now_s = float(second)
        probe.ends = {(POLLS, 0): 10 * second}
        tables.apply(POLLS, 10 * second - 5)
        health = await watch.look()
        assert health.trailing_s <= 1.0
        assert health.ready


async def test_state_that_stands_still_while_the_log_waits_fails(
    settings: Settings, tables: Tables, reader: Reader
) -> None:
    probe, clock = FakeProbe({(POLLS, 0): 5}), Clock()
    watch = HealthWatch(reader, probe, clock)
    assert (await watch.look()).ready
    clock.now_s = MAX_TRAILING_S + 1
    health = await watch.look()
    assert not health.ready
    assert "trails the log for 61 s" in health.state


@pytest.mark.parametrize(
    ("probe", "part", "says"),
    [
        (FakeProbe(error=ConnectionError("no route to kafka:9092")), "broker", "no route to kafka:9092"),
        (FakeProbe(alive=False), "worker", "storepulse worker"),
    ],
)
async def test_a_part_that_fails_is_named_with_what_is_wrong(
    settings: Settings, tables: Tables, probe: FakeProbe, part: str, says: str
) -> None:
    async with serving(settings, probe) as client:
        answer = await client.get("/health")
        live = await client.get("/health/live")
    assert answer.status_code == 503
    health = answer.json()
    assert (health["status"], health["ready"]) == ("failing", False)
    assert says in health["parts"].pop(part)
    assert set(health["parts"].values()) == {"ok"}
    assert (live.status_code, live.json()) == (200, {"status": "alive"})


async def test_a_worker_that_cannot_be_seen_from_here_is_no_failure(
    settings: Settings, tables: Tables
) -> None:
    async with serving(settings, FakeProbe(alive=None)) as client:
        assert (await client.get("/health")).status_code == 200


async def test_state_that_cannot_be_read_fails(settings: Settings, tables: Tables) -> None:
    tables.put(ZONE_DATABASE_KEY, b"1999a")
    async with serving(settings) as client:
        answer = await client.get("/health")
    assert answer.status_code == 503
    assert "1999a" in answer.json()["parts"]["state"]
    assert answer.json()["lag"]["records"] is None


async def test_it_is_replaying_until_all_of_it_is_readable(settings: Settings, tables: Tables) -> None:
    probe = FakeProbe({(POLLS, 0): 100, (ZONES, 0): 7}, target="pending")
    async with serving(settings, probe) as client:

        async def status() -> tuple[int, str]:
            answer = await client.get("/health")
            return answer.status_code, answer.json()["status"]

        assert await status() == (503, "replaying")
        probe.target = {(POLLS, 0): 90, (ZONES, 0): 7}
        assert await status() == (503, "replaying")
        tables.apply(POLLS, 90)
        assert await status() == (503, "replaying")
        tables.apply(ZONES, 7)
        assert await status() == (200, "ok")


async def test_it_is_restoring_until_every_table_is_there_and_whole(settings: Settings) -> None:
    tables = Tables(settings, 3)
    tables.restore(5, 70, partition=0)
    tables.restore(0, None, partition=1)
    tables.remove_partition(2)
    async with serving(settings, FakeProbe(alive=False)) as client:
        answer = await client.get("/health")
        metrics = (await client.get("/metrics")).text.splitlines()
        assert (answer.status_code, answer.json()["status"]) == (503, "restoring")
        assert answer.json()["tables"] == {
            "partitions": 2,  # the broker said nothing, and who knows of the third is gone
            "whole": 0,
            "restoring": [
                {"partition": 0, "reached": 5, "target": 70},
                {"partition": 1, "reached": 0, "target": None},
            ],
        }
        assert "0 of 2 partitions are whole" in answer.json()["parts"]["state"]
        assert {"storepulse_restoring_partitions 2.0", "storepulse_ready 0.0"} <= set(metrics)
    async with serving(settings, FakeProbe({(POLLS, 2): 0})) as client:
        assert (await client.get("/health")).json()["tables"]["partitions"] == 3
        tables.add_partition()
        tables.make_whole(0)
        assert (await client.get("/health")).json()["status"] == "restoring"
        tables.make_whole(1)
        answer = await client.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    tables.close()


async def test_a_host_without_any_table_is_restoring(settings: Settings) -> None:
    async with serving(settings, FakeProbe({(POLLS, partition): 0 for partition in range(12)})) as client:
        answer = await client.get("/health")
        debug = await client.get("/api/v1/debug/max_timestamp")
    assert (answer.status_code, answer.json()["status"]) == (503, "restoring")
    assert answer.json()["tables"]["partitions"] == len(answer.json()["tables"]["restoring"]) == 12
    assert (debug.status_code, debug.headers["content-type"]) == (503, "application/problem+json")
    assert "no partition has a table here yet" in debug.json()["detail"]


@pytest.mark.parametrize(
    "path", ["max_timestamp", "status_counts", "stores_with_downtime", "store/s1", "store/unknown"]
)
async def test_no_debug_call_answers_from_half_a_state(settings: Settings, tables: Tables, path: str) -> None:
    tables.add(polls("Mon 10:00 active"))
    tables.restore(1, 2)
    async with serving(settings) as client:
        answer = await client.get(f"/api/v1/debug/{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert "partition 0 is being restored: 1 of 2" in answer.json()["detail"]
        tables.make_whole()
        answer = await client.get(f"/api/v1/debug/{path}")
        assert answer.status_code == (404 if path == "store/unknown" else 200)


async def test_losses_degrade_the_service_until_they_are_accepted(settings: Settings, tables: Tables) -> None:
    tables.lose(POLLS, Loss(10, 25, 1_674_468_000_000, "retention passed"), Loss(40, -1, 0, "made again"))
    async with serving(settings) as client:
        answer = await client.get("/health")
        metrics = (await client.get("/metrics")).text.splitlines()
        assert (answer.status_code, answer.json()["status"], answer.json()["ready"]) == (
            200,
            "degraded",
            True,
        )
        assert answer.json()["losses"] == [
            {
                "topic": POLLS,
                "partition": 0,
                "from_offset": 10,
                "to_offset": 25,
                "noticed": "2023-01-23T10:00:00.000000Z",
                "why": "retention passed",
            },
            {
                "topic": POLLS,
                "partition": 0,
                "from_offset": 40,
                "to_offset": None,
                "noticed": "1970-01-01T00:00:00.000000Z",
                "why": "made again",
            },
        ]
        assert {
            'storepulse_losses{topic="store-polls"} 2.0',
            'storepulse_lost_records{topic="store-polls"} 15.0',
            'storepulse_losses{topic="store-zones"} 0.0',
        } <= set(metrics)
        tables.lose(POLLS)
        assert (await client.get("/health")).json()["status"] == "ok"
        lines = (await client.get("/metrics")).text.splitlines()
        assert 'storepulse_losses{topic="store-polls"} 0.0' in lines


async def test_looks_go_on_after_one_that_failed_and_metrics_say_not_ready_meanwhile(
    settings: Settings, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the file that `up --data` writes is no JSON."""
    monkeypatch.setattr(app, "LOOK_EVERY_S", 0.01)
    probe = BrokenTarget()
    async with serving(settings, probe) as client:

        async def ready(expected: float) -> None:
            deadline = time.monotonic() + PATIENCE_S
            while f"storepulse_ready {expected}" not in (await client.get("/metrics")).text:
                assert time.monotonic() < deadline, f"never {expected}"
                await asyncio.sleep(0.01)

        await ready(1.0)
        probe.broken = True
        await ready(0.0)
        assert "storepulse_failed_looks_total 0.0" not in (await client.get("/metrics")).text
        probe.broken = False
        await ready(1.0)


def test_a_look_of_long_ago_says_nothing_of_now() -> None:
    clock = Clock()
    metrics = Metrics(clock)
    metrics.looked(Health("ok", "ok", "ok", None, False, None, 0.0))
    assert b"storepulse_ready 1.0" in metrics.text()
    clock.now_s = FRESH_S
    assert b"storepulse_ready 0.0" in metrics.text()


async def test_metrics_count_reports_and_tell_stores_and_lag(settings: Settings, tables: Tables) -> None:
    tables.add([*polls("Mon 10:00 active", store_id="a"), *polls("Mon 10:00 active", store_id="b")])
    probe = FakeProbe({(POLLS, 0): 0})
    async with serving(settings, probe) as client:
        await fetch(client, await trigger(client))
        probe.ends = {(POLLS, 0): 4}
        await client.get("/health")
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    assert 'storepulse_reports_total{outcome="complete"} 1.0' in lines
    assert 'storepulse_reports_total{outcome="failed"} 0.0' in lines
    assert "storepulse_report_seconds_count 1.0" in lines
    assert "storepulse_stores 2.0" in lines
    assert 'storepulse_lag_records{topic="store-polls"} 4.0' in lines
    assert "storepulse_ready 1.0" in lines
