"""Asking for reports and fetching them, in both dialects.

    POST /trigger_report              POST /api/v1/trigger_report
    GET  /get_report/{report_id}      GET  /api/v1/get_report?report_id=…

Owns: these calls. Must not know: how reports are made or kept.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query

from query_api.problems import documented
from query_api.reports.files import ReportState, ReportStatus
from query_api.reports.jobs import Reports
from query_api.routes.downloads import OpenFileResponse
from query_api.routes.parameters import AS_OF_SPELT, AsOf, instant
from schemas.api.reports import ReportFailed, ReportRunning, ReportStarted
from schemas.values import format_timestamp
from stream.core.cells import COLUMNS

_MAX_HEADER_CHARS: Final = 4096

_CSV_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "While it is being made: `Running`. When it is done: the CSV as a download, one row a store, by "
            "store_id; the hour in minutes, day and week in hours, two decimals. When it could not be made: "
            "`Failed`, and why."
        ),
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": ",".join(COLUMNS) + "\n1481966498820158979,45.0,15.0,18.5,5.5,142.33,25.67\n",
            }
        },
        "headers": {
            "X-Storepulse-As-Of": {
                "description": "With the CSV: the instant that it looks back from (ISO 8601, UTC)",
                "schema": {"type": "string"},
            },
            "X-Storepulse-Position": {
                "description": (
                    "With the CSV: how far the log was applied to what it was made from, as "
                    "`topic=partition:next offset,…; …`; left out where it would pass 4096 characters"
                ),
                "schema": {"type": "string"},
            },
            "X-Storepulse-Current": {
                "description": (
                    "With the CSV: `true` where it holds every poll that the log had when the report was asked "
                    "for; `false` where the log could not be asked, so that some of the latest may be missing"
                ),
                "schema": {"type": "string", "enum": ["true", "false"]},
            },
            "X-Storepulse-Loss": {
                "description": (
                    "With the CSV, where records were lost before they were applied: "
                    "`topic=partition:from-to,…; …`, offsets from the first lost to the first after them, which "
                    "is left out where nobody can tell it; `...` at the end where not all have room"
                ),
                "schema": {"type": "string"},
            },
        },
    }
}


def report_routes(reports: Reports) -> APIRouter:
    """The calls on reports."""
    router = APIRouter(dependencies=AS_OF_SPELT)

    def trigger_report(as_of: AsOf = None) -> ReportStarted:
        """Have a report made of all stores. Answers at once; fetch the report by its id."""
        return ReportStarted(report_id=reports.request(instant(as_of)))

    def get_report(
        report_id: Annotated[str, Path(description="The id that trigger_report gave")],
    ) -> ReportRunning | ReportFailed | OpenFileResponse:
        """Where a report stands, or the report itself once it is made."""
        state = reports.state(report_id)
        if state.status is ReportStatus.RUNNING:
            return ReportRunning()
        if state.status is ReportStatus.FAILED:
            return ReportFailed(error=state.error or "")
        return OpenFileResponse(
            reports.open_csv(report_id),
            f"{report_id.lower()}.csv",
            media_type="text/csv; charset=utf-8",
            headers=_headers(state),
        )

    def get_report_by_query(
        report_id: Annotated[str, Query(description="The id that trigger_report gave")],
    ) -> ReportRunning | ReportFailed | OpenFileResponse:
        """Where a report stands, or the report itself once it is made."""
        return get_report(report_id)

    for path, tag in (("/trigger_report", "reports"), ("/api/v1/trigger_report", "reports v1")):
        router.post(path, response_model=ReportStarted, tags=[tag], responses=documented(422, 503, 507))(
            trigger_report
        )
    for path, tag, fetch in (
        ("/get_report/{report_id}", "reports", get_report),
        ("/api/v1/get_report", "reports v1", get_report_by_query),
    ):
        router.get(
            path,
            response_model=ReportRunning | ReportFailed,
            tags=[tag],
            responses=_CSV_ANSWER | documented(404, 422, 503),
        )(fetch)
    return router


def _headers(state: ReportState) -> dict[str, str]:
    headers = {"X-Storepulse-As-Of": format_timestamp(state.as_of_us or 0)}
    if state.current is not None:
        headers["X-Storepulse-Current"] = str(state.current).lower()
    position = "; ".join(
        f"{topic}=" + ",".join(f"{partition}:{offset}" for partition, offset in offsets.items())
        for topic, offsets in state.position.items()
    )
    if position and len(position) <= _MAX_HEADER_CHARS:
        headers["X-Storepulse-Position"] = position
    losses = "; ".join(
        f"{topic}="
        + ",".join(
            f"{partition}:{from_offset}-{to_offset if to_offset >= 0 else ''}"
            for partition, spans in partitions.items()
            for from_offset, to_offset in spans
        )
        for topic, partitions in state.losses.items()
    )
    if losses:
        headers["X-Storepulse-Loss"] = _cut(losses)
    return headers


def _cut(losses: str) -> str:
    """As many losses as have room: that there were some must be said in any case."""
    if len(losses) <= _MAX_HEADER_CHARS:
        return losses
    return losses[: losses.rindex(",", 0, _MAX_HEADER_CHARS)] + ",..."
