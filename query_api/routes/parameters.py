"""Parameters that several calls take.

Owns: their names, descriptions and how they are read. Must not know: the calls.
"""

from typing import Annotated

from fastapi import Query

from schemas.values import parse_timestamp

AsOf = Annotated[
    str | None,
    Query(
        description=(
            "The instant to look back from: `2023-01-22 12:09:39.388884 UTC` or ISO 8601, UTC where no offset "
            "is given. Left out: the latest poll over all stores. It may lie as far back as polls are "
            "retained, less 7 days, before the latest poll, and up to now."
        ),
        examples=["2023-01-25T18:13:22.479220Z"],
    ),
]


def instant(as_of: str | None) -> int | None:
    """The instant that a caller named, in us. Raises Rejected."""
    return None if as_of is None else parse_timestamp(as_of)
