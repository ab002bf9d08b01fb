"""One choice for how many examples each property is tried on."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.profiles import EXAMPLES, VARIABLE, UnknownProfile, examples, load_profile


@pytest.fixture
def profile(request: pytest.FixtureRequest) -> Iterator[None]:
    before = settings.get_current_profile_name()
    settings.load_profile(request.param)
    yield
    settings.load_profile(before)


@pytest.mark.usefixtures("profile")
@pytest.mark.parametrize(
    ("profile", "of_400", "of_5"),
    [("fast", 40, 1), ("default", 400, 5), ("thorough", 4000, 50)],
    indirect=["profile"],
)
def test_a_profile_scales_what_a_test_asks_for(of_400: int, of_5: int) -> None:
    assert (examples(400), examples(5)) == (of_400, of_5)


def test_by_default_a_property_is_tried_as_often_as_hypothesis_itself_would() -> None:
    assert EXAMPLES["default"] == 100


def test_an_unknown_profile_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownProfile, match="=quick names no profile: there are fast, default, thorough"):
        load_profile({VARIABLE: "quick"})
