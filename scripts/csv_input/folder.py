"""Which files of a folder count.

Owns: the names and forms that rules 3 allow, and what is said of other names. Must not know: what is in the files.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.csv_input.errors import MissingFolder, MissingPolls, NearlyNamed, TwoForms

_POLLS: Final = "store_status.csv"
_HOURS: Final = "menu_hours.csv"
_ZONES: Final = "timezones.csv"
_SPECIAL_DAYS: Final = "special_days.csv"
_CLOSURES: Final = "closures.csv"
_NAMES: Final = (_POLLS, _HOURS, _ZONES, _SPECIAL_DAYS, _CLOSURES)
_FORMS: Final = ("", ".gz", ".zst")
_KNOWN: Final = frozenset(name + form for name in _NAMES for form in _FORMS)
_CSV: Final = re.compile(r"(.+)\.csv(\.gz|\.zst)?", re.IGNORECASE)
_NEAR_LETTERS: Final = 2


@dataclass(frozen=True, slots=True)
class InputFolder:
    """The files found: polls always, the others where they are. `unread` are other CSVs of the folder."""

    polls: Path
    hours: Path | None
    zones: Path | None
    special_days: Path | None = None
    closures: Path | None = None
    unread: tuple[str, ...] = ()

    @property
    def names(self) -> list[Path]:
        """Every path of the folder that is read where something stands there."""
        return [self.polls.parent / name for name in sorted(_KNOWN)]


def find_input(folder: Path) -> InputFolder:
    """The input files that stand in `folder` itself; subfolders are not looked at.

    Raises MissingFolder, NearlyNamed, MissingPolls or TwoForms.
    """
    if not folder.is_dir():
        raise MissingFolder(folder)
    unread = tuple(_unread(folder))
    polls = _only_form(folder, _POLLS)
    if polls is None:
        raise MissingPolls(folder, [_POLLS + form for form in _FORMS])
    hours, zones, special_days, closures = (_only_form(folder, name) for name in _NAMES[1:])
    return InputFolder(polls, hours, zones, special_days, closures, unread)


def _unread(folder: Path) -> Iterator[str]:
    """The CSVs that are not read, ascending. Raises NearlyNamed."""
    for path in sorted(folder.iterdir()):
        match = _CSV.fullmatch(path.name)
        if match is None or path.name in _KNOWN or not path.is_file():
            continue
        for meant in _NAMES:
            if _is_near(_plain(match[1]), _plain(meant.removesuffix(".csv"))):
                raise NearlyNamed(path, meant)
        yield path.name


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _is_near(one: str, other: str) -> bool:
    """Whether names differ in up to two letters: one more, one less, or another (Levenshtein's distance)."""
    if abs(len(one) - len(other)) > _NEAR_LETTERS:
        return False
    distances = list(range(len(other) + 1))
    for nth, letter in enumerate(one, 1):
        before, distances[0] = distances[0], nth
        for at, expected in enumerate(other, 1):
            changed = before + (letter != expected)
            before, distances[at] = distances[at], min(distances[at] + 1, distances[at - 1] + 1, changed)
    return distances[-1] <= _NEAR_LETTERS


def _only_form(folder: Path, name: str) -> Path | None:
    found = [path for form in _FORMS if (path := folder / (name + form)).exists()]
    if len(found) > 1:
        raise TwoForms(found)
    return found[0] if found else None
