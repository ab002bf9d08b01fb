"""Every mutant that is known falls, and the table of them is one of this source."""

import pytest

from tests.mutant_table import MUTANTS, Mutant
from tests.mutants import ROOT, Verdict, is_applicable, judged


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_replaces_stands_once_in_its_file(mutant: Mutant) -> None:
    assert is_applicable(mutant), f"{mutant.file} has not, or more than once: {mutant.before!r}"
    assert mutant.before != mutant.after


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_test_that_must_fall_is_there(mutant: Mutant) -> None:
    path, _, test = mutant.test.partition("::")
    assert not test or f"def {test}(" in (ROOT / path).read_text()


def test_no_two_mutants_have_one_name_or_are_the_same() -> None:
    assert len({each.name for each in MUTANTS}) == len(MUTANTS)
    assert len({(each.file, each.before, each.after) for each in MUTANTS}) == len(MUTANTS)


@pytest.mark.slow
def test_a_mutant_that_survives_and_one_that_is_not_found_are_told_from_one_that_falls() -> None:
    """Of a half that is rounded up falls the test of cells; of a comment, none."""
    cells, test = "stream/core/cells.py", "tests/core/test_report_row.py"
    told = judged(
        [
            Mutant("falls", cells, "step = unit_us // 100", "step = unit_us // 10", test),
            Mutant("survives", cells, "Every text a cell can have", "All texts that cells can have", test),
            Mutant("is not there", cells, "this text stands nowhere", "", test),
            Mutant("cannot be read", cells, "import numpy as np", "import numpy as (", test),
        ]
    )
    assert [outcome.verdict for outcome in told] == [
        Verdict.FELL,
        Verdict.SURVIVES,
        Verdict.TEXT_NOT_FOUND,
        Verdict.NOT_TESTED,
    ]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_mutant_survives() -> None:
    assert [str(outcome) for outcome in judged(MUTANTS) if outcome.verdict is not Verdict.FELL] == []
