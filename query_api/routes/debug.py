"""Calls for whoever doubts a number: /api/v1/debug/….

Owns: these calls. Must not know: how the answers are found (query_api.stores.explain).
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query

from query_api.errors import UnknownStore
from query_api.problems import documented
from query_api.reports.report import check_as_of
from query_api.routes import answers
from query_api.routes.parameters import AS_OF_SPELT, AsOf, instant
from query_api.snapshots.reader import Reader
from query_api.stores.explain import count_statuses, most_downtime, story_of
from schemas.api.stores import MaxTimestamp, StatusCounts, StoreDetail, StoresWithDowntime
from schemas.values import Rejected, format_timestamp, parse_known_store_id


def debug_routes(reader: Reader, retention_days: int, now_us: Callable[[], int]) -> APIRouter:
    """The debug calls; `now_us` is the wall clock."""
    router = APIRouter(prefix="/api/v1/debug", tags=["debug"], dependencies=AS_OF_SPELT)

    @router.get("/max_timestamp", responses=documented(422, 503))
    def max_timestamp() -> MaxTimestamp:
        """The latest poll over all stores: where reports look back from."""
        with reader.snapshot() as snapshot:
            latest_us = snapshot.latest_us()
        return MaxTimestamp(max_timestamp=None if latest_us is None else format_timestamp(latest_us))

    @router.get("/status_counts", responses=documented(422, 503))
    def status_counts() -> StatusCounts:
        """How many active and inactive polls are retained."""
        with reader.snapshot() as snapshot:
            active, inactive = count_statuses(snapshot, retention_days)
        return StatusCounts(active=active, inactive=inactive, total=active + inactive)

    @router.get("/stores_with_downtime", responses=documented(409, 422, 503))
    def stores_with_downtime(
        limit: Annotated[int, Query(ge=1, le=10_000, description="Stores listed at most")] = 100,
    ) -> StoresWithDowntime:
        """The stores with downtime in the last 7 x 24 hours, most first, equal ones by store_id."""
        with reader.snapshot() as snapshot:
            return answers.stores_with_downtime(most_downtime(snapshot, limit))

    @router.get(
        "/store/{store_id:path}",
        responses=documented(404, 409, 422, 503),
        response_model_exclude_unset=True,  # hours_over_time alone: who has none answers as ever
    )
    def store(
        store_id: Annotated[str, Path(description="The store, percent-encoded")], as_of: AsOf = None
    ) -> StoreDetail:
        """Zone, week, polls, and the intervals that add up to each number of the store's row."""
        as_of_us = instant(as_of)
        try:
            known_as = parse_known_store_id(store_id)
        except Rejected:
            raise UnknownStore(store_id) from None
        with reader.snapshot() as snapshot:
            check_as_of(snapshot, as_of_us, now_us(), retention_days)
            return answers.store_detail(story_of(snapshot, known_as, as_of_us, retention_days))

    return router
