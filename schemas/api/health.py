"""Answers about the health of the parts.

Owns: the names, units and bounds of every field. Must not know: how an answer is found.
"""

from typing import Annotated, Literal

from pydantic import Field

from schemas.api.common import Answer, UtcInstant


class HealthParts(Answer):
    """Each part: `ok`, or what is wrong with it."""

    process: Annotated[str, Field(description="This API")]
    broker: Annotated[str, Field(description="The log: embedded, or Kafka")]
    worker: Annotated[str, Field(description="What applies the log to the tables")]
    state: Annotated[str, Field(description="The tables that reports are read from")]


class Lag(Answer):
    """How far the readable state trails the log. The age of the polls plays no part."""

    records: Annotated[
        dict[str, int] | None,
        Field(description="Records not yet applied, by topic; null where it cannot be told"),
    ]
    seconds: Annotated[
        float,
        Field(
            ge=0, description="For how long some record in the log has been waiting to be applied, in seconds"
        ),
    ]


class RestoringTable(Answer):
    """A partition whose table is missing or not whole."""

    partition: Annotated[int, Field(ge=0, description="Which partition")]
    reached: Annotated[
        int | None,
        Field(
            description="Up to which offset of the changelog the table is restored; null where there is none"
        ),
    ]
    target: Annotated[
        int | None,
        Field(description="Which offset it must reach; null where no worker or replica has been at it yet"),
    ]


class Tables(Answer):
    """The tables that reports are read from: all of them must be there and whole."""

    partitions: Annotated[
        int | None, Field(description="How many partitions there are; null where nobody says yet")
    ]
    whole: Annotated[int, Field(ge=0, description="Partitions whose table is there and whole")]
    restoring: Annotated[list[RestoringTable], Field(description="The others, ascending")]


class LossSeen(Answer):
    """Records that were gone from the log before they were applied: offsets [from_offset, to_offset)."""

    topic: Annotated[str, Field(description="Which topic")]
    partition: Annotated[int, Field(ge=0, description="Which partition")]
    from_offset: Annotated[int, Field(ge=0, description="The first offset lost")]
    to_offset: Annotated[
        int | None, Field(description="The first offset after them; null where nobody can tell")
    ]
    noticed: Annotated[UtcInstant, Field(description="When it was noticed (UTC)")]
    why: Annotated[str, Field(description="How they were lost")]


class HealthReport(Answer):
    """Whether reports can be asked for and will be up to date."""

    status: Annotated[
        Literal["ok", "degraded", "replaying", "restoring", "failing"],
        Field(
            description=(
                "degraded: ready, but records were lost and nobody has accepted that; restoring: some table is "
                "missing or not whole; replaying: the data given to `up --data` is not all readable yet; failing: "
                "see the parts"
            )
        ),
    ]
    ready: Annotated[bool, Field(description="True with 200, false with 503")]
    parts: Annotated[HealthParts, Field(description="Part by part")]
    lag: Annotated[Lag, Field(description="How far the readable state trails the log")]
    tables: Annotated[
        Tables | None, Field(description="What the tables say of themselves; null where they cannot be read")
    ]
    losses: Annotated[list[LossSeen], Field(description="What was lost, until an operator accepts it")]


class Alive(Answer):
    """The process answers; nothing is said of its parts."""

    status: Annotated[Literal["alive"], Field(description="Always alive")] = "alive"
