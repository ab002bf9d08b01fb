"""Errors over HTTP: RFC 9457 problem details, for every status and every path.

Owns: which error gets which status, and what each call documents. Must not know: what the calls do.
"""

from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from query_api.errors import (
    AsOfOutside,
    MisspeltParameter,
    NothingPolled,
    QueryError,
    ReaderClosed,
    ReportsBusy,
    ReportsUnwritable,
    StateUnreadable,
    UnknownReport,
    UnknownStore,
)
from schemas.api.problems import Problem
from schemas.compatibility import NewerState
from schemas.values import Rejected, format_timestamp

log = structlog.get_logger()

MEDIA_TYPE: Final = "application/problem+json"

_STATUS: Final[dict[type[Exception], HTTPStatus]] = {
    UnknownReport: HTTPStatus.NOT_FOUND,
    UnknownStore: HTTPStatus.NOT_FOUND,
    NothingPolled: HTTPStatus.CONFLICT,
    AsOfOutside: HTTPStatus.UNPROCESSABLE_ENTITY,
    MisspeltParameter: HTTPStatus.UNPROCESSABLE_ENTITY,
    Rejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    ReportsBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    StateUnreadable: HTTPStatus.SERVICE_UNAVAILABLE,
    ReaderClosed: HTTPStatus.SERVICE_UNAVAILABLE,
    NewerState: HTTPStatus.SERVICE_UNAVAILABLE,
    ReportsUnwritable: HTTPStatus.INSUFFICIENT_STORAGE,
}
_MEANING: Final = {
    404: "No such report or store.",
    409: "No store has been polled yet, and no as_of was named.",
    422: "A parameter is malformed or misspelt, or as_of lies where no exact answer can be given.",
    500: "An error of storepulse itself; its log has it.",
    503: "The tables cannot be read just now, or are not whole yet; the detail says what to do.",
    507: "The reports folder cannot be written, for example because the disk is full.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a call, for its OpenAPI description."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {
        status: {"description": _MEANING[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def add_problems(app: FastAPI) -> None:
    """Have `app` answer every error with problem details."""
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    for kind in (QueryError, NewerState, Rejected):
        app.add_exception_handler(kind, _on_known)
    app.add_exception_handler(Exception, _on_our_fault)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = error.detail if error.detail != status.phrase else status.description
    return _answer(request, status, detail or status.phrase, dict(error.headers or {}))


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return _answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(wrong))


async def _on_known(request: Request, error: Exception) -> JSONResponse:
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    more = {}
    if isinstance(error, AsOfOutside):
        more["earliest_as_of"] = format_timestamp(error.span.from_us)
        more["latest_as_of"] = format_timestamp(error.span.to_us)
    headers = {"Retry-After": "5"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return _answer(request, status, str(error), headers, **more)


async def _on_our_fault(request: Request, error: Exception) -> JSONResponse:
    log.error("a call failed by our own fault", path=request.url.path, exc_info=error)
    return _answer(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "an error of storepulse itself: the log of the API has it"
    )


def _answer(
    request: Request, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None, **more: str
) -> JSONResponse:
    problem = Problem(
        title=status.phrase, status=status.value, detail=detail, instance=request.url.path, **more
    )
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, status.value, headers, media_type=MEDIA_TYPE)
