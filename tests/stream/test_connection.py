"""Clients of aiokafka are of use only when the cluster names a broker."""

from types import SimpleNamespace

import pytest
from aiokafka.errors import BrokerNotAvailableError  # type: ignore[import-untyped]  # it has no types

from stream.brokers.connection import start_client


class Client:
    """Starts like a producer (`client`), or like a consumer (`_client`), with the brokers that it is made with."""

    def __init__(self, kind: str, brokers: list[object], error: Exception | None = None) -> None:
        self._error = error
        setattr(self, kind, SimpleNamespace(cluster=SimpleNamespace(brokers=lambda: brokers)))

    async def start(self) -> None:
        if self._error:
            raise self._error


KINDS = pytest.mark.parametrize("kind", ["client", "_client"])


@KINDS
async def test_a_cluster_that_names_a_broker_is_enough(kind: str) -> None:
    await start_client(Client(kind, [object()]))


@KINDS
async def test_one_that_names_none_is_not(kind: str) -> None:
    with pytest.raises(BrokerNotAvailableError, match="names no broker"):
        await start_client(Client(kind, []))


async def test_an_assertion_of_another_kind_stays_one() -> None:
    with pytest.raises(AssertionError, match="same loop"):
        await start_client(Client("client", [object()], AssertionError("same loop")))


async def test_nor_is_one_for_which_aiokafka_fails_an_assertion() -> None:
    with pytest.raises(BrokerNotAvailableError, match="names no broker"):
        await start_client(Client("client", [], AssertionError("Did we not perform bootstrap?")))
