"""The proxy does what networks do."""

import socket
from collections.abc import Iterator

import pytest

from scripts.dev.kafka.broker import free_ports
from tests.chaos.proxy import LineState, Network


@pytest.fixture
def line() -> Iterator[tuple[Network, int, socket.socket]]:
    """A network with one line, the port it listens on, and the listener that it leads to."""
    near, far = free_ports(2)
    with socket.create_server(("127.0.0.1", far)) as listener, Network() as network:
        listener.settimeout(5)
        network.add_line(near, far)
        yield network, near, listener


def connected(near: int, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(("127.0.0.1", near), 5)
    server, _ = listener.accept()
    server.settimeout(5)
    return client, server


def test_an_open_line_passes_bytes_both_ways(line: tuple[Network, int, socket.socket]) -> None:
    _, near, listener = line
    client, server = connected(near, listener)
    with client, server:
        client.sendall(b"to")
        assert server.recv(9) == b"to"
        server.sendall(b"fro")
        assert client.recv(9) == b"fro"


def test_what_a_held_line_was_given_arrives_when_it_opens(line: tuple[Network, int, socket.socket]) -> None:
    network, near, listener = line
    client, server = connected(near, listener)
    with client, server:
        network.turn(0, LineState.HELD)
        client.sendall(b"late")
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.recv(9)
        network.turn(0, LineState.OPEN)
        server.settimeout(5)
        assert server.recv(9) == b"late"


def test_a_cut_line_ends_what_stands_and_what_comes(
    line: tuple[Network, int, socket.socket],
) -> None:
    network, near, listener = line
    client, server = connected(near, listener)
    with client, server:
        network.turn(0, LineState.CUT)
        assert client.recv(9) == b""
        with socket.create_connection(("127.0.0.1", near), 5) as other:
            assert other.recv(9) == b""
        network.turn(0, LineState.OPEN)
        again, there = connected(near, listener)
        again.close()
        there.close()
