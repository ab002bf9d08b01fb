"""Running the API as a process.

Owns: uvicorn, and which probe goes with which broker. Must not know: routes or reports.
"""

import structlog
import uvicorn

from query_api.app import create_app
from query_api.reader import Reader
from schemas.settings import Settings
from scripts.listening import listen
from scripts.probes import open_probe

log = structlog.get_logger(__name__)


def serve_api(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT. Raises PortInUse."""
    listener = listen(settings.host, settings.port)
    reader = Reader(settings)
    try:
        app = create_app(settings, reader, open_probe(settings))
        host, port = listener.getsockname()[:2]
        log.info("API listening", url=f"http://{host}:{port}", docs=f"http://{host}:{port}/docs")
        config = uvicorn.Config(app, log_config=None, access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        reader.close()
