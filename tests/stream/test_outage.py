"""How long a worker goes without a broker, or without its place in the group."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from stream.errors import BrokerLost, NotLetIn
from stream.worker import outage
from stream.worker.outage import Outage

_PATIENCE_S = 0.2
_SECONDS = 10.0

Ask = Callable[[], Awaitable[object]]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "_LOOK_SECONDS", 0.01)


async def answers() -> None:
    pass


async def fails() -> None:
    raise ConnectionError("nobody there")


async def test_a_worker_that_is_served_goes_on() -> None:
    watched = Outage(_PATIENCE_S, answers)
    watched.served()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watched.watch(), 2 * _PATIENCE_S)


async def test_a_worker_that_lost_its_place_and_does_not_get_it_back_ends() -> None:
    watched = Outage(_PATIENCE_S, answers)
    watched.served()
    watched.lost()
    with pytest.raises(NotLetIn):
        await asyncio.wait_for(watched.watch(), _SECONDS)


async def test_a_broker_that_does_not_answer_ends_it_with_the_cause() -> None:
    watched = Outage(_PATIENCE_S, fails)
    watched.served()
    with pytest.raises(BrokerLost, match="nobody there"):
        await asyncio.wait_for(watched.watch(), _SECONDS)


async def test_a_broker_that_says_nothing_at_all_ends_it_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outage, "_ANSWER_SECONDS", 0.05)

    async def waits() -> None:
        await asyncio.Event().wait()

    watched = Outage(_PATIENCE_S, waits)
    with pytest.raises(BrokerLost, match=r"no answer for 0 s: nothing came back within 0\.05 s"):
        await asyncio.wait_for(watched.watch(), _SECONDS)


async def test_the_patience_counts_from_when_a_question_was_asked_not_from_when_it_was_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outage, "_ANSWER_SECONDS", 2 * _PATIENCE_S)
    asked = 0

    async def waits() -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    with pytest.raises(BrokerLost):
        await asyncio.wait_for(Outage(_PATIENCE_S, waits).watch(), _SECONDS)
    assert asked == 1


async def test_the_patience_for_the_group_begins_when_the_broker_is_back() -> None:
    """Away for a little less than the patience, then the group needs as long: neither is too long alone."""
    is_back = asyncio.Event()

    async def answers_later() -> None:
        if not is_back.is_set():
            await fails()

    watched = Outage(2 * _PATIENCE_S, answers_later)
    watching = asyncio.create_task(watched.watch())
    await asyncio.sleep(1.5 * _PATIENCE_S)  # the outage itself, not a wait for anything
    is_back.set()
    await asyncio.sleep(1.5 * _PATIENCE_S)
    assert not watching.done()
    watched.served()
    await asyncio.sleep(1.5 * _PATIENCE_S)
    assert not watching.done()
    watching.cancel()
