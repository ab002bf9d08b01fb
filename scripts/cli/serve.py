"""Running the API as a process.

Owns: uvicorn, how it ends, and which probe goes with which broker. Must not know: routes or reports.
"""

import os
from types import FrameType
from typing import Final

import structlog
import uvicorn

from query_api.app import create_app
from query_api.snapshots.reader import Reader
from schemas.settings import Settings
from scripts.cli.listening import listen
from stream.brokers.opening import open_probe

log = structlog.get_logger(__name__)

GRACE_SECONDS: Final = 8
"""How long whoever reads slowly may go on after SIGTERM; `up` and container engines kill after 10 s."""
_SIGNALLED: Final = 128


class _Server(uvicorn.Server):
    """Ends in order at the first signal, and at once at the second.

    uvicorn would note the first, and raise it again when all is in order: as if somebody had cut it off.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(
                _SIGNALLED + sig
            )  # what it held, the kernel lets go; what it made, the next API takes up
        self.should_exit = True


def serve_api(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT. Raises PortInUse."""
    listener = listen(settings.host, settings.port)
    reader = Reader(settings)
    try:
        app = create_app(settings, reader, open_probe(settings))
        host, port = listener.getsockname()[:2]
        log.info("API listening", url=f"http://{host}:{port}", docs=f"http://{host}:{port}/docs")
        config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_SECONDS
        )
        _Server(config).run(sockets=[listener])
    finally:
        reader.close()
