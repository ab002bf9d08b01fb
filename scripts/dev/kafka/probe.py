"""Asking a broker, in Kafka's protocol, whether it serves.

Owns: one request, Metadata v1, and reading its answer. Must not know: who started the broker, or why.
"""

import socket
import struct
from typing import Final

_METADATA: Final = 3
_VERSION: Final = 1
"""https://kafka.apache.org/protocol.html#The_Messages_Metadata: the first with a controller in its answer."""
_REQUEST: Final = struct.pack(">hhihi", _METADATA, _VERSION, 0, -1, 0)
"""No client id, no topics."""
_ANSWER_SECONDS: Final = 2.0
_NOBODY: Final = -1


def serves(host: str, port: int) -> bool:
    """Whether the broker answers over a plain connection, is in its cluster, and that has a controller."""
    try:
        with socket.create_connection((host, port), _ANSWER_SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(_REQUEST)) + _REQUEST)
            size = struct.unpack(">i", _read(connection, 4))[0]
            return _is_complete(_read(connection, size))
    except (OSError, EOFError):
        return False


def listens(host: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((host, port), _ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def _is_complete(answer: bytes) -> bool:
    """Layout: correlation id, brokers (node id, host, port, rack), controller id, topics."""
    (brokers,) = struct.unpack_from(">i", answer, 4)
    at = 8
    for _ in range(brokers):
        at = _after_string(answer, at + 4)
        at = _after_string(answer, at + 4)
    (controller,) = struct.unpack_from(">i", answer, at)
    return bool(brokers > 0 and controller != _NOBODY)


def _after_string(answer: bytes, at: int) -> int:
    (length,) = struct.unpack_from(">h", answer, at)
    return at + 2 + max(int(length), 0)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
