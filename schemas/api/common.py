"""What all answers of the HTTP API share, as their callers see it.

Owns: how instants and spans of time are written. Must not know: what is answered.
Instants are texts in ISO 8601, UTC, with six digits of fraction: `2023-01-25T18:13:22.479220Z`. Spans of time
are whole microseconds where the name ends in `_us`, else hours or minutes as the report prints them.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

UtcInstant = Annotated[
    str,
    Field(
        description="An instant: ISO 8601, UTC, microseconds",
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        examples=["2023-01-25T18:13:22.479220Z"],
    ),
]
LocalInstant = Annotated[
    str,
    Field(
        description="The same instant as the wall clock of the store shows it, with its offset from UTC",
        examples=["2023-01-25T12:13:22.479220-06:00"],
    ),
]
Microseconds = Annotated[int, Field(ge=0, description="A span of time, in microseconds")]


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)
