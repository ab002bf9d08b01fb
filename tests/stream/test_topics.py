"""Declaring the topics on a Kafka that is reached, and cannot answer yet."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (  # type: ignore[import-untyped]  # it has no types
    ClusterAuthorizationFailedError,
    NodeNotReadyError,
)

from schemas.settings import Settings
from stream.brokers import topics
from stream.brokers.topics import declare_topics
from stream.errors import BrokerUnreachable, TopicsUnusable


class Admin:
    """Answers questions with the next of `answers`, and a topic that is to be created with the next of `codes`."""

    def __init__(self, answers: list[Exception | int], codes: list[int | None] | None = None) -> None:
        self._answers = answers
        self._codes = codes or []
        self._client = SimpleNamespace(cluster=SimpleNamespace(controller=None))
        self.closed = 0

    async def create_topics(self, topics: Sequence[Any]) -> Any:
        code = self._codes.pop(0)
        if code is None:
            raise AttributeError("'NoneType' object has no attribute 'nodeId'")
        return SimpleNamespace(topic_errors=[(topics[0].name, code, "said so")])

    async def describe_topics(self, names: Sequence[str]) -> list[dict[str, Any]]:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [{"topic": name, "partitions": [{}] * answer} for name in names]

    async def close(self) -> None:
        self.closed += 1


def connected(admin: Admin, monkeypatch: pytest.MonkeyPatch, patience_s: float) -> Settings:
    async def connect(_: Settings) -> Admin:
        return admin

    monkeypatch.setattr(topics, "_connected_admin", connect)
    monkeypatch.setattr(topics, "_FIRST_WAIT_S", 0.01)
    return Settings(broker="kafka://127.0.0.1:1", kafka_patience_seconds=patience_s)


async def test_a_broker_that_names_no_node_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does one that was frozen, and that its own controller has fenced."""
    admin = Admin([NodeNotReadyError("node id None"), NodeNotReadyError("node id None"), 5])
    assert await declare_topics(connected(admin, monkeypatch, 60)) == 5
    assert admin.closed == 3


async def test_a_user_without_the_rights_is_told_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin([ClusterAuthorizationFailedError("not you")])
    with pytest.raises(TopicsUnusable, match=r"not you.*what that user may do"):
        await declare_topics(connected(admin, monkeypatch, 60))
    assert admin.closed == 1


async def test_what_does_not_pass_is_said_after_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin([NodeNotReadyError("node id None")] * 100)
    with pytest.raises(BrokerUnreachable, match="node id None"):
        await declare_topics(connected(admin, monkeypatch, 0.02))


@pytest.mark.parametrize(
    "code", [41, 7, None], ids=["no controller any more", "timed out", "no controller yet"]
)
async def test_topics_that_cannot_be_created_just_now_are_created_later(
    monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    admin = Admin([0, 0, 0], [code, code, 0])
    assert await declare_topics(connected(admin, monkeypatch, 60)) == 12
    assert admin.closed == 3


async def test_a_topic_that_somebody_else_created_meanwhile_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await declare_topics(connected(Admin([0], [36]), monkeypatch, 60)) == 12


async def test_a_topic_that_can_never_be_created_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Admin([0], [38])
    with pytest.raises(
        TopicsUnusable, match="cannot create topic store-polls: InvalidReplicationFactorError"
    ):
        await declare_topics(connected(admin, monkeypatch, 60))
    assert admin.closed == 1
