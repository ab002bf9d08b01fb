"""Errors of the HTTP API.

Owns: the names, units and bounds of every field. Must not know: how an answer is found.
"""

from typing import Annotated

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """An error, as problem details of RFC 9457 (`application/problem+json`)."""

    type: Annotated[str, Field(description="Kind of problem; `about:blank`: the status says it all")] = (
        "about:blank"
    )
    title: Annotated[str, Field(description="The kind of problem in a few words", examples=["Not Found"])]
    status: Annotated[int, Field(ge=400, le=599, description="The HTTP status", examples=[404])]
    detail: Annotated[str, Field(description="What was wrong this time, and what to do about it")]
    instance: Annotated[str, Field(description="The path that was asked for", examples=["/get_report/x"])]
    earliest_as_of: Annotated[
        str | None, Field(description="Where as_of was out of bounds: the first instant it may name (UTC)")
    ] = None
    latest_as_of: Annotated[
        str | None, Field(description="Where as_of was out of bounds: the last instant it may name (UTC)")
    ] = None
