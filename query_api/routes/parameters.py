"""Parameters that several calls take.

Owns: their names, descriptions and how they are read. Must not know: the calls.
"""

from collections.abc import Iterable
from typing import Annotated, Final

from fastapi import Depends, Query, Request
from fastapi.params import Depends as Dependency

from query_api.errors import MisspeltParameter
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


async def _check_names(request: Request) -> None:
    """Refuse what must be as_of and is not: left unread, it would give an answer of another instant, unnoticed.

    Other unknown parameters are left unread, as the calls always did. Raises MisspeltParameter.
    """
    taken = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    wrong = misspelt(request.query_params, taken)
    if wrong is not None:
        raise MisspeltParameter(wrong, _AS_OF, is_taken=_AS_OF in taken)


AS_OF_SPELT: Final[list[Dependency]] = [Depends(_check_names)]
"""For the router of calls that leave unknown parameters unread."""

_AS_OF: Final = "as_of"


def misspelt(names: Iterable[str], taken: set[str]) -> str | None:
    """The first of `names`, none of those `taken`, that is as_of but for case, `_`, `-` or one letter."""
    for name in names:
        if name not in taken and _differs_little(_letters(name), _letters(_AS_OF)):
            return name
    return None


def _letters(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _differs_little(name: str, meant: str) -> bool:
    """Whether they are the same but for one letter, which is another, one more or one less."""
    same = next((at for at, pair in enumerate(zip(name, meant, strict=False)) if pair[0] != pair[1]), None)
    if same is None:
        return abs(len(name) - len(meant)) <= 1
    return name[same + 1 :] in (meant[same:], meant[same + 1 :]) or name[same:] == meant[same + 1 :]
