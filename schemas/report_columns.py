"""The columns that a report may add.

Owns: their kinds, by the names that people ask for them with. Must not know: what is in them.
"""

from enum import StrEnum


class Extra(StrEnum):
    """Columns that a report adds when asked, behind the others (rule 2.9)."""

    CONFIDENCE = "confidence"
    BOUNDS = "bounds"
