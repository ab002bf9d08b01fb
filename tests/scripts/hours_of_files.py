"""What the readers of CSVs give, in the words of older tests.

Owns: undated weeks by store. Must not know: any file.
"""

from schemas.opening_hours import Week
from schemas.values import StoreId
from scripts.csv_input.hours import Hours


def weeks_of(hours: Hours) -> dict[StoreId, Week]:
    """The weeks of stores that have undated hours alone."""
    assert all(week.valid_from is None for weekly in hours.weekly.values() for week in weekly)
    return {store_id: weekly[0].rows for store_id, weekly in hours.weekly.items()}
