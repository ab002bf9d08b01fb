"""Running the API as a process.

Owns: the socket, uvicorn, and which probe goes with which broker. Must not know: routes or reports.
"""

import socket

import structlog
import uvicorn

from query_api.app import create_app
from query_api.reader import Reader
from schemas.settings import Settings
from scripts.probes import open_probe

log = structlog.get_logger(__name__)


class PortInUse(OSError):
    """The API cannot listen on `host` and `port`."""

    def __init__(self, host: str, port: int, cause: str) -> None:
        super().__init__(
            f"cannot listen on {host}:{port} ({cause}): choose another --port, or stop what has it"
        )


def serve_api(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT. Raises PortInUse."""
    listener = listen(settings.host, settings.port)
    reader = Reader(settings)
    try:
        app = create_app(settings, reader, open_probe(settings))
        host, port = listener.getsockname()[:2]
        log.info("API listening", url=f"http://{host}:{port}", docs=f"http://{host}:{port}/docs")
        config = uvicorn.Config(app, log_level=settings.log_level.lower(), access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        reader.close()


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
