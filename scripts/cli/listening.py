"""The port that the API listens on, and what to do when somebody else has it."""

import socket


class PortInUse(OSError):
    """The API cannot listen on `host` and `port`."""

    def __init__(self, host: str, port: int, cause: str) -> None:
        super().__init__(
            f"cannot listen on {host}:{port} ({cause}): choose another --port, or stop what has it"
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortInUse."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise PortInUse(host, port, error.strerror or str(error)) from None
    return listener
