"""What is written by a newer storepulse, and how it is refused.

Owns: the errors that say so. Must not know: what was written.

    NewerState        a row, a table or a file of a format that this program does not know
    ├── NewerZone     a time zone that is not in the zone database of this process
    └── UnknownRow    a row of a kind that this program does not know
"""


class NewerState(Exception):
    """A stored value was written by a newer version of storepulse, and is left untouched.

    Carries the version found and the newest one that this program reads.
    """

    def __init__(self, what: str, found: int, known: int) -> None:
        super().__init__(
            f"the stored {what} has format {found}, this storepulse reads up to {known}: "
            "it was written by a newer version; upgrade, or point --state at another folder"
        )
        self.found = found
        self.known = known

    def found_in(self, what: str) -> "NewerState":
        """The same of a row that is found in a place, such as `row at topic, partition 0, offset 7,`."""
        return NewerState(what, self.found, self.known)


class NewerZone(NewerState):
    """A store is in a `zone` that our zone `database` lacks: whoever took it in had a newer one."""

    def __init__(self, zone: str, database: str) -> None:
        Exception.__init__(
            self,
            f"a store is in zone {zone!r}, which zone database {database} of this process lacks: its state was "
            "written with a newer one. Install the same release of storepulse here, with the pytz that it pins, "
            "or a newer one",
        )
        self.zone = zone
        self.database = database


class UnknownRow(NewerState):
    """A row of a kind that this program does not know, under `key`: only a newer version writes one."""

    def __init__(self, key: bytes, what: str = "row") -> None:
        Exception.__init__(
            self,
            f"the stored {what} is of an unknown kind ({key[:40]!r}): it was written by a newer version; "
            "upgrade, or point --state at another folder",
        )
        self.key = key

    def found_in(self, what: str) -> NewerState:
        """The same of a row that is found in a place."""
        return UnknownRow(self.key, what)


def refuse_newer(what: str, found: int, known: int) -> None:
    """Raise NewerState where the version `found` is none of those up to `known`."""
    if found > known:
        raise NewerState(what, found, known)
