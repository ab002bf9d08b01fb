"""The debug calls say what stands behind the numbers, and it adds up to them."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings

from query_api.reports.report import chunk_totals
from query_api.snapshots.reader import Reader
from query_api.stores.explain import story_of
from schemas.opening_hours import Closure, DatedWeek, SpecialDay, StoreHours, parse_date, week_of
from schemas.rows.day_blocks import day_block_key, encode_day_blocks
from schemas.settings import Settings
from schemas.values import DAY_US, StoreId, day_of
from stream.core.windows import windows
from tests.builders import at, hourly, poll_words, polls, rows, status_words, utc
from tests.oracle import oracle_uptime_us, retained
from tests.profiles import examples
from tests.query_api.service import serving
from tests.query_api.tables import Tables
from tests.strategies import Case, cases


async def asked(settings: Settings, path: str, **params: str) -> Any:
    async with serving(settings) as client:
        answer = await client.get(f"/api/v1/debug/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_max_timestamp_is_the_latest_poll_of_any_store(settings: Settings, tables: Tables) -> None:
    tables.add(polls("Mon 10:00 active", "Mon 11:00:00.5 active", store_id="a"))
    tables.add(polls("Mon 10:30 active", store_id="b"))
    assert await asked(settings, "max_timestamp") == {"max_timestamp": "2023-01-23T11:00:00.500000Z"}


async def test_before_the_first_poll_there_is_no_max_timestamp(settings: Settings, tables: Tables) -> None:
    assert await asked(settings, "max_timestamp") == {"max_timestamp": None}


async def test_status_counts_are_of_the_polls_retained(settings: Settings, tables: Tables) -> None:
    """Retention is 14 days back from each store's own latest poll, and the one poll before that.

    a     9th 09:00 I   9th 10:00 A │ 9th 10:00:01 A … 23rd 10:00 I     the first is not retained
    b     9th 10:00 I                                                   retained, whatever others do
    """
    tables.add(polls("2023-01-09 09:00 inactive", "2023-01-09 10:00 active", store_id="a"))
    tables.add(polls("2023-01-09 10:00:02 active", "2023-01-23 10:00:01 inactive", store_id="a"))
    tables.add(polls("2023-01-09 10:00 inactive", store_id="b"))
    assert await asked(settings, "status_counts") == {"active": 2, "inactive": 2, "total": 4}


@pytest.mark.parametrize("days", range(14, 20))
async def test_status_counts_agree_with_the_oracle_however_far_polls_reach_back(
    settings: Settings, tables: Tables, days: int
) -> None:
    every = []
    for store_id, shift in (("a", 0), ("b", 7), ("c", 13)):
        first_us = utc("2023-01-02 00:10") + shift * 3_600_000_000
        every += hourly(first_us, "AAIIAIA." * 3 * days, store_id)
    tables.add(every)
    kept = retained(poll_words(every), settings.retention_days)
    active = sum(status == "active" for _, _, status in kept)
    assert await asked(settings, "status_counts") == {
        "active": active,
        "inactive": len(kept) - active,
        "total": len(kept),
    }


async def test_stores_with_downtime_come_with_most_of_it_first_and_equal_ones_by_id(
    settings: Settings, tables: Tables
) -> None:
    for store_id, since in (("b", "10:00"), ("a", "10:00"), ("most", "08:00"), ("c", "11:30")):
        tables.add(polls(f"Mon {since} inactive", store_id=store_id))
    tables.add(polls("Mon 12:00 active", store_id="up"))
    answer = await asked(settings, "stores_with_downtime")
    assert [store["store_id"] for store in answer["stores"]] == ["most", "a", "b", "c"]
    assert answer["total"] == 4
    assert answer["as_of"] == "2023-01-23T12:00:00.000000Z"
    assert answer["stores"][0] == {
        "store_id": "most",
        "downtime_last_week": 4.0,
        "uptime_last_week": 164.0,
        "downtime_us": 14_400_000_000,
        "uptime_us": 590_400_000_000,
    }


async def test_only_as_many_stores_with_downtime_are_listed_as_asked_for(
    settings: Settings, tables: Tables
) -> None:
    for number in range(9):
        tables.add(polls(f"Mon 0{number}:00 inactive", store_id=f"s{number}"))
    tables.add(polls("Mon 12:00 active", store_id="up"))
    answer = await asked(settings, "stores_with_downtime", limit="2")
    assert [store["store_id"] for store in answer["stores"]] == ["s0", "s1"]
    assert answer["total"] == 9


async def test_the_story_of_a_store_worked_by_hand(settings: Settings, tables: Tables) -> None:
    """Chicago is 6 h behind UTC. Open Monday 09:00 to 12:00 there; down from 10:30 (16:30 UTC)."""
    tables.name("s1", "America/Chicago", week_of(rows("Mon 09:00-12:00")))
    tables.add(polls("Mon 14:00 active", "Mon 16:30 inactive", "Mon 17:00 inactive"))
    story = await asked(settings, "store/s1")
    hour, day, week = story.pop("windows")
    days = story.pop("days")
    assert story == {
        "store_id": "s1",
        "as_of": "2023-01-23T17:00:00.000000Z",
        "timezone": "America/Chicago",
        "timezone_given": True,
        "always_open": False,
        "week": [{"day": 0, "start_time_local": "09:00:00", "end_time_local": "12:00:00"}],
        "polls": [
            {"timestamp_utc": "2023-01-23T14:00:00.000000Z", "status": "active"},
            {"timestamp_utc": "2023-01-23T16:30:00.000000Z", "status": "inactive"},
            {"timestamp_utc": "2023-01-23T17:00:00.000000Z", "status": "inactive"},
        ],
    }
    assert hour == {
        "window": "last_hour",
        "from_utc": "2023-01-23T16:00:00.000000Z",
        "to_utc": "2023-01-23T17:00:00.000000Z",
        "unit": "minutes",
        "uptime": 30.0,
        "downtime": 30.0,
        "uptime_us": 1_800_000_000,
        "downtime_us": 1_800_000_000,
        "intervals": [
            {
                "from_utc": "2023-01-23T16:00:00.000000Z",
                "to_utc": "2023-01-23T16:30:00.000000Z",
                "from_local": "2023-01-23T10:00:00.000000-06:00",
                "to_local": "2023-01-23T10:30:00.000000-06:00",
                "status": "active",
                "span_us": 1_800_000_000,
            },
            {
                "from_utc": "2023-01-23T16:30:00.000000Z",
                "to_utc": "2023-01-23T17:00:00.000000Z",
                "from_local": "2023-01-23T10:30:00.000000-06:00",
                "to_local": "2023-01-23T11:00:00.000000-06:00",
                "status": "inactive",
                "span_us": 1_800_000_000,
            },
        ],
    }
    assert (day["window"], day["unit"], day["uptime"], day["downtime"]) == ("last_day", "hours", 1.5, 0.5)
    assert (week["window"], week["uptime"], week["downtime"]) == ("last_week", 2.5, 0.5)
    assert [each["date"] for each in days] == [f"2023-01-{day}" for day in range(16, 24)]
    assert [each["uptime_us"] // 1_800_000_000 for each in days] == [2, 0, 0, 0, 0, 0, 0, 3]
    assert days[-1]["from_utc"] == "2023-01-23T06:00:00.000000Z"
    assert days[-1]["downtime_us"] == 1_800_000_000


async def test_a_store_of_which_nothing_but_polls_is_known_is_open_always_in_chicago(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 14:00 active"))
    story = await asked(settings, "store/s1")
    assert (story["timezone"], story["timezone_given"]) == ("America/Chicago", False)
    assert (story["always_open"], story["week"]) == (True, [])


async def test_the_story_of_a_store_may_look_back_from_another_instant(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 inactive", "Mon 12:00 active"))
    story = await asked(settings, "store/s1", as_of="2023-01-23T11:00:00Z")
    assert story["as_of"] == "2023-01-23T11:00:00.000000Z"
    assert story["windows"][0]["downtime"] == 60.0
    assert len(story["polls"]) == 2


async def test_an_as_of_without_an_exact_answer_is_refused_here_too(
    settings: Settings, tables: Tables
) -> None:
    tables.add(polls("Mon 10:00 active"))
    async with serving(settings) as client:
        answer = await client.get("/api/v1/debug/store/s1", params={"as_of": "2020-01-01"})
    assert answer.status_code == 422
    assert answer.json()["earliest_as_of"] == "2023-01-16T10:00:00.000000Z"


async def test_without_any_poll_a_known_store_has_no_instant_to_look_back_from(
    settings: Settings, tables: Tables
) -> None:
    tables.name("s1", "UTC", None)
    async with serving(settings) as client:
        for path in ("store/s1", "stores_with_downtime"):
            answer = await client.get(f"/api/v1/debug/{path}")
            assert answer.status_code == 409
            assert answer.headers["content-type"] == "application/problem+json"
        assert (await client.get("/api/v1/debug/store/s2")).status_code == 404


@pytest.mark.parametrize("store_id", ["a/b", "a b", "é", "a?b", "a%b", 'a"b,c', ".."])
async def test_a_store_is_found_by_any_id_once_it_is_percent_encoded(
    settings: Settings, tables: Tables, store_id: str
) -> None:
    tables.add(polls("Mon 10:00 active", store_id=store_id))
    encoded = "".join(f"%{byte:02X}" for byte in store_id.encode())
    assert (await asked(settings, f"store/{encoded}"))["store_id"] == store_id


async def test_a_store_of_plain_hours_is_told_as_ever(settings: Settings, tables: Tables) -> None:
    tables.name("s1", "Europe/Berlin", week_of(rows("Sun 00:00-24:00"))).add(polls("Mon 10:00 active"))
    assert list(await asked(settings, "store/s1")) == [
        *("store_id", "as_of", "timezone", "timezone_given", "always_open", "week"),
        *("polls", "windows", "days"),
    ]


async def test_hours_that_change_are_told_beside_the_week(settings: Settings, tables: Tables) -> None:
    tables.set_hours(
        "s1",
        StoreHours(
            (DatedWeek(parse_date("2023-03-01"), week_of(rows("Mon 09:00-17:00"))),),
            (
                SpecialDay(parse_date("2023-03-02"), ((0, DAY_US),), "feast"),
                SpecialDay(parse_date("2023-03-03"), ()),
            ),
            (Closure(0, DAY_US, "long ago"),),
        ),
    ).add(polls("Mon 10:00 active"))
    story = await asked(settings, "store/s1")
    assert (story["always_open"], story["week"]) == (False, [])
    assert story["hours_over_time"] == {
        "dated_weeks": [
            {
                "valid_from": "2023-03-01",
                "week": [{"day": 0, "start_time_local": "09:00:00", "end_time_local": "17:00:00"}],
            }
        ],
        "special_days": [
            {
                "date": "2023-03-02",
                "spans": [{"start_time_local": "00:00:00", "end_time_local": "24:00:00"}],
                "reason": "feast",
            },
            {"date": "2023-03-03", "spans": [], "reason": ""},
        ],
        "closures": [
            {
                "from_utc": "1970-01-01T00:00:00.000000Z",
                "to_utc": "1970-01-02T00:00:00.000000Z",
                "reason": "long ago",
            }
        ],
    }


async def test_across_a_change_of_clocks_local_times_carry_their_offset(
    settings: Settings, tables: Tables
) -> None:
    """Berlin goes from +01:00 to +02:00 at 01:00 UTC on 2023-03-26: that local day has 23 hours."""
    tables.name("s1", "Europe/Berlin", week_of(rows("Sun 00:00-24:00")))
    tables.add(polls("2023-03-26 23:00 active"))
    story = await asked(settings, "store/s1")
    (interval,) = story["windows"][1]["intervals"]
    assert interval["from_local"] == "2023-03-26T00:00:00.000000+01:00"
    assert interval["to_local"] == "2023-03-27T00:00:00.000000+02:00"
    assert interval["span_us"] == 23 * 3_600_000_000
    assert [day["uptime_us"] for day in story["days"] if day["date"] == "2023-03-26"] == [82_800_000_000]


@example_settings(max_examples=examples(60))
@given(case=cases())
def test_intervals_and_days_add_up_to_the_report_and_the_oracle(
    tmp_path_factory: pytest.TempPathFactory, case: Case
) -> None:
    settings = Settings(state=tmp_path_factory.mktemp("case"))
    tables, reader = Tables(settings), Reader(settings)
    tables.name("s1", case.zone, case.week).add(case.polls)
    with reader.snapshot() as snapshot:
        story = story_of(snapshot, StoreId("s1"), case.as_of_us, settings.retention_days)
        (chunk,) = snapshot.chunks()
        every = chunk_totals(snapshot, chunk, windows(case.as_of_us))
    words, hours = status_words(case.polls), _row_words(case)
    for account, total in zip(story.windows, every, strict=True):
        span = account.window
        expected = oracle_uptime_us(words, hours, case.zone, span.from_us, span.to_us)
        assert (account.up_us, account.down_us) == expected
        assert (int(total.up_us[0]), int(total.down_us[0])) == expected
        edges = [edge for each in account.spans for edge in (each.from_us, each.to_us)]
        assert edges == sorted(edges)
    week = story.windows[-1]
    assert sum(day.up_us for day in story.days) == week.up_us
    assert sum(day.down_us for day in story.days) == week.down_us
    reader.close()
    tables.close()


def _row_words(case: Case) -> list[tuple[int, str, str]]:
    from tests.builders import row_texts

    return row_texts(case.week)


async def test_days_of_many_changes_are_told_poll_by_poll(
    settings: Settings, tables: Tables, tmp_path: Path
) -> None:
    flapping = hourly(utc("2023-01-20 00:00"), "AI" * 40)
    minutes = [
        type(each)(each.store_id, utc("2023-01-23") + n * 60_000_000, each.status)
        for n, each in enumerate(flapping)
    ]
    tables.add(minutes)
    story = await asked(settings, "store/s1")
    assert len(story["polls"]) == 80
    first = datetime.fromisoformat(story["polls"][0]["timestamp_utc"])
    assert first.isoformat() == "2023-01-23T00:00:00+00:00"
    hour = story["windows"][0]
    assert hour["uptime_us"] + hour["downtime_us"] == 3_600_000_000
    assert len(hour["intervals"]) == 60


async def test_a_day_block_that_the_summary_does_not_list_is_not_told(
    settings: Settings, tables: Tables
) -> None:
    """A worker that was killed between a head and the day blocks it drops leaves such day blocks for a moment."""
    tables.add(polls("Mon 10:00 active"))
    tuesday = day_of(at("Tue 00:00"))
    (page,) = encode_day_blocks(np.array([tuesday]), np.array([1]), np.array([2 * at("Tue 09:00")]))
    tables.put(day_block_key(StoreId("s1"), tuesday), page)
    story = await asked(settings, "store/s1")
    assert [each["timestamp_utc"] for each in story["polls"]] == ["2023-01-23T10:00:00.000000Z"]
