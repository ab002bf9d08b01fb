"""Whatever is sent, an answer keeps to the description that the API gives of itself."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import positive_data_acceptance

from schemas.opening_hours import week_of
from schemas.settings import Settings
from tests.builders import polls, rows
from tests.profiles import examples
from tests.query_api.tables import Tables
from tests.query_api.test_openapi import CALLS
from tests.query_api.test_real_server import listening


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseSchema]:
    settings = Settings(state=tmp_path_factory.mktemp("contract"))
    tables = Tables(settings)
    tables.name("0", "Europe/Berlin", week_of(rows("Mon 09:00-17:00")))
    tables.add(polls("Mon 10:00 inactive", "Mon 12:00 active", store_id="0"))
    with listening(settings) as client:
        yield schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
    tables.close()


@pytest.mark.hypothesis
@pytest.mark.parametrize(("method", "path"), sorted(CALLS))
def test_every_answer_keeps_to_the_description(description: BaseSchema, method: str, path: str) -> None:
    operation = description[path][method]

    @example_settings(max_examples=examples(15), suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def keeps_to_it(case: Any) -> None:
        # which as_of has an answer depends on the polls: no description can say it
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    keeps_to_it()
