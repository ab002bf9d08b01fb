"""Logging of all commands: to stderr, readable on a terminal, one JSON object a line elsewhere.

Owns: format and level. Must not know: what is logged. Faust's and Kafka's own warnings pass through it too.
"""

import logging
import sys
from typing import Final

import structlog

_OURS: Final = ("schemas", "stream", "query_api", "scripts")


def configure_logs(level: str) -> None:
    """Log from `level` on; libraries' messages from WARNING on at least, unless `level` is DEBUG."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    foreign = shared if level == "DEBUG" else [_without_traceback, *shared]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=foreign,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    if level != "DEBUG":
        handler.addFilter(_is_ours_or_warns)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel("WARNING" if level == "INFO" else level)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)


def _is_ours_or_warns(record: logging.LogRecord) -> bool:
    """Faust logs its own steps under the names of our modules that derive from its classes; ours is a dict."""
    return isinstance(record.msg, dict) or record.levelno >= logging.WARNING


def _without_traceback(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Libraries log each error on its way up with a traceback; what ended a command is said once, at its end."""
    caught = event.pop("exc_info", None)
    if isinstance(caught, tuple) and caught[1] is not None:
        event["error"] = repr(caught[1])
    return event
