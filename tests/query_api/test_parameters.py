"""A parameter that is nearly as_of is refused: left unread, it would give a report of another instant."""

import pytest

from query_api.routes.parameters import misspelt
from schemas.opening_hours import week_of
from schemas.settings import Settings
from tests.builders import polls, rows
from tests.query_api.service import report, serving, trigger
from tests.query_api.tables import Tables

NEARLY = [
    "asof",
    "as-of",
    "AsOf",
    "AS_OF",
    "as__of",
    "_as_of",
    "As-Of",
    "as_off",
    "a_of",
    "as_o",
    "as_on",
    "xas_of",
    "as of",
]
FAR = ["a", "of", "as", "as_of_day", "asxxf", "offset", "since", "limit", "", "\u0430s_of\u0444"]
CALLS = [
    ("POST", "/trigger_report"),
    ("POST", "/api/v1/trigger_report"),
    ("GET", "/get_report/{report_id}"),
    ("GET", "/api/v1/get_report?report_id={report_id}"),
    ("GET", "/api/v1/debug/max_timestamp"),
    ("GET", "/api/v1/debug/status_counts"),
    ("GET", "/api/v1/debug/stores_with_downtime"),
    ("GET", "/api/v1/debug/store/s"),
    ("GET", "/health"),
    ("GET", "/api/v1/health"),
    ("GET", "/health/live"),
]


@pytest.mark.parametrize("name", NEARLY)
def test_what_is_as_of_but_for_case_joints_or_one_letter_is_misspelt(name: str) -> None:
    assert misspelt(["x", name], {"as_of", "limit"}) == name


@pytest.mark.parametrize("name", FAR)
def test_what_differs_more_is_another_word(name: str) -> None:
    assert misspelt([name], {"as_of"}) is None


def test_a_parameter_that_the_call_takes_is_no_misspelling() -> None:
    assert misspelt(["as_of", "a_of"], {"as_of", "a_of"}) is None
    assert misspelt(["as_of"], set()) == "as_of"


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_every_call_refuses_it_and_says_what_was_meant(
    settings: Settings, tables: Tables, method: str, path: str
) -> None:
    tables.add(polls("Mon 10:00 active", store_id="s"))
    async with serving(settings) as client:
        target = path.format(report_id=await trigger(client))
        joint = "&" if "?" in target else "?"
        answer = await client.request(method, f"{target}{joint}x=1&asof=2023-01-25T00:00:00Z")
        plain = await client.request(method, f"{target}{joint}x=1&since=2023-01-25T00:00:00Z")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    takes_it = "trigger" in path or "store/s" in path
    assert answer.json()["detail"] == (
        "there is no query parameter 'asof': as_of must be meant"
        if takes_it
        else "this call takes no as_of, which 'asof' must mean: leave it out"
    )
    assert plain.status_code != 422


async def test_spelt_well_it_is_taken_as_before(settings: Settings, tables: Tables) -> None:
    tables.name("s", None, week_of(rows("Mon 09:00-17:00")))
    tables.add(polls("Mon 10:00 active", store_id="s"))
    async with serving(settings) as client:
        assert (await report(client, "2023-01-23T16:30:00Z")).count("\n") == 2
        answer = await client.get("/api/v1/debug/store/s", params={"as_of": "2023-01-23T16:30:00Z"})
    assert answer.json()["as_of"] == "2023-01-23T16:30:00.000000Z"


@pytest.mark.parametrize("known", ["x" * 300, "a\tb"])
async def test_a_store_that_older_state_holds_is_still_answered_for(
    settings: Settings, tables: Tables, known: str
) -> None:
    tables.add(polls("Mon 10:00 active", store_id=known))
    async with serving(settings) as client:
        answer = await client.get(f"/api/v1/debug/store/{known}".replace("\t", "%09"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["store_id"] == known
