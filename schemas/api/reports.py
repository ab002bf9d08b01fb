"""Answers about reports.

Owns: the names, units and bounds of every field. Must not know: how an answer is found.
"""

from typing import Annotated, Literal

from pydantic import Field

from schemas.api.common import Answer


class ReportStarted(Answer):
    """A report was asked for and is being made."""

    report_id: Annotated[
        str, Field(description="Fetch the report by this id (a UUID)", json_schema_extra={"format": "uuid"})
    ]


class ReportRunning(Answer):
    """The report is not made yet: ask again."""

    status: Annotated[Literal["Running"], Field(description="Where the report stands")] = "Running"


class ReportFailed(Answer):
    """The report could not be made, and will not be."""

    status: Annotated[Literal["Failed"], Field(description="Where the report stands")] = "Failed"
    error: Annotated[str, Field(description="Why, and what to do about it")]
