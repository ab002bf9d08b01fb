"""Which files of a folder count.

Owns: the names and forms that rules 3 allow. Must not know: what is in the files.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.csv_input.errors import MissingFolder, MissingPolls, TwoForms

_POLLS: Final = "store_status.csv"
_HOURS: Final = "menu_hours.csv"
_ZONES: Final = "timezones.csv"
_NAMES: Final = (_POLLS, _HOURS, _ZONES)
_FORMS: Final = ("", ".gz", ".zst")


@dataclass(frozen=True, slots=True)
class InputFolder:
    """The files found: polls always, hours and zones where they are."""

    polls: Path
    hours: Path | None
    zones: Path | None

    @property
    def names(self) -> list[Path]:
        """Every path of the folder that is read where something stands there."""
        return [self.polls.parent / (name + form) for name in _NAMES for form in _FORMS]


def find_input(folder: Path) -> InputFolder:
    """The input files that stand in `folder` itself; other names and subfolders are not looked at.

    Raises MissingFolder, MissingPolls or TwoForms.
    """
    if not folder.is_dir():
        raise MissingFolder(folder)
    polls = _only_form(folder, _POLLS)
    if polls is None:
        raise MissingPolls(folder, [_POLLS + form for form in _FORMS])
    return InputFolder(polls, _only_form(folder, _HOURS), _only_form(folder, _ZONES))


def _only_form(folder: Path, name: str) -> Path | None:
    found = [path for form in _FORMS if (path := folder / (name + form)).exists()]
    if len(found) > 1:
        raise TwoForms(found)
    return found[0] if found else None
